"""What waits for a device: frames, and tiles of a frame that idle lanes may help with."""

from __future__ import annotations

import threading
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sr_plugins.engine.shared_tiles import ENDING, SharedTiles
from sr_plugins.engine.tiling import Tile
from sr_plugins.errors import ClosedError
from sr_plugins.pixels.frame import Frame

if TYPE_CHECKING:
    from sr_plugins.engine.device_state import DeviceState
    from sr_plugins.engine.job import FrameFuture, Job

FLUSH_SECONDS = 0.004  # how long a started batch waits for more frames


class JobQueue:
    """Frames in order of submission. Holds no reference to the engine, so that dropping the engine closes it.

    Attributes:
        watch: called with (tiles done, tiles in all) of a frame after each of its tiles, by whichever thread did it.
    """

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._given: weakref.WeakSet[FrameFuture] = weakref.WeakSet()
        self._shared: list[tuple[DeviceState, SharedTiles]] = []
        self._idle: Counter[int] = Counter()  # by id: a device must not live on here when its workers end
        self._changed = threading.Condition()
        self._closed = False
        self._abandoned = False
        self.watch: Callable[[int, int], object] | None = None

    def put(self, job: Job) -> None:
        """Append a job; ``ClosedError`` after :meth:`close`."""
        with self._changed:
            if self._closed:
                raise ClosedError("this upscaler was closed: make a new one")
            self._jobs.append(job)
            self._given.add(job.future)
            self._changed.notify()

    def inherit(self) -> None:
        """Called in a forked child: what is not done never will be. Locks may be held by nobody, and are not asked."""
        for future in list(self._given):
            future.inherit()

    def put_back(self, job: Job) -> None:
        """Give a job another round, before everything else."""
        with self._changed:
            self._jobs.appendleft(job)
            self._changed.notify()

    def withdraw(self, future: Future[Frame]) -> Job | None:
        """Take the job of ``future`` out of the queue; ``None`` where a lane has it, or it is done."""
        with self._changed:
            found = next((job for job in self._jobs if job.future is future), None)
            if found is not None:
                self._jobs.remove(found)
            return found

    @contextmanager
    def shared(self, tiles: SharedTiles, device: DeviceState) -> Iterator[SharedTiles]:
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

    def idle(self, device: DeviceState) -> int:
        """Lanes of ``device`` with nothing to do."""
        with self._changed:
            return 0 if self._jobs else self._idle[id(device)]

    def take(self, device: DeviceState) -> list[Job] | SharedTiles | None:
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
                job.future.set_exception(ClosedError(ENDING))
        for tiles in shared:
            tiles.abandon()

    def wanted(self, tiles: Iterable[Tile]) -> Iterator[Tile]:
        """The tiles, unless the queue is abandoned meanwhile."""
        for tile in tiles:
            if self._abandoned:
                raise ClosedError(ENDING)
            yield tile
