"""The numbers of a FITS file (FITS standard 4.0), of which Pillow gives the first plane and takes the bits as they are.

Numbers are stored with a sign, or, of 8 bits, without; zero lies where the header says (BZERO), and a step is as large
as it says (BSCALE). Three planes are taken for red, green and blue, as programs for astronomers' cameras write them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageFile

from sr_plugins.errors import ImageError
from sr_plugins.images.file_parts import in_letters, kept_with
from sr_plugins.images.wide_samples import WideSamples

_CARD, _LARGEST_HEADER = 80, 1 << 22
_TYPES = {"8": "u1", "16": ">i2", "32": ">i4", "-32": ">f4", "-64": ">f8"}
_COLOURS = 3


def fits_samples(source: Image.Image) -> WideSamples | None:
    """The picture's numbers, to be asked before it is loaded; ``None`` where Pillow unpacks them, and for other files.

    Samples that are not a number, and those that the header calls BLANK, have no value.

    Raises:
        ImageError: there are several planes, and not three; samples are missing, or packed in a table.
    """
    tiles = source.tile if isinstance(source, ImageFile.ImageFile) and source.format == "FITS" else []
    if len(tiles) != 1:
        return None
    begin = tiles[0][2]
    return kept_with(source, "numbers", lambda file: _read(file, begin), None)


def _read(file: IO[bytes], begin: int) -> WideSamples:
    told = _header(file.read(min(begin, _LARGEST_HEADER)))
    if reason := _why_unread(told):
        raise ImageError(reason)
    axes = [int(told.get(f"NAXIS{number + 1}", "1")) for number in range(int(told["NAXIS"]))]
    width, height, *further = [*axes, 1] if len(axes) > 1 else (1, axes[0])
    planes = int(np.prod(further)) if further else 1
    if planes not in (1, _COLOURS):
        raise ImageError(f"it holds {planes} planes: save each as a picture of its own")
    dtype = np.dtype(_TYPES[told["BITPIX"]])
    file.seek(begin)
    data = file.read(width * height * planes * dtype.itemsize)
    if len(data) < width * height * planes * dtype.itemsize:
        raise ImageError("its samples are cut off")
    stored = np.moveaxis(np.frombuffer(data, dtype).reshape(planes, height, width)[:, ::-1], 0, 2)
    numbers = np.ascontiguousarray(stored, dtype.newbyteorder("="))
    blank = _number(told.get("BLANK")) if dtype.kind != "f" else None
    zero, step = _number(told.get("BZERO")) or 0.0, _number(told.get("BSCALE")) or 1.0
    half = 1 << 8 * dtype.itemsize - 1
    of_other_sign = {"i": half, "u": -half}.get(dtype.kind, 0)
    if step != 1 or zero not in (0, of_other_sign):
        wide = np.float32 if dtype.itemsize <= 2 or dtype == ">f4" else np.float64
        meant = (numbers * np.float64(step) + zero).astype(wide)
        return WideSamples(np.where(numbers == blank, wide(np.nan), meant) if blank is not None else meant)
    if zero and dtype.kind == "i":  # how the standard stores numbers without a sign (table 11)
        numbers = numbers.view(dtype.str.replace(">i", "u")) ^ numbers.dtype.type(-half).view(f"u{dtype.itemsize}")
    elif zero:  # and those of 8 bits with one
        numbers = (numbers ^ np.uint8(half)).view(np.int8)
    return WideSamples(numbers, no_data=None if blank is None else blank + zero)


def why_fits_is_unread(path: Path) -> str | None:
    """Why Pillow does not open a FITS file, and what to do about it; ``None`` for other files and other faults."""
    with path.open("rb") as file:
        data = file.read(_LARGEST_HEADER) if file.read(6) == b"SIMPLE" and file.seek(0) == 0 else b""
    told: Mapping[str, str] = {}
    for at in range(0, len(data), _CARD):
        if data[at : at + _CARD].rstrip() == b"END":
            told = _header(data[:at])
            if told.get("NAXIS", "0") != "0":  # the first that has data
                break
    return _why_unread(told)


def _why_unread(told: Mapping[str, str]) -> str | None:
    if (packing := told.get("ZCMPTYPE")) or told.get("XTENSION", "").strip("' ") == "BINTABLE":
        how = in_letters((packing or "").strip("' ").encode("latin-1")) or "a table"
        return f"its samples are packed ({how}), which is not read: unpack it first (funpack)"
    if told.get("BITPIX") == "64":
        return "its samples are whole numbers of 64 bits, which are not read: save it as floats (BITPIX -64) first"
    return None


def loaded_fits(image: Image.Image, numbers: WideSamples) -> Image.Image:
    """What a loaded image is to hold in its own mode; ``ImageError`` where that has no place for these numbers."""
    gray = numbers.values[..., 0]
    if gray.dtype.kind == "f" and image.mode != "F":
        raise ImageError("its numbers are floats by its header (BSCALE, BZERO): save it as a TIFF of floats first")
    if image.mode == "I;16" and gray.dtype == np.int16:
        if gray.min() < 0:
            raise ImageError("it holds numbers below zero: save it as a TIFF of floats first")
        return Image.fromarray(gray.view(np.uint16))
    held: Image.Image | None = Image.fromarray(gray) if gray.dtype == np.uint16 else numbers.as_image()
    if held is None or held.mode != image.mode:
        return image
    return held


def _header(data: bytes) -> Mapping[str, str]:
    """Values by keyword of the last header in these bytes: those before it have no data of their own."""
    found: dict[str, str] = {}
    for at in range(0, len(data) - _CARD + 1, _CARD):
        card = data[at : at + _CARD].decode("latin-1")
        keyword = card[:8].strip()
        if keyword in ("SIMPLE", "XTENSION"):
            found = {}
        if card[8:9] == "=":
            found.setdefault(keyword, card[9:].split("/")[0].strip())
    return found


def _number(told: str | None) -> float | None:
    found = re.fullmatch(r"[-+]?[\d.]+(?:[EeDd][-+]?\d+)?", told or "")
    return float(found[0].upper().replace("D", "E")) if found else None
