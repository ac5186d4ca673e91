"""Post-upsampling: EDSR (Lim et al., "Enhanced deep residual networks for single image super-resolution", CVPRW 2017).

Residual blocks without batch normalisation at low resolution, one skip connection around all of them, then a pixel
shuffle. The baseline of the paper has 16 blocks of 64 features on RGB (1.37M parameters); ours is smaller, works on
luma, and adds its output to the bicubic picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import ModelSpec
from sr_plugins.weights.pretrained import pretrained

if TYPE_CHECKING:
    from torch import nn

SCALE, FEATURES, BLOCKS = 2, 32, 8


def build() -> nn.Module:
    """The network, without weights."""
    from sr_plugins.models.edsr_network import EDSR

    return EDSR(SCALE, FEATURES, BLOCKS)


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    yield ModelSpec(
        name="edsr",
        scale=SCALE,
        channels="luma",
        build=build,
        # head, two in each block, the one after them, the one before the shuffle; the last reaches one pixel of the
        # enlarged picture, which may lie in the next low-resolution pixel
        receptive_radius=1 + 2 * BLOCKS + 1 + 1 + 1,
        weights=pretrained("edsr", SCALE),
        architecture=f"post-upsampling, EDSR with {BLOCKS} blocks of {FEATURES}",
        license="MIT",
    )
