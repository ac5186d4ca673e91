"""The torch modules of ``compact``: kept apart so that listing models imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.branched_convolution import SLOPE, BranchedConv3x3, load_folded
from sr_plugins.models.growth import fits_inside, grow
from sr_plugins.models.interpolation import BicubicUpsample


class CompactNetwork(nn.Module):
    """Luma in, luma out: (N, 1, H, W) in [0, 1] to (N, 1, H * scale, W * scale), bicubic picture plus residual."""

    def __init__(self, scale: int, features: int, layers: int, *, branches: bool) -> None:
        super().__init__()
        self.scale, self.features, self.layers = scale, features, layers

        def conv(inputs: int, outputs: int, skip: bool) -> nn.Module:
            if branches:
                return BranchedConv3x3(inputs, outputs, skip=skip)
            return nn.Conv2d(inputs, outputs, 3, padding=1)

        self.head = conv(1, features, False)
        self.body = nn.ModuleList(conv(features, features, True) for _ in range(layers))
        self.tail = conv(features, scale * scale, False)
        self.base = BicubicUpsample(scale)
        if branches:  # start from the bicubic picture
            with torch.no_grad():
                self.tail.conv.weight.mul_(0.1)  # type: ignore[union-attr,operator]

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.head(x), SLOPE, inplace=True)
        for layer in self.body:
            y = F.leaky_relu(layer(y), SLOPE, inplace=True)
        return F.pixel_shuffle(self.base.phases(x) + self.tail(y).float(), self.scale)

    def fold(self) -> CompactNetwork:
        """The equal network of plain convolutions, in eval mode."""
        folded = CompactNetwork(self.scale, self.features, self.layers, branches=False)
        folded.head = self.head.fold()  # type: ignore[operator]
        folded.body = nn.ModuleList(layer.fold() for layer in self.body)  # type: ignore[operator]
        folded.tail = self.tail.fold()  # type: ignore[operator]
        return folded.eval()

    def load_folded(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Start from a folded network's tensors: grown from a smaller one of this scale, else wherever shapes fit.

        Returns the names of the layers taken.
        """
        if fits_inside(tensors, self.features, self.layers, self.scale**2):
            return grow(self.head, list(self.body), self.tail, tensors)  # type: ignore[arg-type]
        return load_folded(self, tensors)
