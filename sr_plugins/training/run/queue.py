"""A queue of training runs: one after the other, on one core, through every stop.

::

    data = "pictures"                   # of runs that name none; --data takes its place

    [[run]]
    recipe = "realtime-x2.toml"         # beside the queue, or one we ship
    # data = "other"                    # beside the queue
    # out = "runs/second"               # beside the queue; by default a folder of the recipe's name in --out

    [[run]]
    recipe = "fast-x2.toml"             # model.start and model.teacher also find what earlier runs made

A run that is done is passed over and one that was begun goes on, so that the same command starts the queue and takes it
up again: what comes out is the same, however often it was stopped.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sr_plugins.errors import RecipeError, SRError
from sr_plugins.training.run.recipe import RECIPES, Recipe, read_recipe
from sr_plugins.training.run.run_folder import Progress
from sr_plugins.training.run.trainer import train
from sr_plugins.training.tables import read_table
from sr_plugins.weights.safetensors_files import read_card

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """One run of a queue: what, on which pictures, and the folder that it leaves everything in."""

    recipe: Recipe
    data: Path
    folder: Path

    @property
    def weights(self) -> Path:
        """The file that it ends with."""
        return self.folder / self.recipe.weights_name

    @property
    def done(self) -> bool:
        """Whether it went through all of its iterations."""
        if not self.weights.is_file():
            return False
        card = read_card(self.weights)
        made = card.get("model"), card.get("scale"), card.get("iterations")
        return made == (self.recipe.model, self.recipe.scale, self.recipe.iterations)


def read_queue(path: Path, data: Path | None = None, out: Path = Path("runs")) -> list[Run]:
    """The runs of a queue, all of its recipes read and checked; ``RecipeError`` names the file and what is wrong.

    Args:
        path: the queue, a TOML file; see the module's text.
        data: pictures for runs that name none of their own.
        out: folder of the runs' folders.
    """
    table = read_table(path)
    _known(path, table, "", {"data", "run"})
    rows = table.get("run")
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise RecipeError(f"{path}: a list of tables [[run]] is needed, each with a recipe")
    own = _path(path, table, "data")
    runs: list[Run] = []
    for row in rows:
        _known(path, row, "run.", {"recipe", "data", "out"})
        file = _path(path, row, "recipe")
        if file is None:
            raise RecipeError(f"{path}: a [[run]] names no recipe")
        if not file.exists() and (RECIPES / row["recipe"]).is_file():
            file = RECIPES / row["recipe"]
        pictures = _path(path, row, "data") or data or own
        if pictures is None:
            raise RecipeError(f"{path}: {row['recipe']} has no pictures: add data = ... or give --data")
        folder = _path(path, row, "out") or out / file.stem
        if any(folder.resolve() == run.folder.resolve() for run in runs):
            raise RecipeError(f"{path}: two runs would share the folder {folder}: give one of them another out = ...")
        recipe = replace(read_recipe(file), places=tuple(run.folder for run in runs))
        runs.append(Run(recipe, pictures, folder))
    return runs


def run_queue(
    path: Path,
    data: Path | None = None,
    out: Path = Path("runs"),
    *,
    minutes: float | None = None,
    device: str = "auto",
    precision: str = "auto",
    report: Callable[[Run, Progress], None] = lambda run, progress: None,
    stopped: Callable[[int], object] = lambda number: None,
) -> list[Run]:
    """Go through a queue, on one core; returns the runs that are done.

    Stopped by a signal (whose number ``stopped`` is told) or after ``minutes``, it returns early, and the next call
    goes on; one that was killed goes on from the last checkpoint. A run that cannot go on is told and left, and those
    after it are tried.

    Raises:
        RecipeError: something in the queue is wrong, it is being run already, or a run could not be finished.
    """
    runs = read_queue(path, data, out)
    ends = None if minutes is None else time.monotonic() + 60 * minutes
    failed = []
    with _alone(path), _one_thread():
        for run in runs:
            rest = None if ends is None else (ends - time.monotonic()) / 60
            if rest is not None and rest <= 0:
                break
            try:
                if run.done:
                    continue
                logger.info("%s on %s", run.recipe.path, run.data)
                train(
                    run.recipe,
                    run.data,
                    run.folder,
                    resume=True,
                    minutes=rest,
                    device=device,
                    precision=precision,
                    report=lambda progress, run=run: report(run, progress),  # type: ignore[misc]
                    stopped=stopped,
                )
                if not run.done:  # stopped
                    break
            except SRError as error:
                logger.error("%s: %s", run.recipe.path, error)
                failed.append(f"{run.recipe.path.name} ({error})")
    if failed:
        raise RecipeError(f"{path}: not finished: {'; '.join(failed)}")
    return [run for run in runs if run.done]


def _known(path: Path, table: dict[str, Any], prefix: str, names: set[str]) -> None:
    for key in table:
        if key not in names:
            raise RecipeError(f"{path}: unknown key {prefix}{key}; there is {', '.join(sorted(names))}")


def _path(queue: Path, table: dict[str, Any], key: str) -> Path | None:
    """A path that a table names, seen from the queue's folder."""
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise RecipeError(f"{queue}: {key} = {value!r} is not a path")
    return queue.parent / value


@contextmanager
def _one_thread() -> Iterator[None]:
    """What several threads add up, they add up in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the queue, so that a second start of it, by a timer for example, ends at once."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RecipeError(f"{path} is being run by another process: wait for it, or stop that one") from error
        except OSError:  # a file system without locks
            logger.warning("%s lies where no file can be locked: see that only one process runs it", path)
        yield
