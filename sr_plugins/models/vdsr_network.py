"""The torch module of ``vdsr``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from sr_plugins.models.branched_convolution import BranchedConv3x3, load_folded
from sr_plugins.models.interpolation import BicubicUpsample


class VDSR(nn.Module):
    """(N, 1, H, W) in [0, 1] to (N, 1, H * scale, W * scale): the interpolated picture plus a residual from it.

    ``branches``: as it is trained, with branches and skip connections that fold into the plain chain.
    """

    def __init__(self, scale: int, features: int, layers: int, *, branches: bool = False) -> None:
        super().__init__()
        self.shape = scale, features, layers
        self.base = BicubicUpsample(scale)

        def conv(inputs: int, outputs: int) -> nn.Module:
            if branches:
                return BranchedConv3x3(inputs, outputs, skip=inputs == outputs)
            return nn.Conv2d(inputs, outputs, 3, padding=1)

        self.layers = nn.ModuleList(conv(a, b) for a, b in pairwise([1, *[features] * (layers - 1), 1]))
        if branches:  # start near the bicubic picture
            with torch.no_grad():
                self.layers[-1].conv.weight.mul_(0.1)  # type: ignore[union-attr,operator]

    def forward(self, x: Tensor) -> Tensor:
        enlarged: Tensor = self.base(x)
        y = enlarged
        for layer in self.layers[:-1]:
            y = torch.relu_(layer(y))
        residual: Tensor = self.layers[-1](y).float()
        return enlarged + residual

    def fold(self) -> VDSR:
        """The equal network of plain convolutions, in eval mode."""
        folded = VDSR(*self.shape)
        folded.layers = nn.ModuleList(layer.fold() for layer in self.layers)  # type: ignore[operator]
        return folded.eval()

    def load_folded(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Start from a folded network's tensors, wherever the shapes fit; returns the names of the layers taken."""
        return load_folded(self, tensors)
