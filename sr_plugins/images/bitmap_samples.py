"""Bitmaps (BMP) whose header says by masks which bits of a pixel are red, green, blue and alpha.

Pillow reads the usual masks alone, and of 16 bits no alpha. BITMAPINFOHEADER and its successors, in the documentation
of Windows.
"""

from __future__ import annotations

import os
import struct
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from sr_plugins.errors import ImageError
from sr_plugins.images.file_parts import kept_with
from sr_plugins.pixels.frame import eight_bits

_HEADS = (40, 52, 56, 108, 124)
_WITHIN_56 = 56  # from here on the fourth mask is part of the header
_BITFIELDS, _ALPHA_BITFIELDS = 3, 6
_INCH = 39.3701  # to a metre, as Pillow has it


class _Layout(NamedTuple):
    size: tuple[int, int]
    from_above: bool
    bits: int
    masks: tuple[int, ...]
    at: int
    dpi: tuple[float, float]


class MaskedBitmap(ImageFile.ImageFile):
    """An opened bitmap of masks that Pillow refuses."""

    format = "BMP"
    format_description = "Windows Bitmap of masks"

    def _open(self) -> None:
        layout = _layout(self.fp) if self.fp is not None else None
        if layout is None:
            raise SyntaxError("not a bitmap of masks")
        self._mode, self._size, self.tile = "RGBA" if layout.masks[3] else "RGB", layout.size, []
        if any(layout.dpi):
            self.info["dpi"] = layout.dpi

    def load(self) -> Any:
        if self._im is None:
            self.im = Image.fromarray(eight_bits(_samples(self))).im
        return super().load()


def open_masked_bitmap(path: str | os.PathLike[str]) -> MaskedBitmap | None:
    """A bitmap that Pillow refuses for its masks; ``None`` for all others."""
    try:
        return MaskedBitmap(os.fspath(path))
    except (OSError, SyntaxError):
        return None


def masked_samples(source: Image.Image) -> NDArray[Any] | None:
    """(height, width, 3 or 4) of a bitmap whose masks Pillow refuses; uint16 where one has more than 8 bits.

    Raises:
        ImageError: its masks are no runs of bits, or it is cut off.
    """
    return _samples(source) if isinstance(source, MaskedBitmap) else None


def bitmap_alpha(source: Image.Image) -> Image.Image | None:
    """The alpha, 8 bits, of a bitmap of 16 bits that Pillow reads without it; to be asked before it is loaded."""
    if source.format != "BMP" or source.mode != "RGB" or isinstance(source, MaskedBitmap):
        return None
    layout = kept_with(source, "layout", _layout, None)
    if layout is None or layout.bits != 16 or not layout.masks[3]:
        return None
    return Image.fromarray(np.ascontiguousarray(_samples(source)[..., 3]))


def _samples(source: Image.Image) -> NDArray[Any]:
    layout = kept_with(source, "layout", _layout, None)
    if layout is None:
        raise ImageError("it is no bitmap of masks")
    pixels = kept_with(source, "pixels", lambda file: _read(file, layout), b"")
    (width, height), each = layout.size, layout.bits // 8
    line = (width * each + 3) // 4 * 4
    if len(pixels) < line * height:
        raise ImageError("its samples are cut off")
    stored = np.frombuffer(pixels, np.uint8, line * height).reshape(height, line)[:, : width * each]
    words = np.zeros((height, width), np.uint32)
    for byte in range(each):
        words |= stored[:, byte::each].astype(np.uint32) << np.uint32(8 * byte)
    words = words if layout.from_above else words[::-1]
    masks = layout.masks if layout.masks[3] else layout.masks[:3]
    deep = any(mask.bit_count() > 8 for mask in masks[:3])
    dtype = np.dtype(np.uint16 if deep else np.uint8)
    return np.stack([_band(words, mask, dtype) for mask in masks], axis=2)


def _band(words: NDArray[np.uint32], mask: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The bits under a mask, brought to the whole range of the type; nothing where there are none."""
    if not mask:
        return np.zeros(words.shape, dtype)
    lowest = mask & -mask
    white, top = mask // lowest, np.iinfo(dtype).max
    if white & (white + 1):
        raise ImageError(f"its mask {mask:#x} is no run of bits: save it as PNG first")
    value = ((words & np.uint32(mask)) // np.uint32(lowest)).astype(np.uint64)
    found: NDArray[Any] = ((value * np.uint64(top) + np.uint64(white // 2)) // np.uint64(white)).astype(dtype)
    return found


def _layout(file: IO[bytes]) -> _Layout | None:
    head = file.read(14 + 124)
    if not head.startswith(b"BM") or len(head) < 14 + 40:
        return None
    (at,), (length,) = struct.unpack_from("<I", head, 10), struct.unpack_from("<I", head, 14)
    width, height, _, bits, compression, _, across, down = struct.unpack_from("<iiHHIIii", head, 18)
    if length not in _HEADS or bits not in (16, 24, 32) or compression not in (_BITFIELDS, _ALPHA_BITFIELDS):
        return None
    if width <= 0 or not height:
        return None
    # behind the shortest head there are three, or four where the compression says so
    count = 4 if length >= _WITHIN_56 or compression == _ALPHA_BITFIELDS else 3
    masks = (*struct.unpack_from(f"<{count}I", head, 54), 0)[:4]
    top = (1 << bits) - 1
    if not any(masks[:3]) or any(mask > top for mask in masks):
        return None
    return _Layout((width, abs(height)), height < 0, bits, masks, at, (across / _INCH, down / _INCH))


def _read(file: IO[bytes], layout: _Layout) -> bytes:
    file.seek(layout.at)
    return file.read(((layout.size[0] * layout.bits // 8 + 3) // 4 * 4) * layout.size[1])
