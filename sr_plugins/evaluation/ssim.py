"""Structural similarity (Wang et al., 2004) and its multi-scale form (Wang, Simoncelli and Bovik, 2003)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import DataError
from sr_plugins.evaluation.psnr import PEAK

WINDOW, SIGMA = 11, 1.5
C1, C2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

Plane = NDArray[np.float64]


def gaussian_window(width: int = WINDOW, sigma: float = SIGMA) -> Plane:
    """A Gaussian of ``width`` samples that sums to one."""
    x = np.arange(width) - (width - 1) / 2
    window = np.exp(-(x**2) / (2 * sigma**2))
    return np.asarray(window / window.sum(), np.float64)


def filter_valid(plane: Plane, window: Plane) -> Plane:
    """Separable filtering of (H, W); only positions where the window fits wholly."""
    for axis in (0, 1):
        length = plane.shape[axis] - len(window) + 1
        plane = sum(weight * plane.take(range(i, i + length), axis) for i, weight in enumerate(window))
    return plane


def ssim(picture: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Mean SSIM of 8-bit (H, W) pictures: Gaussian window of 11 with sigma 1.5, K1 0.01, K2 0.03, as the literature."""
    luminance, contrast = _maps(picture.astype(np.float64), reference.astype(np.float64))
    return float(np.mean(luminance * contrast))


def ms_ssim(picture: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Multi-scale SSIM over five scales, each half the one before (2 x 2 mean), with the paper's weights.

    Raises ``DataError`` for pictures with a side under 176 pixels: the window would not fit the smallest scale.
    """
    if min(picture.shape) < WINDOW * 2 ** (len(SCALE_WEIGHTS) - 1):
        raise DataError(f"MS-SSIM needs pictures of 176 x 176 and more, got {picture.shape[1]} x {picture.shape[0]}")
    x, y = picture.astype(np.float64), reference.astype(np.float64)
    product = 1.0
    for i, weight in enumerate(SCALE_WEIGHTS):
        luminance, contrast = _maps(x, y)
        last = i == len(SCALE_WEIGHTS) - 1  # luminance is compared at the coarsest scale only
        product *= max(float(np.mean(luminance * contrast if last else contrast)), 0.0) ** weight
        x, y = _halved(x), _halved(y)
    return product


def _maps(x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """SSIM's luminance term and its contrast-structure term at every position of the window."""
    if min(x.shape) < WINDOW:
        raise DataError(f"SSIM needs pictures of {WINDOW} x {WINDOW} and more, got {x.shape[1]} x {x.shape[0]}")
    window = gaussian_window()
    mean_x, mean_y = filter_valid(x, window), filter_valid(y, window)
    variance_x = filter_valid(x * x, window) - mean_x**2
    variance_y = filter_valid(y * y, window) - mean_y**2
    covariance = filter_valid(x * y, window) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    contrast = (2 * covariance + C2) / (variance_x + variance_y + C2)
    return luminance, contrast


def _halved(plane: Plane) -> Plane:
    height, width = (side // 2 * 2 for side in plane.shape)
    p = plane[:height, :width]
    return (p[::2, ::2] + p[1::2, ::2] + p[::2, 1::2] + p[1::2, 1::2]) / 4
