"""Cubic resampling of planes on the device: chroma to and from its grid, alpha, and the last resize to a free size.

Whole factors go through polyphase filters, whose arithmetic is the same at every position, so that a tile's samples
equal the whole picture's. Borders are mirrored about the picture's edge, as zimg does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_plugins.pixels.cubic import cubic_taps
from sr_plugins.pixels.frame import ChromaLocation as At
from sr_plugins.pixels.frame import Frame, Plane

Taps = tuple[int, tuple[float, ...]]  # first source sample relative to the current one, weights that sum to one

# Samples an interpolating filter reads beyond the one it lies in: four taps, at most one sample of siting shift.
INTERPOLATION_REACH = 3
STRIP_SAMPLES = 1 << 22


@lru_cache(maxsize=256)
def taps_at(position: float, widen: float = 1.0) -> Taps:
    """Keys' cubic (a = -0.5) around ``position``; ``widen`` > 1 makes it the antialiasing filter of a reduction."""
    first = math.floor(position - 2 * widen) + 1
    count = math.ceil(position + 2 * widen) - first
    weights = cubic_taps(range(first, first + max(count, 1)), position, widen)
    while len(weights) > 1 and weights[-1] == 0:
        weights.pop()
    while len(weights) > 1 and weights[0] == 0:
        weights.pop(0)
        first += 1
    total = sum(weights)
    return first, tuple(w / total for w in weights)


def chroma_offset(location: int, axis: int, log2: int) -> float:
    """Where the first chroma sample lies, in luma samples from the first luma sample (ITU-T H.273, figure 1).

    ``axis`` 0 is vertical, 1 horizontal; ``log2`` the subsampling of that axis.
    """
    last = (1 << log2) - 1
    if axis == 1:
        return 0.0 if location in (At.LEFT, At.TOP_LEFT, At.BOTTOM_LEFT) else last / 2
    if location in (At.TOP_LEFT, At.TOP):
        return 0.0
    return float(last) if location in (At.BOTTOM_LEFT, At.BOTTOM) else last / 2


def enlarge_phases(scale: int, log2: int, offset: float) -> list[Taps]:
    """Filters that enlarge a plane by ``scale`` and keep its siting: one for each of ``scale`` output phases.

    A plane subsampled by ``2**log2`` whose first sample lies ``offset`` luma samples in comes out subsampled and
    sited the same in the larger picture.
    """
    step = 1 << log2
    return [taps_at(((step * p + offset + 0.5) / scale - 0.5 - offset) / step) for p in range(scale)]


def to_luma_grid_phases(log2: int, offset: float) -> list[Taps]:
    """Filters that bring subsampled chroma to the luma grid."""
    step = 1 << log2
    return [taps_at((p - offset) / step) for p in range(step)]


def from_luma_grid_taps(log2: int, offset: float) -> Taps:
    """The antialiasing filter that brings chroma from the luma grid to its own, to be applied every ``2**log2``."""
    return taps_at(offset, float(1 << log2))


