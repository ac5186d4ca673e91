"""TIFF files, deflated, with EXIF and of every depth.

Pillow's own writer cannot put EXIF into a compressed TIFF, knows no 16-bit colour, and decodes and encodes every tag.
Here the first page's EXIF block is the file's beginning as it is, so that its offsets, a maker note's too, stay true.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.errors import ImageError
from sr_plugins.images.exif_block import (
    BYTE,
    EXIF,
    GPS,
    INTEROP,
    LONG,
    RATIONAL,
    SHORT,
    UNDEFINED,
    ExifBlock,
    Field,
    compiled,
    field_of,
    in_order,
)
from sr_plugins.images.photoshop import iptc_of
from sr_plugins.images.tiff_reader import IPTC, PHOTOSHOP, RESOLUTION_UNIT, X_RESOLUTION, XMP, Y_RESOLUTION
from sr_plugins.images.wide_samples import WideSamples
from sr_plugins.pixels.frame import Frame

# mode -> PhotometricInterpretation (TIFF 6.0; LAB with a* and b* signed, as Pillow hands them to numpy)
PHOTOMETRIC = {
    **dict.fromkeys(("L", "LA", "I;16", "I;16B", "I", "F"), 1),
    **{"RGB": 2, "RGBA": 2, "CMYK": 5, "LAB": 8},
}
_ICC = 34675
_DEFLATE, _HORIZONTAL_DIFFERENCES, _STRAIGHT_ALPHA = 8, 2, 2
_SAMPLE_FORMAT = {"u": 1, "i": 2, "f": 3}
_STRIP_BYTES = 1 << 20
_MOST_BYTES = 0xFFFF_FFFF - (1 << 24)  # offsets have 32 bits; leaves room for directories
Samples = Image.Image | Frame | WideSamples
_NEXT = 4  # where the header keeps the first directory's offset


def write_tiff(file: IO[bytes], pages: Iterable[tuple[Samples, Mapping[str, Any]]]) -> None:
    """Write pages to an empty file, each as it comes.

    Args:
        file: open for writing, at its beginning.
        pages: images of a mode in ``PHOTOMETRIC``, frames of 16 bits, or samples of other kinds; and with each ``exif``
            (an :class:`ExifBlock`), ``icc_profile``, ``xmp``, ``resources``, ``dpi`` and ``aspect``, each of which may
            be missing.

    Raises:
        ImageError: the pixels need more than the 4 GB that a TIFF file can address.
    """
    order, link = "<", _NEXT
    for number, (page, things) in enumerate(pages):
        block: ExifBlock | None = things.get("exif")
        if number == 0:
            order = block.order if block else "<"
            file.write(block.data if block else (b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
        fields = _pixels(file, page, order) + _carried(things, order)
        below: dict[tuple[int, ...], list[Field]] = {}
        if block:
            stored = block.first()
            fields = [f for tag, f in stored.items() if tag not in {f.tag for f in fields} | {EXIF, GPS}] + fields
            if number == 0:  # where they are
                fields += [Field(tag, LONG, 1, stored[tag].value) for tag in (EXIF, GPS) if tag in stored]
            else:
                fields = [in_order(f, block.order, order) if f.tag in stored else f for f in fields]
                for path in ((EXIF,), (GPS,), (EXIF, INTEROP)):
                    if at := block.place_of(*path):
                        below[path] = [in_order(f, block.order, order) for f in block.directory(at).values()]
        end = file.seek(0, io.SEEK_END)
        directory, at = compiled({(): fields, **below}, order, end, linked=number == 0)
        if end + len(directory) > _MOST_BYTES:
            raise ImageError("more than 4 GB do not fit into a TIFF file: write .png, or choose a smaller scale")
        file.write(directory)
        file.seek(link)
        file.write(struct.pack(order + "I", at))
        entries = len({f.tag for f in fields} | {path[0] for path in below})
        link = at + 2 + 12 * entries
    file.seek(0, io.SEEK_END)


def _pixels(file: IO[bytes], page: Samples, order: str) -> list[Field]:
    """Write a page's strips; the fields that say how they are stored."""
    width, height = page.width, page.height
    samples = _rows(page, 0, 1)
    bands = samples.size // width
    if isinstance(page, Frame):
        has_alpha, photometric = page.alpha is not None, 1 if bands == 1 else 2
    elif isinstance(page, WideSamples):
        has_alpha, photometric = page.has_alpha, 0 if page.is_negative else 1 if page.colours == 1 else 2
    else:
        has_alpha, photometric = page.mode.endswith("A"), PHOTOMETRIC[page.mode]
    rows = max(1, _STRIP_BYTES // samples.nbytes)
    offsets, lengths = [], []
    for top in range(0, height, rows):
        strip = _deflated(_rows(page, top, min(top + rows, height)), order)
        at = file.seek(0, io.SEEK_END)
        if at + len(strip) > _MOST_BYTES:
            raise ImageError("more than 4 GB do not fit into a TIFF file: write .png, or choose a smaller scale")
        offsets.append(at)
        lengths.append(file.write(strip))
    values: dict[int, tuple[int, Sequence[int]]] = {
        256: (LONG, [width]),
        257: (LONG, [height]),
        258: (SHORT, [8 * samples.itemsize] * bands),
        259: (SHORT, [_DEFLATE]),
        262: (SHORT, [photometric]),
        273: (LONG, offsets),
        277: (SHORT, [bands]),
        278: (LONG, [rows]),
        279: (LONG, lengths),
        284: (SHORT, [1]),
        339: (SHORT, [_SAMPLE_FORMAT[samples.dtype.kind]] * bands),
    }
    if samples.dtype.kind != "f":
        values[317] = SHORT, [_HORIZONTAL_DIFFERENCES]
    if has_alpha:
        values[338] = SHORT, [_STRAIGHT_ALPHA]
    return [field_of(tag, kind, numbers, order) for tag, (kind, numbers) in values.items()]


def _carried(things: Mapping[str, Any], order: str) -> list[Field]:
    fields = []
    resolution, unit = things.get("dpi"), 2
    if not resolution and (resolution := things.get("aspect")):
        unit = 1
    if resolution:
        for tag, value in ((X_RESOLUTION, resolution[0]), (Y_RESOLUTION, resolution[1])):
            fields.append(field_of(tag, RATIONAL, [value], order))
        fields.append(field_of(RESOLUTION_UNIT, SHORT, [unit], order))
    if resources := things.get("resources"):
        fields.append(field_of(PHOTOSHOP, BYTE, resources, order))
        if iptc := iptc_of(resources):
            fields.append(field_of(IPTC, UNDEFINED, iptc, order))
    for name, tag, kind in (("icc_profile", _ICC, UNDEFINED), ("xmp", XMP, BYTE)):
        if value := things.get(name):
            fields.append(field_of(tag, kind, value, order))
    return fields


def _rows(page: Samples, top: int, bottom: int) -> NDArray[Any]:
    """Some rows of a page: (rows, width) or (rows, width, bands)."""
    if isinstance(page, Image.Image):
        return np.asarray(page.crop((0, top, page.width, bottom)))
    if isinstance(page, WideSamples):
        return page.values[top:bottom] if page.values.shape[2] > 1 else page.values[top:bottom, :, 0]
    planes = page.samples()
    if len(planes) == 2:  # gray with alpha in 16 bits opens in few programs: as RGB
        planes = (*planes[:1] * 3, planes[1])
    rows = [plane[top:bottom] for plane in planes]
    return rows[0] if len(rows) == 1 else np.stack(rows, axis=2)


def _deflated(rows: NDArray[Any], order: str) -> bytes:
    """Deflate; whole numbers with horizontal differencing: each sample minus its left neighbour's (TIFF 6.0, 14)."""
    stored = rows.dtype.newbyteorder("<" if order == "<" else ">")
    differences = rows.astype(rows.dtype.newbyteorder("="))
    if rows.dtype.kind != "f":
        differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.astype(stored, copy=False).tobytes(), 6)
