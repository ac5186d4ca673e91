"""Transposed convolution as ONNX and ncnn have it: what is put on at the end, and what is cut off at all sides."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F


def transposed_convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    more: Sequence[int],
    sides: Sequence[int],
) -> Tensor:
    """(N, C, H, W) enlarged by ``weight`` (in, out / groups, height, width).

    ``more`` rows and columns come below and to the right, of which the picture gives none: they hold the bias alone.
    Then ``sides`` (left, right, top, bottom) are cut off.
    """
    y = F.conv_transpose2d(x, weight, bias, tuple(stride), 0, 0, groups, tuple(dilation))
    if any(more):
        beyond = (0, more[1], 0, more[0])
        outside = F.pad(y[:, :1] * 0, beyond, value=1.0)
        y = F.pad(y, beyond) if bias is None else F.pad(y, beyond) + outside * bias.view(1, -1, 1, 1)
    left, right, top, bottom = sides
    return y[..., top : y.shape[-2] - bottom, left : y.shape[-1] - right]
