"""The degradations that shrink by the scale."""

from __future__ import annotations

import numpy as np

from sr_plugins.interface.degradation import Degradation, Picture
from sr_plugins.pixels.antialiased import resize
from sr_plugins.pixels.matlab import downscale_bicubic, to_8bit


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
