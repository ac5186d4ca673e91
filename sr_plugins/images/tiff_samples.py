"""TIFF pages by tifffile: depths, byte orders and compressions that Pillow does not read, or reads wrong."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from sr_plugins.errors import ImageError
from sr_plugins.images.tiff_chroma import has_fewer_chroma, read_fewer_chroma
from sr_plugins.images.tiff_lerc import LERC, read_lerc
from sr_plugins.images.tiff_reader import NO_DATA, PHOTOMETRIC, SAMPLES, Page, no_data_of, pages_of
from sr_plugins.images.wide_samples import WideSamples
from sr_plugins.pixels.frame import Frame, eight_bits

_BITS, _SAMPLE_FORMAT, _COMPRESSION = 258, 339, 259
_SEPARATE = 2  # PlanarConfiguration of TIFF 6.0: a plane for each sample
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA = 1, 2  # ExtraSamples of TIFF 6.0
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_KINDS = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR)
# JPEG 2000, LERC, WebP, JPEG XL: Pillow's libtiff does not know them
_OTHER_COMPRESSIONS = {33003, 33004, 33005, 34712, LERC, 50001, 50002, 52546}


class UnreadTiff(ImageFile.ImageFile):
    """A TIFF file that Pillow refuses: its pages are known, and read by :func:`read_page`, but never loaded."""

    format = "TIFF"
    format_description = "TIFF by tifffile"

    def _open(self) -> None:
        pages = pages_of(self)
        if not pages or 0 in pages[0].size:
            raise SyntaxError("not a TIFF file")
        self._mode, self._size, self.tile = "L", pages[0].size, []
        self.n_frames = len(pages)

    def load(self) -> Any:
        raise OSError("its samples are of a kind that Pillow has no mode for: save it as an RGB TIFF")


def is_beyond_pillow(page: Page) -> bool:
    """Whether Pillow would cut this page's samples down, take them for others, or not read them at all."""
    bits, kind, samples = page.value(_BITS, 1), page.value(_SAMPLE_FORMAT, _UNSIGNED), page.value(SAMPLES, 1)
    photometric = page.value(PHOTOMETRIC, 1)
    if page.value(_COMPRESSION, 1) in _OTHER_COMPRESSIONS:
        return True
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE):
        return has_fewer_chroma(page)
    if kind in (_SIGNED, _FLOAT) or bits > 16 or (bits > 8 and NO_DATA in page.first):
        return True
    if photometric == _PALETTE:
        return bits > 8
    if photometric == _WHITE_IS_ZERO:
        return bits > 8 or samples > 1 or NO_DATA in page.first
    return bits > 8 and (samples > 1 or bits != 16)


def read_page(page: Any, told: Page) -> Image.Image | Frame | WideSamples:
    """The upright picture on a page.

    Args:
        page: tifffile's.
        told: what its directory says.

    Raises:
        ImageError: it is of a kind that nothing here enlarges.
    """
    import tifffile

    photometric = int(page.photometric)
    kind = getattr(page.photometric, "name", photometric)
    if photometric not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR):
        raise ImageError(f"samples of the kind {kind} are not enlarged: save it as RGB")
    try:
        tifffile.TIFF.DECOMPRESSORS[page.compression]
    except KeyError:
        name = getattr(page.compression, "name", page.compression)  # a bare number where nobody knows it
        raise ImageError(f"its compression ({name}) is not read: save it with another") from None
    samples = _stored(page, told)
    if samples.dtype.kind not in "buif":
        raise ImageError(f"samples of the kind {kind}, {samples.dtype}, are not enlarged: save it as RGB")
    if samples.ndim == 3 and page.planarconfig == _SEPARATE and page.samplesperpixel > 1:
        samples = np.moveaxis(samples, 0, -1)
    samples = samples[..., np.newaxis] if samples.ndim == 2 else samples
    if samples.ndim != 3:
        raise ImageError("it holds a stack of pictures in one directory: save them as pages")
    if samples.dtype == np.uint32 and told.value(_BITS, 1) == 24:
        samples = _of_24_bits(samples, told.order)
    samples = _in_full_range(samples, told.value(_BITS, 1))
    if photometric == _PALETTE:
        samples = np.moveaxis(np.asarray(page.colormap)[:, samples[..., 0]], 0, -1).astype(np.uint16)
    if photometric == _CMYK:
        return _ink(samples, told)
    colours = 3 if photometric in (_RGB, _PALETTE, _YCBCR) else 1
    is_negative, no_data = photometric == _WHITE_IS_ZERO, no_data_of(told)
    if is_negative and samples.dtype.kind == "u" and no_data is None:
        is_negative = False
        samples[..., 0] = np.iinfo(samples.dtype).max - samples[..., 0]
    picture = WideSamples(
        with_straight_alpha(samples, colours, [int(kind) for kind in page.extrasamples]),
        has_alpha=any(int(kind) in (_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA) for kind in page.extrasamples),
        no_data=no_data,
        is_negative=is_negative,
    )
    picture = WideSamples(
        upright_samples(picture.values, told.value(274, 1)),
        picture.has_alpha,
        picture.no_data,
        is_negative=picture.is_negative,
    )
    return picture if picture.no_data is not None else picture.as_picture()


