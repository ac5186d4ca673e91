"""What ``srp video`` tells on the way: a bar or lines, the speed, and a quicker way where the film will take long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from sr_plugins.cli.preview import clock
from sr_plugins.errors import printable

if TYPE_CHECKING:
    from sr_plugins.upscaler import Upscaler
    from sr_plugins.video.transcode import FilmProgress, VideoResult

Report = Callable[["FilmProgress"], None]

KNOWN_AFTER = 10.0  # seconds after which the speed is known
LONG = 600.0  # seconds still to go from which a quicker model is looked for
LINE_EVERY = 10.0  # seconds between progress lines where stderr is no terminal


@contextmanager
def reporter(name: str) -> Iterator[Report]:
    """What to call with a film's progress: a bar on a terminal, lines now and then elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = ("{task.description}", "{task.completed}/{task.total} frames", "{task.fields[rest]}")
        texts = [TextColumn(text, markup=False) for text in columns]
        with Bar(texts[0], BarColumn(), *texts[1:], console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(printable(name), total=None, rest="")
            yield lambda p: bar.update(task, completed=p.done, total=p.total, rest=_rate(p))
        return
    last = -LINE_EVERY

    def line(progress: FilmProgress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_EVERY or progress.done == progress.total:
            last = now
            say(f"{name}: {progress.done}/{progress.total} frames, {_rate(progress)}")

    yield line


def with_cheaper_way(
    name: str, upscaler: Callable[[], Upscaler], report: Callable[[FilmProgress], None]
) -> Callable[[FilmProgress], None]:
    """Reports, and once the speed is known says how long a long film takes, and which model would take less."""
    told = False

    def tell(progress: FilmProgress) -> None:
        nonlocal told
        report(progress)
        if told or progress.seconds < KNOWN_AFTER or not progress.fps or progress.eta < LONG:
            return
        told = True
        from sr_plugins.video.cheaper import cheaper_model

        found = cheaper_model(upscaler())
        cure = f"; --model {found[0]} would take about {clock(progress.eta * found[1])}" if found else ""
        say(f"{name}: {progress.fps:.2g} frames a second, {clock(progress.eta)} left{cure}")

    return tell


def _rate(progress: FilmProgress) -> str:
    eta = "" if progress.eta == float("inf") else f"{clock(progress.eta)} left, "
    return f"{progress.fps:.1f} fps, {eta}chunk {progress.chunk + 1}/{progress.chunks}"


def summary(result: VideoResult) -> str:
    """One line about a finished film."""
    notes = [f"{result.frames} frames in {clock(result.seconds)}"]
    if result.resumed:
        notes.append(f"{result.resumed} of them from before")
    if result.reused:
        notes.append(f"{result.reused} repeated frames reused")
    return f"{result.target}: {', '.join(notes)}"


def say(text: str) -> None:
    """A line on stderr."""
    click.echo(f"srp: {printable(text)}", err=True)
