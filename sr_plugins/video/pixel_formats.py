"""ffmpeg's pixel formats and the core's FrameFormat: which planar format carries a picture, and its planes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import numpy as np

from sr_plugins.errors import FrameError, PipeError
from sr_plugins.pixels.frame import ChromaLocation, Family, Frame, FrameFormat, Matrix, Plane, frame_of

# ffmpeg stores planar RGB as G, B, R; a Frame as R, G, B.
_RGB_PLANES = (2, 0, 1)
_PREFIX = {"gray": "gray", "yuv": "yuv", "rgb": "gbr"}
_SUBSAMPLING = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (0, 1): "440", (2, 0): "411", (2, 2): "410"}
_PACKED = "rgba"
# Depths for which ffmpeg has a planar format; the next deeper one holds a picture exactly.
_DEPTHS = {
    "gray": (8, 9, 10, 12, 14, 16),
    "yuv": (8, 9, 10, 12, 14, 16),
    "rgb": (8, 9, 10, 12, 14, 16),
    "yuva": (8, 9, 10, 16),
    "rgba": (8, 10, 12, 16),
}


@dataclass(frozen=True)
class Colors:
    """Colour tags by ffmpeg's codes (H.273 for the first three); 2 and, for range and location, 0 mean untagged."""

    matrix: int = 2
    transfer: int = 2
    primaries: int = 2
    range: int = 0  # 1 limited, 2 full
    chroma_location: int = 0  # H.273 code + 1

    @classmethod
    def of(cls, frame: av.VideoFrame) -> Colors:
        """The tags of a decoded frame."""
        codes = (frame.colorspace, frame.color_trc, frame.color_primaries, frame.color_range, frame.chroma_location)
        return cls(*(int(code) for code in codes))

    def options(self, *, with_range: bool) -> dict[str, int]:
        """As ffmpeg options; only what is tagged is named, so that untagged stays untagged."""
        options = {"color_trc": self.transfer, "color_primaries": self.primaries, "colorspace": self.matrix}
        options = {name: code for name, code in options.items() if code != 2}
        if with_range and self.range:
            options["color_range"] = self.range
        if self.chroma_location:
            options["chroma_sample_location"] = self.chroma_location
        return options


