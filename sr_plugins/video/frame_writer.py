"""Frames into a NUT pipe."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from types import TracebackType
from typing import IO, Any, Self

import av

from sr_plugins.pixels.frame import Frame
from sr_plugins.video.nut_aspect import AspectWriter
from sr_plugins.video.pixel_formats import to_picture
from sr_plugins.video.sink import Sink

_BUFFER = 1 << 20


class FrameWriter:
    """Writes raw frames like ``first`` to ``file`` in NUT, with times in ``time_base``.

    Leaving the block in good order ends the stream; leaving it with an error writes nothing more.

    Args:
        rate: what the stream declares. An ffmpeg that reads it drops and repeats frames to keep this rate; ``None``
            says that it varies, and every frame keeps its time.
        aspect: of a pixel; ``None``: unknown.
    """

    def __init__(
        self,
        file: IO[bytes],
        first: Frame,
        time_base: Fraction,
        rate: Fraction | None,
        *,
        aspect: Fraction | None = None,
    ) -> None:
        self._sink = Sink(AspectWriter(file, aspect) if aspect else file)
        self._container = av.open(self._sink.file, "w", format="nut", buffer_size=_BUFFER)
        self._time_base = time_base
        picture = to_picture(first)
        self._stream: Any = self._container.add_stream("rawvideo")
        self._stream.codec_context.framerate = rate or Fraction(0)  # PyAV's own default is 24
        self._stream.width, self._stream.height = first.width, first.height
        self._stream.pix_fmt = picture.format.name
        self._stream.time_base = self._stream.codec_context.time_base = time_base

    def write(self, frame: Frame, time: int) -> None:
        """One frame, shown at ``time`` (in ``time_base``)."""
        picture = to_picture(frame)
        picture.pts, picture.time_base = time, self._time_base
        self._container.mux(self._stream.encode(picture))
        self._sink.pass_on()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._sink.pass_on()
        else:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
