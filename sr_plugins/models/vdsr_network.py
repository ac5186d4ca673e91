"""The torch module of ``vdsr``."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sr_plugins.models.interpolation import BicubicUpsample


class VDSR(nn.Module):
    """(N, 1, H, W) in [0, 1] to (N, 1, H * scale, W * scale): the interpolated picture plus a residual from it."""

    def __init__(self, scale: int, features: int, layers: int) -> None:
        super().__init__()
        self.base = BicubicUpsample(scale)
        widths = [1, *[features] * (layers - 1), 1]
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        with torch.no_grad():  # start near the bicubic picture
            self.layers[-1].weight.mul_(0.1)  # type: ignore[operator]

    def forward(self, x: Tensor) -> Tensor:
        enlarged: Tensor = self.base(x)
        y = enlarged
        for layer in self.layers[:-1]:
            y = torch.relu_(layer(y))
        residual: Tensor = self.layers[-1](y).float()
        return enlarged + residual
