"""Losses on pixels and their spectra; every module takes output and target, (N, C, H, W), and returns a scalar."""

from __future__ import annotations

import torch
from torch import Tensor, nn

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
