"""NIQE (Mittal, Soundararajan and Bovik, "Making a completely blind image quality analyzer", 2013): lower is better.

How far the statistics of a picture are from those of natural, sharp photographs; no reference picture is needed. The
model of natural statistics in ``niqe.safetensors`` was fitted by ``python -m sr_plugins.evaluation.niqe FOLDER`` on our
own training photographs: values are comparable with each other, not with those of another implementation's model.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from sr_plugins.errors import DataError
from sr_plugins.evaluation.ssim import gaussian_window

MODEL = Path(__file__).parent / "niqe.safetensors"
BLOCK = 96
SHARPEST = 0.75  # of the sharpest block: a block of the model is at least this sharp
WINDOW = gaussian_window(7, 7 / 6)
SHAPES = np.arange(0.2, 10.001, 0.001)
# E|x|^2 / E x^2 of a generalised Gaussian of each shape
RATIOS = np.array([math.exp(2 * math.lgamma(2 / s) - math.lgamma(1 / s) - math.lgamma(3 / s)) for s in SHAPES])

Plane = NDArray[np.float64]


def niqe(picture: NDArray[np.uint8], reference: NDArray[np.uint8] | None = None) -> float:
    """NIQE of luma (H, W), 8 bits, both sides at least 192 (``DataError`` otherwise); ``reference`` is not used."""
    mean, covariance = _model()
    features = block_features(picture)[0]
    features = features[np.isfinite(features).all(1)]
    if not len(features):
        raise DataError("NIQE found no block with any texture")
    own_mean = features.mean(0)
    own_covariance = np.cov(features, rowvar=False) if len(features) > 1 else np.zeros_like(covariance)
    difference = mean - own_mean
    inverse = np.linalg.pinv((covariance + own_covariance) / 2)
    return math.sqrt(max(float(difference @ inverse @ difference), 0.0))


def block_features(picture: NDArray[np.uint8]) -> tuple[Plane, Plane]:
    """36 features for every block of 96 x 96 pixels, (blocks, 36), and how sharp each block is, (blocks,)."""
    rows, columns = (side // BLOCK for side in picture.shape)
    if rows < 2 or columns < 2:
        raise DataError(f"NIQE needs pictures of {2 * BLOCK} x {2 * BLOCK} and more, got {picture.shape[::-1]}")
    plane = picture[: rows * BLOCK, : columns * BLOCK].astype(np.float64)
    parts, sharpness = [], np.empty(0)
    for side in (BLOCK, BLOCK // 2):
        normalised, deviation = _normalised(plane)
        blocks = _blocks(normalised, side)
        parts.append(np.array([_statistics(block) for block in blocks]))
        if side == BLOCK:
            sharpness = _blocks(deviation, side).mean((1, 2))
            plane = (plane[::2, ::2] + plane[1::2, ::2] + plane[::2, 1::2] + plane[1::2, 1::2]) / 4
    return np.concatenate(parts, 1), sharpness


def fit(pictures: Sequence[NDArray[np.uint8]]) -> tuple[Plane, Plane]:
    """Mean (36,) and covariance (36, 36) of the features of the sharp blocks of natural pictures (luma, 8 bits)."""
    kept = []
    for picture in pictures:
        features, sharpness = block_features(picture)
        kept.append(features[(sharpness > SHARPEST * sharpness.max()) & np.isfinite(features).all(1)])
    features = np.concatenate(kept)
    if len(features) < 2:
        raise DataError("too few sharp blocks to fit NIQE's model: give more pictures")
    return features.mean(0), np.cov(features, rowvar=False)


@cache
def _model() -> tuple[Plane, Plane]:
    tensors = load_file(MODEL)
    return tensors["mean"], tensors["covariance"]


def _normalised(plane: Plane) -> tuple[Plane, Plane]:
    """Mean-subtracted, contrast-normalised coefficients, and the local deviation; the border is replicated."""
    mean = _smoothed(plane)
    deviation = np.sqrt(np.abs(_smoothed(plane**2) - mean**2))
    return (plane - mean) / (deviation + 1), deviation


def _smoothed(plane: Plane) -> Plane:
    for axis in (0, 1):
        padding = [(0, 0), (0, 0)]
        padding[axis] = (3, 3)
        padded = np.pad(plane, padding, mode="edge")
        length = plane.shape[axis]
        plane = sum((w * padded.take(range(i, i + length), axis) for i, w in enumerate(WINDOW)), np.zeros(()))
    return plane


def _blocks(plane: Plane, side: int) -> Plane:
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    return plane.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _statistics(block: Plane) -> list[float]:
    """Shape and spread of the coefficients, and of their products with four neighbours: 18 numbers."""
    shape, left, right = asymmetric_fit(block)
    numbers = [shape, (left + right) / 2]
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = asymmetric_fit(block * np.roll(block, (dy, dx), (0, 1)))
        mean = (right - left) * math.exp(math.lgamma(2 / shape) - math.lgamma(1 / shape))
        numbers += [shape, mean, left, right]
    return numbers


def asymmetric_fit(x: Plane) -> tuple[float, float, float]:
    """Shape and the two scales of an asymmetric generalised Gaussian, by moments (Lasmar et al., 2009)."""
    below, above = x[x < 0], x[x > 0]
    if not len(below) or not len(above):
        return math.nan, math.nan, math.nan
    left, right = math.sqrt(np.mean(below**2)), math.sqrt(np.mean(above**2))
    gamma = left / right
    ratio = np.mean(np.abs(x)) ** 2 / np.mean(x**2)
    ratio *= (gamma**3 + 1) * (gamma + 1) / (gamma**2 + 1) ** 2
    shape = float(SHAPES[int(np.argmin(np.abs(RATIOS - ratio)))])
    spread = math.exp((math.lgamma(1 / shape) - math.lgamma(3 / shape)) / 2)
    return shape, left * spread, right * spread


def main(folder: Path) -> None:
    """Fit the model on a folder of photographs and write it beside this file."""
    from sr_plugins.pixels.matlab import to_luma
    from sr_plugins.training.picture_files import list_pictures, read_rgb

    paths = list_pictures(folder)
    mean, covariance = fit([to_luma(read_rgb(path)) for path in paths])
    save_file({"mean": mean, "covariance": covariance}, MODEL, {"pictures": str(len(paths))})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
