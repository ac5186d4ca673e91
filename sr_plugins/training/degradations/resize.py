"""Antialiased resizing with the field's kernels, and the degradations that shrink by the scale."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sr_plugins.interface.degradation import Degradation, Picture
from sr_plugins.pixels.cubic import cubic_weight
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.training.degradations.chain import to_8bit

Weights = NDArray[np.float32]


def _box(x: float) -> float:
    return 1.0 if -0.5 <= x < 0.5 else 0.0


def _triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def _lanczos(x: float) -> float:
    return float(np.sinc(x) * np.sinc(x / 3)) if abs(x) < 3 else 0.0


# name: (kernel, its reach in output samples)
KERNELS: dict[str, tuple[Callable[[float], float], float]] = {
    "area": (_box, 0.5),
    "bilinear": (_triangle, 1),
    "bicubic": (cubic_weight, 2),
    "lanczos": (_lanczos, 3),
}


@lru_cache(maxsize=256)
def resize_matrix(source: int, target: int, kernel: str) -> Weights:
    """(target, source) weights of one axis: the kernel widened when shrinking, border replicated, rows sum to one."""
    weigh, reach = KERNELS[kernel]
    step = source / target
    width = max(step, 1.0)
    matrix = np.zeros((target, source))
    for i in range(target):
        center = (i + 0.5) * step - 0.5
        taps = np.arange(np.floor(center - reach * width), np.ceil(center + reach * width) + 1)
        weights = np.array([weigh((tap - center) / width) for tap in taps])
        np.add.at(matrix[i], np.clip(taps, 0, source - 1).astype(np.intp), weights / weights.sum())
    return matrix.astype(np.float32)


def resize(picture: Picture, height: int, width: int, kernel: str) -> Picture:
    """(H, W, C) to (height, width, C) with one of :data:`KERNELS`; values are neither rounded nor clipped."""
    rows = np.tensordot(resize_matrix(picture.shape[0], height, kernel), picture, (1, 0))
    columns = np.tensordot(resize_matrix(picture.shape[1], width, kernel), rows, (1, 1))
    return np.ascontiguousarray(columns.transpose(1, 0, 2), np.float32)


def bicubic(scale: int) -> Degradation:
    """The literature's: MATLAB's antialiased bicubic, in 8 bits, bit for bit (the picture is rounded first)."""

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        return downscale_bicubic(to_8bit(picture), scale).astype(np.float32)

    return step


def _shrink(scale: int, kernel: str) -> Degradation:
    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        return resize(picture, -(-picture.shape[0] // scale), -(-picture.shape[1] // scale), kernel)

    return step


def area(scale: int) -> Degradation:
    """Mean over ``scale`` x ``scale`` pixels, as a camera's binning."""
    return _shrink(scale, "area")


def lanczos(scale: int) -> Degradation:
    """Antialiased Lanczos with three lobes, as encoders and image editors shrink."""
    return _shrink(scale, "lanczos")


def subsample(scale: int, factor: int | None = None) -> Degradation:
    """Every ``scale``-th pixel from the first, after a blur whose kernel is centred between the pixels it replaces.

    ``factor`` says for which scale that kernel was made; another one is a ``ValueError``.
    """
    if factor not in (None, scale):
        raise ValueError(f"the kernel is for scale {factor}: estimate it anew with --scale {scale}")

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        return np.ascontiguousarray(picture[::scale, ::scale])

    return step
