"""The batching executor: submit(frame) -> Future, in order, across devices.

Frames wait in one queue. Each device has a worker thread that takes what waits, as many frames of one format and size
as its batch allows, runs them, and sets their futures. Order is the caller's: futures are awaited in the order of
submission, whichever device finishes first.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Sequence
from concurrent.futures import Future

from sr_plugins.backends.selection import choose, network_for, precision_for
from sr_plugins.devices import resolve_devices
from sr_plugins.engine.cuda_graphs import CudaGraphs
from sr_plugins.engine.job import Job
from sr_plugins.engine.job_queue import JobQueue
from sr_plugins.engine.lane import DeviceWorker
from sr_plugins.engine.placed_network import Device
from sr_plugins.engine.reuse import Reuse
from sr_plugins.interface.backend import BackendSpec, Placement
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.words import Precision
from sr_plugins.pixels.conversion import check_format
from sr_plugins.pixels.frame import Frame
from sr_plugins.plugins import Plugins

CUDA_BATCH = 4


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
        self_ensemble: bool,
        reuse: bool,
    ) -> None:
        self._loaded, self._self_ensemble, self._reuse = loaded, self_ensemble, reuse
        self._queue = JobQueue()
        self._devices = []
        for name in resolve_devices(device):
            spec = choose(loaded, plugins, name, precision) if backend == "auto" else plugins.backend(backend)
            self._devices.append(
                self._device(spec, name, precision_for(spec, self._loaded.spec, name, precision), tile, batch)
            )
        self._workers = [DeviceWorker(self._queue, loaded, d) for d in self._devices for _ in range(d.lanes)]
        self._finalizer = weakref.finalize(self, self._queue.close)
        self._finalizer.atexit = False  # _end_workers does more
        for worker in self._workers:
            _running[worker] = self._queue
            worker.start()

    def _device(self, spec: BackendSpec, name: str, precision: Precision, tile: int | str, batch: int | str) -> Device:
        # on CUDA the arithmetic may depend on a picture's size, so that parts are not byte-equal to the whole; who asks
        # for the self-ensemble is not in a hurry
        reusable = self._reuse and name == "cpu" and not self._loaded.spec.blends and not self._self_ensemble
        recordable = name.startswith("cuda") and spec.recordable and not self._self_ensemble
        most = (CUDA_BATCH if name.startswith("cuda") else 1) if batch == "auto" else int(batch)
        return Device(
            name,
            spec,
            precision,
            spec.build(network_for(spec, self._loaded), Placement(device=name, precision=precision, batch=most)),
            spec.lanes(name),
            most,
            None if tile == "auto" else int(tile),
            reuse=Reuse() if reusable else None,
            graphs=CudaGraphs() if recordable else None,
            self_ensemble=self._self_ensemble,
        )

    @property
    def description(self) -> str:
        """Backend, devices and precision, for example ``torch, cpu, bfloat16``; and the self-ensemble, where asked."""
        first = self._devices[0]
        ensemble = ", self-ensemble" if self._self_ensemble else ""
        return f"{first.backend.name}, {'+'.join(d.name for d in self._devices)}, {first.precision}{ensemble}"

    @property
    def lookahead(self) -> int:
        """Frames in flight that keep every lane busy: one batch running and one waiting for each."""
        return 2 * sum(device.batch * device.lanes for device in self._devices) + 1

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


_running: weakref.WeakKeyDictionary[DeviceWorker, JobQueue] = weakref.WeakKeyDictionary()


@atexit.register
def _end_workers() -> None:
    """Wait for each worker to finish its tile: Python must not end while a thread is inside a C++ library."""
    left = [(worker, queue) for worker, queue in _running.items() if worker.is_alive()]
    for _, queue in left:
        queue.abandon()
    for worker, _ in left:
        worker.join()
