"""TIFF pages compressed with LERC, of which tifffile (2026.11) drops the masks: samples without a value become zeros.

A segment is a blob, or several one after the other, which is how libtiff stores bands that lack values in different
places. Its mask says which samples count: others are NaN of floats, and in RGBA of 8 bits, where alpha is all or
nothing, libtiff stores the mask in the place of alpha. In files of big endian it packs samples with bytes swapped.
"""

from __future__ import annotations

import struct
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import ImageError

LERC = 34887
_PARAMETERS = 50674  # version of LERC, and what packs its blobs once more
_DEFLATE, _ZSTD = 1, 2
_STRAIGHT_ALPHA = 2  # ExtraSamples of TIFF 6.0


def read_lerc(page: Any) -> NDArray[Any]:
    """The samples in tifffile's order of axes; NaN, in those of floats, where the file has no value.

    Args:
        page: tifffile's.

    Raises:
        ImageError: a segment holds other samples than the page says.
    """
    parameters = page.tags[_PARAMETERS].value if _PARAMETERS in page.tags else (0, 0)
    unpacked = {_DEFLATE: imagecodecs.zlib_decode, _ZSTD: imagecodecs.zstd_decode}.get(int(parameters[1]), bytes)
    dtype, stored = (np.dtype(page.dtype).newbyteorder(order) for order in ("=", page.parent.byteorder))
    samples = np.full(page.shaped, page.nodata, dtype)  # which segments that are left out of the file are made of
    places = page.parent.filehandle.read_segments(page.dataoffsets, page.databytecounts)
    for data, number in places:
        _, (plane, depth, top, left, _), (deep, rows, columns, bands) = page.decode(None, number)
        if data is None:
            continue
        packed, there = _segment(bytes(unpacked(data)))
        found = packed.view(stored) if packed.dtype == dtype else packed
        if not there.all() and found.dtype.kind == "f":
            found = np.where(there, found, found.dtype.type(np.nan))
        elif found.dtype == np.uint8 and _STRAIGHT_ALPHA in page.extrasamples[-1:] and found.shape[2] == bands - 1:
            found = np.dstack((found, there.all(axis=2) * np.uint8(255)))
        if found.shape != (deep * rows, columns, bands) or found.dtype.newbyteorder("=") != dtype:
            raise ImageError("its LERC data hold other samples than its tags say: save it with another compression")
        part = samples[plane, depth : depth + deep, top : top + rows, left : left + columns]
        part[...] = found[np.newaxis, : part.shape[1], : part.shape[2]]
    return samples.reshape(page.shape)


def _segment(data: bytes) -> tuple[NDArray[Any], NDArray[np.bool]]:
    """Samples and which of them count, each (rows, columns, bands), of the blobs of a segment."""
    found, mask = imagecodecs.lerc_decode(data, masks=True)
    together = _samples_of_a_pixel(data)
    *_, rows, columns = found.shape[:-1] if together > 1 else found.shape
    samples = np.moveaxis(found.reshape(-1, rows, columns, together), 0, 2).reshape(rows, columns, -1)
    if mask is None:
        return samples, np.ones_like(samples, bool)
    there = np.moveaxis(mask.reshape(-1, rows, columns), 0, 2).astype(bool)
    return samples, there.repeat(samples.shape[2] // there.shape[2], axis=2)


def _samples_of_a_pixel(blob: bytes) -> int:
    """How many samples lie together in a blob (nDepth of its header, which has that since version 4)."""
    magic, version = struct.unpack_from("<6si", blob)
    return int(struct.unpack_from("<6siIiii", blob)[5]) if magic == b"Lerc2 " and version >= 4 else 1
