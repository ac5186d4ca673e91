"""Exact reuse of what rests: where nothing changed within the receptive field, the last frame's result is copied.

The field of a model that sees neighbouring frames has all of them: each is compared with the one in its place before.

A network of local operations gives the same output where its input did not change, so only the rectangles around
changes are computed: byte-equal to the whole, where the backend computes the same numbers in a part as in the whole,
which is tried before anything is reused. Where comparing never pays it is all but left out.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sr_plugins.engine.changes import changed_tiles
from sr_plugins.engine.tiling import Tile
from sr_plugins.pixels.frame import Frame, FrameFormat

PATIENCE = 4  # frames in a row that may fail to pay
NAP = 16  # frames between two looks when it does not pay
LARGEST = 1 << 24  # pixels of a frame and its neighbours; of larger ones no second copy is kept
KINDS = 4  # of frames that are remembered at once

Kind = tuple[FrameFormat, int, int, bool, int]


@dataclass(frozen=True, slots=True)
class Resting:
    """The last result, and the tiles in which the new frame's differs."""

    result: Frame
    tiles: list[Tile]
    trusted: bool


@dataclass
class _Memory:
    """What is known of frames of one kind. ``trusted``: results in parts were seen to equal the whole computation."""

    last: tuple[tuple[Frame, ...], Frame] | None = None
    failures: int = PATIENCE  # asleep until a second frame of the kind comes: a lone picture costs nothing
    nap: int = 1
    trusted: bool = False
    refused: bool = False


@dataclass(eq=False)
class Reuse:
    """The memory of one device; any number of threads may use it. Which earlier frame is kept changes no pixel."""

    _memories: OrderedDict[Kind, _Memory] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, frames: Sequence[Frame], reach: int) -> Resting | None:
        """What of a frame must be computed where its result depends on input at most ``reach`` pixels away.

        ``frames``: all that it depends on, itself and its neighbours in order of time. ``None``: compute it whole.
        """
        with self._lock:
            memory = self._memory(frames)
            if memory is None or memory.last is None:
                return None
            before, result = memory.last
        tiles = changed_tiles(before, frames, reach)
        with self._lock:
            if tiles is None:
                memory.failures += 1
                if memory.failures >= PATIENCE:
                    memory.last, memory.nap = None, NAP
                return None
            memory.failures = 0
            return Resting(result, tiles, memory.trusted)

    def remember(self, frames: Sequence[Frame], result: Frame) -> None:
        """Keep copies of a frame, its neighbours and of what became of it."""
        with self._lock:
            memory = self._memory(frames)
            if memory is None:
                return
            if memory.nap > 0:
                memory.nap -= 1
                return
        try:
            copies = {id(frame): frame.copied() for frame in {id(frame): frame for frame in frames}.values()}
            last = tuple(copies[id(frame)] for frame in frames), result.copied()
        except MemoryError:  # costs the copy, never the frame
            last = None
        with self._lock:
            memory.last = last

    def prove(self, frames: Sequence[Frame], equal: bool) -> None:
        """Tell whether results in parts equal the whole computation; if not, it is never tried again."""
        with self._lock:
            memory = self._memory(frames)
            if memory is not None:
                memory.trusted, memory.refused = equal, not equal

    def _memory(self, frames: Sequence[Frame]) -> _Memory | None:
        frame = frames[0]
        if frame.width * frame.height * len(frames) > LARGEST:
            return None
        kind = (frame.format, frame.width, frame.height, frame.alpha is not None, len(frames))
        memory = self._memories.setdefault(kind, _Memory())
        self._memories.move_to_end(kind)
        if len(self._memories) > KINDS:
            self._memories.popitem(last=False)
        return None if memory.refused else memory
