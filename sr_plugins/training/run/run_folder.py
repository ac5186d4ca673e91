"""What a training run leaves in its folder: checkpoint, log and the plot of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sr_plugins.errors import RecipeError
from sr_plugins.training.run.recipe import Recipe
from sr_plugins.whole_file import whole_file


@dataclass
class Progress:
    """One line of the log: mean loss since the line before, PSNR (dB) on the held-out pictures, seconds in all."""

    iteration: int
    iterations: int
    loss: float
    psnr: float | None
    seconds: float


def identity(recipe: Recipe) -> str:
    """What a checkpoint must have in common with the recipe that goes on from it."""
    return f"{recipe.model} x{recipe.scale} with {recipe.optimizer}"


class RunFolder:
    """``checkpoint.pt``, ``log.jsonl`` and ``curve.png`` of one run.

    Raises:
        RecipeError: the folder holds a run and ``resume`` is not asked for, or a checkpoint that cannot be read.
    """

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self.folder = folder
        self.checkpoint = folder / "checkpoint.pt"
        self.log = folder / "log.jsonl"
        if self.checkpoint.exists() and not resume:
            raise RecipeError(f"{folder} already holds a run: add --resume to go on, or name another folder with --out")
        self._made = [place for place in (folder, *folder.parents) if not place.exists()]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"cannot make the run's folder {folder}: {error.strerror or error}") from error

    def remove_if_empty(self) -> None:
        """A run that could not begin leaves no folder that it made."""
        with suppress(OSError):  # something is in it
            for place in self._made:
                place.rmdir()

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """The checkpoint, or ``None`` before the first."""
        if not self.checkpoint.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(self.checkpoint, map_location=device, weights_only=True)
        except Exception as error:  # pickle, zip and torch each raise their own
            raise RecipeError(f"{self.checkpoint} cannot be read, remove it to start again: {error}") from error
        return state

    @contextmanager
    def explained(self, state: Mapping[str, Any], recipe: Recipe) -> Iterator[None]:
        """Where the checkpoint is not one of this recipe, a ``RecipeError`` that says so."""
        cure = "name another folder with --out, or give it its own recipe"
        made_by = state.get("run", identity(recipe))
        if made_by != identity(recipe):
            raise RecipeError(f"{self.checkpoint} is of a run of {made_by}, not of {identity(recipe)}: {cure}")
        if (done := state.get("iteration", 0)) > recipe.iterations:
            raise RecipeError(f"{self.checkpoint} has done {done} iterations of {recipe.iterations}: {cure}")
        try:
            yield
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise RecipeError(f"{self.checkpoint} is of another run, or of another recipe: {cure}") from error

    def save(self, state: Mapping[str, Any]) -> None:
        """Write the checkpoint, whole or not at all."""
        with whole_file(self.checkpoint) as temporary:
            torch.save(dict(state), temporary)

    def lines(self) -> list[Progress]:
        """The log so far; a last line that was cut off is left out."""
        found = []
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            try:
                found.append(Progress(**json.loads(line)))
            except (ValueError, TypeError):
                continue
        return found

    def forget_after(self, iteration: int) -> None:
        """Drop log lines later than the checkpoint that a run resumes from."""
        kept = [line for line in self.lines() if line.iteration <= iteration]
        with whole_file(self.log) as temporary:
            temporary.write_text("".join(json.dumps(asdict(line)) + "\n" for line in kept))

    def add(self, line: Progress) -> None:
        """Append to the log."""
        with self.log.open("a") as file:
            file.write(json.dumps(asdict(line)) + "\n")

    def plot(self) -> Path | None:
        """Draw loss and PSNR over iterations; ``None`` without matplotlib (the extra ``plot``) or before two lines."""
        lines = self.lines()
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return None
        if len(lines) < 2:
            return None
        figure = Figure(figsize=(8, 4.5))  # its margins fit: a layout that looks for them draws everything twice
        axes = figure.add_subplot()
        x = [line.iteration for line in lines]
        axes.plot(x, [line.loss for line in lines], color="tab:blue")
        axes.set(xlabel="iteration", ylabel="loss", title=self.folder.name, yscale="log")
        axes.yaxis.label.set_color("tab:blue")
        right = axes.twinx()
        measured = [(line.iteration, line.psnr) for line in lines if line.psnr is not None]
        right.plot(*zip(*measured, strict=True), color="tab:orange") if measured else None
        right.set_ylabel("validation PSNR, dB", color="tab:orange")
        path = self.folder / "curve.png"
        with whole_file(path) as temporary:
            figure.savefig(temporary, dpi=100)
        return path
