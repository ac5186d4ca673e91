"""One device's thread: planes up, network, planes down, and what to do when memory runs out.

Out of memory never costs a frame: first the batch is halved, then the tile, and the same frame runs again; what was
learnt stays.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sr_plugins.engine.job_queue import SharedTiles
from sr_plugins.engine.joining import paste
from sr_plugins.engine.placed_network import Device, finest, run_network
from sr_plugins.engine.reuse import exact_in_parts
from sr_plugins.engine.tiling import SMALLEST_INNER, Tile, tiles
from sr_plugins.engine.transfer import download, lane_stream, upload
from sr_plugins.errors import DeviceError, FrameError
from sr_plugins.interface.backend import Runner
from sr_plugins.interface.model import LoadedModel
from sr_plugins.pixels.conversion import Conversion, margin, output_coding
from sr_plugins.pixels.frame import Frame, Plane, empty_frame
from sr_plugins.pixels.resampling import resized_frame

if TYPE_CHECKING:
    from sr_plugins.engine.job import Job
    from sr_plugins.engine.job_queue import JobQueue

# Largest tile to begin with, in input pixels. On a CPU small tiles also run faster: layers stay in the cache.
CPU_TILE_PIXELS = 1 << 19
CUDA_TILE_PIXELS = 1 << 22

_setting_threads = threading.Lock()


class DeviceWorker(threading.Thread):
    """One lane: takes jobs from the queue and runs them on ``device`` until the queue is closed."""

    def __init__(self, queue: JobQueue, loaded: LoadedModel, device: Device) -> None:
        super().__init__(name=f"sr_plugins-{device.name}", daemon=True)
        self._queue, self._device = queue, device
        self._loaded, self._spec = loaded, loaded.spec
        self._pixels = CPU_TILE_PIXELS if device.name == "cpu" else CUDA_TILE_PIXELS

    def run(self) -> None:
        """The thread's body."""
        if self._device.lanes > 1:
            _compute_in_this_thread_alone()
        with lane_stream(self._device.name):
            while (taken := self._queue.take(self._device)) is not None:
                if isinstance(taken, SharedTiles):
                    taken.run()
                elif jobs := [j for j in taken if j.future.running() or j.future.set_running_or_notify_cancel()]:
                    self._serve(jobs)
                    del jobs  # keep no frame alive while waiting
                del taken
        del self._device, self._loaded  # here, not after the thread's end, which nobody can wait for

    def _serve(self, jobs: Sequence[Job]) -> None:
        """Set the future of every job, whatever happens."""
        try:
            results = self._with_memory_there_is([job.frame for job in jobs])
            for job, result in zip(jobs, results, strict=True):
                self._finish(job, result)
        except BaseException as error:
            if len(jobs) > 1:  # find the one it belongs to
                for job in jobs:
                    if not job.future.done():
                        self._serve([job])
            else:
                jobs[0].future.set_exception(error)

    def _finish(self, job: Job, result: Frame) -> None:
        """Hand out the frame, or send it through the network again, or resize it to what was asked."""
        width, height = job.target
        if self._spec.scale > 1 and (result.width < width or result.height < height):
            job.frame = result
            self._queue.put_back(job)
            return
        if (result.width, result.height) != job.target:
            result = resized_frame(result, width, height)
        job.future.set_result(result)

    # -- memory ----------------------------------------------------------------------------------------------------

    def _with_memory_there_is(self, frames: Sequence[Frame]) -> list[Frame]:
        device = self._device
        while True:
            tried = self._largest(frames[0])
            try:
                return self._run_frames(frames)
            except torch.OutOfMemoryError:
                pass
            # outside the except block, so that the failed attempt's tensors are free
            if device.name.startswith("cuda"):
                if device.graphs is not None:
                    device.graphs.turn_off("out of memory")
                torch.cuda.empty_cache()
            if len(frames) > 1:
                device.batch = len(frames) // 2
                device.say("memory", f"{device.name} is out of memory: working in batches of {device.batch}")
                return [r for f in batched(frames, device.batch) for r in self._with_memory_there_is(f)]
            with device.shrinking:
                # another lane may have failed at the same tile, and shrunk it for both
                if self._largest(frames[0]) == tried:
                    self._shrink_tile(frames[0])

    def _shrink_tile(self, frame: Frame) -> None:
        device, reach, largest = self._device, self._margin(frame), self._largest(frame)
        used = min(largest[0], frame.height) * min(largest[1], frame.width)
        side = math.isqrt(used // 2)
        if side < SMALLEST_INNER + 2 * reach:
            raise DeviceError(
                f"{device.name} is out of memory even for a tile of {math.isqrt(used)} pixels: "
                "close other programs on it, or use device 'cpu'"
            )
        device.side = side
        device.say("memory", f"{device.name} is out of memory: working in smaller tiles, from now on {side} pixels")

    def _largest(self, frame: Frame) -> tuple[int, int]:
        """(height, width) of the largest tile to try."""
        if self._device.side is not None:
            return self._device.side, self._device.side
        if frame.width * frame.height <= self._pixels:
            return frame.height, frame.width
        side = math.isqrt(self._pixels)
        return side, side

    def _margin(self, frame: Frame) -> int:
        spec = self._spec
        return margin(frame.format, spec.channels, spec.reads, spec.scale, alpha=frame.alpha is not None)

    # -- one batch -------------------------------------------------------------------------------------------------

    def _run_frames(self, frames: Sequence[Frame]) -> list[Frame]:
        reuse = self._device.reuse
        if len(frames) > 1 or reuse is None:
            return self._computed(frames)
        frame, resting = frames[0], reuse.look(frames[0], self._margin(frames[0]))
        if resting is None:
            result = self._computed(frames)[0]
        else:
            result = resting.result.copied()
            self._compute(frames, [result], resting.tiles)
            if not resting.trusted:
                whole = self._computed(frames)[0]
                # no larger than a tile: the whole of a large picture would not fit into memory
                height, width = self._largest(frame)
                size = min(height, frame.height), min(width, frame.width)
                probe = finest(self._device.runner, output_coding(frame.format, self._spec.channels))
                exact = exact_in_parts(probe, self._spec, size)
                reuse.prove(frame, exact and result.same_samples(whole))
                result = whole
        reuse.remember(frame, result)
        return [result]

    def _computed(self, frames: Sequence[Frame]) -> list[Frame]:
        """Every pixel of every frame, through the network."""
        first, scale, reach = frames[0], self._spec.scale, self._margin(frames[0])
        parts = list(tiles(first.height, first.width, self._largest_now(first), reach))
        if len(parts) == 1:  # its planes are the frame's
            (tile,) = self._queue.wanted(parts)
            planes, alpha = self._run_tile(frames, tile, *self._conversion(first))
            return [
                Frame([plane[n] for plane in planes], first.format, None if alpha is None else alpha[n])
                for n in range(len(frames))
            ]
        results = [
            empty_frame(f.format, f.width * scale, f.height * scale, alpha=first.alpha is not None) for f in frames
        ]
        self._compute(frames, results, parts)
        return results

    def _largest_now(self, frame: Frame) -> tuple[int, int]:
        """(height, width) of the largest tile, where idle lanes are to get some of the frame."""
        height, width = self._largest(frame)
        reach = self._margin(frame)
        parts = min(1 + self._queue.idle(self._device), frame.height // (SMALLEST_INNER + 4 * reach))
        if height < frame.height or parts < 2 or self._spec.blends or self._device.name != "cpu":
            return height, width
        return -(-frame.height // parts) + 2 * reach + SMALLEST_INNER, width

    def _compute(self, frames: Sequence[Frame], results: Sequence[Frame], parts: Iterable[Tile]) -> None:
        """Compute ``parts`` of every frame and write them into ``results``, with the help of idle lanes."""
        first, scale = frames[0], self._spec.scale
        conversion, bleed = self._conversion(first)
        sx, sy = first.format.subsampling

        def one(tile: Tile) -> None:
            planes, alpha = self._run_tile(frames, tile, conversion, bleed)
            for n, result in enumerate(results):
                for i, plane in enumerate(planes):
                    shift = (sy, sx) if i and first.format.family == "yuv" else (0, 0)
                    paste(result.planes[i], plane[n], tile, scale, shift, blend=self._spec.blends)
                if alpha is not None and result.alpha is not None:
                    paste(result.alpha, alpha[n], tile, scale, (0, 0), blend=False)

        if self._device.lanes == 1 or self._spec.blends:  # blending goes by the order of tiles
            for tile in self._queue.wanted(parts):
                one(tile)
        else:
            with self._queue.shared(SharedTiles(parts, one), self._device) as shared:
                shared.run()

    def _conversion(self, frame: Frame) -> tuple[Conversion, int]:
        """How frames like this one become the model's tensor, and how far colour is bled below their alpha."""
        conversion = Conversion(frame.format, self._spec.channels, self._spec.scale, (frame.width, frame.height))
        return conversion, self._margin(frame) // 2 if frame.alpha is not None else 0

    @torch.inference_mode()
    def _run_tile(
        self, frames: Sequence[Frame], tile: Tile, conversion: Conversion, bleed: int
    ) -> tuple[list[Plane], Plane | None]:
        """The outer part of ``tile`` of every frame, enlarged: planes (N, h, w) on the host, and alpha."""
        format = frames[0].format

        def cut(plane: Plane, sx: int, sy: int) -> Plane:
            y, x = tile.y, tile.x
            return plane[y.outer_start >> sy : -(-y.outer_stop >> sy), x.outer_start >> sx : -(-x.outer_stop >> sx)]

        uploads = []
        for i in range(format.planes):
            shift = format.subsampling if i and format.family == "yuv" else (0, 0)
            uploads.append(upload([cut(f.planes[i], *shift) for f in frames], self._device.name))
        if frames[0].alpha is not None:
            alpha = upload([cut(f.alpha, 0, 0) for f in frames if f.alpha is not None], self._device.name)
            *planes, enlarged = download(
                [*self._enlarged(uploads, conversion, alpha, bleed), conversion.enlarge_alpha(alpha)]
            )
            return planes, enlarged
        return download(self._launched(uploads, conversion) or self._enlarged(uploads, conversion)), None

    def _enlarged(
        self, planes: Sequence[Tensor], conversion: Conversion, alpha: Tensor | None = None, bleed: int = 0
    ) -> list[Tensor]:
        """Planes (N, H, W) on the device through conversion, network and conversion, everything checked."""
        x, codes = conversion.to_model(planes, alpha, bleed)
        if conversion.format.is_float and not bool(torch.isfinite(x.sum())):
            raise FrameError("the frame holds samples that are not a number or infinite")
        coding = output_coding(conversion.format, self._spec.channels)
        return conversion.to_planes(run_network(self._device, self._loaded, x, coding), codes)

    def _launched(self, planes: Sequence[Tensor], conversion: Conversion) -> list[Tensor] | None:
        """The same by a CUDA graph; ``None`` where there is none for this shape, or its values are not finite."""
        graphs = self._device.graphs
        if graphs is None or conversion.format.is_float:
            return None
        compute = partial(enlarged_unchecked, conversion, self._device.runner)
        result = graphs.launch(conversion.kind, compute, planes)
        return None if result is None or not bool(result[0]) else result[1:]


def enlarged_unchecked(conversion: Conversion, runner: Runner, planes: Sequence[Tensor]) -> list[Tensor]:
    """Whether the network's values are finite, then the enlarged planes; the device is never waited for."""
    x, codes = conversion.to_model(planes, None, 0)
    y = runner(x)
    return [torch.isfinite(y.sum(dtype=torch.float32)), *conversion.to_planes(y, codes)]


def _compute_in_this_thread_alone() -> None:
    """Make torch's operations in this thread use no other: its lane has one core, and the others have theirs.

    torch keeps the number per thread but also makes it the default of threads to come; another thread sets that back.
    """
    with _setting_threads:  # a lane that asked while another is here would be told one
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        restore = threading.Thread(target=torch.set_num_threads, args=(before,))
        restore.start()
        restore.join()
