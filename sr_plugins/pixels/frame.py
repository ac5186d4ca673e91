"""Frame and FrameFormat: the planes of one picture plus what they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import FrameError

Family = Literal["gray", "yuv", "rgb"]
Plane = NDArray[Any]


class Matrix(IntEnum):
    """Matrix coefficients by their ITU-T H.273 code. Codes not named here are not supported by RGB models."""

    BT709 = 1
    UNSPECIFIED = 2
    FCC = 4
    BT470BG = 5
    SMPTE170M = 6
    SMPTE240M = 7
    BT2020_NCL = 9


class ChromaLocation(IntEnum):
    """Chroma sample location type of ITU-T H.273: where a subsampled chroma sample lies among its luma samples."""

    LEFT = 0
    CENTER = 1
    TOP_LEFT = 2
    TOP = 3
    BOTTOM_LEFT = 4
    BOTTOM = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameFormat:
    """What the samples of a frame mean.

    Attributes:
        family: ``gray`` (1 plane), ``yuv`` (Y', Cb, Cr) or ``rgb`` (R', G', B'), in this order.
        bits: significant bits of an integer sample, 8 to 16 (``uint8`` for 8, else ``uint16``, in the low bits); 16 or
            32 for a float sample.
        is_float: samples are ``float16`` or ``float32``: luma, gray and RGB nominally 0..1, chroma -0.5..0.5.
        subsampling: log2 of the horizontal and vertical chroma subsampling; 4:2:0 is (1, 1). YUV only.
        full_range: integer samples use all codes (0..255), otherwise the limited range (16..235, chroma 16..240).
            ``None`` means as usual for the family: limited for YUV, full for RGB and gray. Float samples have no range.
        matrix: YUV matrix (ITU-T H.273). ``UNSPECIFIED``: guessed by size once, when the frame is submitted
            (:func:`.matrix.matrix_in_use`), and named in the result. A luma model never needs it.
        chroma_location: siting of subsampled chroma (ITU-T H.273).
    """

    family: Family
    bits: int = 8
    is_float: bool = False
    subsampling: tuple[int, int] = (0, 0)
    full_range: bool | None = None
    matrix: int = Matrix.UNSPECIFIED
    chroma_location: int = ChromaLocation.LEFT

    def __post_init__(self) -> None:
        if self.family not in ("gray", "yuv", "rgb"):
            raise FrameError(f"family {self.family!r} is none of gray, yuv, rgb")
        allowed = (16, 32) if self.is_float else range(8, 17)
        if self.bits not in allowed:
            kind = "float" if self.is_float else "integer"
            raise FrameError(
                f"{self.bits}-bit {kind} samples are not supported: {min(allowed)} to {max(allowed)} bits are"
            )
        if self.family != "yuv" and self.subsampling != (0, 0):
            raise FrameError(f"{self.family} frames have no subsampled planes, got subsampling {self.subsampling}")
        if not all(0 <= s <= 2 for s in self.subsampling):
            raise FrameError(f"subsampling {self.subsampling} is not supported: each factor is 1, 2 or 4")
        if self.chroma_location not in [int(at) for at in ChromaLocation]:
            raise FrameError(f"chroma location {self.chroma_location} is not one of ITU-T H.273 (0 to 5)")
        if self.full_range is None:
            object.__setattr__(self, "full_range", self.family != "yuv")

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of a sample."""
        if self.is_float:
            return np.dtype(np.float16 if self.bits == 16 else np.float32)
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def planes(self) -> int:
        """Number of planes without alpha."""
        return 1 if self.family == "gray" else 3

    def plane_size(self, plane: int, width: int, height: int) -> tuple[int, int]:
        """(width, height) of a plane in a frame of this size; odd sizes round up, as in ffmpeg."""
        if plane == 0 or self.family != "yuv":
            return width, height
        sx, sy = self.subsampling
        return -(-width >> sx), -(-height >> sy)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture: ``planes[i]`` is a numpy array (H, W) of ``format.dtype``; strides are free, nothing is copied.

    ``alpha`` is an optional plane of the frame's size and dtype, straight (not premultiplied), 0 transparent; integer
    alpha is always full range.

    Raises:
        FrameError: planes and format do not fit; the message says what came and what is expected.
    """

    planes: Sequence[Plane]
    format: FrameFormat
    alpha: Plane | None = None

    def __post_init__(self) -> None:
        if len(self.planes) != self.format.planes:
            raise FrameError(f"a {self.format.family} frame has {self.format.planes} planes, got {len(self.planes)}")
        if self.planes[0].ndim != 2 or 0 in self.planes[0].shape:
            raise FrameError(f"a plane is a (height, width) array with at least one pixel, got {self.planes[0].shape}")
        for i, plane in enumerate(self.samples()):
            what = "alpha" if i == self.format.planes else f"plane {i}"
            index = 0 if what == "alpha" else i
            expected = self.format.plane_size(index, self.width, self.height)[::-1]
            if plane.shape != expected:
                raise FrameError(f"{what} has shape {plane.shape}, expected {expected} (height, width)")
            if plane.dtype != self.format.dtype:
                raise FrameError(f"{what} holds {plane.dtype}, expected {self.format.dtype}")

    def samples(self) -> tuple[Plane, ...]:
        """All planes, alpha last where there is one."""
        return tuple(self.planes) if self.alpha is None else (*self.planes, self.alpha)

    def copied(self) -> Frame:
        """The same frame in memory of its own."""
        return frame_of(self.format, [plane.copy() for plane in self.samples()])

    def same_samples(self, other: Frame) -> bool:
        """Whether the other frame is of the same format and size, and holds the same samples."""
        mine, others = self.samples(), other.samples()
        same_kind = self.format == other.format and len(mine) == len(others)
        return same_kind and all(map(np.array_equal, mine, others))

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])


def eight_bits(samples: NDArray[Any]) -> NDArray[np.uint8]:
    """Samples of 16 bits as their nearest of 8: black and white stay so. Those of 8 are given back."""
    if samples.dtype == np.uint8:
        return samples
    return ((samples.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def frame_of(format: FrameFormat, samples: Sequence[Plane]) -> Frame:
    """A frame of planes with alpha last, as :meth:`Frame.samples` gives them; alpha may be missing."""
    return Frame(samples[: format.planes], format, samples[format.planes] if len(samples) > format.planes else None)


def empty_frame(format: FrameFormat, width: int, height: int, *, alpha: bool = False) -> Frame:
    """A frame of this size with uninitialised planes."""
    sizes = [format.plane_size(i, width, height) for i in range(format.planes)]
    planes = [np.empty((h, w), format.dtype) for w, h in sizes]
    return Frame(planes, format, np.empty((height, width), format.dtype) if alpha else None)
