"""A training recipe: one TOML file that says everything about one training run.

::

    seed = 1
    ema = 0.999
    optimizer = "muon"                  # or "adam", which is the default
    clip_gradient = 1.0
    validate_every = 1000
    # flat_borders = 300                iterations at the end in which flat colours learn to stay, up to the border

    [model]
    name = "fast"
    scale = 2
    # start = "fast-x2.safetensors"     weights to start from, wherever shapes fit: a path, or a file we ship
    # teacher = "fast-x2.safetensors"   weights whose self-ensemble stages listen to: see stage.teacher
    # also = [2]                        smaller scales trained in turn, for a network that has them inside (LapSRN)

    [data]
    validation = 12                     # pictures held out, spread evenly over the sorted folder
    # sizes = [1.0, 0.75, 0.5]          every picture in each of these sizes
    # renew = 10                        a random degradation gives one picture a fresh copy every 10 iterations
    # description = "..."               what the pictures are and their licence, for the model card

    [[degradation]]
    name = "bicubic"

    # [sequences]                       instead, for a network that sees frames around the one it enlarges: scenes that
    # scenes = 1000                     move, coded as video; see SequenceSettings

    [[stage]]                           # stages run one after another; weights and EMA carry over
    iterations = 40000
    patch = 48                          # side of the low-resolution patch, pixels
    batch = 16
    learning_rate = [1e-3, 1e-5]        # cosine from the first to the second
    # schedule = 60000                  the length of that cosine, where the stage ends before it does
    # teacher = 0.8                     the target is 0.8 of the teacher's picture and 0.2 of the true one
    [stage.losses]
    l1 = 1.0
    # keep = 0.3                        last stage: share of the weights before it in the result (network interpolation)
    # int8 = true                       last stages only: layers round to 8-bit integers, for backends that do
    # adversarial = { weight = 0.1, features = 32 }     a loss with options
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from sr_plugins.errors import RecipeError, offered
from sr_plugins.training.sequences.settings import SequenceSettings, read_settings
from sr_plugins.training.tables import is_number, read_table
from sr_plugins.weights.pretrained import PRETRAINED

OPTIMIZERS = ("adam", "muon")
RECIPES = Path(__file__).parent.parent / "recipes"


@dataclass(frozen=True)
class Stage:
    """One part of a run: its length, patch and batch size, learning rates (first, last), weighted losses, what share of
    the target is the teacher's, whether layers round to 8-bit integers, how long the rates' cosine would be, and what
    share of the weights before it stays in the result.
    """

    iterations: int
    patch: int
    batch: int
    learning_rate: tuple[float, float]
    losses: Mapping[str, float | Mapping[str, Any]]
    teacher: float = 0.0
    int8: bool = False
    schedule: int | None = None
    keep: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """A whole recipe; see the module's text for the file."""

    path: Path
    seed: int
    ema: float
    optimizer: str
    clip_gradient: float
    validate_every: int
    model: str
    scale: int
    start: str | None
    teacher: str | None
    also: tuple[int, ...]
    validation: int
    sizes: tuple[float, ...]
    renew: int
    description: str
    degradation: tuple[Mapping[str, Any], ...]
    stages: tuple[Stage, ...]
    sequences: SequenceSettings | None = None
    flat_borders: int = 0
    places: tuple[Path, ...] = ()  # further folders to look for weights in

    def stage_at(self, iteration: int) -> tuple[int, int]:
        """The stage of an iteration: its index, and how many iterations of it are done."""
        for index, stage in enumerate(self.stages):
            if iteration < stage.iterations:
                return index, iteration
            iteration -= stage.iterations
        raise IndexError(iteration)

    @property
    def iterations(self) -> int:
        """Length of the whole run."""
        return sum(stage.iterations for stage in self.stages)

    @property
    def weights_name(self) -> str:
        """The file name its weights are shipped under."""
        return f"{self.path.stem}.safetensors"

    def weights_file(self, name: str) -> Path:
        """The weights that ``model.start`` or ``model.teacher`` name: beside the recipe, or shipped."""
        places = [folder / name for folder in (self.path.parent, *self.places, PRETRAINED)]
        if folder := os.environ.get("SR_PLUGINS_WEIGHTS"):
            places.insert(-1, Path(folder) / name)
        for path in places:
            if path.is_file():
                return path
        searched = ", ".join(str(path.parent) for path in places)
        raise RecipeError(f"{self.path}: no weights {name}: looked in {searched}")


