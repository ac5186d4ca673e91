"""The torch modules of ``dbpn``."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sr_plugins.models.interpolation import BicubicUpsample


class _Up(nn.Sequential):
    """(N, C, H, W) to (N, C, H * scale, W * scale)."""

    def __init__(self, features: int, scale: int) -> None:
        super().__init__(nn.ConvTranspose2d(features, features, scale + 4, stride=scale, padding=2), nn.PReLU(init=0.2))


class _Down(nn.Sequential):
    """(N, C, H * scale, W * scale) to (N, C, H, W)."""

    def __init__(self, features: int, scale: int) -> None:
        super().__init__(nn.Conv2d(features, features, scale + 4, stride=scale, padding=2), nn.PReLU(init=0.2))


class UpProjection(nn.Module):
    """Up, back down, and up again with the error of the way back (equations 1 to 5 of the paper)."""

    def __init__(self, features: int, scale: int) -> None:
        super().__init__()
        self.up, self.back, self.correct = _Up(features, scale), _Down(features, scale), _Up(features, scale)

    def forward(self, low: Tensor) -> Tensor:
        high: Tensor = self.up(low)
        correction: Tensor = self.correct(self.back(high) - low)
        return high + correction


class DownProjection(nn.Module):
    """Down, back up, and down again with the error of the way back (equations 6 to 10 of the paper)."""

    def __init__(self, features: int, scale: int) -> None:
        super().__init__()
        self.down, self.back, self.correct = _Down(features, scale), _Up(features, scale), _Down(features, scale)

    def forward(self, high: Tensor) -> Tensor:
        low: Tensor = self.down(high)
        correction: Tensor = self.correct(self.back(low) - high)
        return low + correction


class DBPN(nn.Module):
    """(N, 1, H, W) in [0, 1] to (N, 1, H * scale, W * scale), bicubic picture plus residual."""

    def __init__(self, scale: int, features: int, stages: int) -> None:
        super().__init__()
        self.base = BicubicUpsample(scale)
        self.head = nn.Sequential(
            nn.Conv2d(1, 2 * features, 3, padding=1),
            nn.PReLU(init=0.2),
            nn.Conv2d(2 * features, features, 1),
            nn.PReLU(init=0.2),
        )
        self.ups = nn.ModuleList(UpProjection(features, scale) for _ in range(stages))
        self.downs = nn.ModuleList(DownProjection(features, scale) for _ in range(stages - 1))
        self.tail = nn.Conv2d(stages * features, 1, 3, padding=1)
        with torch.no_grad():  # start near the bicubic picture
            self.tail.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        high = self.ups[0](self.head(x))
        highs = [high]
        for down, up in zip(self.downs, self.ups[1:], strict=True):
            # a skip connection around each pair of units keeps the error signals small
            high = high + up(down(high))
            highs.append(high)
        residual: Tensor = self.tail(torch.cat(highs, 1))
        enlarged: Tensor = self.base(x)
        return enlarged + residual.float()
