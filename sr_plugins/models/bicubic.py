"""Bicubic interpolation as a model, without weights: to compare with, and what is left where every network does harm.

R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 1981, a = -0.5.
"""

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
    """The interpolation as a network; ready to use."""
    from sr_plugins.models.interpolation import BicubicUpsample

    return BicubicUpsample(scale)


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    for scale in SCALES:
        yield ModelSpec(
            name="bicubic",
            scale=scale,
            channels="luma",
            build=partial(build, scale),
            receptive_radius=2,
            symmetry=8,
            needs_weights=False,
            architecture="interpolation, Keys' bicubic",
            license="MIT",
        )
