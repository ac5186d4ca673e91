"""What waits for a device: frames, and tiles of a frame that idle lanes may help with."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sr_plugins.engine.tiling import Tile
from sr_plugins.errors import FrameError

if TYPE_CHECKING:
    from sr_plugins.engine.job import Job
    from sr_plugins.engine.placed_network import Device

FLUSH_SECONDS = 0.004  # how long a started batch waits for more frames
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
                self._error = self._error or FrameError(ENDING)

    def finish(self) -> None:
        """Wait for the tiles that others work on."""
        with self._changed:
            while self._running:
                self._changed.wait()
        if self._error is not None:
            raise self._error


class JobQueue:
    """Frames in order of submission. Holds no reference to the engine, so that dropping the engine closes it."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._shared: list[tuple[Device, SharedTiles]] = []
        self._idle: Counter[int] = Counter()  # by id: a device must not live on here when its workers end
        self._changed = threading.Condition()
        self._closed = False
        self._abandoned = False

    def put(self, job: Job) -> None:
        """Append a job; ``FrameError`` after :meth:`close`."""
        with self._changed:
            if self._closed:
                raise FrameError("this upscaler was closed: make a new one")
            self._jobs.append(job)
            self._changed.notify()

    def put_back(self, job: Job) -> None:
        """Give a job another round, before everything else."""
        with self._changed:
            self._jobs.appendleft(job)
            self._changed.notify()

    @contextmanager
    def shared(self, tiles: SharedTiles, device: Device) -> Iterator[SharedTiles]:
        """Let idle lanes of ``device`` help with ``tiles``; on leaving, all are done."""
        with self._changed:
            self._shared.append((device, tiles))
            self._changed.notify_all()
        try:
            yield tiles
        finally:
            with self._changed:
                self._shared.remove((device, tiles))
        tiles.finish()

    def idle(self, device: Device) -> int:
        """Lanes of ``device`` with nothing to do."""
        with self._changed:
            return 0 if self._jobs else self._idle[id(device)]

    def take(self, device: Device) -> list[Job] | SharedTiles | None:
        """Wait for work: tiles to help with, or up to ``device.batch`` jobs of one kind.

        ``None`` when closed and everything is done.
        """
        with self._changed:
            while True:
                if helping := next((t for d, t in self._shared if d is device and len(t)), None):
                    return helping
                if self._jobs:
                    return self._batch(device.batch)
                if self._closed:
                    return None
                self._idle[id(device)] += 1
                self._changed.wait()
                self._idle[id(device)] -= 1

    def _batch(self, most: int) -> list[Job]:
        batch = [self._jobs.popleft()]
        deadline = time.monotonic() + FLUSH_SECONDS
        while len(batch) < most:
            if self._jobs:
                if self._jobs[0].kind != batch[0].kind:
                    self._changed.notify()  # another worker may be free for it
                    break
                batch.append(self._jobs.popleft())
                continue
            left = deadline - time.monotonic()
            if self._closed or left <= 0 or not self._changed.wait(left):
                break
        return batch

    def close(self) -> None:
        """Let workers finish what is queued and then end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Let workers end with the tile they are at: what waits is cancelled, what is begun fails."""
        with self._changed:
            self._abandoned = self._closed = True
            jobs = list(self._jobs)
            self._jobs.clear()
            shared = [tiles for _, tiles in self._shared]
            self._changed.notify_all()
        for job in jobs:
            if not job.future.cancel():  # a frame that was put back
                job.future.set_exception(FrameError(ENDING))
        for tiles in shared:
            tiles.abandon()

    def wanted(self, tiles: Iterable[Tile]) -> Iterator[Tile]:
        """The tiles, unless the queue is abandoned meanwhile."""
        for tile in tiles:
            if self._abandoned:
                raise FrameError(ENDING)
            yield tile
