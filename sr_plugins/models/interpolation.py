"""The interpolated image that every network adds its residual to, as a fixed convolution.

A convolution and a pixel shuffle give the same numbers at every position, so a tile's picture equals the whole
picture's; ``torch.nn.functional.interpolate`` computes positions in float32 and drifts on large pictures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.pixels.cubic import cubic_taps

if TYPE_CHECKING:
    from sr_plugins.interface.written_graph import WrittenGraph


class BicubicUpsample(nn.Module):
    """(N, C, H, W) to (N, C, H * scale, W * scale) by Keys' bicubic, replicated border, no trained weights.

    Always float32, also under autocast: the residual may be rough, the picture it is added to may not.
    """

    radius = 2

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        rows = [cubic_taps(range(-2, 3), (phase + 0.5) / scale - 0.5) for phase in range(scale)]
        taps = torch.tensor(rows, dtype=torch.float32)  # (scale, 5); each row sums to one
        kernel = torch.einsum("ai,bj->abij", taps, taps).reshape(scale * scale, 1, 5, 5)
        self.register_buffer("kernel", kernel, persistent=False)
        self.kernel: Tensor

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        y = F.pixel_shuffle(self.phases(x), self.scale)
        return y.reshape(n, c, h * self.scale, w * self.scale)

    def phases(self, x: Tensor) -> Tensor:
        """The same before the pixel shuffle, (N * C, scale * scale, H, W): adding a residual is cheaper here."""
        n, c, h, w = x.shape
        with torch.autocast(x.device.type, enabled=False):
            padded = F.pad(x.float().reshape(n * c, 1, h, w), (2, 2, 2, 2), mode="replicate")
            return F.conv2d(padded, self.kernel.float())

    planes = 1  # as a graph: one channel

    def write(self, graph: WrittenGraph, x: str) -> str:
        """What it does, into a graph."""
        return graph.shuffled(graph.filtered(x, self.kernel), self.scale)


class NearestUpsample(nn.Module):
    """(N, C, H, W) to (N, C, H * scale, W * scale), every pixel repeated."""

    radius = 0

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.scale, mode="nearest")
