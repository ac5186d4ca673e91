"""The torch module of ``photo``: kept apart so that listing models imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.branched_convolution import SLOPE, BranchedConv3x3, GridFreeConv3x3, load_folded
from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.pixels.matrix import LUMA

if TYPE_CHECKING:
    from sr_plugins.interface.written_graph import WrittenGraph


TAIL = "tail.weight", "tail.bias"


class PhotoNetwork(nn.Module):
    """R'G'B' in, R'G'B' out: (N, 3, H, W) in [0, 1] to (N, 3, H * scale, W * scale), bicubic picture plus residual.

    A compact network whose first layer sees differences between neighbours alone: each of its kernels sums to nothing,
    and the picture's edge is repeated under it. So what the network makes of a flat colour is the same for all colours,
    and can be taken off its last bias (:meth:`keep_flat_colours`), where a network on luma needs a curve.

    Args:
        scale, features, layers: of the network.
        branches: with the branches to train with.
    """

    planes = 3

    def __init__(self, scale: int, features: int, layers: int, *, branches: bool = False) -> None:
        super().__init__()
        self.scale, self.features, self.layers = scale, features, layers

        def conv(inputs: int, outputs: int, skip: bool = False) -> nn.Module:
            if branches:
                return BranchedConv3x3(inputs, outputs, skip=skip)
            return nn.Conv2d(inputs, outputs, 3, padding=1)

        self.head = conv(3, features) if branches else _first(features)
        self.body = nn.ModuleList(conv(features, features, skip=True) for _ in range(layers))
        # by two the hold would take the finest detail, and there texture is not made up
        grid_free = branches and scale > 2
        self.tail = GridFreeConv3x3(features, 3, scale) if grid_free else conv(features, 3 * scale**2)
        self.base = BicubicUpsample(scale)
        if branches:  # start from the bicubic picture
            with torch.no_grad():
                cast(BranchedConv3x3, self.tail).conv.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        residual = self._residual(x)
        return F.pixel_shuffle(self.base.phases(x).reshape(residual.shape) + residual, self.scale)

    def _residual(self, x: Tensor) -> Tensor:
        inplace = not torch.compiler.is_exporting()  # which would write each step of it out, for seconds
        y = F.leaky_relu(self._differences(x), SLOPE, inplace=inplace)
        for layer in self.body:
            y = F.leaky_relu(layer(y), SLOPE, inplace=inplace)
        residual: Tensor = self.tail(y).float()
        return residual

    def _differences(self, x: Tensor) -> Tensor:
        if not isinstance(self.head, BranchedConv3x3):
            return cast(Tensor, self.head(x))
        with torch.autocast(x.device.type, enabled=False):
            kernel = _without_mean(self.head.kernel())
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, self.head.conv.bias)

    @torch.no_grad()
    def keep_flat_colours(self) -> None:
        """Take what this network, as it is now, adds to flat colours off its last bias."""
        side = 2 * (self.layers + 1) + 1
        added = self._residual(torch.zeros(1, 3, side, side))
        cast(Tensor, self.tail.bias).sub_(added[0, :, side // 2, side // 2])

    def fold(self) -> PhotoNetwork:
        """The equal network without branches, in eval mode."""
        folded = PhotoNetwork(self.scale, self.features, self.layers)
        head = cast(BranchedConv3x3, self.head)
        with torch.no_grad():
            cast(nn.Conv2d, folded.head).weight.copy_(_without_mean(head.kernel()))
            cast(Tensor, folded.head.bias).copy_(cast(Tensor, head.conv.bias))
        folded.body = nn.ModuleList(cast(BranchedConv3x3, layer).fold() for layer in self.body)
        folded.tail = cast(BranchedConv3x3, self.tail).fold()
        return folded.eval()

    def write(self, graph: WrittenGraph, x: str) -> str | None:
        """The network into a graph; ``None`` in training."""
        if not all(isinstance(layer, nn.Conv2d) for layer in (self.head, *self.body, self.tail)):
            return None
        y = graph.layer(x, self.head)
        for layer in (*self.body, self.tail):
            y = graph.layer(graph.activated(y, SLOPE), layer)
        return graph.shuffled(graph.added(graph.filtered(x, self.base.kernel, self.planes), y), self.scale)

    def load_folded(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Start from a folded network's tensors, of this kind or on luma, wherever shapes fit.

        Of one on luma: it sees the luma of the picture, and what it adds to it is added to R', G' and B' alike.
        """
        tensors = dict(tensors)
        if "head.weight" in tensors and tensors["head.weight"].shape[1] == 1:
            tensors["head.weight"] = tensors["head.weight"] * torch.tensor(LUMA).view(1, 3, 1, 1)
        if "tail.weight" in tensors and tensors["tail.weight"].shape[0] == self.scale**2:
            tensors |= {name: tensors[name].repeat(3, *(1,) * (tensors[name].dim() - 1)) for name in TAIL}
        return load_folded(self, tensors)


def _first(features: int) -> nn.Conv2d:
    return nn.Conv2d(3, features, 3, padding=1, padding_mode="replicate")


def _without_mean(kernel: Tensor) -> Tensor:
    return kernel - kernel.mean((2, 3), keepdim=True)
