"""Exact reuse of what rests: where nothing changed within the receptive field, the last frame's result is copied.

A network of local operations gives the same output where its input did not change, so only the rectangles around
changes are computed: byte-equal to the whole, where the backend computes the same numbers in a part as in the whole,
which is tried before anything is reused. Frames are compared in cells; the comparison costs well under a millisecond,
and where it never pays it is all but left out.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_plugins.engine.tiling import ALIGN, Span, Tile
from sr_plugins.interface.model import ModelSpec
from sr_plugins.pixels.frame import Frame, FrameFormat, Plane

CELL = 8  # pixels; a multiple of every chroma subsampling
BAND = 8  # cells: changes are joined to rectangles in bands of this height
WORTHWHILE = 0.85  # of the whole frame's pixels: above it the frame is computed whole
PATIENCE = 4  # frames in a row that may fail to pay
NAP = 16  # frames between two looks when it does not pay
LARGEST_FRAME = 1 << 24  # pixels; of larger ones no second copy is kept
PROBE = 320  # pixels: exactness is tried on a picture of about this height and width, unless frames are smaller
PROBES = 8
KINDS = 4  # of frames that are remembered at once

Kind = tuple[FrameFormat, int, int, bool]


@dataclass(frozen=True, slots=True)
class Resting:
    """The last result, and the tiles in which the new frame's differs."""

    result: Frame
    tiles: list[Tile]
    trusted: bool


@dataclass
class _Memory:
    """What is known of frames of one kind. ``trusted``: results in parts were seen to equal the whole computation."""

    last: tuple[Frame, Frame] | None = None
    failures: int = PATIENCE  # asleep until a second frame of the kind comes: a lone picture costs nothing
    nap: int = 1
    trusted: bool = False
    refused: bool = False


@dataclass(eq=False)
class Reuse:
    """The memory of one device; any number of threads may use it. Which earlier frame is kept changes no pixel."""

    _memories: OrderedDict[Kind, _Memory] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, frame: Frame, reach: int) -> Resting | None:
        """What of ``frame`` must be computed where a result depends on input at most ``reach`` pixels away.

        ``None``: compute it whole.
        """
        with self._lock:
            memory = self._memory(frame)
            if memory is None or memory.last is None:
                return None
            before, result = memory.last
        tiles = changed_tiles(before, frame, reach)
        with self._lock:
            if tiles is None:
                memory.failures += 1
                if memory.failures >= PATIENCE:
                    memory.last, memory.nap = None, NAP
                return None
            memory.failures = 0
            return Resting(result, tiles, memory.trusted)

    def remember(self, frame: Frame, result: Frame) -> None:
        """Keep copies of a frame and of what became of it."""
        with self._lock:
            memory = self._memory(frame)
            if memory is None:
                return
            if memory.nap > 0:
                memory.nap -= 1
                return
        last = frame.copied(), result.copied()
        with self._lock:
            memory.last = last

    def prove(self, frame: Frame, equal: bool) -> None:
        """Tell whether results in parts equal the whole computation; if not, it is never tried again."""
        with self._lock:
            memory = self._memory(frame)
            if memory is not None:
                memory.trusted, memory.refused = equal, not equal

    def _memory(self, frame: Frame) -> _Memory | None:
        if frame.width * frame.height > LARGEST_FRAME:
            return None
        kind = (frame.format, frame.width, frame.height, frame.alpha is not None)
        memory = self._memories.setdefault(kind, _Memory())
        self._memories.move_to_end(kind)
        if len(self._memories) > KINDS:
            self._memories.popitem(last=False)
        return None if memory.refused else memory


def exact_in_parts(run: Callable[[Tensor], Tensor], spec: ModelSpec, size: tuple[int, int]) -> bool:
    """Whether the network computes the very same numbers in a part as in the whole, tried on noise.

    Some libraries choose another order of additions for another size; the last bit of a float then decides how a tie
    rounds. ``size`` is (height, width) of the frames: parts begin on their grid, and may end with them.
    """
    generator = torch.Generator().manual_seed(1)
    height, width = (length if length <= PROBE else PROBE + length % ALIGN for length in size)
    radius, scale = spec.reads, spec.scale
    x = torch.rand(1, spec.planes_in, height, width, generator=generator)
    whole = run(x)
    for _ in range(PROBES):
        spans = []
        for length in (height, width):
            start, stop = sorted(torch.randint(0, length + 1, (2,), generator=generator).tolist())
            stop = length if stop > length - ALIGN else stop // ALIGN * ALIGN
            spans.append(_outer(start // ALIGN * ALIGN, stop, length, radius))
        y, x_ = spans
        if y.start == y.stop or x_.start == x_.stop:
            continue
        part = run(x[:, :, y.outer_start : y.outer_stop, x_.outer_start : x_.outer_stop])
        inner = (slice((s.start - s.outer_start) * scale, (s.stop - s.outer_start) * scale) for s in spans)
        if not torch.equal(part[:, :, *inner], whole[:, :, *(slice(s.start * scale, s.stop * scale) for s in spans)]):
            return False
    return True


def changed_tiles(before: Frame, after: Frame, reach: int) -> list[Tile] | None:
    """Rectangles outside of which the results of two frames are equal; ``None`` if that saves too little."""
    height, width = after.height, after.width
    rows, columns = -(-height // CELL), -(-width // CELL)
    changed = np.zeros((rows, columns), bool)
    planes = list(zip(before.samples(), after.samples(), strict=True))
    for i, (a, b) in enumerate(planes):
        sx, sy = after.format.subsampling if i in (1, 2) else (0, 0)
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
    return _outer(first * CELL, min(last * CELL, length), length, reach)


def _outer(start: int, stop: int, length: int, reach: int) -> Span:
    """What is to be computed with what is read for it; both begin at multiples of ``ALIGN``."""
    reach = -(-reach // ALIGN) * ALIGN
    return Span(start, stop, max(0, start - reach), min(length, stop + reach))
