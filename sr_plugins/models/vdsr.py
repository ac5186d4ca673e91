"""Pre-upsampling: VDSR (Kim, Lee and Lee, "Accurate image super-resolution using very deep convolutional networks",
CVPR 2016), on luma as in the paper.

The picture is interpolated first and a chain of 3x3 convolutions at high resolution predicts the residual. The paper
has 20 layers of 64 features (666k parameters); ours is smaller, so that a CPU trains it. It trains with branches and
skip connections that fold into the paper's plain chain of convolutions.
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

SCALE, FEATURES, LAYERS = 2, 32, 10


def build(*, training: bool = False) -> nn.Module:
    """The network, without weights; with its branches for training."""
    from sr_plugins.models.vdsr_network import VDSR

    return VDSR(SCALE, FEATURES, LAYERS, branches=training)


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    yield ModelSpec(
        name="vdsr",
        scale=SCALE,
        channels="luma",
        build=build,
        build_for_training=partial(build, training=True),
        # the layers reach LAYERS high-resolution pixels, the interpolation below them two low-resolution ones
        receptive_radius=-(-LAYERS // SCALE) + 2,
        weights=pretrained("vdsr", SCALE),
        architecture=f"pre-upsampling, VDSR with {LAYERS} layers of {FEATURES}",
        license="MIT",
    )
