"""Shrinking and enlarging arrays with the field's kernels, widened when they shrink."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sr_plugins.pixels.cubic import cubic_weight

Picture = NDArray[np.float32]
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
