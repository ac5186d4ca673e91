"""Our own ``film``: luma, sees two frames before and two after, trained on video as codecs leave it.

A compact network (see ``compact``), started from ``restore``, with a few layers beside its first one that look at five
frames. The other four are moved onto the middle one first, by whole pixels (``alignment``): early fusion after explicit
motion compensation (VESPCN, Caballero et al., CVPR 2017), by block matching, which needs no training. There is no
back-projection: what a codec leaves is not to be kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import ModelSpec
from sr_plugins.weights.pretrained import pretrained

if TYPE_CHECKING:
    from torch import nn

FEATURES, LAYERS, FUSION = 32, 12, 5
BEFORE = AFTER = 2
DISTANCE = 3  # pixels by which frames are moved, at most
SUMS = 3  # the reach of the sums by which they are compared


def build(scale: int, *, training: bool = False) -> nn.Module:
    """The network: folded for inference, or with its branches for training."""
    from sr_plugins.models.film_network import FilmNetwork

    return FilmNetwork(
        scale, FEATURES, LAYERS, frames=BEFORE + 1 + AFTER, fusion=FUSION, distance=DISTANCE, branches=training
    )


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    for scale in (2, 4):
        yield ModelSpec(
            name="film",
            scale=scale,
            channels="luma",
            build=partial(build, scale),
            build_for_training=partial(build, scale, training=True),
            receptive_radius=LAYERS + 1 + FUSION + DISTANCE + SUMS,
            window=(BEFORE, AFTER),
            weights=pretrained("film", scale),
            architecture=f"post-upsampling, {BEFORE + 1 + AFTER} frames aligned by block matching, {FUSION} layers that"
            f" fuse them, plain 3x3 convolutions ({LAYERS} of {FEATURES}), folded branches",
            license="MIT",
        )
