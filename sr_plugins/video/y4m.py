"""YUV4MPEG2, the format of ``vspipe -c y4m`` and ``x265 --y4m``: a header line, then planes without padding.

Header parameters that say nothing about the size (rate, comments) pass through untouched; the aspect of a pixel changes
with the shape.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import IO

import numpy as np

from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import ChromaLocation, Frame, FrameFormat, empty_frame
from sr_plugins.video.pixel_formats import aspect_after

_MAGIC = b"YUV4MPEG2"
_FRAME = b"FRAME"
_LONGEST = 4096  # bytes of a header line; a longer one is no header
_LARGEST = 1 << 28  # pixels of a picture, as in ffmpeg; a damaged header asks for any amount of memory
_SITING = {
    "420jpeg": ChromaLocation.CENTER,
    "420mpeg2": ChromaLocation.LEFT,
    "420paldv": ChromaLocation.TOP_LEFT,
}
_RANGE = "XCOLORRANGE="
_DEPTHS = {"", *map(str, range(8, 17))}
_UNKNOWN = "YUV4MPEG2 colour space {!r} is not known: 420, 422, 444 with p10 to p16, or mono"
_SUBSAMPLING = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "411": (2, 0), "410": (2, 2), "440": (0, 1)}


@dataclass(frozen=True)
class Y4mHeader:
    """A stream header: picture size, samples, and every parameter word as it came, without its size."""

    width: int
    height: int
    format: FrameFormat
    alpha: bool
    words: tuple[str, ...]

    @classmethod
    def parse(cls, line: bytes) -> Y4mHeader:
        """Read a header line.

        Raises:
            PipeError: not YUV4MPEG2, interlaced, or of a colour space that is not known.
        """
        words = line.decode("ascii", "replace").split()
        if not line.startswith(_MAGIC) or not words:
            raise PipeError("stdin is no YUV4MPEG2 stream: write one with vspipe -c y4m, or choose --format nut")
        values = {word[0]: word[1:] for word in words[1:] if word[0] != "X"}
        try:
            width, height = int(values["W"]), int(values["H"])
        except (KeyError, ValueError):
            raise PipeError("the YUV4MPEG2 header says no size") from None
        if width < 1 or height < 1 or width * height > _LARGEST:
            raise PipeError(f"the YUV4MPEG2 header says {width}x{height}, which is no picture")
        if values.get("I", "p") not in ("p", "?"):
            raise PipeError("the YUV4MPEG2 stream is interlaced: deinterlace it first")
        comments = [word[1:] for word in words[1:] if word[0] == "X"]
        space = values.get("C") or next((c[4:].lower() for c in comments if c.startswith("YSCSS=")), "420jpeg")
        format, alpha = _format(space, comments)
        kept = tuple(word for word in words[1:] if word[0] not in "WH")
        return cls(width, height, format, alpha, kept)

    @property
    def centred(self) -> bool:
        """Its chroma is halved both ways and lies in the middle of four samples."""
        return self.format.subsampling == (1, 1) and self.format.chroma_location == ChromaLocation.CENTER

    def tagged(self, format: FrameFormat) -> Y4mHeader:
        """The header of the same samples with another range or chroma location, as far as there are words for them."""
        words = list(self.words)
        if format.full_range is not None and format.full_range != self.format.full_range:
            words = [word for word in words if not word.startswith(_RANGE)]
            words.append(_RANGE + ("FULL" if format.full_range else "LIMITED"))
        name = next((name for name, place in _SITING.items() if place == format.chroma_location), None)
        eight = format.family == "yuv" and format.bits == 8 and format.subsampling == (1, 1) and not self.alpha
        if eight and name is not None and format.chroma_location != self.format.chroma_location:
            words = [word for word in words if word[0] != "C"] + [f"C{name}"]
        return replace(self, format=format, words=tuple(words))

    def resized(self, width: int, height: int) -> Y4mHeader:
        """The header of larger pictures that are shown in the same shape."""
        words = []
        for word in self.words:
            if word[0] == "A" and (told := _ratio(word[1:])):
                aspect = aspect_after(told, (self.width, self.height), (width, height)).limit_denominator(1000)
                word = f"A{aspect.numerator}:{aspect.denominator}"
            words.append(word)
        return replace(self, width=width, height=height, words=tuple(words))

    def line(self) -> bytes:
        """The header line."""
        return " ".join((_MAGIC.decode(), f"W{self.width}", f"H{self.height}", *self.words)).encode() + b"\n"


def _ratio(text: str) -> Fraction:
    """``2:1`` as a number; 0: it is unknown."""
    try:
        return Fraction(text.replace(":", "/"))
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


def _format(space: str, comments: list[str]) -> tuple[FrameFormat, bool]:
    full = next((c.endswith("FULL") for c in comments if c.startswith("COLORRANGE=")), None)
    if space.startswith("mono"):
        # Luma without chroma: the same range as the luma of colour video.
        return FrameFormat(family="gray", bits=_bits(space, space[4:]), full_range=bool(full)), False
    alpha = space == "444alpha"
    name, _, depth = (space.removesuffix("alpha") if space not in _SITING else space[:3] + "p8").partition("p")
    if name not in _SUBSAMPLING:
        raise PipeError(_UNKNOWN.format(space))
    siting = _SITING.get(space, ChromaLocation.LEFT)
    bits = _bits(space, depth)
    return FrameFormat(
        family="yuv", bits=bits, subsampling=_SUBSAMPLING[name], full_range=full, chroma_location=siting
    ), alpha


def _bits(space: str, depth: str) -> int:
    if depth not in _DEPTHS:
        raise PipeError(_UNKNOWN.format(space))
    return int(depth or 8)


class Y4mReader:
    """Iterates over the frames of a stream, one at a time; :attr:`header` is read at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.header = Y4mHeader.parse(file.readline(_LONGEST))
        self.count = 0

    def __iter__(self) -> Y4mReader:
        return self

    def __next__(self) -> Frame:
        line = self._file.readline(_LONGEST)
        if not line:
            raise StopIteration
        if not line.startswith(_FRAME):
            raise PipeError(f"the YUV4MPEG2 stream is damaged after frame {self.count}")
        head = self.header
        frame = empty_frame(head.format, head.width, head.height, alpha=head.alpha)
        for plane in frame.samples():
            view = memoryview(plane).cast("B")
            if self._file.readinto(view) != len(view):  # type: ignore[attr-defined]
                raise PipeError(f"the YUV4MPEG2 stream ends in the middle of frame {self.count}")
        self.count += 1
        return frame


class Y4mWriter:
    """Writes frames of the size of ``header``'s upscaled picture."""

    def __init__(self, file: IO[bytes], header: Y4mHeader, width: int, height: int) -> None:
        self._file = file
        file.write(header.resized(width, height).line())

    def write(self, frame: Frame) -> None:
        """One frame."""
        self._file.write(_FRAME + b"\n")
        for plane in frame.samples():
            self._file.write(np.ascontiguousarray(plane))
