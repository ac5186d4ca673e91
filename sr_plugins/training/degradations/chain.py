"""A chain of degradations: from a clean picture to the low-resolution one a network learns from.

A recipe, or a file of its own, lists the steps::

    [[degradation]]
    name = "gaussian_blur"
    sigma = [0.2, 1.5]            # a pair is a range to draw from, anew for every picture

    [[degradation]]
    name = "bicubic"

    [[degradation]]
    name = "jpeg"
    quality = [60, 95]
    probability = 0.5             # every step may have one
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import RecipeError, SRError
from sr_plugins.interface.degradation import Degradation, DegradationSpec
from sr_plugins.pixels.matlab import to_8bit
from sr_plugins.plugins import plugins
from sr_plugins.training.tables import call_with, is_number, read_table

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Chain:
    """Steps with their probabilities; a call takes and returns 8-bit R'G'B' (H, W, 3)."""

    steps: tuple[tuple[Degradation, float], ...]
    scale: int
    random: bool

    def __call__(self, picture: Image, rng: np.random.Generator) -> Image:
        """The degraded picture, ``scale`` times smaller; ``RecipeError`` when the steps made another size."""
        result = picture.astype(np.float32)
        for step, probability in self.steps:
            if probability >= 1 or rng.random() < probability:
                result = step(result, rng)
        expected = (-(-picture.shape[0] // self.scale), -(-picture.shape[1] // self.scale))
        if result.shape[:2] != expected:
            raise RecipeError(
                f"the degradation made {result.shape[1]} x {result.shape[0]} pixels of {picture.shape[1]} x "
                f"{picture.shape[0]}, expected {expected[1]} x {expected[0]}: one step must shrink by {self.scale}"
            )
        return to_8bit(result)

    def seeded(self, seed: int) -> Callable[[Image], Image]:
        """The chain as a function of the picture alone: the n-th call always draws the same."""
        count = iter(range(2**31))
        return lambda picture: self(picture, np.random.default_rng([seed, next(count)]))


def build_chain(tables: Sequence[Mapping[str, Any]], scale: int, path: Path) -> Chain:
    """The chain that a file's ``[[degradation]]`` tables describe; ``RecipeError`` names ``path`` and what is wrong."""
    steps, random = [], False
    for table in tables:
        options = dict(table)
        name, probability = options.pop("name"), options.pop("probability", 1.0)
        if not is_number(probability) or not 0 <= probability <= 1:
            raise RecipeError(f"{path}: probability = {probability!r} of {name} is not between 0 and 1")
        try:
            spec: DegradationSpec = plugins().named("sr_degradations", "degradation", name)
            steps.append((call_with(spec.build, f"degradation {name}", {"scale": scale}, options), float(probability)))
        except (SRError, ValueError, TypeError) as error:
            raise RecipeError(f"{path}: {error}") from error
        random = random or spec.random or probability < 1
    return Chain(tuple(steps), scale, random)


def read_chain(path: Path, scale: int) -> Chain:
    """Read the ``[[degradation]]`` tables of a TOML file, which may be a recipe; ``RecipeError`` when it is wrong."""
    return build_chain(read_tables(path), scale, path)


def read_tables(path: Path) -> list[dict[str, Any]]:
    """The ``[[degradation]]`` tables of a TOML file, not built yet; ``RecipeError`` when it has none."""
    tables = read_table(path).get("degradation")
    if not isinstance(tables, list) or not tables or not all(isinstance(t, dict) and "name" in t for t in tables):
        raise RecipeError(f"{path}: a list of tables [[degradation]] is needed, each with a name")
    return tables
