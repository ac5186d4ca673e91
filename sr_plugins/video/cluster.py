"""The chunks of films on the machines of a Ray cluster, each of which decodes, upscales and encodes whole chunks.

The film is the one that a single machine makes. Machines that would compute differently are refused. A chunk whose
decoder began in the middle is kept only if the frame before it is the very one that the chunk before ended with. When
a machine is lost, others make its chunk.
"""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from heapq import heappop, heappush
from pathlib import Path
from typing import Any, Self, Unpack

from sr_plugins.errors import DeviceError, PipeError, PluginError, SRError, one_line
from sr_plugins.settings import OtherSettings, checked
from sr_plugins.upscaler import Upscaler
from sr_plugins.version import extra_command
from sr_plugins.video.chunk_worker import ChunkWorker, Made
from sr_plugins.video.chunks import Chunk, Film, frame_before
from sr_plugins.video.journal_lines import ChunkRecord
from sr_plugins.video.ray_watch import KEPT, watch_ray
from sr_plugins.weights.digest import weights_digest
from sr_plugins.weights.open_model import located
from sr_plugins.whole_file import whole_file

logger = logging.getLogger("sr_plugins")

CONNECT_SECONDS = 10
JOIN_SECONDS = 180  # how long a machine may take to start Python and open the model
LOOK_SECONDS = 1.0  # between looks at how far the machines are
AHEAD = 2  # chunks for each machine that may be finished before an earlier one is

# what must be the same on all machines, and what to do where it is not
CURES = {
    "sr-plugins": "install the same on all machines",
    "model": "give --device, --backend and --precision",
    "weights": "give all machines the same weights",
    "ffmpeg": "name the same with --ffmpeg",
}

Worker = Any  # a handle of Ray's


