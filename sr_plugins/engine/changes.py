"""Which rectangles of a frame changed since the one before.

Frames are compared in cells; the comparison costs well under a millisecond.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sr_plugins.engine.tiling import Span, Tile, outer_span
from sr_plugins.pixels.frame import Frame, Plane

CELL = 8  # pixels; a multiple of every chroma subsampling
BAND = 8  # cells: changes are joined to rectangles in bands of this height
WORTHWHILE = 0.85  # of the whole frame's pixels: above it the frame is computed whole


def changed_tiles(before: Sequence[Frame], after: Sequence[Frame], reach: int) -> list[Tile] | None:
    """Rectangles outside of which the results of two frames are equal; ``None`` if that saves too little.

    ``before`` and ``after`` are all frames that each result depends on, the same number of one kind, in order of time.
    """
    height, width = after[0].height, after[0].width
    rows, columns = -(-height // CELL), -(-width // CELL)
    changed = np.zeros((rows, columns), bool)
    for one, other in zip(before, after, strict=True):
        for i, (a, b) in enumerate(zip(one.samples(), other.samples(), strict=True)):
            sx, sy = other.format.subsampling if i in (1, 2) else (0, 0)
            changed |= _changed_cells(a, b, CELL >> sy, CELL >> sx)[:rows, :columns]
    cells = -(-reach // CELL)
    for _ in range(cells):
        changed[1:] |= changed[:-1].copy()
        changed[:-1] |= changed[1:].copy()
        changed[:, 1:] |= changed[:, :-1].copy()
        changed[:, :-1] |= changed[:, 1:].copy()
    tiles = [
        Tile(_span(top, bottom, height, reach), _span(left, right, width, reach))
        for top, bottom, left, right in _rectangles(changed, cells)
    ]
    pixels = sum((t.y.outer_stop - t.y.outer_start) * (t.x.outer_stop - t.x.outer_start) for t in tiles)
    return tiles if pixels < WORTHWHILE * height * width else None


def _changed_cells(a: Plane, b: Plane, height: int, width: int) -> NDArray[np.bool_]:
    rows, columns = -(-a.shape[0] // height), -(-a.shape[1] // width)
    different = np.zeros((a.shape[0], columns * width), bool)
    np.not_equal(a, b, out=different[:, : a.shape[1]])
    words = different.view(f"u{min(width, 8)}")  # as many samples at once as a cell is wide, at most eight
    bands = np.bitwise_or.reduceat(words, np.arange(0, rows * height, height), 0)
    return np.asarray(bands.reshape(rows, columns, -1).any(2))


def _rectangles(changed: NDArray[np.bool_], gap: int) -> list[tuple[int, int, int, int]]:
    """(top, bottom, left, right) in cells that cover what changed: runs in bands, equal runs of neighbours joined."""
    finished: list[tuple[int, int, int, int]] = []
    growing: dict[tuple[int, int], int] = {}
    bands = range(0, changed.shape[0], BAND)
    for top in bands:
        runs = _runs(changed[top : top + BAND].any(0), 2 * gap)
        finished += [(start, top, *run) for run, start in growing.items() if run not in runs]
        growing = {run: growing.get(run, top) for run in runs}
    finished += [(start, changed.shape[0], *run) for run, start in growing.items()]
    return [_trimmed(changed, *rectangle) for rectangle in finished]


def _trimmed(changed: NDArray[np.bool_], top: int, bottom: int, left: int, right: int) -> tuple[int, int, int, int]:
    """The rectangle without the rows at its top and bottom in which nothing changed."""
    rows = np.flatnonzero(changed[top:bottom, left:right].any(1))
    return top + int(rows[0]), top + int(rows[-1]) + 1, left, right


def _runs(line: NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    """(start, stop) of what is set; a hole of ``gap`` cells or less costs less than two margins and is filled."""
    runs: list[tuple[int, int]] = []
    for i in np.flatnonzero(line):
        if runs and i - runs[-1][1] <= gap:
            runs[-1] = (runs[-1][0], int(i) + 1)
        else:
            runs.append((int(i), int(i) + 1))
    return runs


def _span(first: int, last: int, length: int, reach: int) -> Span:
    return outer_span(first * CELL, min(last * CELL, length), length, reach)
