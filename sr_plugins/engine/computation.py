"""How frames of one kind are computed: what rests, tiles and their joining; one tile: up, network, down."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sr_plugins.devices import all_memory
from sr_plugins.engine.device_state import DeviceState
from sr_plugins.engine.exactness import exact_in_parts
from sr_plugins.engine.joining import paste
from sr_plugins.engine.self_ensemble import self_ensemble
from sr_plugins.engine.shared_tiles import SharedTiles
from sr_plugins.engine.strength import softened
from sr_plugins.engine.tiling import SMALLEST_INNER, Tile, reach_of, tiles
from sr_plugins.engine.transfer import download, upload
from sr_plugins.errors import DeviceError, FrameError
from sr_plugins.interface.backend import Runner
from sr_plugins.interface.model import ModelSpec
from sr_plugins.pixels.conversion import Conversion, output_coding
from sr_plugins.pixels.frame import Frame, Plane, empty_frame
from sr_plugins.weights.averages import Averages, average_of, inner_part, map_of, total_of

if TYPE_CHECKING:
    from sr_plugins.engine.job import Job, Kind
    from sr_plugins.engine.job_queue import JobQueue

# Largest tile to begin with, in input pixels. On a CPU small tiles also run faster: layers stay in the cache.
CPU_TILE_PIXELS = 1 << 19
CUDA_TILE_PIXELS = 1 << 22
# A picture so many times as large is cut into half as large tiles of one shape: a shape may cost a compiled network.
MANY = 4
EVERYTHING = 1 << 40  # a CUDA device tells when it lacks memory


def pixels_at_once(spec: ModelSpec, device: str) -> int:
    """The largest tile to begin with, in input pixels: where tiles blend, whatever fits into a quarter of the memory.

    Of all memory there is, not of what is free: the same frame must give the same bytes the next time.
    """
    if device != "cpu":
        return EVERYTHING if spec.blends else CUDA_TILE_PIXELS
    if not spec.blends or spec.working_bytes is None:
        return CPU_TILE_PIXELS
    return max(CPU_TILE_PIXELS, all_memory() // 4 // max(1, spec.working_bytes))


class Computation:
    """All that is the same for frames of one kind on one device; any number of lanes may use it at once.

    Args:
        spec: of the model.
        state: the device and what was learnt about it.
        queue: whose idle lanes may help.
        kind: of the jobs.
    """

    def __init__(self, spec: ModelSpec, state: DeviceState, queue: JobQueue, kind: Kind) -> None:
        self.format, self.width, self.height, self._has_alpha, self._frames = kind
        self.state, self._spec, self._queue = state, spec, queue
        self.reach = reach_of(self.format, spec, alpha=self._has_alpha)
        self._conversion = Conversion(self.format, spec.channels, spec.scale)
        self._bleed = self.reach // 2 if self._has_alpha else 0
        self._coding = output_coding(self.format, spec.channels) if state.strength == 1 else None
        self._now = spec.window[0] if self._frames > 1 else 0  # which of a job's frames is enlarged
        self._pixels = pixels_at_once(spec, state.name)
        self._many = not spec.blends and self.width * self.height > MANY * self._pixels
        if self._many and state.name == "cpu":
            self._pixels //= 2

    def frames(self, jobs: Sequence[Job]) -> list[Frame]:
        """The frames of ``jobs``, enlarged by the network's scale."""
        seen, reuse = jobs[0].frames, self.state.reuse
        if len(jobs) > 1:
            reuse = None
        resting = None if reuse is None else reuse.look(seen, self.reach)
        if resting is not None and resting.trusted:
            results = [resting.result.copied()]
            self._write(jobs, results, resting.tiles)
        else:
            parts = self._tiles()
            if len(parts) == 1:  # its planes are the frame's
                (tile,) = self._queue.wanted(parts)
                planes, alpha = self.tile(jobs, tile)
                results = [
                    Frame([plane[n] for plane in planes], self.format, None if alpha is None else alpha[n])
                    for n in range(len(jobs))
                ]
            else:
                if self._spec.blends:
                    self._tell_of_blending(len(parts))
                results = [self._empty() for _ in jobs]
                self._write(jobs, results, parts, self._gathered(jobs, parts))
        if reuse is not None:
            if resting is not None and not resting.trusted:
                try:
                    parted = resting.result.copied()
                    self._write(jobs, [parted], resting.tiles)
                    equal = self._exact_in_parts() and parted.same_samples(results[0])
                except Exception:  # the frame is finished: what fails now costs the proof alone
                    equal = False
                reuse.prove(seen, equal)
            reuse.remember(seen, results[0])
        return results

    def largest(self) -> tuple[int, int]:
        """(height, width) of the largest tile to try."""
        if self.state.side is not None:
            return self.state.side, self.state.side
        if self.width * self.height <= self._pixels:
            return self.height, self.width
        side = math.isqrt(self._pixels)
        return side, side

    @torch.inference_mode()
    def tile(
        self, jobs: Sequence[Job], tile: Tile, averages: Sequence[Tensor] = ()
    ) -> tuple[list[Plane], Plane | None]:
        """The outer part of ``tile`` of every job's frame, enlarged: planes (N, h, w) on the host, and alpha.

        ``averages``: those of the whole frame that the network takes on its way, where there are several tiles.

        Raises:
            FrameError: a sample is not a number, or infinite.
        """
        conversion, network = self._conversion, self.state.network
        planes, alpha = self._uploaded(jobs, tile)
        if self.format.is_float:
            _check_finite((*planes, *(() if alpha is None else (alpha,))))
        elif alpha is None and (launched := self._launched(planes)) is not None:
            return download(launched), None
        x, codes = conversion.to_model(planes, alpha, self._bleed)
        if self._frames > 1:
            x = x.reshape(len(jobs), self._frames, *x.shape[1:])
            codes = [c if len(c) == len(jobs) else c[self._now :: self._frames] for c in codes]
        with Averages(averages) if self._spec.averages else nullcontext():
            y = self_ensemble(network, x, self._spec.symmetry) if self.state.ensemble else network(x, self._coding)
        if self.state.strength != 1:
            y = softened(x if x.ndim == 4 else x[:, self._now], y, self._spec.scale, self.state.strength)
        enlarged = conversion.to_planes(y, codes)
        if alpha is None:
            return download(enlarged), None
        *planes_down, alpha_down = download([*enlarged, conversion.enlarge_alpha(alpha[self._now :: self._frames])])
        return planes_down, alpha_down

    def _uploaded(self, jobs: Sequence[Job], tile: Tile) -> tuple[list[Tensor], Tensor | None]:
        """The outer part of ``tile`` of every job's frames: planes (N, h, w) on the device, and alpha.

        Of chroma that is only interpolated, those of the frames to enlarge alone.
        """
        device = self.state.name
        frames = [frame for job in jobs for frame in job.frames]
        beside = self._frames > 1 and self._spec.channels == "luma" and not self._has_alpha
        planes = []
        for i in range(self.format.planes):
            shift = self.format.subsampling if i and self.format.family == "yuv" else (0, 0)
            those = frames[self._now :: self._frames] if beside and i and self.format.family == "yuv" else frames
            planes.append(upload([_cut(f.planes[i], tile, *shift) for f in those], device))
        if not self._has_alpha:
            return planes, None
        return planes, upload([_cut(f.alpha, tile, 0, 0) for f in frames if f.alpha is not None], device)

    @torch.inference_mode()
    def _gathered(self, jobs: Sequence[Job], parts: Sequence[Tile]) -> list[Tensor]:
        """The averages over the whole frames that the network takes on its way, one after the other (N, C)."""
        averages: list[Tensor] = []
        for ratio in self._spec.averages:
            total, count = torch.zeros((), dtype=torch.int64), 0
            for tile in self._queue.wanted(parts):
                planes, alpha = self._uploaded(jobs, tile)
                x, _ = self._conversion.to_model(planes, alpha, self._bleed)
                spans = ((tile.y, self.height), (tile.x, self.width))
                y, x_ = ((s.start, s.stop, s.outer_start, s.outer_stop, length) for s, length in spans)
                own = inner_part(map_of(self.state.network, x, averages), (y, x_), ratio)
                total, count = total + total_of(own).cpu(), count + own.shape[2] * own.shape[3]
            averages.append(average_of(total, count))
        return averages

    def _launched(self, planes: Sequence[Tensor]) -> list[Tensor] | None:
        """The planes by a CUDA graph; ``None`` where there is none for this shape, or its values are not finite."""
        graphs, network = self.state.graphs, self.state.network
        if graphs is None or self._frames > 1:
            return None
        runner = network.runner(network.placement.precision)
        compute = partial(enlarged_unchecked, self._conversion, runner, strength=self.state.strength)
        result = graphs.launch(self._conversion.kind, compute, planes)
        return None if result is None or not bool(result[0]) else result[1:]

    def _tell_of_blending(self, count: int) -> None:
        spec = self._spec
        seen = "" if spec.tile_error is None else f", up to {spec.tile_error:.1f} codes off where it was tried"
        self.state.say(
            "blending",
            f"{spec.label} mixes the whole picture, and {self.width}x{self.height} does not fit at once: {count} tiles "
            f"blend{seen}; a larger tile or overlap comes nearer",
        )

    def _empty(self) -> Frame:
        width, height = self.width * self._spec.scale, self.height * self._spec.scale
        try:
            return empty_frame(self.format, width, height, alpha=self._has_alpha)
        except MemoryError as error:  # no smaller tile would help
            raise DeviceError(f"no memory for a frame of {width}x{height}: close other programs") from error

    def _tiles(self) -> list[Tile]:
        """Tiles that cover the frame; more than memory asks for where idle lanes are to get some."""
        spec, state = self._spec, self.state
        height, width = self.largest()
        parts = min(1 + self._queue.idle(state), self.height // (SMALLEST_INNER + 4 * self.reach))
        if height >= self.height and parts >= 2 and not spec.blends and state.name == "cpu":
            height = -(-self.height // parts) + 2 * self.reach + SMALLEST_INNER
        one_shape = self._many or (not spec.blends and (state.network.backend.fixed_shapes or state.graphs is not None))
        multiple = math.lcm(spec.tile_multiple, spec.size_multiple)
        return list(tiles(self.height, self.width, (height, width), self.reach, multiple, one_shape=one_shape))

    def _write(
        self, jobs: Sequence[Job], results: Sequence[Frame], parts: Iterable[Tile], averages: Sequence[Tensor] = ()
    ) -> None:
        """Compute ``parts`` of every job's frame and write them into ``results``, with the help of idle lanes."""
        scale, blend, (sx, sy) = self._spec.scale, self._spec.blends, self.format.subsampling
        parts, done = list(parts), itertools.count(1)

        def one(tile: Tile) -> None:
            planes, alpha = self.tile(jobs, tile, averages)
            for n, result in enumerate(results):
                for i, plane in enumerate(planes):
                    shift = (sy, sx) if i and self.format.family == "yuv" else (0, 0)
                    paste(result.planes[i], plane[n], tile, scale, shift, blend=blend)
                if alpha is not None and result.alpha is not None:
                    paste(result.alpha, alpha[n], tile, scale, (0, 0), blend=False)
            if self._queue.watch is not None:
                self._queue.watch(next(done), len(parts))

        if self.state.lanes == 1 or blend:  # blending goes by the order of tiles
            for tile in self._queue.wanted(parts):
                one(tile)
        else:
            with self._queue.shared(SharedTiles(parts, one), self.state) as shared:
                shared.run()

    def _exact_in_parts(self) -> bool:
        # no larger than a tile: the whole of a large picture would not fit into memory
        height, width = self.largest()
        shape = min(height, self.height), min(width, self.width)
        return exact_in_parts(self.state.network.finest(self._coding), self._spec, shape)


def enlarged_unchecked(
    conversion: Conversion, runner: Runner, planes: Sequence[Tensor], *, strength: float = 1.0
) -> list[Tensor]:
    """Whether the network's values are finite, then the enlarged planes; the device is never waited for."""
    x, codes = conversion.to_model(planes, None, 0)
    y = runner(x)
    if strength != 1:
        y = softened(x, y, conversion.scale, strength)
    return [torch.isfinite(y.sum(dtype=torch.float32)), *conversion.to_planes(y, codes)]


def _cut(plane: Plane, tile: Tile, sx: int, sy: int) -> Plane:
    """The outer part of a tile out of a plane that is subsampled by 2**sx and 2**sy."""
    y, x = tile.y, tile.x
    return plane[y.outer_start >> sy : -(-y.outer_stop >> sy), x.outer_start >> sx : -(-x.outer_stop >> sx)]


def _check_finite(planes: Iterable[Tensor]) -> None:
    for plane in planes:
        if not bool(torch.isfinite(torch.stack(plane.aminmax())).all()):
            raise FrameError("the frame holds samples that are not a number or infinite")
