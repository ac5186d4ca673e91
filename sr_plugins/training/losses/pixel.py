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


class Grid(nn.Module):
    """What an error repeats from one low-resolution pixel to the next: the dots and stitches of a pixel shuffle.

    The error of each of the ``scale ** 2`` places within a low-resolution pixel is averaged over 3 x 3 of these; how
    far those means lie from the mean over all places, as mean absolute value. An error that has nothing to do with the
    grid, as that of a texture which was made up, averages out.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        if not isinstance(scale, int) or isinstance(scale, bool) or not 2 <= scale <= 8:
            raise ValueError(f"scale = {scale!r} is not a whole number from 2 to 8")
        self.scale = scale

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        error = F.avg_pool2d(F.pixel_unshuffle(output - target, self.scale), 3, 1)
        places = error.reshape(len(error), -1, self.scale**2, *error.shape[2:])
        return (places - places.mean(2, keepdim=True)).abs().mean()
