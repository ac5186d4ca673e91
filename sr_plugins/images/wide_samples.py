"""Pictures whose samples no Pillow image holds: floats with colours, whole numbers of 32 and 64 bits, signed ones.

They travel through the network as floats, black to white being 0 to 1, and come back as the type they had. Samples
without a value (not a number, infinite, or the NoData of GeoTIFF) are kept from the network as transparent pixels
are, and lie in the enlargement where they lay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.pixels.frame import Frame, FrameFormat, frame_of

# constants of SMPTE ST 2084 (PQ); linear 1 is taken for the 203 nits of diffuse white (ITU-R BT.2408)
_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_WHITE = 203 / 10_000
_DEEPEST = 65535  # what files that hold no more than 16 bits hold


@dataclass(frozen=True, eq=False)
class WideSamples:
    """A picture as an array.

    Attributes:
        values: (height, width, bands) of any type of numbers; bands are gray or RGB, and alpha where ``has_alpha``.
        has_alpha: the last band is straight alpha, in the same range as the colours.
        no_data: a pixel all of whose samples are this has no value.
        is_light: float samples are proportional to light, 1 being diffuse white, as in OpenEXR and Radiance files.
        is_negative: 0 is white. The enlargement's is black, except beside ``no_data``, where numbers stay as they are.
    """

    values: NDArray[Any]
    has_alpha: bool = False
    no_data: float | None = None
    is_light: bool = False
    is_negative: bool = False

    @property
    def width(self) -> int:
        return int(self.values.shape[1])

    @property
    def height(self) -> int:
        return int(self.values.shape[0])

    @property
    def colours(self) -> int:
        """Number of bands without alpha."""
        return int(self.values.shape[2]) - self.has_alpha

    def as_frame(self) -> tuple[Frame, Callable[[Frame], WideSamples]]:
        """The picture as a frame, and what turns the enlarged frame into such a picture again."""
        dtype = self.values.dtype
        holes = self._holes()
        colours, alpha = self.values[..., : self.colours], self.values[..., self.colours :]
        there = colours[~holes]
        exact = dtype == np.uint8 or (dtype == np.uint16 and self.no_data is None)
        bits = 8 * dtype.itemsize
        low, high = (0.0, float((1 << bits) - 1)) if exact else (0.0, 1.0) if self.is_light else self._range(there)
        filling = there.min() if there.size else colours.dtype.type(0)
        filled = np.where(holes[..., np.newaxis], filling, colours) if holes.any() else colours
        if exact:
            planes = self._inverted(filled, low, high).astype(dtype)
            format = FrameFormat(family="rgb" if self.colours == 3 else "gray", bits=bits)
            top: Any = dtype.type(high)
        else:
            wide = filled.astype(np.float64)
            wide = _encoded(wide) if self.is_light else (self._inverted(wide, low, high) - low) / (high - low)
            planes = wide.astype(np.float32)
            format = FrameFormat(family="rgb" if self.colours == 3 else "gray", bits=32, is_float=True)
            top = np.float32(1)
        seen = None
        if self.has_alpha:
            seen = alpha[..., 0] if exact else (np.nan_to_num(alpha[..., 0]) / self._opaque()).astype(np.float32)
        if holes.any() and not holes.all():
            seen = np.where(holes, top * 0, top if seen is None else seen)
        frame = frame_of(format, [planes[..., i] for i in range(self.colours)] + ([] if seen is None else [seen]))

        def back(result: Frame) -> WideSamples:
            bands = np.stack(result.planes, axis=2)
            if not exact:
                bands = _decoded(bands.astype(np.float64)) if self.is_light else bands * (high - low) + low
            is_negative = self.is_negative and self.no_data is not None
            found = _as(within_its_kind(low + high - bands if is_negative else bands, dtype, low, high), dtype)
            found = found if not self.has_alpha else np.dstack([found, self._alpha(result, exact=exact)])
            if holes.any():
                rows = (np.arange(result.height) * self.height) // result.height
                columns = (np.arange(result.width) * self.width) // result.width
                empty = holes[rows][:, columns]
                found[empty] = self.values[rows][:, columns][empty]
            return replace(self, values=found, is_negative=is_negative)

        return frame, back

    def as_picture(self) -> Image.Image | Frame | WideSamples:
        """The same in the simplest form that holds it: an image of 8 bits, a frame of 16, or this."""
        if self.is_negative:
            return self
        if self.values.dtype == np.uint8:
            return Image.fromarray(
                np.ascontiguousarray(self.values if self.values.shape[2] > 1 else self.values[..., 0])
            )
        if self.values.dtype == np.uint16:
            format = FrameFormat(family="rgb" if self.colours == 3 else "gray", bits=16)
            return frame_of(format, [self.values[..., i] for i in range(self.values.shape[2])])
        return self

    def as_image(self) -> Image.Image | None:
        """Gray samples, 0 being black, as an image of mode L, I or F; ``None`` for all others."""
        if self.values.shape[2] > 1:
            return None
        gray = self.values[..., 0]
        if self.is_negative and gray.dtype.kind == "u":
            gray = np.iinfo(gray.dtype).max - gray
        if gray.dtype == np.uint8:
            return Image.fromarray(np.ascontiguousarray(gray))
        if gray.dtype.kind == "f":
            return Image.fromarray(gray.astype(np.float32))
        limits = np.iinfo(np.int32)
        if gray.min() < limits.min or gray.max() > limits.max:
            return None
        return Image.fromarray(gray.astype(np.int32))

    def _holes(self) -> NDArray[np.bool]:
        colours = self.values[..., : self.colours]
        holes = np.zeros(colours.shape[:2], bool)
        if colours.dtype.kind == "f":
            holes = ~np.isfinite(self.values).all(axis=2)
        number = self.no_data
        if number is not None and np.isfinite(number):
            if colours.dtype.kind != "f":
                limits = np.iinfo(colours.dtype)
                if not number.is_integer() or not limits.min <= number <= limits.max:
                    return holes
                holes |= (colours == int(number)).all(axis=2)
            else:
                holes |= (colours == colours.dtype.type(number)).all(axis=2)
        return holes

    def _range(self, there: NDArray[Any]) -> tuple[float, float]:
        """(black, white): 0 and 1 for floats within them, otherwise the picture's own extremes.

        A network is right to about a thousandth of what it takes for white: of heights that is little only where white
        is the highest one, and black the lowest.
        """
        low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)
        if there.dtype.kind == "f" and low >= 0 and high <= 1:
            return 0.0, 1.0
        return low, high if high > low else low + 1.0

    def _inverted(self, colours: NDArray[Any], low: float, high: float) -> NDArray[Any]:
        return low + high - colours if self.is_negative else colours

    def _opaque(self) -> float:
        """Alpha of what hides all behind it: all of an integer type's range, 1 or the most there is of floats."""
        if self.values.dtype.kind != "f":
            return float(np.iinfo(self.values.dtype).max)
        return max(1.0, float(np.nan_to_num(self.values[..., -1]).max()))

    def _alpha(self, result: Frame, *, exact: bool) -> NDArray[Any]:
        if result.alpha is None:
            return np.full((result.height, result.width), self._opaque(), self.values.dtype)
        return result.alpha if exact else _as(result.alpha.astype(np.float64) * self._opaque(), self.values.dtype)


