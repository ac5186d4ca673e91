"""One device's thread: planes up, network, planes down, and what to do when memory or precision runs out.

Out of memory never costs a frame: first the batch is halved, then the tile, and the same frame runs again; what was
learnt stays. Values that are not finite in half precision run again in float32.
"""

from __future__ import annotations

import copy
import logging
import math
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sr_plugins.color import Conversion, margin
from sr_plugins.errors import DeviceError, FrameError, ModelOutputError
from sr_plugins.frame import Frame, Plane, empty_frame
from sr_plugins.model_spec import BackendSpec, LoadedModel, Precision, Runner
from sr_plugins.resampling import chroma_offset, resize_plane
from sr_plugins.tiling import SMALLEST_INNER, Tile, tiles

if TYPE_CHECKING:
    from sr_plugins.engine import Job, JobQueue

logger = logging.getLogger("sr_plugins")

# Largest tile to begin with, in input pixels. On a CPU small tiles also run faster: layers stay in the cache.
CPU_TILE_PIXELS = 1 << 19
CUDA_TILE_PIXELS = 1 << 22


class DeviceWorker(threading.Thread):
    """Takes jobs from the queue and runs them on ``device`` until the queue is closed."""

    def __init__(
        self,
        queue: JobQueue,
        loaded: LoadedModel,
        backend: BackendSpec,
        device: str,
        precision: Precision,
        tile: int | None,
        batch: int,
    ) -> None:
        super().__init__(name=f"sr_plugins-{device}", daemon=True)
        self.backend, self.device, self.precision, self.batch = backend, device, precision, batch
        self._queue, self._spec = queue, loaded.spec
        self._module = loaded.module
        self._runner = backend.build(copy.deepcopy(loaded.module), device, precision)
        self._exact: Runner | None = None
        self._side = tile
        self._pixels = CPU_TILE_PIXELS if device == "cpu" else CUDA_TILE_PIXELS
        self._said: set[str] = set()

    def run(self) -> None:
        """The thread's body."""
        while taken := self._queue.take(self.batch):
            jobs = [j for j in taken if j.future.running() or j.future.set_running_or_notify_cancel()]
            if jobs:
                self._serve(jobs)
            del taken, jobs  # keep no frame alive while waiting

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
            result = _resized(result, width, height)
        job.future.set_result(result)

    # -- memory ----------------------------------------------------------------------------------------------------

    def _with_memory_there_is(self, frames: Sequence[Frame]) -> list[Frame]:
        while True:
            try:
                return self._run_frames(frames)
            except torch.OutOfMemoryError:
                pass
            # outside the except block, so that the failed attempt's tensors are free
            if self.device.startswith("cuda"):
                torch.cuda.empty_cache()
            if len(frames) > 1:
                self.batch = len(frames) // 2
                self._say("memory", f"{self.device} is out of memory: working in batches of {self.batch}")
                return [r for f in _chunks(frames, self.batch) for r in self._with_memory_there_is(f)]
            self._shrink_tile(frames[0])

    def _shrink_tile(self, frame: Frame) -> None:
        reach = self._margin(frame)
        largest = self._largest(frame)
        used = min(largest[0], frame.height) * min(largest[1], frame.width)
        side = math.isqrt(used // 2)
        if side < SMALLEST_INNER + 2 * reach:
            raise DeviceError(
                f"{self.device} is out of memory even for a tile of {math.isqrt(used)} pixels: "
                "close other programs on it, or use device 'cpu'"
            )
        self._side = side
        self._say("memory", f"{self.device} is out of memory: working in smaller tiles, from now on {side} pixels")

    def _largest(self, frame: Frame) -> tuple[int, int]:
        """(height, width) of the largest tile to try."""
        if self._side is not None:
            return self._side, self._side
        if frame.width * frame.height <= self._pixels:
            return frame.height, frame.width
        side = math.isqrt(self._pixels)
        return side, side

    def _margin(self, frame: Frame) -> int:
        spec = self._spec
        return margin(frame.format, spec.channels, spec.receptive_radius, spec.scale, alpha=frame.alpha is not None)

    def _say(self, about: str, text: str) -> None:
        if about not in self._said:
            self._said.add(about)
            logger.warning(text)

    # -- one batch -------------------------------------------------------------------------------------------------

    def _run_frames(self, frames: Sequence[Frame]) -> list[Frame]:
        first = frames[0]
        scale = self._spec.scale
        has_alpha = first.alpha is not None
        results = [empty_frame(f.format, f.width * scale, f.height * scale, alpha=has_alpha) for f in frames]
        conversion = Conversion(first.format, self._spec.channels, scale, (first.width, first.height))
        reach = self._margin(first)
        sx, sy = first.format.subsampling
        for tile in tiles(first.height, first.width, self._largest(first), reach, (1 << sy, 1 << sx)):
            with torch.inference_mode():
                planes, alpha = self._run_tile(frames, tile, conversion, reach // 2 if has_alpha else 0)
            for n, result in enumerate(results):
                for i, plane in enumerate(planes):
                    shift = (sy, sx) if i and first.format.family == "yuv" else (0, 0)
                    _paste(result.planes[i], plane[n], tile, scale, shift, blend=self._spec.global_operations)
                if alpha is not None and result.alpha is not None:
                    _paste(result.alpha, alpha[n], tile, scale, (0, 0), blend=False)
        return results

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
            uploads.append(self._upload([cut(f.planes[i], *shift) for f in frames]))
        alpha = (
            None
            if frames[0].alpha is None
            else self._upload([cut(f.alpha, 0, 0) for f in frames if f.alpha is not None])
        )
        x, codes = conversion.to_model(uploads, alpha, bleed)
        if format.is_float and not bool(torch.isfinite(x.sum())):
            raise FrameError("the frame holds samples that are not a number or infinite")
        y = self._network(x)
        planes = [p.cpu().numpy() for p in conversion.to_planes(y, codes)]
        return planes, None if alpha is None else conversion.enlarge_alpha(alpha).cpu().numpy()

    def _upload(self, parts: Sequence[Plane]) -> Tensor:
        stacked = torch.from_numpy(np.stack(parts))
        if self.device.startswith("cuda"):
            return stacked.pin_memory().to(self.device, non_blocking=True)
        return stacked.to(self.device)

    def _network(self, x: Tensor) -> Tensor:
        """The one network call, its promise checked."""
        y = self._runner(x) if self._exact is None else self._exact(x)
        n, c, h, w = x.shape
        scale = self._spec.scale
        if y.shape != (n, c, h * scale, w * scale):
            raise ModelOutputError(
                f"model {self._spec.label} returned shape {tuple(y.shape)} for {tuple(x.shape)}, "
                f"expected {(n, c, h * scale, w * scale)}"
            )
        if bool(torch.isfinite(y.sum(dtype=torch.float32))):
            return y
        if self.precision != "float32" and "float32" in self.backend.precisions(self.device):
            self._say(
                "finite", f"model {self._spec.label} overflows in {self.precision}: running such frames in float32"
            )
            exact = self.backend.build(copy.deepcopy(self._module), self.device, "float32")
            y = exact(x)
            if bool(torch.isfinite(y.sum(dtype=torch.float32))):
                return y
        raise ModelOutputError(f"model {self._spec.label} returned values that are not finite, also in float32")


def _chunks(frames: Sequence[Frame], size: int) -> list[Sequence[Frame]]:
    return [frames[i : i + size] for i in range(0, len(frames), size)]


def _paste(target: Plane, part: Plane, tile: Tile, scale: int, shift: tuple[int, int], *, blend: bool) -> None:
    """Write a tile's inner part into ``target``; ``blend`` fades the whole outer part in over what was written."""
    places, cuts, ramps = [], [], []
    for span, log2 in zip((tile.y, tile.x), shift, strict=True):
        outer = span.outer_start * scale >> log2
        start, stop = (span.outer_start, span.outer_stop) if blend else (span.start, span.stop)
        begin, end = start * scale >> log2, -(-stop * scale >> log2)
        places.append(slice(begin, end))
        cuts.append(slice(begin - outer, end - outer))
        fade = 2 * (span.start - span.outer_start) * scale >> log2
        ramps.append(np.minimum((np.arange(end - begin) + 0.5) / max(fade, 0.5), 1.0))
    inside = part[cuts[0], cuts[1]]
    place = (places[0], places[1])
    if blend and (tile.y.outer_start or tile.x.outer_start):
        weight = ramps[0][:, None] * ramps[1][None, :]
        mixed = target[place] * (1 - weight) + inside * weight
        # where the weight is one, memory that was never written must not matter
        inside = np.where(weight == 1, inside, mixed if part.dtype.kind == "f" else np.rint(mixed)).astype(part.dtype)
    target[place] = inside


def _resized(frame: Frame, width: int, height: int) -> Frame:
    """A frame resized to any size with an antialiasing cubic filter, siting kept."""
    format = frame.format
    top = None if format.is_float else float((1 << format.bits) - 1)
    shift = (format.subsampling[1], format.subsampling[0])
    sited = tuple(chroma_offset(format.chroma_location, axis, shift[axis]) for axis in (0, 1))

    def resized(plane: Plane, index: int) -> Plane:
        chroma = format.family == "yuv" and index > 0
        w, h = format.plane_size(index, width, height)
        log2, offset = (shift, (sited[0], sited[1])) if chroma else ((0, 0), (0.0, 0.0))
        return resize_plane(plane, h, w, log2=log2, offset=offset, top=top)

    planes = [resized(plane, i) for i, plane in enumerate(frame.planes)]
    return Frame(planes, format, None if frame.alpha is None else resized(frame.alpha, 0))
