"""TIFF pages of Y, Cb, Cr with fewer samples of chroma, as they are stored without compression (TIFF 6.0, section 21).

Pillow reads them compressed alone, by libtiff; and tifffile gives no pixels of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import ImageError
from sr_plugins.images.tiff_reader import PHOTOMETRIC, Page

_COMPRESSION, _COEFFICIENTS, _SUBSAMPLING, _REFERENCE = 259, 529, 530, 532
_YCBCR, _NONE = 6, 1


def has_fewer_chroma(page: Page) -> bool:
    """Whether the page is one of these."""
    stored = page.value(PHOTOMETRIC, 1) == _YCBCR and page.value(_COMPRESSION, 1) == _NONE
    return stored and _subsampling(page) != (1, 1)


def read_fewer_chroma(page: Any, told: Page) -> NDArray[np.uint8]:
    """The page as RGB, (height, width, 3); each sample of chroma stands for its whole cell, as in libtiff.

    Args:
        page: tifffile's.
        told: what its directory says.

    Raises:
        ImageError: its samples are not of 8 bits, or it is cut off.
    """
    across, down = _subsampling(told)
    if page.bitspersample != 8 or page.samplesperpixel != 3 or page.planarconfig != 1:
        raise ImageError("YCbCr of this kind is not enlarged: save it as RGB")
    width, height = page.imagewidth, page.imagelength
    wide, high = (page.tilewidth, page.tilelength) if page.is_tiled else (width, min(page.rowsperstrip, height))
    columns = -(-width // wide)
    samples = np.zeros((-(-height // high) * high, columns * wide, 3), np.uint8)
    file = page.parent.filehandle
    for number, (offset, length) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
        top, left = number // columns * high, number % columns * wide
        rows = high if page.is_tiled else min(high, height - top)
        cells, lines = -(-wide // across), -(-rows // down)
        size = cells * lines * (across * down + 2)
        file.seek(offset)
        data = file.read(min(length, size))
        if len(data) < size:
            raise ImageError("its samples are cut off")
        units = np.frombuffer(data, np.uint8).reshape(lines, cells, across * down + 2)
        luma = units[..., :-2].reshape(lines, cells, down, across).swapaxes(1, 2).reshape(lines * down, cells * across)
        chroma = units[..., -2:].repeat(down, axis=0).repeat(across, axis=1)
        samples[top : top + rows, left : left + wide] = np.dstack((luma, chroma))[:rows, :wide]
    return _in_rgb(samples[:height, :width], told)


def _in_rgb(samples: NDArray[np.uint8], told: Page) -> NDArray[np.uint8]:
    reference = [float(v) for v in told.values(_REFERENCE)] or [0, 255, 128, 255, 128, 255]
    red, green, blue = [float(v) for v in told.values(_COEFFICIENTS)] or (0.299, 0.587, 0.114)
    bands = []
    for band, coding in enumerate((255, 127, 127)):
        black, white = reference[2 * band : 2 * band + 2]
        bands.append((samples[..., band] - np.float32(black)) * np.float32(coding / ((white - black) or 1)))
    y, cb, cr = bands
    r = cr * (2 - 2 * red) + y
    b = cb * (2 - 2 * blue) + y
    g = (y - blue * b - red * r) / green
    return np.clip(np.rint(np.dstack((r, g, b))), 0, 255).astype(np.uint8)


def _subsampling(page: Page) -> tuple[int, int]:
    across, down = [int(v) for v in page.values(_SUBSAMPLING)] or (2, 2)
    return across, down
