"""The torch modules of ``edsr``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sr_plugins.models.interpolation import BicubicUpsample


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``: the block of EDSR, without batch normalisation."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.second = nn.Conv2d(features, features, 3, padding=1)
        with torch.no_grad():  # the paper scales residuals by 0.1 to train wide networks; here only at the start
            self.second.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(torch.relu_(self.first(x)))
        return x + y


class EDSR(nn.Module):
    """(N, 1, H, W) in [0, 1] to (N, 1, H * scale, W * scale), bicubic picture plus residual."""

    def __init__(self, scale: int, features: int, blocks: int) -> None:
        super().__init__()
        self.base = BicubicUpsample(scale)
        self.head = nn.Conv2d(1, features, 3, padding=1)
        self.body = nn.Sequential(
            *(ResidualBlock(features) for _ in range(blocks)), nn.Conv2d(features, features, 3, padding=1)
        )
        self.upsample = nn.Sequential(
            nn.Conv2d(features, features * scale * scale, 3, padding=1), nn.PixelShuffle(scale)
        )
        self.tail = nn.Conv2d(features, 1, 3, padding=1)
        with torch.no_grad():  # start near the bicubic picture
            self.tail.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.head(x)
        y = y + self.body(y)
        residual: Tensor = self.tail(self.upsample(y))
        enlarged: Tensor = self.base(x)
        return enlarged + residual.float()