def polyphase(x: Tensor, dim: int, phases: Sequence[Taps], size: int, stride: int = 1) -> Tensor:
    """Filter ``x`` (N, H, W) along ``dim`` (1 or 2): output ``len(phases) * k + p`` reads around ``stride * k``.

    The result has ``size`` samples along ``dim``, which must not be more than the input gives.
    """
    if len(phases) == 1 and stride == 1 and phases[0] == (0, (1.0,)):
        return x.narrow(dim, 0, size)
    length = x.shape[dim]
    steps = -(-size // len(phases))
    before = -min(first for first, _ in phases)
    after = max(first + len(weights) for first, weights in phases) + stride * (steps - 1) - length
    x = _mirror(x, dim, max(before, 0), max(after, 0))
    start = max(before, 0)
    # joined phase by phase: many times faster than torch.stack where rows are interleaved
    joined = x.new_empty((*x.shape[:dim], steps, len(phases), *x.shape[dim + 1 :]))
    for phase, (first, weights) in enumerate(phases):
        place = joined.select(dim + 1, phase)
        # whole rows are summed up in their place; single samples far apart are not, which is slower
        total = place if dim == 1 else torch.empty_like(place, memory_format=torch.contiguous_format)
        for tap, weight in enumerate(weights):
            part = _every(x, dim, start + first + tap, steps, stride)
            if tap == 0:
                torch.mul(part, weight, out=total)
            else:
                total.add_(part, alpha=weight)
        if total is not place:
            place.copy_(total)
    return joined.flatten(dim, dim + 1).narrow(dim, 0, size)


def resize_plane(
    plane: NDArray[Any],
    height: int,
    width: int,
    *,
    log2: tuple[int, int],
    offset: tuple[float, float],
    top: float | None,
) -> NDArray[Any]:
    """Antialiased resize of a plane (H, W) to any size, keeping its siting (see :func:`enlarge_phases`).

    ``log2`` and ``offset`` are (vertical, horizontal); ``top`` is the largest code of an integer plane, ``None`` for
    float. Works in strips: memory beyond the two planes stays small.
    """
    rows, row_weights = _free_taps(plane.shape[0], height, log2[0], offset[0])
    columns, column_weights = (torch.from_numpy(a) for a in _free_taps(plane.shape[1], width, log2[1], offset[1]))
    result = np.empty((height, width), plane.dtype)
    # what a filter's negative weights carry beyond half precision would become infinite
    ends = (0.0, 0.0) if top is not None else (float(np.finfo(plane.dtype).min), float(np.finfo(plane.dtype).max))
    strip = max(1, STRIP_SAMPLES // max(plane.shape[1], width))
    for start in range(0, height, strip):
        part = slice(start, min(start + strip, height))
        first, last = int(rows[part].min()), int(rows[part].max())
        x = torch.from_numpy(plane[first : last + 1].astype(np.float32))
        index, weight = torch.from_numpy(rows[part] - first), torch.from_numpy(row_weights[part])
        y = x[index[:, 0]] * weight[:, :1]
        for t in range(1, index.shape[1]):
            y.addcmul_(x[index[:, t]], weight[:, t : t + 1])
        z = y[:, columns[:, 0]] * column_weights[:, 0]
        for t in range(1, columns.shape[1]):
            z.addcmul_(y[:, columns[:, t]], column_weights[:, t])
        values = z.numpy()
        result[part] = np.clip(values, *ends) if top is None else np.clip(np.rint(values), 0, top)
    return result


def _free_taps(length: int, size: int, log2: int, offset: float) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Source samples and weights, both (size, taps), for a resize of one axis from ``length`` to ``size``."""
    step = 1 << log2
    # subsampled planes round up, so their own lengths do not give the picture's ratio exactly; it is near enough
    ratio = length / size
    filters = [taps_at(((step * j + offset + 0.5) * ratio - 0.5 - offset) / step, max(ratio, 1.0)) for j in range(size)]
    reach = max(len(weights) for _, weights in filters)
    index = np.zeros((size, reach), np.int64)
    weight = np.zeros((size, reach), np.float32)
    for j, (first, weights) in enumerate(filters):
        index[j] = [mirrored_index(first + t, length) for t in range(reach)]
        weight[j, : len(weights)] = weights
    return index, weight


def mirrored_index(index: int, length: int) -> int:
    """Sample that stands for ``index`` outside 0..length-1: -1 is 0, -2 is 1, and so on, at both ends."""
    index %= 2 * length
    return index if index < length else 2 * length - 1 - index


def mirrored_to(x: Tensor, height: int, width: int) -> Tensor:
    """``x`` (..., H, W) continued to this height and width by its mirrored edge; as it is where it is as large."""
    for dim, side in ((-2, height), (-1, width)):
        x = _mirror(x, dim, 0, side - x.shape[dim])
    return x


def _mirror(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    if not before and not after:
        return x
    length = x.shape[dim]

    def edge(beyond: range) -> Tensor:
        if len(beyond) <= length:  # without the index, which a CUDA device would have to wait for
            return x.narrow(dim, 0 if beyond.start < 0 else length - len(beyond), len(beyond)).flip(dim)
        index = torch.tensor([mirrored_index(i, length) for i in beyond], dtype=torch.int64, device=x.device)
        return x.index_select(dim, index)

    return torch.cat((edge(range(-before, 0)), x, edge(range(length, length + after))), dim)


def _every(x: Tensor, dim: int, begin: int, count: int, stride: int) -> Tensor:
    end = begin + stride * (count - 1) + 1
    return x[:, begin:end:stride] if dim == 1 else x[:, :, begin:end:stride]


def resized_frame(frame: Frame, width: int, height: int) -> Frame:
    """A frame resized to any size with an antialiasing cubic filter, siting kept."""
    format = frame.format
    top = None if format.is_float else float((1 << format.bits) - 1)
    shift = (format.subsampling[1], format.subsampling[0])
    sited = tuple(chroma_offset(format.chroma_location, axis, shift[axis]) for axis in (0, 1))

    def resized(plane: Plane, index: int) -> Plane:
        chroma = format.family == "yuv" and index > 0
        w, h = format.plane_size(index, width, height)
        log2, offset = (shift, (sited[0], sited[1])) if chroma else ((0, 0), (0.0, 0.0))
        return resize_plane(plane, h, w, log2=log2, offset=offset, top=top)

    planes = [resized(plane, i) for i, plane in enumerate(frame.planes)]
    return Frame(planes, format, None if frame.alpha is None else resized(frame.alpha, 0))


def with_hidden(source: Frame, result: Frame) -> Frame:
    """``result`` with the samples of ``source``, interpolated, where it is fully transparent.

    Nobody sees them there, but textures of games keep other things than transparency in alpha, editors give erased
    colours back, and old bitmaps have an alpha that means nothing.
    """
    if result.alpha is None or (visible := result.alpha > 0).all():
        return result
    own = resized_frame(Frame(source.planes, source.format), result.width, result.height)
    planes = []
    for plane, under in zip(result.planes, own.planes, strict=True):
        seen = visible
        if plane.shape != visible.shape:  # a chroma sample is seen where any of its luma samples is
            down, across = (1 << shift for shift in reversed(source.format.subsampling))
            height, width = plane.shape
            padded = np.zeros((height * down, width * across), bool)
            padded[: visible.shape[0], : visible.shape[1]] = visible
            seen = padded.reshape(height, down, width, across).any(axis=(1, 3))
        planes.append(np.where(seen, plane, under))
    return Frame(planes, result.format, result.alpha)
