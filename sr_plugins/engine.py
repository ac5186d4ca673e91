"""The batching executor: submit(frame) -> Future, in order, across devices.

Frames wait in one queue. Each device has a worker thread that takes what waits, as many frames of one format and size
as its batch allows, runs them, and sets their futures. Order is the caller's: futures are awaited in the order of
submission, whichever device finishes first.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from sr_plugins.color import check_format
from sr_plugins.device_worker import DeviceWorker
from sr_plugins.devices import resolve_devices
from sr_plugins.errors import FrameError, UnknownNameError
from sr_plugins.frame import Frame, FrameFormat
from sr_plugins.model_spec import BackendSpec, LoadedModel, Precision
from sr_plugins.plugins import Plugins

FLUSH_SECONDS = 0.004  # how long a started batch waits for more frames
CUDA_BATCH = 4


@dataclass(eq=False)
class Job:
    """One submitted frame. ``frame`` becomes the intermediate picture where a network runs repeatedly."""

    frame: Frame
    target: tuple[int, int]
    future: Future[Frame] = field(default_factory=Future)

    @property
    def kind(self) -> tuple[FrameFormat, int, int, bool]:
        """Jobs of one kind may share a batch."""
        return self.frame.format, self.frame.width, self.frame.height, self.frame.alpha is not None


class JobQueue:
    """What waits for a device. Holds no reference to the engine, so that dropping the engine closes it."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._closed = False

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

    def take(self, most: int) -> list[Job]:
        """Wait for a job and return up to ``most`` of one kind; empty when closed and everything is done."""
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return []
                self._changed.wait()
            batch = [self._jobs.popleft()]
            deadline = time.monotonic() + FLUSH_SECONDS
            while len(batch) < most:
                if self._jobs:
                    if self._jobs[0].kind != batch[0].kind:
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


class Engine:
    """Runs one loaded model on one or more devices; see :class:`~.upscaler.Upscaler` for the arguments."""

    def __init__(
        self,
        loaded: LoadedModel,
        plugins: Plugins,
        *,
        device: str | Sequence[str],
        backend: str,
        precision: str,
        tile: int | str,
        batch: int | str,
    ) -> None:
        for name, value in (("tile", tile), ("batch", batch)):
            if value != "auto" and (not isinstance(value, int) or value < 1):
                raise FrameError(f"{name} {value!r} is neither 'auto' nor a whole number of at least 1")
        self._loaded = loaded
        self._queue = JobQueue()
        spec = plugins.backend("torch" if backend == "auto" else backend)
        self._workers = [
            DeviceWorker(
                self._queue,
                loaded,
                spec,
                name,
                _precision(spec, name, precision),
                None if tile == "auto" else int(tile),
                (CUDA_BATCH if name.startswith("cuda") else 1) if batch == "auto" else int(batch),
            )
            for name in resolve_devices(device)
        ]
        self._finalizer = weakref.finalize(self, self._queue.close)
        for worker in self._workers:
            worker.start()

    @property
    def description(self) -> str:
        """Backend, devices and precision, for example ``torch, cpu, bfloat16``."""
        first = self._workers[0]
        return f"{first.backend.name}, {'+'.join(w.device for w in self._workers)}, {first.precision}"

    @property
    def lookahead(self) -> int:
        """Frames in flight that keep every worker busy: one batch running and one waiting for each."""
        return 2 * sum(worker.batch for worker in self._workers) + 1

    def submit(self, frame: Frame, target: tuple[int, int]) -> Future[Frame]:
        """Queue a frame to be brought to ``target`` (width, height)."""
        check_format(frame.format, self._loaded.spec.channels)
        job = Job(frame, target)
        self._queue.put(job)
        return job.future

    def close(self) -> None:
        """Finish everything that was submitted, then end the workers."""
        self._finalizer()
        for worker in self._workers:
            if worker is not threading.current_thread():
                worker.join()


def _precision(backend: BackendSpec, device: str, asked: str) -> Precision:
    available = backend.precisions(device)
    if asked == "auto":
        return available[0]
    if asked not in available:
        raise UnknownNameError(f"precision of backend {backend.name} on {device}", asked, available)
    return next(p for p in available if p == asked)
