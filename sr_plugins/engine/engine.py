"""The devices and lanes of one model: made, handed frames through one queue, closed, and made again after a fork.

Frames wait in one queue. Each device has lanes, threads that take what waits, as many frames of one kind as its batch
allows, run them, and set their futures. Order is the caller's: futures are awaited in the order of submission,
whichever device finishes first.
"""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from sr_plugins.backends.files_of_others import tell_difference
from sr_plugins.backends.precisions import precision_for
from sr_plugins.backends.selection import Candidate, choose
from sr_plugins.backends.torch_eager import NAME as PLAIN
from sr_plugins.devices import resolve_devices
from sr_plugins.engine import fork
from sr_plugins.engine.computation import pixels_at_once
from sr_plugins.engine.cuda_graphs import CudaGraphs
from sr_plugins.engine.device_state import DeviceState
from sr_plugins.engine.job_queue import JobQueue
from sr_plugins.engine.lane import Lane
from sr_plugins.engine.measuring import speeds
from sr_plugins.engine.placed_network import PlacedNetwork
from sr_plugins.engine.reuse import Reuse
from sr_plugins.engine.threads import fit_after_fork
from sr_plugins.engine.tiling import blending, read_further
from sr_plugins.errors import PluginError
from sr_plugins.interface.backend import BackendSpec, Placement
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.words import Precision
from sr_plugins.plugins import OUR_DISTRIBUTION, Plugins

CUDA_BATCH = 4


