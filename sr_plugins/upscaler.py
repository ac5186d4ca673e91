"""Upscaler: the front door. Every adapter goes through it; there is no other way to a picture."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Self

from sr_plugins.engine.engine import Engine
from sr_plugins.errors import UnknownModelError
from sr_plugins.interface.model import LoadedModel
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.plugins import Plugins
from sr_plugins.plugins import plugins as installed_plugins
from sr_plugins.settings import check_name, check_precision, check_scale, names_a_file, whole_size
from sr_plugins.weights.safetensors_files import load_model


class Upscaler:
    """Runs one model on frames; thread-safe; made once, used for many frames.

    Args:
        model: a registered name, the path of a weights file, or an opened :class:`~.model_spec.LoadedModel`.
        scale: how many times larger, any number from 1 to 16; ``None`` takes the model's own. A scale that no trained
            network of this name has runs the next larger one, or the largest repeatedly, then an antialiased resize.
        size: (width, height) to reach instead of a scale; ``None`` for one of them keeps the aspect ratio.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` ...; several, as a list or separated by commas, share the work.
        backend: ``auto`` or a registered backend.
        precision: ``auto``, ``float32``, ``bfloat16``, ``float16`` or ``int8``: what the network's layers compute in.
        tile: ``auto``, or the largest tile's side in input pixels. Tiles are exact: they change memory, not pixels.
        batch: ``auto``, or how many waiting frames may go through the network at once.
        self_ensemble: enlarge every picture in its eight positions (mirrored, transposed) and take the mean, which is
            a little better and takes up to eight times as long. Elsewhere called test-time augmentation, TTA.
        plugins: the plugins to use; those of this process by default.

    Raises:
        UnknownModelError, UnknownNameError, WeightsError, DeviceError, PluginError, FrameError: at construction.
    """

    def __init__(
        self,
        model: str | Path | LoadedModel = "fast",
        scale: float | None = None,
        *,
        size: tuple[int | None, int | None] | None = None,
        device: str | Sequence[str] = "auto",
        backend: str = "auto",
        precision: str = "auto",
        tile: int | str = "auto",
        batch: int | str = "auto",
        self_ensemble: bool = False,
        plugins: Plugins | None = None,
    ) -> None:
        check_scale(scale)
        size = whole_size(size)
        self._plugins = plugins or installed_plugins()
        check_name("backend", backend, (spec.name for spec in self._plugins.backends()))
        check_precision(precision)
        self.loaded = self._load(model, scale)
        self.scale = scale
        self.size = size
        self._engine = Engine(
            self.loaded,
            self._plugins,
            device=device,
            backend=backend,
            precision=precision,
            tile=tile,
            batch=batch,
            self_ensemble=self_ensemble,
        )

    def _load(self, model: object, scale: float | None) -> LoadedModel:
        if isinstance(model, LoadedModel):
            return model
        if not isinstance(model, str | os.PathLike):
            raise UnknownModelError(str(model), (spec.name for spec in self._plugins.models()))
        if not isinstance(model, str) or names_a_file(model):
            return self._plugins.open_weights(Path(model))
        self._plugins.model(model)  # raises for an unknown name before scales are looked at
        trained = sorted(s.scale for s in self._plugins.models() if s.name == model and s.usable)
        enough = [s for s in trained if scale is not None and s >= scale]
        native = trained[0] if trained and scale is None else enough[0] if enough else trained[-1] if trained else None
        return load_model(self._plugins.model(model, native))

    @property
    def native_scale(self) -> int:
        """The network's own factor."""
        return self.loaded.spec.scale

    @property
    def description(self) -> str:
        """One line: model, backend, device and precision in use."""
        return f"{self.loaded.spec.label} on {self._engine.description}"

    def output_size(self, width: int, height: int, format: FrameFormat | None = None) -> tuple[int, int]:
        """(width, height) of the picture that comes out for one of this size.

        With the ``format`` of its samples: where chroma is subsampled, an even side stays even unless another was asked
        for, because most encoders and hosts hold no other.
        """

        def derived(exact: float, side: int, halved: int) -> int:
            step = 2 if halved and side % 2 == 0 else 1
            return max(1, round(exact / step)) * step

        across, down = (0, 0) if format is None else format.subsampling
        if self.size is None:
            scale = self.native_scale if self.scale is None else self.scale
            return derived(width * scale, width, across), derived(height * scale, height, down)
        w, h = self.size
        if w is None:
            assert h is not None
            return derived(width * h / height, width, across), h
        return w, derived(height * w / width, height, down) if h is None else h

    def submit(self, frame: Frame) -> Future[Frame]:
        """Queue a frame; the future gives a frame of the same format and of :meth:`output_size`.

        The frame's arrays must stay unchanged until then. The future raises ``FrameError`` (the frame cannot be
        processed), ``DeviceError`` (out of memory at the smallest tile) or ``ModelOutputError``.
        """
        return self._engine.submit(frame, self.output_size(frame.width, frame.height, frame.format))

    def upscale(self, frame: Frame) -> Frame:
        """One frame in, one frame out."""
        return self.submit(frame).result()

    def stream(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Frames in order, computed with a bounded look-ahead: at most :attr:`lookahead` frames are in flight."""
        waiting: deque[Future[Frame]] = deque()
        try:
            for frame in frames:
                waiting.append(self.submit(frame))
                if len(waiting) >= self.lookahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    @property
    def lookahead(self) -> int:
        """How many frames in flight keep every device busy."""
        return self._engine.lookahead

    def close(self) -> None:
        """Finish what was submitted and free the devices; later calls to :meth:`submit` fail."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