def find_recipe(asked: Path) -> Path:
    """A recipe's file: the one named, or the one of that name that we ship (``fast-x2``).

    Raises:
        RecipeError: there is neither; close names.
    """
    if asked.exists() or asked.parent != Path():
        return asked
    shipped = {path.stem: path for path in RECIPES.glob("*.toml")}
    if found := shipped.get(asked.name.removesuffix(".toml")):
        return found
    raise RecipeError(f"there is no file {asked}, nor a recipe of that name: {offered(asked.name, shipped)}")


def read_recipe(path: Path) -> Recipe:
    """Read and check a recipe; ``RecipeError`` names the file and the first wrong key."""
    table = read_table(path)

    reader = _Reader(path)
    known = {"seed", "ema", "optimizer", "clip_gradient", "validate_every", "model", "data", "degradation", "stage"}
    reader.known(table, "", known | {"sequences", "flat_borders"})
    optimizer = reader.string(table, "optimizer", "adam")
    if optimizer not in OPTIMIZERS:
        raise RecipeError(f"{path}: optimizer = {optimizer!r} is not one of {', '.join(OPTIMIZERS)}")
    model = reader.table(table, "model")
    reader.known(model, "model.", {"name", "scale", "start", "teacher", "also"})
    data = reader.table(table, "data", {})
    reader.known(data, "data.", {"validation", "sizes", "renew", "description"})
    degradation = table.get("degradation", [{"name": "bicubic"}])
    if not isinstance(degradation, list) or not all(isinstance(d, dict) and "name" in d for d in degradation):
        raise RecipeError(f"{path}: degradation is a list of tables [[degradation]], each with a name")
    scale = reader.number(model, "scale", int)
    also = model.get("also", [])
    if not isinstance(also, list) or not all(isinstance(a, int) and 1 < a < scale and scale % a == 0 for a in also):
        raise RecipeError(f"{path}: model.also = {also!r} is not a list of scales that divide {scale}")
    if "sequences" in table and (unused := {"degradation"} & set(table) or {"sizes", "renew"} & set(data)):
        raise RecipeError(f"{path}: {min(unused)} is of recipes for pictures: [sequences] says what sequences undergo")
    sizes = data.get("sizes", [1.0])
    if not isinstance(sizes, list) or not sizes or not all(is_number(s) and 0 < s <= 1 for s in sizes):
        raise RecipeError(f"{path}: data.sizes = {sizes!r} is not a list of numbers above 0 and at most 1")
    stages = table.get("stage")
    if not isinstance(stages, list) or not stages:
        raise RecipeError(f"{path}: at least one [[stage]] is needed")
    read_stages = tuple(reader.stage(stage, i) for i, stage in enumerate(stages))
    if any(before.int8 and not after.int8 for before, after in pairwise(read_stages)):
        raise RecipeError(f"{path}: a stage with int8 = true is followed by one without: what it learnt would be lost")
    if any(stage.keep for stage in read_stages[:-1]):
        raise RecipeError(f"{path}: keep is of the last stage, whose weights and those before it make the result")
    teacher = reader.string(model, "teacher", None)
    if (teacher is None) == any(stage.teacher for stage in read_stages):
        raise RecipeError(
            f"{path}: model.teacher names the weights that a stage listens to with teacher = 0.8: give both"
        )
    if teacher is not None and also:
        raise RecipeError(f"{path}: model.teacher knows one scale: leave out model.also")
    return Recipe(
        path=path,
        seed=reader.number(table, "seed", int, 1),
        ema=reader.number(table, "ema", float, 0.999, least=0, below=1),
        optimizer=optimizer,
        clip_gradient=reader.number(table, "clip_gradient", float, 1.0, least=1e-9),
        validate_every=reader.number(table, "validate_every", int, 1000),
        model=reader.string(model, "name"),
        scale=scale,
        start=reader.string(model, "start", None),
        teacher=teacher,
        also=tuple(also),
        validation=reader.number(data, "validation", int, 12),
        sizes=tuple(map(float, sizes)),
        renew=reader.number(data, "renew", int, 10),
        description=reader.string(data, "description", ""),
        degradation=tuple(degradation),
        stages=read_stages,
        sequences=read_settings(table["sequences"], path) if "sequences" in table else None,
        flat_borders=reader.number(table, "flat_borders", int, 0, least=0),
    )


