"""SGI pictures that Pillow cuts down or refuses: 16 bits, and run-length code without a zero behind each line.

By Paul Haeberli's "The SGI Image File Format", draft 1.00.
"""

from __future__ import annotations

import struct
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.file_parts import kept_with

_HEAD = 512
_MAGIC, _TOP = 474, 65535
_COUNT, _COPY = 0x7F, 0x80


def sgi_samples(source: Image.Image) -> NDArray[Any] | None:
    """(height, width, bands) of an SGI picture of 16 bits or in run-length code; ``None`` for all others.

    Raises:
        ValueError: it is cut off, or its code does not fit its size.
    """
    if source.format != "SGI":
        return None
    return kept_with(source, "samples", lambda file: _read(file, source.size, len(source.getbands())), None)


def write_sgi(file: IO[bytes], samples: NDArray[np.uint16]) -> None:
    """An SGI picture of 16 bits: samples (height, width) or (height, width, 3 or 4), alpha last."""
    planes = samples[..., np.newaxis] if samples.ndim == 2 else samples
    height, width, bands = planes.shape
    head = struct.pack(">HBB4HII", _MAGIC, 0, 2, 2 if bands == 1 else 3, width, height, bands, 0, _TOP)
    file.write(head.ljust(_HEAD, b"\0"))
    file.write(np.moveaxis(planes[::-1], 2, 0).astype(">u2").tobytes())


def _read(file: IO[bytes], size: tuple[int, int], bands: int) -> NDArray[Any] | None:
    data = file.read()
    (width, height), is_coded, depth = size, data[2] == 1, data[3]
    dtype = np.dtype(">u2" if depth == 2 else "u1")
    if not is_coded and depth == 1:
        return None
    rows = height * bands
    if is_coded:
        if len(data) < _HEAD + 8 * rows:
            raise ValueError("its table of lines is cut off")
        begins, lengths = (struct.unpack_from(f">{rows}I", data, _HEAD + 4 * rows * n) for n in (0, 1))
        lines = [_line(data[at : at + length], width, dtype) for at, length in zip(begins, lengths, strict=True)]
        stored = np.stack(lines)
    else:
        stored = np.frombuffer(data, dtype, rows * width, _HEAD)
    planes = stored.reshape(bands, height, width)[:, ::-1]
    return np.ascontiguousarray(np.moveaxis(planes, 0, 2), dtype.newbyteorder("="))


def _line(packed: bytes, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """One line of one band: counts with the highest bit copy samples, those without repeat one, and zero ends it."""
    values = np.frombuffer(packed, dtype, len(packed) // dtype.itemsize)
    line, at, filled = np.zeros(width, dtype), 0, 0
    while at < len(values) and filled < width and (count := int(values[at]) & _COUNT):
        copied = bool(values[at] & _COPY)
        found = values[at + 1 : at + 1 + (count if copied else 1)]
        if filled + count > width or len(found) < (count if copied else 1):
            break
        line[filled : filled + count] = found
        filled, at = filled + count, at + 1 + len(found)
    if filled < width:
        raise ValueError("a line in run-length code does not fit its width")
    return line
