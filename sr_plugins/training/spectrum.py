"""Power spectra of pictures: how much fine detail they keep, by frequency and direction."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Luma = NDArray[np.float32]  # (H, W), code values 0..255
Floats = NDArray[np.float64]

PATCH = 64
ORIENTATIONS = 8
RADII = np.geomspace(2.5 / PATCH, 0.5, 11)  # edges of the radial bands, cycles per pixel


def patch_spectra(picture: Luma) -> NDArray[np.float32]:
    """Power spectra (N, PATCH, PATCH // 2 + 1) of half-overlapping windowed patches, each as white noise of its power.

    A picture smaller than a patch is continued by mirroring.
    """
    missing = [max(0, PATCH - side) for side in picture.shape]
    if any(missing):
        picture = np.pad(picture, [(0, n) for n in missing], mode="symmetric")
    hop = PATCH // 2
    patches: Luma = sliding_window_view(picture, (PATCH, PATCH))[::hop, ::hop].reshape(-1, PATCH, PATCH)
    window = np.hanning(PATCH + 2)[1:-1].astype(np.float32)
    window = window[:, None] * window
    centered = (patches - patches.mean((1, 2), keepdims=True)) * window
    power = np.abs(np.fft.rfft2(centered)) ** 2 / np.square(window).sum()
    return np.asarray(power, np.float32)


@lru_cache(maxsize=1)
def _polar_bins() -> NDArray[np.float32]:
    """(bands x orientations, samples of a spectrum): averages over each polar bin, soft in orientation."""
    fy = np.fft.fftfreq(PATCH)[:, None]
    fx = np.fft.rfftfreq(PATCH)[None, :]
    radius = np.hypot(fy, fx)
    angle = np.arctan2(fy, fx)
    rows = []
    for low, high in pairwise(RADII):
        for k in range(ORIENTATIONS):
            away = (angle - np.pi * k / ORIENTATIONS + np.pi / 2) % np.pi - np.pi / 2
            weight = np.exp(-0.5 * (away / (0.5 * np.pi / ORIENTATIONS)) ** 2) * ((radius >= low) & (radius < high))
            rows.append((weight / weight.sum()).ravel())
    return np.array(rows, np.float32)


def polar_power(spectra: NDArray[np.float32]) -> Floats:
    """(N, PATCH, PATCH // 2 + 1) spectra to (N, bands, ORIENTATIONS) mean powers."""
    binned = spectra.reshape(len(spectra), -1) @ _polar_bins().T
    return np.asarray(binned.reshape(len(spectra), len(RADII) - 1, ORIENTATIONS), np.float64)


def profile(picture: Luma) -> tuple[Floats, Floats]:
    """Mean power along the vertical and the horizontal frequency axis, 0 to 0.5 cycles per pixel, 33 values each."""
    mean = patch_spectra(picture).mean(0).astype(np.float64)
    near = 3  # samples beside the axis, where the other axis' cut-off does not matter
    vertical = mean[: PATCH // 2 + 1, :near].mean(1)
    horizontal = (mean[:near].sum(0) + mean[-near + 1 :].sum(0)) / (2 * near - 1)
    return vertical, horizontal