class Cluster:
    """The machines of a Ray cluster, one model opened on each; stands in for an ``Upscaler`` in ``upscale_video``.

    Each machine with GPUs gives a worker for each of them, any other one worker with all its cores. The cluster is the
    one that ``RAY_ADDRESS`` or a running Ray on this machine names; without any, this machine alone.

    Args:
        model: a registered name, or the path of a weights file that all machines see.
        scale, settings: as for :class:`~.upscaler.Upscaler`, on every machine.
        ffmpeg: the executable to use on every machine.

    Raises:
        PluginError: Ray is not installed.
        DeviceError: no machine is free, or they would not compute the same.
        SRError: what the upscaler raises.
    """

    def __init__(
        self,
        model: str | Path = "fast",
        scale: float | None = None,
        *,
        ffmpeg: str | Path | None = None,
        **settings: Unpack[OtherSettings],
    ) -> None:
        asked = checked({"scale": scale, **settings})
        self._ray = _ray()
        model = located(model)
        # sizes and weights are needed here, its speed is not
        self.upscaler = Upscaler(model, scale, size=asked["size"], device="cpu", backend="torch")
        self._arguments: dict[str, Any] = {"model": model, **asked}
        self._ffmpeg = None if ffmpeg is None else str(ffmpeg)
        self._started = not self._ray.is_initialized()
        if self._started:
            self._join()
        watch_ray(self._ray)
        self._workers: list[Worker] = []
        try:
            self._identity = self._gather()
        except BaseException:
            self.close()
            raise

    # -- what upscale_video asks of an Upscaler ----------------------------------------------------------------------

    @property
    def description(self) -> str:
        """Model, backend, device and precision in use, the same on all machines."""
        return self._identity["model"]

    # -- machines ----------------------------------------------------------------------------------------------------

    @property
    def workers(self) -> int:
        """How many chunks are made at once."""
        return len(self._workers)

    def _join(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers otherwise
        host, _, port = os.environ.get("RAY_ADDRESS", "").rpartition(":")
        try:
            if host and port.isdecimal() and "//" not in host:  # Ray itself would try for minutes
                socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
            self._ray.init(log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError) as error:
            raise DeviceError(
                f"the Ray cluster cannot be reached ({one_line(error)}): see ray status, and RAY_ADDRESS"
            ) from error

    def _gather(self) -> dict[str, str]:
        """Start a worker on every machine; returns what all of them are."""
        started = [worker for node in self._ray.nodes() if node["Alive"] for worker in self._start(node)]
        asked = {worker.open.remote(self._arguments, self._ffmpeg): worker for worker in started}
        ready, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=JOIN_SECONDS) if asked else ([], [])
        found: list[dict[str, str]] = []
        self._workers = []
        for reference, worker in asked.items():
            try:
                if reference not in ready:
                    raise TimeoutError
                found.append(self._result(reference))
                self._workers.append(worker)
            except (TimeoutError, self._ray.exceptions.RayActorError):
                logger.warning("a machine of the cluster is busy or was lost, and is left out")
                self._ray.kill(worker)
        if not found:
            raise DeviceError("no machine of the Ray cluster is free: see ray status")
        expected = {**found[0], "weights": weights_digest(self.upscaler.loaded)}
        for machine in found:
            for key, cure in CURES.items():
                if machine[key] != expected[key]:
                    names = f"{machine['machine']} has {key} {machine[key]}, {expected['machine']} {expected[key]}"
                    raise DeviceError(f"{names}: {cure}")
        return expected

    def _start(self, node: dict[str, Any]) -> list[Worker]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        resources = node["Resources"]
        cores = int(resources.get("CPU", 0))
        gpus = 0 if self._arguments["device"].lower() == "cpu" else int(resources.get("GPU", 0))
        if not cores:
            return []
        actor = self._ray.remote(ChunkWorker).options(
            num_cpus=max(1, cores // max(1, gpus)),
            num_gpus=min(1, gpus),
            max_concurrency=2,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        return [actor.remote() for _ in range(max(1, gpus))]

    def _result(self, reference: Any) -> Any:
        """What a worker returned; its own error where it raised one."""
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, SRError):
                raise error.cause from None
            raise

    # -- chunks ------------------------------------------------------------------------------------------------------

    def make(
        self,
        film: Film,
        chunks: Sequence[Chunk],
        before: Sequence[ChunkRecord],
        partial: Callable[[int], Path],
        advance: Callable[[int, int, int], None],
    ) -> Generator[ChunkRecord]:
        """Make the chunks on all machines; yields their records in order, each with its file at ``partial(index)``.

        ``before`` ends with the record of the chunk before the first, if there is one. ``advance(index of the first
        unfinished chunk, frames written, frames reused)`` is called now and then.

        Raises:
            PipeError: a chunk failed, or all machines were lost.
        """
        film = replace(film, source=replace(film.source, path=film.source.path.absolute()))
        with self._answered():
            if not self._workers:
                self._identity = self._gather()
            sent = self._ray.put(film)
        previous = before[-1] if before else None
        waiting = [
            (chunk.index, chunk, frame_before(film.source.timeline, chunk)) for chunk in chunks
        ]  # a heap: sorted
        running: dict[Any, tuple[Worker, Chunk]] = {}
        idle = deque(self._workers)
        done: dict[int, Made] = {}
        following = deque(chunks)
        try:
            while following:
                first = following[0]
                with self._answered():
                    while idle and waiting and waiting[0][0] < first.index + AHEAD * len(self._workers):
                        _, chunk, entry = heappop(waiting)
                        worker = idle.popleft()
                        running[worker.make.remote(sent, chunk, entry)] = worker, chunk
                    ready, _ = self._ray.wait(list(running), timeout=LOOK_SECONDS)
                    for reference in ready:
                        worker, chunk = running.pop(reference)
                        try:
                            done[chunk.index] = self._result(reference)
                        except self._ray.exceptions.RayActorError:
                            self._lose(worker)
                            heappush(waiting, (chunk.index, chunk, frame_before(film.source.timeline, chunk)))
                        else:
                            idle.append(worker)
                while following and (made := done.pop(following[0].index, None)) is not None:
                    chunk = following[0]
                    if not made.follows(previous):
                        heappush(waiting, (chunk.index, chunk, None))  # no decoder to begin in the middle
                        break
                    with whole_file(partial(chunk.index)) as temporary:
                        temporary.write_bytes(made.encoded)
                    previous = made.record
                    following.popleft()
                    yield made.record
                if following:
                    self._tell(running, done, following[0].index, advance)
        finally:
            if running:  # given up: what they do is of no use
                self._dismiss()

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Around what is asked of Ray: raises ``PipeError`` where it is gone, for which it has no error of its own."""
        try:
            yield
        except (OSError, self._ray.exceptions.RaySystemError) as error:
            self._workers, self._started = [], False  # no more is asked of it
            raise PipeError(f"Ray on this machine was ended ({one_line(error)}): {KEPT}") from error

    def _lose(self, worker: Worker) -> None:
        self._workers.remove(worker)
        if not self._workers:
            raise PipeError(f"all machines of the cluster were lost: {KEPT}")
        logger.warning("a machine of the cluster was lost: %d left", len(self._workers))

    def _tell(
        self,
        running: dict[Any, tuple[Worker, Chunk]],
        done: dict[int, Made],
        first: int,
        advance: Callable[[int, int, int], None],
    ) -> None:
        asked = [worker.progress.remote() for worker, _ in running.values()]
        ready, _ = self._ray.wait(asked, num_returns=len(asked), timeout=LOOK_SECONDS) if asked else ([], [])
        try:
            told = [self._ray.get(reference) for reference in ready]
        except self._ray.exceptions.RayError:  # lost; the chunk's own reference tells
            return
        told += [(len(made.record.times), made.record.reused) for made in done.values()]
        advance(first, sum(written for written, _ in told), sum(reused for _, reused in told))

    def _dismiss(self) -> None:
        for worker in self._workers:
            self._ray.kill(worker)
        self._workers = []

    def close(self) -> None:
        """Free the machines."""
        self._dismiss()
        self.upscaler.close()
        if self._started:
            self._ray.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise PluginError(f"a cluster needs Ray: {extra_command('cluster')}") from error
    return ray
