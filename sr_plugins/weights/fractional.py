"""Reducing by three quarters as one convolution: the same arithmetic wherever a tile begins.

torch's own interpolation computes each position from a float32 factor, so that a part of a picture may differ from the
whole in the last bits; written as fixed kernels it does not.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

CUBIC = -0.75  # of Keys' kernel, as torch, ONNX and ncnn have it


def by_three_quarters(x: Tensor, mode: str) -> Tensor:
    """(N, C, H, W) to three quarters of it, cut to whole pixels; half-pixel centres, edges repeated."""
    n, channels, height, width = x.shape
    wanted = int(height * 0.75), int(width * 0.75)
    blocks = [-(-side // 3) for side in wanted]
    reach = 2 if mode == "bicubic" else 1
    more = [max(0, 4 * count + reach - side) for count, side in zip(blocks, (height, width), strict=True)]
    x = F.pad(x, (1, more[1], 1, more[0]), "replicate")
    kernel = _kernels(mode).to(x)
    y = F.conv2d(x.reshape(n * channels, 1, *x.shape[2:]), kernel, stride=4)
    y = F.pixel_shuffle(y, 3)[:, 0, : wanted[0], : wanted[1]]
    return y.reshape(n, channels, *wanted)


@cache
def _kernels(mode: str) -> Tensor:
    """Three outputs of every four inputs: (9, 1, 6, 6), first input one before the block."""
    rows = torch.zeros(3, 6, dtype=torch.float64)
    for i in range(3):
        position = (i + 0.5) * 4 / 3 - 0.5
        first = int(position)
        t = position - first
        taps = {0: 1 - t, 1: t} if mode == "bilinear" else {k: _keys(abs(t - k)) for k in (-1, 0, 1, 2)}
        for k, weight in taps.items():
            rows[i, first + k + 1] += weight
    return torch.einsum("iy,jx->ijyx", rows, rows).reshape(9, 1, 6, 6).float()


def _keys(x: float) -> float:
    if x <= 1:
        return ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    return CUBIC * (((x - 5) * x + 8) * x - 4) if x < 2 else 0.0
