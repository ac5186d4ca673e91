"""Where a film's shots change, from two neighbouring frames alone.

Each frame's luma is reduced to a small picture, and that to blocks. The best match of every block is looked for near
its place in the other frame, whatever its brightness and contrast: of a block of variance v whose correlation with its
match is r, v (1 - r^2) stays unexplained. :func:`change` is the unexplained part of all variance, of the two directions
the larger: 0 where each frame is found in the other, 1 where nothing is. Motion, fades, dissolves and flashes that do
not saturate are explained; another picture is not. docs/temporal.md has the numbers behind :data:`CUT`.

All sums are of whole numbers that float64 holds exactly, so that every machine finds the same cuts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr_plugins.pixels.frame import Frame, FrameFormat, Plane

CUT = 0.5  # of :func:`change`: from here on another shot begins

LONGER = 64  # samples of the reduced picture's longer side, at most
TAKEN = 4  # pixels along each axis that are averaged for a sample, at most
BITS = 10  # of a sample
BLOCK = 8  # samples of a block's side
SEARCH = 4  # samples, in every direction
NOISE = 9.0 * 4**2  # variance that is added to each block's own: three codes of 8 bits of noise change little
RGB = (54, 183, 19)  # parts of 256: the luma of BT.709, near enough for all

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Reduced:
    """A frame as cuts see it.

    Attributes:
        samples: luma in few samples (H, W), whole numbers from 0 to 1023.
        kind: format, size and alpha, which are the same throughout a shot.
    """

    samples: Samples
    kind: tuple[FrameFormat, int, int, bool]


def reduced(frame: Frame) -> Reduced:
    """The small picture by which a frame is compared."""
    step = max(1, -(-max(frame.width, frame.height) // LONGER))
    means = [_means(plane, step, frame.format) for plane in frame.planes[: 3 if frame.format.family == "rgb" else 1]]
    luma = means[0] if len(means) == 1 else sum(part * mean for part, mean in zip(RGB, means, strict=True)) // 256
    kind = frame.format, frame.width, frame.height, frame.alpha is not None
    return Reduced(np.asarray(luma, np.float64), kind)


def is_cut(earlier: Reduced, later: Reduced) -> bool:
    """Whether a new shot begins with the later of two neighbouring frames; also where its format or size is new."""
    if earlier.kind != later.kind:
        return True
    a, b = earlier.samples, later.samples
    return change(a, b, search=0) >= CUT and change(a, b) >= CUT


def change(a: Samples, b: Samples, search: int = SEARCH) -> float:
    """Which part of the variance within the blocks of each the other leaves unexplained, 0 to 1, the larger of both.

    ``a``, ``b``: as :class:`Reduced` has them, of one shape. ``search``: how far off a match may lie, in samples.
    """
    return max(_unexplained(a, b, search), _unexplained(b, a, search))


def _unexplained(seen: Samples, other: Samples, search: int) -> float:
    """Of the variance within the blocks of ``seen``, what their best matches in ``other`` leave."""
    side = min(BLOCK, *seen.shape)
    height, width = (length // side * side for length in seen.shape)
    seen, other, count = seen[:height, :width], np.pad(other, search, "edge"), side * side
    down, across = _runs(height, side)[::side], _runs(width, side)[::side].T
    runs = _runs(other.shape[0], side), _runs(other.shape[1], side).T

    # count^2 times variances and covariances: whole numbers below 2^53
    mean, means = down @ seen @ across, runs[0] @ other @ runs[1]
    own = count * (down @ np.square(seen) @ across) - np.square(mean)
    all_theirs = np.maximum(count * (runs[0] @ np.square(other) @ runs[1]) - np.square(means), 1.0)
    found = np.zeros_like(own)
    for y in range(2 * search + 1):
        for x in range(2 * search + 1):
            there = slice(y, y + height, side), slice(x, x + width, side)
            common = count * (down @ (seen * other[y : y + height, x : x + width]) @ across) - mean * means[there]
            found = np.maximum(found, np.square(np.maximum(common, 0.0)) / all_theirs[there])  # r^2 of own
    left = math.fsum((own - found).ravel().tolist())
    return max(0.0, left / math.fsum((own + NOISE * count * count).ravel().tolist()))


def _runs(length: int, side: int) -> Samples:
    """The matrix that sums ``side`` neighbours, from each place where there are as many."""
    at = np.arange(length - side + 1)[:, None]
    return np.asarray((np.arange(length) >= at) & (np.arange(length) < at + side), np.float64)


def _means(plane: Plane, step: int, format: FrameFormat) -> NDArray[np.int64]:
    """Of squares of ``step`` pixels the means, each of at most TAKEN x TAKEN of them."""
    height, width = plane.shape
    apart = -(-step // TAKEN)
    rows, columns = max(1, height // step), max(1, width // step)
    total, taken = np.zeros((rows, columns), np.int64), 0
    for y in range(0, min(step, height), apart):
        for x in range(0, min(step, width), apart):
            total += _levels(plane[y::step, x::step][:rows, :columns], format)
            taken += 1
    return total // taken


def _levels(samples: Plane, format: FrameFormat) -> NDArray[np.int64]:
    if format.is_float:
        values = np.nan_to_num(samples.astype(np.float64), nan=0.0, posinf=1.0, neginf=0.0)
        return np.rint(np.clip(values, 0, 1) * ((1 << BITS) - 1)).astype(np.int64)
    return samples.astype(np.int64) << BITS >> format.bits
