"""What ``srp image`` tells on the way."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

import click

from sr_plugins.errors import printable

if TYPE_CHECKING:
    from rich.progress import Progress


class PictureProgress:
    """A line on stderr for each finished picture; on a terminal a bar below them."""

    def __init__(self, count: int, plain: Callable[[str], str] = str) -> None:
        self._total, self._plain = count, plain  # what is told of files passes through ``plain``
        self._shown = 0  # per cent
        self._finished, self._ready, self._count = 0, 0, 1  # pictures; frames of the one under way
        self._bar: Progress | None = None
        if sys.stderr.isatty():  # a tenth of a second to import
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            console = Console(stderr=True, soft_wrap=True, highlight=False)
            name = TextColumn("{task.description}", markup=False)  # a file may be called [bold]
            columns = (name, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, console=console, transient=True)
            self._task = self._bar.add_task("upscaling", total=count)

    def frames(self, source: Path, ready: int, count: int) -> None:
        """So many of a picture's frames are ready."""
        if self._total > 1:  # several at once: the bar counts pictures
            return
        self._ready, self._count = ready, count
        if count > 1 and self._bar is not None:
            self._bar.update(self._task, description=f"{source.name}, frame {ready} of {count}")
        self._move(0)

    def tiles(self, done: int, count: int) -> None:
        """So many of the tiles of the frame under way are ready; the bar moves within the picture."""
        self._move(done / count)

    def _move(self, part: float) -> None:
        within = min(1.0, (self._ready + part) / self._count)
        completed = self._finished + within
        if self._bar is None:
            return
        self._bar.update(self._task, completed=completed)
        if (share := int(100 * completed / self._total)) != self._shown:  # each per cent is seen, also of quick work
            self._shown = share
            self._bar.refresh()

    def told(self, line: str) -> None:
        """A line above the bar."""
        line = printable(self._plain(line))
        if self._bar is None:
            click.echo(line, err=True)
        else:
            self._bar.console.print(line, markup=False)

    def finished(self, line: str) -> None:
        """One more picture is done; ``line`` says how."""
        self.told(line)
        self._finished, self._ready, self._count = self._finished + 1, 0, 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._finished)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()
