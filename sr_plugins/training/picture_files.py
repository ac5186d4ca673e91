"""Picture files that networks learn from, as arrays."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.errors import DataError
from sr_plugins.pixels import matrix
from sr_plugins.pixels.frame import eight_bits

if TYPE_CHECKING:
    import av

SUFFIXES = {".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".avif"}
UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, IndexError, struct.error)  # what Pillow raises on damage
LUMA = np.array(matrix.LUMA, np.float32)
Pair = tuple[NDArray[np.uint16], NDArray[np.uint16]]  # low and high resolution, (C, H, W), 0..65535

# of swscale: SWS_BILINEAR, its default here, with SWS_FULL_CHR_H_INT and SWS_ACCURATE_RND
ROUNDED = 0x2 | 0x2000 | 0x40000


def frame_to_rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    """A decoded frame as R'G'B' (H, W, 3), rounded to the nearest: by default swscale cuts off.

    Cut off, flat areas come out half a code darker on the mean, and what is trained on them learns to brighten.
    """
    return np.asarray(frame.to_ndarray(format="rgb24", interpolation=ROUNDED), np.uint8)


def list_pictures(folder: Path) -> list[Path]:
    """The picture files of a folder, sorted by name; ``DataError`` when there are none."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder with pictures")
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not found:
        raise DataError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    return found


@contextmanager
def opened_picture(path: Path) -> Iterator[Image.Image]:
    """A picture file; whatever Pillow raises while it is open on damaged data becomes a ``DataError``."""
    try:
        with Image.open(path) as image:
            yield image
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def to_rgb(image: Image.Image, path: Path) -> NDArray[np.uint8]:
    """The 8-bit R'G'B' (H, W, 3) of an opened picture; ``DataError`` for samples whose white is not known."""
    if image.mode == "F" or image.mode == "I":
        raise DataError(f"{path} has samples of 32 bits, whose white is not known: save it with 8 or 16")
    if image.mode.startswith("I;16"):  # Pillow would cut off everything above 255
        return eight_bits(np.asarray(image))[..., None].repeat(3, 2)
    return np.asarray(image.convert("RGB"))


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """An 8-bit RGB picture, (H, W, 3); ``DataError`` when it cannot be read."""
    with opened_picture(path) as image:
        return to_rgb(image, path)


def to_channels(picture: NDArray[np.uint8], channels: str) -> NDArray[np.uint16]:
    """(H, W, 3) 8-bit to (C, H, W) in 0..65535: R'G'B', or the luma Y' = 0.299 R' + 0.587 G' + 0.114 B' (BT.601)."""
    if channels == "rgb":
        return np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.uint16) * 257
    return np.rint(picture @ LUMA * 257)[None].astype(np.uint16)


def turned[T: np.generic](picture: NDArray[T], turn: int) -> NDArray[T]:
    """One of the eight flips and transpositions of a square."""
    if turn & 1:
        picture = picture[:, ::-1]
    if turn & 2:
        picture = picture[:, :, ::-1]
    return picture.transpose(0, 2, 1) if turn & 4 else picture
