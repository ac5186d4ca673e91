"""Degradations by a linear filter: Gaussian and motion blur, a given kernel, ringing."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_plugins.interface.degradation import Degradation, Picture
from sr_plugins.training.tables import check_range, draw

Kernel = NDArray[np.float64]


def filtered(picture: Picture, kernel: Kernel) -> Picture:
    """Correlate (H, W, C) with a kernel of odd sides that sums to one; the border is replicated."""
    ry, rx = (side // 2 for side in kernel.shape)
    height, width = picture.shape[:2]
    padded = np.pad(picture, ((ry, ry), (rx, rx), (0, 0)), mode="edge")
    spectrum = np.fft.rfft2(padded, axes=(0, 1))
    spectrum *= np.conj(np.fft.rfft2(kernel, padded.shape[:2]))[:, :, None]  # conjugate: correlation
    result = np.fft.irfft2(spectrum, padded.shape[:2], axes=(0, 1))
    return result[:height, :width].astype(np.float32)


def gaussian_kernel(sigma_x: float, sigma_y: float = 0.0, angle: float = 0.0) -> Kernel:
    """A normalised Gaussian; ``sigma_y`` 0 means isotropic, ``angle`` in degrees turns the x axis."""
    sigma_y = sigma_y or sigma_x
    radius = max(1, int(np.ceil(3 * max(sigma_x, sigma_y))))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = x * cos + y * sin, y * cos - x * sin
    kernel = np.exp(-0.5 * ((along / sigma_x) ** 2 + (across / sigma_y) ** 2))
    return np.asarray(kernel / kernel.sum(), np.float64)


def motion_kernel(length: float, angle: float) -> Kernel:
    """A line of ``length`` pixels at ``angle`` degrees, antialiased, normalised."""
    radius = int(np.ceil(length / 2))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    along, across = np.abs(x * cos + y * sin), np.abs(y * cos - x * sin)
    kernel = np.clip(length / 2 + 0.5 - along, 0, 1) * np.clip(1 - across, 0, 1)
    return np.asarray(kernel / kernel.sum(), np.float64)


def sinc_kernel(cutoff: float, radius: int = 10) -> Kernel:
    """The ideal circular low-pass with this cutoff (radians per pixel, up to pi), cut off at ``radius``: it rings."""
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float64)
    r = np.hypot(x, y)
    turn = (np.arange(256) + 0.5) * np.pi / 256
    bessel = np.cos(turn - cutoff * r[..., None] * np.sin(turn)).mean(-1)  # J1 by its integral
    with np.errstate(divide="ignore", invalid="ignore"):
        kernel = np.where(r == 0, cutoff**2 / (4 * np.pi), cutoff * bessel / (2 * np.pi * r))
    return np.asarray(kernel / kernel.sum(), np.float64)


def gaussian_blur(scale: int, sigma: Any, aspect: Any = 1.0, angle: Any = (0.0, 180.0)) -> Degradation:
    """Gaussian blur of ``sigma`` pixels; anisotropic where ``aspect`` (short sigma by long, 0.05 to 1) is below one."""
    check_range("sigma", sigma, 0.05, 50)
    check_range("aspect", aspect, 0.05, 1)
    check_range("angle", angle, -360, 360)

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        long = draw(rng, sigma)
        return filtered(picture, gaussian_kernel(long, long * draw(rng, aspect), draw(rng, angle)))

    return step


def motion_blur(scale: int, length: Any, angle: Any = (0.0, 180.0)) -> Degradation:
    """Blur along a line of ``length`` pixels."""
    check_range("length", length, 1, 99)
    check_range("angle", angle, -360, 360)

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        return filtered(picture, motion_kernel(draw(rng, length), draw(rng, angle)))

    return step


def kernel_blur(scale: int, values: Any) -> Degradation:
    """Correlation with a given kernel (rows of numbers, odd sides), normalised to sum one."""
    kernel = np.asarray(values, np.float64)
    if kernel.ndim != 2 or kernel.shape[0] % 2 == 0 or kernel.shape[1] % 2 == 0 or abs(kernel.sum()) < 1e-6:
        raise ValueError(f"values {kernel.shape} are no kernel: rows of numbers, odd sides and a sum are needed")
    kernel = kernel / kernel.sum()

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        return filtered(picture, kernel)

    return step


def ringing(scale: int, cutoff: Any = (1.05, 3.14)) -> Degradation:
    """Gibbs ringing: a sinc filter with this cutoff, in radians per pixel (pi keeps all)."""
    check_range("cutoff", cutoff, 0.3, 3.15)

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        return filtered(picture, sinc_kernel(draw(rng, cutoff)))

    return step
