"""Our own ``photo``: R'G'B', trained on what phones, cameras and the web leave of a picture, its colours included.

A compact network (see ``compact``) on three channels. Chroma, which networks on luma interpolate, is where JPEG is
coarsest: its blocks are twice as large there. There is no back-projection: what JPEG leaves is not to be kept.
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

FEATURES, LAYERS = 24, 11
SHAPE = f"post-upsampling, plain 3x3 convolutions ({LAYERS} of {FEATURES})"


def build(scale: int, *, training: bool = False) -> nn.Module:
    """The network: folded for inference, or with its branches for training."""
    from sr_plugins.models.photo_network import PhotoNetwork

    return PhotoNetwork(scale, FEATURES, LAYERS, branches=training)


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    for scale in (2, 4):
        yield ModelSpec(
            name="photo",
            scale=scale,
            channels="rgb",
            build=partial(build, scale),
            build_for_training=partial(build, scale, training=True),
            receptive_radius=LAYERS + 2,
            weights=pretrained("photo", scale),
            architecture=f"{SHAPE}, folded branches, on R'G'B'",
            license="MIT",
        )