class _Reader:
    """Reads typed values and names file and key when one is wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fail(self, text: str) -> RecipeError:
        return RecipeError(f"{self.path}: {text}")

    def known(self, table: Mapping[str, Any], prefix: str, names: set[str]) -> None:
        for key in table:
            if key not in names:
                raise self.fail(f"unknown key {prefix}{key}; there is {', '.join(sorted(names))}")

    def table(self, table: Mapping[str, Any], key: str, default: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        value = table.get(key, default)
        if not isinstance(value, Mapping):
            raise self.fail(f"a table [{key}] is needed")
        return value

    def number(
        self,
        table: Mapping[str, Any],
        key: str,
        kind: type[int] | type[float],
        default: Any = None,
        least: float = 1,
        below: float = math.inf,
    ) -> Any:
        value = table.get(key, default)
        if value is None:
            raise self.fail(f"{key} is needed")
        if not (is_number(value) and isinstance(value, (int, kind)) and least <= value < below):
            end = "" if below == math.inf else f" and below {below}"
            what = "a whole" if kind is int else "a"
            raise self.fail(f"{key} = {value!r} is not {what} number of at least {least}{end}")
        return kind(value)

    def string(self, table: Mapping[str, Any], key: str, *default: str | None) -> Any:
        value = table.get(key, *default)
        if not isinstance(value, str) and value not in default:
            raise self.fail(f"{key} = {value!r} is not a text")
        return value

    def share(self, key: str, value: object) -> float:
        if not is_number(value) or not 0 <= value <= 1:  # type: ignore[operator]
            raise self.fail(f"{key} = {value!r} is not a number from 0 to 1")
        return float(value)  # type: ignore[arg-type]

    def flag(self, key: str, value: object) -> bool:
        if not isinstance(value, bool):
            raise self.fail(f"{key} = {value!r} is neither true nor false")
        return value

    def stage(self, table: Any, index: int) -> Stage:
        if not isinstance(table, Mapping):
            raise self.fail("stage is a list of tables [[stage]]")
        self.known(table, f"stage[{index}].", {f.name for f in fields(Stage)})
        rates = table.get("learning_rate")
        if not isinstance(rates, list) or len(rates) != 2 or not all(is_number(r) and r > 0 for r in rates):
            raise self.fail(
                f"stage[{index}].learning_rate is a pair [first, last] of numbers above 0, for example [1e-3, 1e-5]"
            )
        losses = self.table(table, "losses", {"l1": 1.0})
        if not losses:
            raise self.fail(f"stage[{index}].losses is empty: name at least one, for example l1 = 1.0")
        for name, value in losses.items():
            weight: Any = value.get("weight") if isinstance(value, Mapping) else value
            if not is_number(weight) or weight <= 0:
                raise self.fail(f"stage[{index}].losses.{name} is a weight above 0, or a table with one and options")
        iterations = self.number(table, "iterations", int)
        return Stage(
            iterations=iterations,
            schedule=self.number(table, "schedule", int, least=iterations) if "schedule" in table else None,
            patch=self.number(table, "patch", int, least=4),
            batch=self.number(table, "batch", int),
            learning_rate=(float(rates[0]), float(rates[1])),
            losses=losses,
            int8=self.flag(f"stage[{index}].int8", table.get("int8", False)),
            teacher=self.share(f"stage[{index}].teacher", table.get("teacher", 0.0)),
            keep=self.share(f"stage[{index}].keep", table.get("keep", 0.0)),
        )
