"""Losses on pixels and their spectra; every module takes output and target, (N, C, H, W), and returns a scalar."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.training.tables import is_number


class Charbonnier(nn.Module):
    """Mean of ``sqrt(error ** 2 + epsilon ** 2)``: L1 with a smooth bottom (Lai et al., LapSRN, 2017)."""

    def __init__(self, epsilon: float) -> None:
        super().__init__()
        if not is_number(epsilon) or not 0 < epsilon < 1:
            raise ValueError(f"epsilon = {epsilon!r} is not a number between 0 and 1")
        self.epsilon = epsilon

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        return ((output - target).square() + self.epsilon**2).sqrt().mean()


class Frequency(nn.Module):
    """Mean absolute difference of the spectra, real and imaginary parts, of the transform as it is (not normalised).

    That is how the field writes it (MIMO-UNet: Cho et al., ICCV 2021), so that its weights, such as 0.05 beside L1,
    mean the same here.
    """

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        difference = torch.fft.fft2(output - target)
        return torch.view_as_real(difference).abs().mean()


class TotalVariation(nn.Module):
    """Mean absolute difference between neighbours, horizontal plus vertical, of the output alone."""

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        horizontal = (output[..., :, 1:] - output[..., :, :-1]).abs().mean()
        vertical = (output[..., 1:, :] - output[..., :-1, :]).abs().mean()
        return horizontal + vertical


class Artifacts(nn.Module):
    """Mean absolute error where it is busy: what an adversarial loss makes up and should not.

    Each pixel's error is weighted by its variance over ``window ** 2`` pixels around, times the fifth root of its
    variance over the picture (LDL: Liang, Zeng, Zhang, "Details or artifacts", CVPR 2022, without moving average).
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        if not isinstance(window, int) or isinstance(window, bool) or not 3 <= window <= 31 or window % 2 == 0:
            raise ValueError(f"window = {window!r} is not an odd number from 3 to 31")
        self.window = window

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        error = (output - target).abs()
        with torch.no_grad():
            total = error.sum(1, keepdim=True)
            around = F.pad(total, (self.window // 2,) * 4, mode="reflect")
            mean, square = (F.avg_pool2d(t, self.window, 1) for t in (around, around.square()))
            weight = (square - mean.square()).clamp_min(0) * total.var((1, 2, 3), keepdim=True) ** 0.2
        return (weight * error).mean()