def within_its_kind(numbers: NDArray[np.float64], dtype: np.dtype[Any], low: float, high: float) -> NDArray[np.float64]:
    """Whole numbers made from those from ``low`` to ``high``: none below zero, or of more than 16 bits, if none was.

    Beside edges it goes a little beyond, and what fitted into a format would not any more.
    """
    if dtype.kind == "f":
        return numbers
    return np.clip(numbers, 0 if low >= 0 else None, _DEEPEST if high <= _DEEPEST else None)


def _as(numbers: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Rounded and cut off where the type is one of whole numbers."""
    if dtype.kind == "f":
        floats: NDArray[Any] = np.clip(numbers, np.finfo(dtype).min, np.finfo(dtype).max).astype(dtype)
        return floats
    limits = np.iinfo(dtype)
    rounded = np.rint(np.asarray(numbers, np.float64))
    found: NDArray[Any] = np.clip(rounded, limits.min, np.nextafter(float(limits.max) + 1, 0)).astype(dtype)
    return found


def _encoded(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light as the eye counts it (PQ, the same with a minus below black), so that a network sees what it knows."""
    power = (np.abs(light) * _WHITE) ** _M1
    return np.sign(light) * ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def _decoded(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    power = np.abs(codes) ** (1 / _M2)
    light = (np.maximum(power - _C1, 0) / np.maximum(_C2 - _C3 * power, 1e-9)) ** (1 / _M1)
    return np.sign(codes) * light / _WHITE
