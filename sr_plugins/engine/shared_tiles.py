"""Tiles of one frame, which idle lanes may help with."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from sr_plugins.engine.tiling import Tile
from sr_plugins.errors import ClosedError

ENDING = "the program ends before this frame was done"


class SharedTiles:
    """Tiles of one frame, worked on by every thread that calls :meth:`run`."""

    def __init__(self, tiles: Iterable[Tile], work: Callable[[Tile], None]) -> None:
        self._left = deque(tiles)
        self._work = work
        self._running = 0
        self._error: BaseException | None = None
        self._changed = threading.Condition()

    def __len__(self) -> int:
        """Tiles that nobody has begun."""
        return len(self._left)

    def run(self) -> None:
        """Do tiles until none is left to begin. An error ends it for all; :meth:`finish` raises it."""
        while True:
            with self._changed:
                if not self._left:
                    return
                tile = self._left.popleft()
                self._running += 1
            try:
                self._work(tile)
            except BaseException as error:
                with self._changed:
                    self._error = self._error or error
                    self._left.clear()
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

    def abandon(self) -> None:
        """Begin no further tile; :meth:`finish` then raises."""
        with self._changed:
            if self._left:
                self._left.clear()
                self._error = self._error or ClosedError(ENDING)

    def finish(self) -> None:
        """Wait for the tiles that others work on."""
        with self._changed:
            while self._running:
                self._changed.wait()
        if self._error is not None:
            raise self._error
