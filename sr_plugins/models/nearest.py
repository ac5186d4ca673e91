"""Pixels repeated, for pixel art: what enlarges without inventing anything. No trained weights."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import ModelSpec

if TYPE_CHECKING:
    from torch import nn

SCALES = (2, 3, 4)


def build(scale: int) -> nn.Module:
    """Every pixel becomes ``scale`` by ``scale`` equal ones."""
    from sr_plugins.models.interpolation import NearestUpsample

    return NearestUpsample(scale)


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    for scale in SCALES:
        yield ModelSpec(
            name="nearest",
            scale=scale,
            channels="rgb",
            build=partial(build, scale),
            receptive_radius=0,
            needs_weights=False,
            symmetry=8,
            architecture="nearest neighbour, for pixel art",
            license="MIT",
        )
