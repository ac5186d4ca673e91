"""Our compact networks, ``nano`` to ``quality``: plain 3x3 convolutions on luma, all at low resolution.

Each hidden layer computes ``act(x + conv(x))``. While training, a layer's kernel is a sum of branches; for inference
the branches and the skip connection fold into one 3x3 kernel, so that what runs is nothing but 3x3 convolutions,
LeakyReLU and a pixel shuffle: the family that efficient-SR challenges found fastest per decibel (ECBSR, Zhang et al.
2021; SESR, Bhardwaj et al. 2022: linear over-parameterisation collapsed in the forward pass). The network's output is
a residual, added to the bicubic picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import ModelSpec
from sr_plugins.weights.pretrained import pretrained

if TYPE_CHECKING:
    from torch import nn


class Shape(NamedTuple):
    """Of one network of the family."""

    features: int
    layers: int
    symmetry: Literal[1, 2, 4, 8] = 1
    back_projection: bool = False


# By name and scale. Deeper and narrower is better at the same size, and slower. realtime x2 does with half of the
# multiply-adds, and back-projection, what 6 layers of 32 features did before, to 0.02 dB.
FAMILY = {
    "nano": {2: Shape(12, 5)},  # for shaders: three vectors of four a layer
    "tiny": {2: Shape(16, 4)},
    "realtime": {2: Shape(16, 11, back_projection=True), 3: Shape(24, 11), 4: Shape(32, 5)},
    "fast": dict.fromkeys((2, 3, 4), Shape(32, 18, symmetry=4, back_projection=True)),
    "quality": {2: Shape(64, 18, symmetry=8, back_projection=True)},
    "restore": {2: Shape(24, 11)},  # trained on compressed pictures and video
    "perceptual": {4: Shape(32, 5)},  # realtime's network, trained with content, texture and adversarial losses
}


def build(scale: int, shape: Shape, *, training: bool = False) -> nn.Module:
    """The network: folded for inference, or with its branches for training."""
    from sr_plugins.models.compact_network import CompactNetwork

    return CompactNetwork(
        scale,
        shape.features,
        shape.layers,
        symmetry=shape.symmetry,
        back_projection=shape.back_projection,
        branches=training,
    )


def radius(shape: Shape) -> int:
    """Of the receptive field: the convolutions and, behind or beside them, the fixed filters' 2 or 4 pixels."""
    return shape.layers + 2 + (4 if shape.back_projection else 0)


def architecture(shape: Shape) -> str:
    """In the field's terms."""
    parts = [f"post-upsampling, plain 3x3 convolutions ({shape.layers} of {shape.features}), folded branches"]
    parts += [f"equivariant in {shape.symmetry} positions"] if shape.symmetry > 1 else []
    parts += ["back-projection"] if shape.back_projection else []
    return ", ".join(parts)


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    for name, sizes in FAMILY.items():
        for scale, shape in sizes.items():
            yield ModelSpec(
                name=name,
                scale=scale,
                channels="luma",
                build=partial(build, scale, shape),
                build_for_training=partial(build, scale, shape, training=True),
                receptive_radius=radius(shape),
                symmetry=shape.symmetry,
                weights=pretrained(name, scale),
                architecture=architecture(shape),
                license="MIT",
            )
