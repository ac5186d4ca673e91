"""Whether a picture was enlarged before, and from which size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sr_plugins.estimation.noise import noise_sigma
from sr_plugins.pixels.antialiased import resize_matrix

Luma = NDArray[np.float32]
# enlargements people meet (540, 576, 720 or 1080 lines to 1080 or 2160 and the like), as fractions
FACTORS = ((4, 1), (3, 1), (8, 3), (5, 2), (9, 4), (2, 1), (15, 8), (16, 9), (5, 3), (3, 2), (4, 3))
KERNELS = ("bilinear", "bicubic", "lanczos")
SIDE = 240  # pixels of a crop: a multiple of most numerators
LEAST = 96  # pixels: smaller pictures say too little
BORDER = 12  # pixels near the crop's edge that are not looked at
ROUNDING = 1 / 12  # variance of rounding to 8 bits


@dataclass(frozen=True)
class Enlargement:
    """That a picture holds no more than one ``factor`` times smaller (1: it was not enlarged).

    ``confidence``, 0 to 1, is for this answer.
    """

    factor: float
    confidence: float


def find_enlargement(picture: Luma) -> Enlargement:
    """The largest factor by which the picture can be shrunk and enlarged again without loss.

    An interpolated picture lies in the space that its interpolation spans: projecting each axis onto that space
    leaves nothing but noise and rounding. A picture that was merely blurred very much passes as well, rightly: it has
    no more detail than a smaller one. Only a crop of most detail is looked at.
    """
    if min(picture.shape) < LEAST:
        return Enlargement(1.0, 0.0)
    crop, (top, left) = _detailed_crop(picture)
    if crop.std() < 3:
        return Enlargement(1.0, 0.0)
    noise = noise_sigma(crop) ** 2 + ROUNDING
    lost = {}
    for numerator, denominator in FACTORS:
        at = (top // numerator * numerator, left // numerator * numerator)
        part = picture[at[0] : at[0] + crop.shape[0], at[1] : at[1] + crop.shape[1]]
        factor = numerator / denominator
        share = 1 - 1 / factor**2  # of white noise that is not in the space
        lost[factor] = min(_residual(part, numerator, denominator, kernel) for kernel in KERNELS) / (noise * share)
    for factor in sorted(lost, reverse=True):
        if lost[factor] < 1.5:
            return Enlargement(factor, float(np.clip(1.5 - lost[factor] / 1.5, 0.1, 1)))
    return Enlargement(1.0, float(np.clip(np.log(min(lost.values()) / 1.5), 0.1, 1)))


def _residual(picture: Luma, numerator: int, denominator: int, kernel: str) -> float:
    """Mean square of what the projection onto enlarged pictures leaves out, away from the border."""
    rows, columns = (_projection(side, numerator, denominator, kernel) for side in picture.shape)
    left_over = picture - rows @ picture @ columns.T
    return float(np.square(left_over[BORDER:-BORDER, BORDER:-BORDER]).mean())


@lru_cache(maxsize=128)
def _projection(side: int, numerator: int, denominator: int, kernel: str) -> NDArray[np.float32]:
    """(side, side): onto the span of enlarging by ``numerator / denominator``."""
    groups = -(-side // numerator)
    # the crop's far side continues: a few samples more than it needs
    enlarge = resize_matrix((groups + 2) * denominator, (groups + 2) * numerator, kernel)[:side].astype(np.float64)
    enlarge = enlarge[:, np.abs(enlarge).sum(0) > 0]
    return np.asarray(enlarge @ np.linalg.pinv(enlarge, rcond=1e-4), np.float32)


def _detailed_crop(picture: Luma) -> tuple[Luma, tuple[int, int]]:
    height, width = (min(SIDE, side) for side in picture.shape)
    best = (-1.0, 0, 0)
    for top in range(0, picture.shape[0] - height + 1, max(1, height // 2)):
        for left in range(0, picture.shape[1] - width + 1, max(1, width // 2)):
            part = picture[top : top + height, left : left + width]
            detail = float(np.abs(np.diff(part, axis=0)).mean() + np.abs(np.diff(part, axis=1)).mean())
            best = max(best, (detail, -top, -left))
    _, top, left = best
    return picture[-top : height - top, -left : width - left], (-top, -left)
