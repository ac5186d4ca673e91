"""Alpha of bitmaps (BMP) of 16 bits, of which Pillow reads the colours alone."""

from __future__ import annotations

import struct
from typing import IO

import numpy as np
from PIL import Image

from sr_plugins.images.file_parts import bodies, kept_with

_BITFIELDS = 3


def bitmap_alpha(source: Image.Image) -> Image.Image | None:
    """The alpha that a bitmap's masks name (BITMAPV3INFOHEADER and later), 8 bits; to be asked before it is loaded."""
    head = next(iter(bodies(source, b"head")), b"") if source.format == "BMP" else b""
    if len(head) < 56:
        return None
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", head, 4)
    (mask,) = struct.unpack_from("<I", head, 52)
    if bits != 16 or compression != _BITFIELDS or not 0 < mask < 1 << 16:
        return None
    pixels = kept_with(source, "pixels", _pixels, b"")
    words = (width + 1) // 2 * 2  # lines are filled to 4 bytes
    if len(pixels) < 2 * words * abs(height):
        return None
    stored = np.frombuffer(pixels, "<u2", words * abs(height)).reshape(abs(height), words)[:, :width]
    lowest = mask & -mask
    alpha = (stored & mask).astype(np.uint32) // lowest * 255 // (mask // lowest)
    return Image.fromarray(np.ascontiguousarray(alpha[::-1] if height > 0 else alpha).astype(np.uint8))


def _pixels(file: IO[bytes]) -> bytes:
    (at,) = struct.unpack("<I", file.read(14)[10:14])
    file.seek(at)
    return file.read()
