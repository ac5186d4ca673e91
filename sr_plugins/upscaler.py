"""Upscaler: the front door. Every adapter goes through it; there is no other way to a picture."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

from sr_plugins.devices import all_memory
from sr_plugins.engine.device_state import DeviceState
from sr_plugins.engine.engine import Engine
from sr_plugins.engine.job import Job, window
from sr_plugins.engine.lane import Lane
from sr_plugins.engine.threads import fit_after_fork
from sr_plugins.engine.windows import windows
from sr_plugins.errors import FrameError
from sr_plugins.interface.model import LoadedModel
from sr_plugins.pixels.conversion import check_format
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.pixels.matrix import resolved
from sr_plugins.plugins import Plugins
from sr_plugins.plugins import plugins as installed_plugins
from sr_plugins.settings import OtherSettings, checked, output_size
from sr_plugins.weights.open_model import open_model


class Upscaler:
    """Runs one model on frames; thread-safe; made once, used for many frames.

    Args:
        model: a registered name, the path of a weights file, or an opened :class:`~.interface.model.LoadedModel`.
        scale: how many times larger, any number from 1 to 16; ``None`` takes the model's own. A scale that no trained
            network of this name has runs the next larger one, or the largest repeatedly, then an antialiased resize.
        settings: see :data:`~.settings.HELP`. ``size`` is (width, height), ``None`` for one of them keeps the aspect
            ratio; ``device`` may be a list; ``precision`` is ``auto``, ``float32``, ``bfloat16``, ``float16`` or
            ``int8``; ``tile`` and ``batch`` are ``auto`` or a number. Tiles are exact: they change memory, not pixels.
        plugins: the plugins to use; those of this process by default.

    Raises:
        UnknownModelError, UnknownNameError, WeightsError, DeviceError, PluginError, ArgumentError: at
            construction.
    """

    def __init__(
        self,
        model: str | Path | LoadedModel = "fast",
        scale: float | None = None,
        *,
        plugins: Plugins | None = None,
        **settings: Unpack[OtherSettings],
    ) -> None:
        self.settings = checked({"scale": scale, **settings})
        self._plugins = plugins or installed_plugins()
        with fit_after_fork():
            self.loaded = open_model(model, scale, self._plugins)
        self.scale, self.size = self.settings["scale"], self.settings["size"]
        self._engine = Engine(
            self.loaded,
            self._plugins,
            device=self.settings["device"],
            backend=self.settings["backend"],
            precision=self.settings["precision"],
            tile=self.settings["tile"],
            batch=self.settings["batch"],
            self_ensemble=self.settings["self_ensemble"],
            reuse=self.settings["reuse"],
            strength=self.settings["strength"],
            overlap=self.settings["overlap"],
        )

    @property
    def native_scale(self) -> int:
        """The network's own factor."""
        return self.loaded.spec.scale

    @property
    def description(self) -> str:
        """One line: model, backend, device and precision in use."""
        spec, cuts = self.loaded.spec, self.settings["cuts"]
        told = "" if spec.window == (0, 0) or cuts == "auto" else f", cuts {cuts}"  # pixels depend on it
        return f"{spec.label} on {self._engine.description}{told}"

    def output_size(self, width: int, height: int, format: FrameFormat | None = None) -> tuple[int, int]:
        """(width, height) of the picture that comes out for one of this size.

        With the ``format`` of its samples: where chroma is subsampled, a side that was a whole number of chroma samples
        stays one unless another was asked for, because most encoders and hosts hold no other.
        """
        subsampling = (0, 0) if format is None else format.subsampling
        return output_size(self.settings, self.native_scale, width, height, subsampling)

    @property
    def devices(self) -> tuple[DeviceState, ...]:
        """What is known of each device in use: to be read, not to be changed."""
        return self._engine.states

    def submit(
        self,
        frame: Frame,
        before: Sequence[Frame] = (),
        after: Sequence[Frame] = (),
        *,
        size: tuple[int, int] | None = None,
    ) -> Future[Frame]:
        """Queue a frame; the future gives a frame of the same format and of :meth:`output_size`, or of ``size``.

        ``size`` is for who enlarges parts of something larger, such as a plane of a clip, whose format decides.

        Where the frame's format leaves the YUV matrix open, the result's names the one that was assumed for its size.
        ``before`` and ``after`` are its neighbours in time, nearest first, for a model whose ``window`` is not (0, 0);
        where there are fewer (ends of a film, cuts) the nearest frame is repeated. All arrays must stay unchanged until
        then. The future raises ``FrameError`` (the frame cannot be processed), ``DeviceError`` (out of memory at the
        smallest tile), ``ModelOutputError`` or ``PluginError``.

        Raises:
            ArgumentError: neighbours for a model that sees none, or more than it sees.
            FrameError: a format that the model cannot take; neighbours of another format or size; a result larger than
                this machine's memory.
            ClosedError: this upscaler was closed, or cannot be used after a fork.
        """
        spec = self.loaded.spec
        check_format(frame.format, spec.channels)
        frames = (frame,) if spec.window == (0, 0) and not before and not after else window(frame, before, after, spec)
        target = size or self.output_size(frame.width, frame.height, frame.format)
        check_memory(target, frame.format)
        job = Job(frames, target, resolved(frame.format, frame.width, frame.height))
        self._engine.queue.put(job)
        return job.future

    def upscale(self, frame: Frame, before: Sequence[Frame] = (), after: Sequence[Frame] = ()) -> Frame:
        """One frame in, one frame out; see :meth:`submit`. May be called from a future's callback, too."""
        return self._result(self.submit(frame, before, after))

    def _result(self, future: Future[Frame]) -> Frame:
        lane = threading.current_thread()  # in a callback it is the one that would have to do the work
        return lane.work_off(future) if isinstance(lane, Lane) else future.result()

    def stream(self, frames: Iterable[Frame], *, film: bool = True) -> Iterator[Frame]:
        """Frames in order, computed with a bounded look-ahead: at most :attr:`lookahead` frames are in flight.

        A model that sees neighbouring frames is shown those of the same shot, and as many more frames are held as its
        ``window`` has. ``film=False``: the frames are pictures that have nothing to do with each other.
        """
        waiting: deque[Future[Frame]] = deque()
        try:
            for seen in windows(frames, self.loaded.spec.window if film else (0, 0), self.settings["cuts"]):
                waiting.append(self.submit(seen.frame, seen.before, seen.after))
                if len(waiting) >= self.lookahead:
                    yield self._result(waiting.popleft())
            while waiting:
                yield self._result(waiting.popleft())
        finally:
            for future in waiting:
                future.cancel()

    @property
    def lookahead(self) -> int:
        """How many frames in flight keep every device busy."""
        return self._engine.lookahead

    def watch_tiles(self, watch: Callable[[int, int], object] | None) -> None:
        """Have ``watch(done, count)`` called after each tile of a frame of several, on the thread that made it.

        ``None``: no longer. It must be quick and raise nothing.
        """
        self._engine.queue.watch = watch

    def close(self) -> None:
        """Finish what was submitted and free the devices; later calls to :meth:`submit` fail."""
        self._engine.close()

    def abandon(self) -> None:
        """Free the devices as soon as the tiles that are being computed are done; what was submitted is given up."""
        self._engine.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or isinstance(error, Exception):
            self.close()
        else:  # interrupted: nobody waits for what was submitted
            self.abandon()


def check_memory(size: tuple[int, int], format: FrameFormat) -> None:
    """``FrameError`` where a frame of this (width, height) takes more bytes than the machine has memory.

    Asked before work, which would go on for hours before it ended.
    """
    pixels = sum(math.prod(format.plane_size(plane, *size)) for plane in range(format.planes))
    if 0 < all_memory() < pixels * format.dtype.itemsize:
        raise FrameError(
            f"a result of {size[0]}x{size[1]} takes {pixels * format.dtype.itemsize / 2**30:.0f} GiB, more memory than "
            "this machine has: choose a smaller size, or cut the picture into parts"
        )