class Engine:
    """Runs one loaded model on one or more devices; see :class:`~.upscaler.Upscaler` for the arguments.

    Raises:
        ClosedError: in a forked process, for a backend that does not work there.
        DeviceError, PluginError, UnknownNameError: a device, backend or precision that cannot be had.
    """

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
        strength: float,
        overlap: int | str,
    ) -> None:
        self._loaded, self._self_ensemble, self._reuse = loaded, self_ensemble, reuse
        self._strength, self._overlap = strength, overlap
        self._plugins, self._tile, self._batch = plugins, tile, batch
        self._asked = device, backend, precision
        self._reviving = threading.Lock()
        self._inherited = False
        with fit_after_fork():
            self._start()
        fork.watch(self)

    def _start(self) -> None:
        """Choose backends, make networks, queue and lanes."""
        device, backend, precision = self._asked
        loaded, chosen = self._loaded, []
        for name in resolve_devices(device):
            if backend == "auto":
                without, measure = fork.unusable(), partial(speeds, self._measured)
                spec = choose(loaded, self._plugins, name, precision, without=without, measure=measure)
            else:
                spec = self._plugins.backend(backend)
                tell_difference(spec, loaded, self._plugins, name, precision)
            fork.check(spec)
            chosen.append((spec, name, precision_for(spec, loaded, name, precision)))
        if loaded.spec.averages and (self._self_ensemble or any(one.name != PLAIN for one, _, _ in chosen)):
            self._loaded = replace(loaded, spec=blending(loaded.spec))
        if self._strength != 1 or self._overlap != "auto":
            overlap = None if self._overlap == "auto" else int(self._overlap)
            further = read_further(self._loaded.spec, overlap, interpolated=self._strength != 1)
            self._loaded = replace(self._loaded, spec=further)
        self._states = [self._state(*one) for one in chosen]
        self._queue = JobQueue()
        self._lanes = [Lane(self._queue, self._loaded.spec, s) for s in self._states for _ in range(s.lanes)]
        self._finalizer = weakref.finalize(self, self._queue.close)
        self._finalizer.atexit = False  # _end_lanes does more
        for lane in self._lanes:
            _running[lane] = self._queue
            lane.start()

    def _measured(self, candidate: Candidate, device: str) -> Engine:
        """An engine that runs as this one would with another backend."""
        return Engine(
            self._loaded,
            self._plugins,
            device=device,
            backend=candidate.name,
            precision=candidate.precision,
            tile=self._tile,
            batch=self._batch,
            self_ensemble=False,
            reuse=False,
            strength=1.0,
            overlap=self._overlap,
        )

    def _state(self, backend: BackendSpec, device: str, precision: Precision) -> DeviceState:
        spec, cuda = self._loaded.spec, device.startswith("cuda")
        lanes = backend.lanes(device)
        if not isinstance(lanes, int) or lanes < 1:
            raise PluginError(f"backend {backend.name} has {lanes!r} lanes on {device}: a whole number of at least 1")
        most = (CUDA_BATCH if cuda else 1) if self._batch == "auto" else int(self._batch)
        # on CUDA the arithmetic may depend on a picture's size, so that parts are not byte-equal to the whole; who asks
        # for the self-ensemble is not in a hurry
        reusable = self._reuse and device == "cpu" and spec.is_local and not self._self_ensemble
        placement = Placement(device=device, precision=precision, batch=most)
        others = {self._plugins.owner_of(one) for one in (spec, backend)} - {OUR_DISTRIBUTION}
        plain = spec.size_multiple == 1 == spec.minimum_size and not spec.averages
        return DeviceState(
            PlacedNetwork(self._loaded, backend, placement, tuple(sorted(others))),
            lanes,
            most,
            None if self._tile == "auto" else int(self._tile),
            reuse=Reuse() if reusable else None,
            graphs=CudaGraphs() if cuda and backend.recordable and plain and not self._self_ensemble else None,
            ensemble=self._self_ensemble,
            strength=self._strength,
        )

    @property
    def queue(self) -> JobQueue:
        """Where jobs go; after a fork a new one, with lanes of its own.

        Raises:
            ClosedError: inherited by a forked process that cannot use it.
        """
        if self._inherited:
            with self._reviving:
                if self._inherited:
                    self._finalizer.detach()
                    with fit_after_fork():
                        self._start()
                    self._inherited = False
        return self._queue

    @property
    def states(self) -> tuple[DeviceState, ...]:
        """What is known of each device."""
        return tuple(self._states)

    @property
    def description(self) -> str:
        """Backend, devices and precision, for example ``torch, cpu, bfloat16``; and what else was asked for."""
        first = self._states[0].network
        ensemble = ", self-ensemble" if self._self_ensemble else ""
        ensemble += f", strength {self._strength:g}" if self._strength != 1 else ""
        ensemble += f", overlap {self._overlap}" if self._overlap != "auto" else ""
        if self._loaded.spec.blends and self._tile == "auto":  # pixels depend on it
            ensemble += f", tiles of {pixels_at_once(self._loaded.spec, self._states[0].name)} pixels"
        devices = "+".join(state.name for state in self._states)
        return f"{first.backend.name}, {devices}, {first.placement.precision}{ensemble}"

    @property
    def lookahead(self) -> int:
        """Frames in flight that keep every lane busy: one batch running and one waiting for each."""
        return 2 * sum(state.batch * state.lanes for state in self._states) + 1

    def close(self) -> None:
        """Finish everything that was submitted, then end the lanes."""
        self._inherited = False
        self._finalizer()
        self._join()

    def abandon(self) -> None:
        """End the lanes with the tile they are at; what was submitted is cancelled or fails."""
        self._queue.abandon()
        self.close()

    def _join(self) -> None:
        for lane in self._lanes:
            if lane is not threading.current_thread():
                lane.join()

    def inherit(self) -> None:
        """Called in a forked child: threads did not come along, and locks may be held by nobody for ever."""
        self._inherited = self._finalizer.alive  # a closed engine stays closed
        self._reviving = threading.Lock()
        self._finalizer.detach()
        fork.abandon(self._states)
        self._queue.inherit()
        self._queue, self._lanes = JobQueue(), []
        self._finalizer = weakref.finalize(self, self._queue.close)
        self._finalizer.atexit = False
        if not self._inherited:
            self._queue.close()


_running: weakref.WeakKeyDictionary[Lane, JobQueue] = weakref.WeakKeyDictionary()


@atexit.register
def _end_lanes() -> None:
    """Wait for each lane to finish its tile: Python must not end while a thread is inside a C++ library."""
    left = [(lane, queue) for lane, queue in _running.items() if lane.is_alive()]
    for _, queue in left:
        queue.abandon()
    for lane, _ in left:
        lane.join()
