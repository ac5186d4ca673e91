"""Iterative up-and-down sampling: DBPN (Haris, Shakhnarovich and Ukita, "Deep back-projection networks for
super-resolution", CVPR 2018).

Projection units go up to high resolution, back down, and correct themselves by the error of the way back; the
high-resolution features of all units are put together. The paper's D-DBPN has 10M parameters on RGB; ours is small,
works on luma, has no dense connections (its "DBPN" variants), and adds its output to the bicubic picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import ModelSpec
from sr_plugins.weights.pretrained import pretrained

if TYPE_CHECKING:
    from torch import nn

SCALE, FEATURES, STAGES = 2, 20, 3


def build() -> nn.Module:
    """The network, without weights."""
    from sr_plugins.models.dbpn_network import DBPN

    return DBPN(SCALE, FEATURES, STAGES)


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    yield ModelSpec(
        name="dbpn",
        scale=SCALE,
        channels="luma",
        build=build,
        # head, three in each projection unit, and the last layer, which may reach into the next low-resolution pixel
        receptive_radius=1 + 3 * (2 * STAGES - 1) + 1,
        weights=pretrained("dbpn", SCALE),
        architecture=f"iterative up-and-down sampling, DBPN with {STAGES} stages of {FEATURES}",
        license="MIT",
    )