@dataclass(frozen=True)
class PixelLayout:
    """What kind of samples a pixel format holds."""

    family: Family
    bits: int
    subsampling: tuple[int, int]
    alpha: bool

    @classmethod
    def of(cls, pix_fmt: str) -> PixelLayout:
        """Taken apart by libavutil's own description of the format."""
        try:
            info = av.VideoFormat(pix_fmt, 64, 64)
        except ValueError as error:
            raise FrameError(f"pixel format {pix_fmt!r} is not known to libavutil") from error
        alpha = any(c.is_alpha for c in info.components) or pix_fmt == "pal8"
        bits = max([8, *(c.bits for c in info.components)])
        if info.is_rgb or info.has_palette or pix_fmt.startswith(("bayer", "xyz")):
            return cls("rgb", min(bits, 16), (0, 0), alpha)
        if sum(not c.is_alpha for c in info.components) < 3:
            # There is no planar gray with alpha: such a picture travels as RGB, which holds it exactly.
            return cls("rgb" if alpha else "gray", min(bits, 16), (0, 0), alpha)
        sub = (64 // info.chroma_width()).bit_length() - 1, (64 // info.chroma_height()).bit_length() - 1
        return cls("yuv", min(bits, 16), sub, alpha)

    @property
    def carrier(self) -> str:
        """The ffmpeg format, planar and little-endian, that holds this exactly."""
        if (self.family, self.bits, self.alpha) == ("rgb", 8, True):
            return _PACKED  # ffmpeg 5.1 rounds when it makes gbrap of packed pixels
        kind = self.family + ("a" if self.alpha and self.family != "gray" else "")
        deeper = (d for d in _DEPTHS[kind] if d >= self.bits)
        bits = next(deeper)
        name = _PREFIX[self.family] + ("a" if self.alpha else "")
        # NUT has no name for deep 4:4:0: full chroma holds it.
        halved = "444" if self.subsampling == (0, 1) and bits > 8 else _SUBSAMPLING.get(self.subsampling, "444")
        name += {"yuv": halved + "p", "rgb": "p", "gray": ""}[self.family]
        return name if bits == 8 else f"{name}{bits}le"


def depth(name: str) -> int:
    """Bits of the colour with the fewest: of rgb565 five."""
    return min((c.bits for c in av.VideoFormat(name).components if not c.is_alpha), default=8)


def loss_of(layout: PixelLayout, pix_fmt: str) -> str:
    """What of samples of this kind does not fit into ``pix_fmt``, in words; nothing where all does."""
    other, bits = PixelLayout.of(pix_fmt), depth(pix_fmt)
    lost = []
    if layout.family == "rgb" and other.family != "rgb":
        lost.append("exact RGB")
    if layout.family == "yuv" and other.family == "gray":
        lost.append("all colour")
    if layout.alpha and not other.alpha:
        lost.append("transparency")
    if bits < layout.bits:
        lost.append(f"{layout.bits - bits} bits")
    if layout.family == other.family == "yuv" and any(
        o > s for o, s in zip(other.subsampling, layout.subsampling, strict=True)
    ):
        lost.append("chroma resolution")
    return " and ".join(lost)


def is_known(pix_fmt: str) -> bool:
    """Whether libavutil knows a pixel format of this name."""
    try:
        PixelLayout.of(pix_fmt)
    except FrameError:
        return False
    return True


def aspect_after(aspect: Fraction, before: tuple[int, int], after: tuple[int, int]) -> Fraction:
    """The aspect of a pixel with which a picture that changed its size is shown in the shape it had."""
    return aspect * Fraction(before[0] * after[1], before[1] * after[0])


def refuse_odd(before: tuple[int, int], after: tuple[int, int], subsampling: tuple[int, int]) -> None:
    """Raises ``PipeError`` where even sides became odd ones, for most encoders hold those with full chroma only."""
    if any(a % 2 > b % 2 and shift for a, b, shift in zip(after, before, subsampling, strict=True)):
        near = "x".join(str(side + side % 2) for side in after)
        raise PipeError(f"{after[0]}x{after[1]} has an odd side, and its chroma is halved: choose --size {near}")


@cache
def pipe_format(pix_fmt: str) -> str:
    """The format in which pictures of ``pix_fmt`` travel through the pipe; the same one where it is planar.

    ``yuvj420p`` stays what it is: asking ffmpeg for ``yuv420p`` instead would make it squeeze the range.
    """
    if pix_fmt.startswith("yuvj"):
        return pix_fmt
    return PixelLayout.of(pix_fmt).carrier


def frame_format(pix_fmt: str, colors: Colors) -> FrameFormat:
    """The core's description of a picture that travels as :func:`pipe_format` of ``pix_fmt``."""
    layout = PixelLayout.of(pipe_format(pix_fmt))
    full = {0: True if pix_fmt.startswith("yuvj") else None, 1: False, 2: True}[colors.range]
    return FrameFormat(
        family=layout.family,
        bits=layout.bits,
        subsampling=layout.subsampling,
        full_range=None if layout.family == "rgb" else full,
        matrix=Matrix.UNSPECIFIED if layout.family != "yuv" else colors.matrix,
        chroma_location=max(0, colors.chroma_location - 1) if layout.family == "yuv" else ChromaLocation.LEFT,
    )


def _planes(picture: av.VideoFrame, format: FrameFormat) -> list[Plane]:
    planes: list[Plane] = []
    if picture.format.name == _PACKED:
        packed = np.frombuffer(picture.planes[0], np.uint8).reshape(picture.height, -1)[:, : 4 * picture.width]
        return [packed[:, channel::4] for channel in range(4)]
    for plane in picture.planes:
        row = plane.line_size // format.dtype.itemsize
        planes.append(np.frombuffer(plane, format.dtype).reshape(-1, row)[: plane.height, : plane.width])
    if format.family == "rgb":
        planes[:3] = [planes[i] for i in _RGB_PLANES]
    return planes


def to_frame(picture: av.VideoFrame, format: FrameFormat) -> Frame:
    """Views on the picture's own memory: nothing is copied; keep neither writable."""
    return frame_of(format, _planes(picture, format))


def to_picture(frame: Frame) -> av.VideoFrame:
    """A copy of the frame in ffmpeg's memory, in the planar format of its kind."""
    layout = PixelLayout(frame.format.family, frame.format.bits, frame.format.subsampling, frame.alpha is not None)
    picture = av.VideoFrame(frame.width, frame.height, layout.carrier)
    for target, source in zip(_planes(picture, frame.format), frame.samples(), strict=True):
        target[:] = source
    return picture
