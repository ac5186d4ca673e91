"""The level of a picture's noise, and how it depends on brightness, from the picture alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Luma = NDArray[np.float32]
SIDE = 7
ENOUGH = 16_000  # patches for the level
MOST = 120_000  # patches for how it depends on brightness, which flat ones must show in every tone
LEAST = 300
BINS = 6
FLATTEST = 0.15  # share of the patches that is looked at
CALMEST = 0.02  # share for the level alone: more of them take the texture of a sharp picture for noise


@dataclass(frozen=True)
class Noise:
    """Variance in code values squared: ``constant + slope * brightness`` (brightness 0..255).

    ``confidence`` (0 to 1) says how sure the level is.
    """

    constant: float
    slope: float
    confidence: float

    @property
    def sigma(self) -> float:
        """The standard deviation at middle grey."""
        return float(np.sqrt(max(0.0, self.constant + 128 * self.slope)))

    @property
    def signal_dependent(self) -> bool:
        return self.slope > 0


def noise_sigma(picture: Luma) -> float:
    """The standard deviation of white noise, in code values; 0 where there are too few patches to tell."""
    patches, _, _ = _patches(picture, ENOUGH)
    return float(np.sqrt(_variance(patches))) if len(patches) >= LEAST else 0.0


def estimate_noise(pictures: list[Luma]) -> Noise:
    """Level and kind of white noise, from the weakly textured patches of all pictures together."""
    found = [_patches(picture, MOST // len(pictures)) for picture in pictures]
    patches, brightness, texture = (np.concatenate(part) for part in zip(*found, strict=True))
    if len(patches) < LEAST:
        return Noise(0.0, 0.0, 0.0)
    whole = _variance(patches)
    order = np.argsort(brightness, kind="stable")
    points = []
    for part in np.array_split(order, BINS):
        if len(part) >= LEAST:
            points.append((float(brightness[part].mean()), _variance(patches[part])))
    x, y = np.array(points).T if points else (np.zeros(0), np.zeros(0))
    if len(points) >= 4 and np.ptp(x) > 40 and whole > 0.5:
        slope, constant = np.polyfit(x, y, 1)
        spread = float(np.std(y - (constant + slope * x)))
        rise = float(slope * np.ptp(x))
        # a camera's noise grows with brightness, clearly and evenly
        if rise > 0.5 * whole and rise > 3 * spread and constant > -0.25 * whole:
            return Noise(max(0.0, float(constant)), float(slope), float(np.clip(1 - spread / rise * 2, 0.1, 1)))
    spread = float(np.std(y) / (whole + 0.25)) if len(points) > 1 else 1.0
    count = min(len(patches), max(LEAST, int(CALMEST / FLATTEST * len(patches))))
    level = _variance(patches[np.argpartition(texture, count - 1)[:count]])
    return Noise(level, 0.0, float(np.clip(1 - spread, 0.1, 1)))


def _patches(picture: Luma, most: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The flattest of about ``most`` patches (N, SIDE * SIDE), none clipped or constant; their brightness and texture.

    Texture is judged by means of 2 x 2 pixels, in which noise counts little, so that choosing by it biases little.
    """
    if min(picture.shape) < SIDE:
        return np.zeros((0, SIDE * SIDE), np.float32), np.zeros(0, np.float32), np.zeros(0, np.float32)
    views = sliding_window_view(picture, (SIDE, SIDE))
    step = max(1, int(np.ceil(np.sqrt(views.shape[0] * views.shape[1] / most))))
    patches = views[::step, ::step].reshape(-1, SIDE * SIDE)
    low, high = patches.min(1), patches.max(1)
    patches = patches[(low > 1) & (high < 254) & (high > low)]
    square = patches.reshape(-1, SIDE, SIDE)
    rows = square[:, :6].reshape(-1, 3, 2, SIDE).sum(2)
    texture = rows[:, :, :6].reshape(-1, 3, 3, 2).sum(3).reshape(-1, 9).var(1)
    if len(patches) < LEAST:
        return patches, patches.mean(1), texture
    count = max(LEAST, int(FLATTEST * len(patches)))
    flat = np.argpartition(texture, count - 1)[:count]
    return patches[flat], patches[flat].mean(1), texture[flat]


def _variance(patches: NDArray[np.float32]) -> float:
    """Noise variance: the redundant dimensions of patches hold noise alone, and its eigenvalues scatter evenly.

    After Chen, Zhu and Heng, "An efficient statistical method for image noise level estimation", ICCV 2015: the
    largest set of smallest eigenvalues whose mean equals their median. The rounding to 8 bits (1/12) is taken off.
    """
    centered = patches - patches.mean(0)
    values = np.linalg.eigvalsh(centered.T.astype(np.float64) @ centered / len(patches))[::-1]
    for i in range(len(values) - 1):
        rest = values[i:]
        if rest.mean() <= np.median(rest):
            return max(0.0, float(rest.mean()) - 1 / 12)
    return max(0.0, float(values[-1]) - 1 / 12)
