"""Which tiles cover a picture and how they join; integers only.

A tile is computed from its own pixels plus a margin as wide as anything the computation reads, so joined tiles equal
the whole. Where a tile touches the picture's border it has no margin: there the computation pads as it does untiled.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sr_plugins.interface.model import ModelSpec
from sr_plugins.pixels.frame import FrameFormat
from sr_plugins.pixels.resampling import INTERPOLATION_REACH

SMALLEST_INNER = 16  # pixels; below it nearly all work would be margin
# Tiles begin at multiples of it: of the coarsest chroma grid, and of the blocks of pixels that a backend may work in.
ALIGN = 4
BLENDED = 32  # input pixels over which tiles blend, where nothing else is known


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a tile, in pixels of the input: the inner part, and the outer part that is read for it."""

    start: int
    stop: int
    outer_start: int
    outer_stop: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the input picture."""

    y: Span
    x: Span


def blending(spec: ModelSpec) -> ModelSpec:
    """The spec of a network whose tiles blend, though it is local beside averages: where those cannot be gathered."""
    overlap = -(-BLENDED // spec.tile_multiple) * spec.tile_multiple
    return replace(spec, receptive_radius=None, margin=None, averages=(), overlap=overlap)


def read_further(spec: ModelSpec, overlap: int | None, *, interpolated: bool) -> ModelSpec:
    """The spec of a network whose tiles read ``overlap`` where they are not exact, and what an interpolation reads.

    Tiles that are exact read what they must, whatever was asked for.
    """
    least = INTERPOLATION_REACH if interpolated else 0
    if spec.receptive_radius is None:
        wanted = max((spec.overlap or 0) if overlap is None else overlap, least)
        return replace(spec, overlap=-(-wanted // spec.tile_multiple) * spec.tile_multiple)
    radius = max(spec.receptive_radius, least)
    if spec.margin is None:
        return replace(spec, receptive_radius=radius)
    return replace(spec, receptive_radius=radius, margin=min(max(overlap or spec.margin, least), radius))


def reach_of(format: FrameFormat, spec: ModelSpec, *, alpha: bool) -> int:
    """How far beyond a tile its computation reads, in input pixels: network, chroma filters, bleeding below alpha."""
    step = 1 << max(format.subsampling)
    interpolation = INTERPOLATION_REACH * step
    if spec.channels == "luma" or format.family != "yuv":
        reach = max(spec.reads, interpolation)
    else:  # to the luma grid, through the network, back to the chroma grid of the larger picture
        back = 0 if step == 1 else -(-(2 * step + step) // spec.scale)
        reach = spec.reads + (interpolation if step > 1 else 0) + back
    return 2 * reach if alpha else reach  # bleeding reads as far again


def outer_span(start: int, stop: int, length: int, reach: int) -> Span:
    """What is to be computed with what is read for it; both begin at multiples of ``ALIGN``."""
    reach = -(-reach // ALIGN) * ALIGN
    return Span(start, stop, max(0, start - reach), min(length, stop + reach))


def spans(length: int, largest: int, margin: int, align: int = ALIGN, *, one_length: bool = False) -> list[Span]:
    """Cover 0..length with the fewest even spans whose outer part is at most ``largest``.

    Starts are multiples of ``align``. ``largest`` is raised where it leaves an inner part of less
    than ``SMALLEST_INNER``. With ``one_length`` all outer parts are equally long: those at the borders, which have a
    margin on one side only, read more on the other.
    """
    margin = -(-margin // align) * align
    if length <= largest:
        return [Span(0, length, 0, length)]
    room = largest - 2 * margin - (align - 1 if one_length else 0)
    inner = max(-(-SMALLEST_INNER // align), room // align) * align
    count = -(-length // inner)
    # even sizes: the last span is no sliver
    inner = -(-length // (count * align)) * align
    starts = range(0, length, inner)
    outer = inner + 2 * margin
    if not one_length or outer >= length:
        return [
            Span(start, min(start + inner, length), max(0, start - margin), min(length, start + inner + margin))
            for start in starts
        ]
    outer = min(length, outer + (length - outer) % align)  # so that the last one begins at a multiple, too
    begins = [min(max(0, start - margin), length - outer) for start in starts]
    return [
        Span(start, min(start + inner, length), begin, begin + outer)
        for start, begin in zip(starts, begins, strict=True)
    ]


def tiles(
    height: int, width: int, largest: tuple[int, int], margin: int, multiple: int = 1, *, one_shape: bool = False
) -> Iterator[Tile]:
    """Tiles of a picture, row by row. ``largest`` is (height, width); starts are multiples of ``multiple``, too."""
    align = math.lcm(ALIGN, multiple)
    columns = spans(width, largest[1], margin, align, one_length=one_shape)
    for y in spans(height, largest[0], margin, align, one_length=one_shape):
        for x in columns:
            yield Tile(y, x)