def _stored(page: Any, told: Page) -> NDArray[Any]:
    """Samples as the page has them, in tifffile's order of axes."""
    if has_fewer_chroma(told):
        return read_fewer_chroma(page, told)
    samples: NDArray[Any] = read_lerc(page) if told.value(_COMPRESSION, 1) == LERC else page.asarray()
    return samples


def open_unread(path: str | os.PathLike[str]) -> UnreadTiff | None:
    """A TIFF file that Pillow does not open; ``None`` where it is none, or nothing can be made of it."""
    try:
        return UnreadTiff(os.fspath(path))
    except (OSError, SyntaxError, ValueError):
        return None


def upright_samples(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The picture as it is to be seen; ``orientation`` as in TIFF 6.0 and EXIF, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        samples = np.swapaxes(samples, 0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples


def _in_full_range(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """Unsigned samples of odd depths, brought to the range of the type that holds them."""
    if samples.dtype == bool:
        return samples.astype(np.uint8) * np.uint8(255)
    held = 8 * samples.dtype.itemsize
    native = samples.astype(samples.dtype.newbyteorder("="), copy=True)
    if samples.dtype.kind != "u" or bits == held or bits > 16:
        return native
    white = (1 << bits) - 1
    scaled: NDArray[Any] = (native.astype(np.uint32) * ((1 << held) - 1) + white // 2) // white
    return scaled.astype(native.dtype)


def _of_24_bits(samples: NDArray[Any], order: str) -> NDArray[Any]:
    """Samples of 24 bits, brought to 32; tifffile (2026.11) gives their bytes in the wrong order, in both orders."""
    stored = samples.astype("<u4").byteswap()
    value = stored >> 8 if order == "<" else stored
    full: NDArray[Any] = value << 8 | value >> 16
    return full


def with_straight_alpha(samples: NDArray[Any], colours: int, kinds: list[int]) -> NDArray[Any]:
    """Colours and, where there is one, straight alpha; bands of no meaning are left out.

    Args:
        samples: (height, width, bands).
        colours: how many bands are colours, the first ones.
        kinds: what the others are, as in TIFF's ExtraSamples: 1 is alpha that colours are multiplied with, 2 straight.
    """
    found = [number for number, kind in enumerate(kinds) if kind in (_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA)]
    if not found or colours + found[0] >= samples.shape[2]:
        return samples[..., :colours]
    colour, alpha = samples[..., :colours], samples[..., colours + found[0], np.newaxis]
    if kinds[found[0]] == _ASSOCIATED_ALPHA:
        if colour.dtype.kind == "f":
            straight = np.divide(colour, alpha, out=np.zeros_like(colour), where=alpha > 0)
        else:
            white = np.iinfo(colour.dtype).max
            wide = (colour.astype(np.uint64) * np.uint64(white) + alpha // 2) // np.maximum(alpha, 1)
            straight = np.minimum(wide, white).astype(colour.dtype)
        colour = straight
    return np.concatenate((colour, alpha), axis=2)


def _ink(samples: NDArray[Any], told: Page) -> Image.Image:
    if samples.shape[2] != 4 or samples.dtype not in (np.uint8, np.uint16):
        raise ImageError("CMYK with further bands is not enlarged: flatten it first")
    return Image.fromarray(np.ascontiguousarray(upright_samples(eight_bits(samples), told.value(274, 1))), "CMYK")
