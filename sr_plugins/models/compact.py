"""Our compact networks, ``tiny`` to ``quality``: plain 3x3 convolutions on luma, all at low resolution.

Each hidden layer computes ``act(x + conv(x))``. While training, a layer's kernel is a sum of branches; for inference
the branches and the skip connection fold into one 3x3 kernel, so that what runs is nothing but 3x3 convolutions,
LeakyReLU and a pixel shuffle: the family that efficient-SR challenges found fastest per decibel (ECBSR, Zhang et al.
2021; SESR, Bhardwaj et al. 2022: linear over-parameterisation collapsed in the forward pass). The network's output is
a residual, added to the bicubic picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from sr_plugins.hookspecs import hookimpl
from sr_plugins.model_spec import ModelSpec
from sr_plugins.weights import pretrained

if TYPE_CHECKING:
    from torch import nn

# name: {scale: (features, hidden layers)}. Deeper and narrower is better at the same size, and slower: ``realtime`` and
# ``fast`` x2 have the same number of parameters. fast x4 has one layer less than ``realtime``, for its last one is four
# times that of x2 and the whole stays below 60 thousand parameters.
FAMILY = {
    "tiny": {2: (16, 4)},
    "realtime": {2: (32, 6)},  # in int8, a film of 640x360 as it plays on two cores
    "fast": {2: (24, 11), 3: (24, 11), 4: (32, 5)},
    "quality": {2: (32, 16)},
    "restore": {2: (32, 6)},  # realtime's network, trained on compressed video
    "perceptual": {4: (32, 5)},  # fast's network, trained with content, texture and adversarial losses
}


def build(scale: int, features: int, layers: int, *, training: bool = False) -> nn.Module:
    """The network: folded for inference, or with its branches for training."""
    from sr_plugins.models.compact_network import CompactNetwork

    return CompactNetwork(scale, features, layers, branches=training)


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    for name, sizes in FAMILY.items():
        for scale, (features, layers) in sizes.items():
            yield ModelSpec(
                name=name,
                scale=scale,
                channels="luma",
                build=partial(build, scale, features, layers),
                build_for_training=partial(build, scale, features, layers, training=True),
                receptive_radius=layers + 2,
                weights=pretrained(name, scale),
                architecture=f"post-upsampling, plain 3x3 convolutions ({layers} of {features}), folded branches",
                license="MIT",
            )
