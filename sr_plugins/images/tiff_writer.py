"""TIFF files, deflated, with EXIF and of every depth.

Pillow's own writer cannot put EXIF into a compressed TIFF and knows no 16-bit colour; its directories are used here.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from sr_plugins.errors import ImageError
from sr_plugins.pixels.frame import Frame

# mode -> PhotometricInterpretation (TIFF 6.0; LAB with a* and b* signed, as Pillow hands them to numpy)
PHOTOMETRIC = {
    **dict.fromkeys(("L", "LA", "I;16", "I;16B", "I", "F"), 1),
    **{"RGB": 2, "RGBA": 2, "CMYK": 5, "LAB": 8},
}
_DEFLATE, _HORIZONTAL_DIFFERENCES, _STRAIGHT_ALPHA = 8, 2, 2
_SAMPLE_FORMAT = {"u": 1, "i": 2, "f": 3}
_STRIP_BYTES = 1 << 20
_MOST_BYTES = 0xFFFF_FFFF - (1 << 24)  # offsets have 32 bits; leaves room for directories
_HEADER = b"II*\0\x08\0\0\0"
_LONG = 4
_NEXT = 4  # where the header keeps the first directory's offset


def write_tiff(file: IO[bytes], pages: Sequence[Image.Image | Frame], arguments: dict[str, Any]) -> None:
    """Write pages to an empty file.

    Args:
        file: open for writing, at its beginning.
        pages: images of a mode in ``PHOTOMETRIC``, or frames of 16 bits.
        arguments: ``exif`` (of the whole file), ``icc_profile`` and ``dpi``, as ``Image.save`` takes them.

    Raises:
        ImageError: the pixels need more than the 4 GB that a TIFF file can address.
    """
    file.write(_HEADER)
    link = _NEXT
    for number, page in enumerate(pages):
        start = file.seek(0, io.SEEK_END)
        directory, strips = _page(page, arguments, first=number == 0)
        if start + sum(map(len, strips)) > _MOST_BYTES:
            raise ImageError("more than 4 GB do not fit into a TIFF file: write .png, or choose a smaller scale")
        file.write(directory.tobytes(start))
        for strip in strips:
            file.write(strip)
        if file.tell() % 2:  # directories begin at even offsets
            file.write(b"\0")
        file.seek(link)
        file.write(struct.pack("<I", start))
        link = start + 2 + 12 * len(directory)


def _page(
    page: Image.Image | Frame, arguments: dict[str, Any], *, first: bool
) -> tuple[ImageFileDirectory_v2, list[bytes]]:
    width, height = page.width, page.height
    samples = _rows(page, 0, 1)
    bands = samples.size // width
    if isinstance(page, Frame):
        has_alpha, photometric = page.alpha is not None, 1 if bands == 1 else 2
    else:
        has_alpha, photometric = page.mode.endswith("A"), PHOTOMETRIC[page.mode]
    rows = max(1, _STRIP_BYTES // samples.nbytes)
    strips = [_deflated(_rows(page, top, min(top + rows, height))) for top in range(0, height, rows)]
    lengths = [len(strip) for strip in strips]

    directory = ImageFileDirectory_v2(ifh=_HEADER)
    if first and (exif := arguments.get("exif")):
        for tag in exif:
            directory[tag] = exif.get_ifd(tag) if tag in (IFD.Exif, IFD.GPSInfo) else exif[tag]
    directory[Base.ImageWidth], directory[Base.ImageLength] = width, height
    directory[Base.BitsPerSample], directory[Base.SamplesPerPixel] = (8 * samples.itemsize,) * bands, bands
    directory[Base.SampleFormat] = (_SAMPLE_FORMAT[samples.dtype.kind],) * bands
    directory[Base.PhotometricInterpretation] = photometric
    if has_alpha:
        directory[Base.ExtraSamples] = _STRAIGHT_ALPHA
    directory[Base.Compression], directory[Base.PlanarConfiguration] = _DEFLATE, 1
    if samples.dtype.kind != "f":
        directory[Base.Predictor] = _HORIZONTAL_DIFFERENCES
    directory[Base.RowsPerStrip] = rows
    directory[Base.StripByteCounts] = tuple(lengths)
    directory[Base.StripOffsets] = tuple(sum(lengths[:i]) for i in range(len(lengths)))  # from the directory's end
    for tag in (Base.StripByteCounts, Base.StripOffsets):
        directory.tagtype[tag] = _LONG  # also where the numbers would fit into 16 bits: offsets grow when written
    if icc := arguments.get("icc_profile"):
        directory[Base.InterColorProfile] = icc
    if dpi := arguments.get("dpi"):
        directory[Base.XResolution], directory[Base.YResolution] = dpi
        directory[Base.ResolutionUnit] = 2
    return directory, strips


def _rows(page: Image.Image | Frame, top: int, bottom: int) -> NDArray[Any]:
    """Some rows of a page: (rows, width) or (rows, width, bands)."""
    if isinstance(page, Image.Image):
        return np.asarray(page.crop((0, top, page.width, bottom)))
    planes = page.samples()
    if len(planes) == 2:  # gray with alpha in 16 bits opens in few programs: as RGB
        planes = (*planes[:1] * 3, planes[1])
    rows = [plane[top:bottom] for plane in planes]
    return rows[0] if len(rows) == 1 else np.stack(rows, axis=2)


def _deflated(rows: NDArray[Any]) -> bytes:
    """Deflate; whole numbers with horizontal differencing: each sample minus its left neighbour's (TIFF 6.0, 14)."""
    differences = rows.astype(rows.dtype.newbyteorder("<"))
    if rows.dtype.kind != "f":
        differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.tobytes(), 6)
