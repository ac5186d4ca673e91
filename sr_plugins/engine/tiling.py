"""Which tiles cover a picture and how they join; integers only.

A tile is computed from its own pixels plus a margin as wide as anything the computation reads, so joined tiles equal
the whole. Where a tile touches the picture's border it has no margin: there the computation pads as it does untiled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SMALLEST_INNER = 16  # pixels; below it nearly all work would be margin
# Tiles begin at multiples of it: of the coarsest chroma grid, and of the blocks of pixels that a backend may work in.
ALIGN = 4


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


def spans(length: int, largest: int, margin: int, align: int = ALIGN) -> list[Span]:
    """Cover 0..length with the fewest even spans whose outer part is at most ``largest``.

    Starts are multiples of ``align``. ``largest`` is raised where it leaves an inner part of less
    than ``SMALLEST_INNER``.
    """
    margin = -(-margin // align) * align
    if length <= largest:
        return [Span(0, length, 0, length)]
    inner = max(-(-SMALLEST_INNER // align), (largest - 2 * margin) // align) * align
    count = -(-length // inner)
    # even sizes: the last span is no sliver
    inner = -(-length // (count * align)) * align
    return [
        Span(start, min(start + inner, length), max(0, start - margin), min(length, start + inner + margin))
        for start in range(0, length, inner)
    ]


def tiles(height: int, width: int, largest: tuple[int, int], margin: int) -> Iterator[Tile]:
    """Tiles of a picture, row by row. ``largest`` is (height, width)."""
    columns = spans(width, largest[1], margin)
    for y in spans(height, largest[0], margin):
        for x in columns:
            yield Tile(y, x)
