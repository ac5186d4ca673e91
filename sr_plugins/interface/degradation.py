"""What a plugin tells us about one step on the way from a clean picture to a bad one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# On the way from clean to bad: float32 (H, W, 3) R'G'B' in 8-bit code values 0..255, not rounded between steps.
Picture = NDArray[np.float32]
Degradation = Callable[[Picture, np.random.Generator], Picture]


@dataclass(frozen=True, kw_only=True)
class DegradationSpec:
    """One step of a degradation chain, as a recipe's ``[[degradation]]`` table names it.

    Attributes:
        name: what recipes write in ``name``.
        build: ``build(scale, **options)`` returns the step; ``options`` are the table's other keys. The step takes a
            picture (float32, (H, W, 3), R'G'B', 0..255) and a seeded generator, from which every random choice comes,
            and returns a picture of the same kind. One step of a chain makes the picture ``scale`` times smaller.
        random: whether two calls differ, so that training pictures are degraded anew during a run.
        replaces: the distribution whose step of the same name this one stands in for.
    """

    name: str
    build: Callable[..., Degradation]
    random: bool = True
    replaces: str | None = None
