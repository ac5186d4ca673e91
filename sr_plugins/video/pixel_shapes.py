"""The shapes of pixels that a stream tells of in itself: ffmpeg 7 and newer give all frames that of the first."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext

from sr_plugins.errors import PipeError
from sr_plugins.video.parts import moment, two_films

WITHOUT_SHAPE = "ts"  # a container that tells no shape of its own: others would give a part that of the first
# Where a codec says it: sequence parameter sets and sequence headers, in streams that carry them along.
_HEADERS = {
    "h264": re.compile(rb"\x00\x00\x01[\x07\x27\x47\x67].*?(?=\x00\x00[\x00\x01])", re.DOTALL),
    "hevc": re.compile(rb"\x00\x00\x01\x42.*?(?=\x00\x00[\x00\x01])", re.DOTALL),
    "mpeg4": re.compile(rb"\x00\x00\x01[\x20-\x2f].*?(?=\x00\x00\x01)", re.DOTALL),
    **dict.fromkeys(("mpeg1video", "mpeg2video"), re.compile(rb"\x00\x00\x01\xb3.{8}", re.DOTALL)),
}


class ShapeWatch:
    """Keeps, of all key frames of a stream, the first of each header."""

    def __init__(self, codec: str) -> None:
        self._codec, self._header = codec, _HEADERS.get(codec)
        self._seen: dict[bytes, tuple[int, bytes]] = {}

    def see(self, packet: av.Packet[Stream], time: int) -> None:
        """The next packet of the stream, shown at ``time``."""
        if self._header is None or not packet.is_keyframe:
            return
        found = self._header.search(memoryview(packet))
        if found is not None and (header := bytes(found[0])) not in self._seen:
            self._seen[header] = time, bytes(packet)

    def shapes(self) -> tuple[tuple[int, Fraction], ...]:
        """The times of these key frames, and the shapes that a decoder gives them."""
        if len(self._seen) < 2:
            return ()
        return tuple((time, shape) for time, data in self._seen.values() if (shape := self._shape(data)))

    def _shape(self, data: bytes) -> Fraction:
        decoder = cast(VideoCodecContext, av.CodecContext.create(self._codec, "r"))
        with contextlib.suppress(av.FFmpegError):
            decoder.decode(av.Packet(data))
            decoder.decode(None)
        told = decoder.sample_aspect_ratio
        return Fraction(told.numerator, told.denominator) if told else Fraction(0)


def refuse_shapes(path: Path, shapes: Sequence[tuple[int, Fraction]], time_base: Fraction, start: Fraction) -> None:
    """Raises ``PipeError`` where the shape of pixels changes; ``start`` is where the film begins, in seconds."""
    for time, shape in shapes:
        if shape != (was := shapes[0][1]):
            at = time * time_base - start
            raise PipeError(
                f"{path}: the shape of its pixels changes from {was} to {shape} at {moment(at)} s: "
                f"{two_films(at, WITHOUT_SHAPE)}"
            )
