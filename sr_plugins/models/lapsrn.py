"""Progressive upsampling: LapSRN (Lai et al., "Deep Laplacian pyramid networks for fast and accurate
super-resolution", CVPR 2017; parameters shared between the levels as in its journal version, TPAMI 2018).

Each level doubles the picture and adds a residual, so one set of weights serves x2 (one level) and x4 (two). Luma, as
in the paper; the image branch is the fixed bicubic kernel instead of a learned one.
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

FEATURES, LAYERS = 32, 8


def build(levels: int) -> nn.Module:
    """The network of ``levels`` doublings, without weights."""
    from sr_plugins.models.lapsrn_network import LapSRN

    return LapSRN(levels, FEATURES, LAYERS)


def build_for_training(levels: int) -> nn.Module:
    """The network that returns every level's picture."""
    from sr_plugins.models.lapsrn_network import Pyramid

    return Pyramid(levels, FEATURES, LAYERS)


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    # head, layers, and one for the way up and the last layer; the second level does the same on pixels of half the size
    for levels, radius in ((1, 1 + LAYERS + 1), (2, 1 + LAYERS + -(-(LAYERS + 1) // 2))):
        yield ModelSpec(
            name="lapsrn",
            scale=2**levels,
            channels="luma",
            build=partial(build, levels),
            build_for_training=partial(build_for_training, levels),
            receptive_radius=radius,
            weights=pretrained("lapsrn", 2**levels) or pretrained("lapsrn", 4),
            architecture=f"progressive upsampling, LapSRN, {levels} shared level(s) with {LAYERS} layers of {FEATURES}",
            license="MIT",
        )
