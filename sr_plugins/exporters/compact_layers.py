"""A compact network as plain arrays, for formats whose graph we write ourselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import PluginError
from sr_plugins.interface.model import LoadedModel

if TYPE_CHECKING:
    from torch import nn

Array = NDArray[np.float32]


@dataclass(frozen=True)
class CompactLayers:
    """The network ``shuffle(bicubic(x) + convolutions(x))``, and back-projection where ``shrink`` is there.

    Where ``level`` is there, x is first what that curve makes of the picture.

    Attributes:
        channels: of the picture, 1 (luma) or 3 (R'G'B'). Of three, edges are repeated under the first convolution.
        scale: upsampling factor; a channel's phases are scale * scale channels, row by row.
        convolutions: (kernel (outputs, inputs, 3, 3), bias (outputs)) from first to last, padded with zeros. All but
            the last are followed by a leaky ReLU of ``slope``.
        slope: of the leaky ReLU.
        bicubic: (phases, 5, 5) taps that enlarge, edges repeated.
        shrink: (phases, 5, 5) taps that make phases small again, edges repeated, with their sign turned; ``None``: no
            back-projection.
        level: (knots, 2), see :func:`sr_plugins.models.flat_colours.leveled`.
    """

    channels: int
    scale: int
    convolutions: tuple[tuple[Array, Array], ...]
    slope: float
    bicubic: Array
    shrink: Array | None
    level: Array | None = None


def compact_layers(loaded: LoadedModel, format: str, *, colour: bool = False) -> CompactLayers:
    """The arrays of a network of the compact family, with ``colour`` of ``photo``, too.

    Raises:
        PluginError: it is another network.
    """
    from torch import nn

    from sr_plugins.models.branched_convolution import SLOPE
    from sr_plugins.models.compact_network import CompactNetwork
    from sr_plugins.models.photo_network import PhotoNetwork

    module = loaded.torch().runnable()
    if not isinstance(module, (CompactNetwork, PhotoNetwork) if colour else CompactNetwork):
        names = ("nano", "tiny", "realtime", "fast", "quality", "restore", *(("photo",) if colour else ()))
        raise PluginError(
            f"{loaded.spec.label} is no network of plain convolutions at low resolution, which format {format} is "
            f"written for ({', '.join(names)} and what is trained of them): use onnx"
        )
    back_projection, level = getattr(module, "back_projection", None), getattr(module, "level", None)
    layers = [layer for layer in (module.head, *module.body, module.tail) if isinstance(layer, nn.Conv2d)]
    assert len(layers) == module.layers + 2
    return CompactLayers(
        channels=module.planes,
        scale=module.scale,
        convolutions=tuple(_arrays(layer) for layer in layers),
        slope=SLOPE,
        bicubic=module.base.kernel.numpy().astype(np.float32)[:, 0],
        shrink=None if back_projection is None else back_projection.kernel.numpy().astype(np.float32)[0],
        level=None if level is None else level.numpy().astype(np.float32),
    )


def _arrays(layer: nn.Conv2d) -> tuple[Array, Array]:
    assert layer.bias is not None
    return layer.weight.detach().float().numpy(), layer.bias.detach().float().numpy()
