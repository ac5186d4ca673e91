"""FITS of 16 bits: numbers with a sign, zero lies where the header says (BZERO); Pillow takes the bits as they are."""

from __future__ import annotations

import re

import numpy as np
from PIL import Image

from sr_plugins.errors import ImageError
from sr_plugins.images.file_parts import kept_with

_UNSIGNED = 32768.0  # how the standard stores numbers without a sign (FITS 4.0, table 11)
_HEADER = 36 * 2880


def zero_of(source: Image.Image) -> float | None:
    """Where zero lies in a FITS of 16 bits, to be asked before it is loaded; ``None`` for all other pictures."""
    if source.format != "FITS" or source.mode != "I;16":
        return None
    head = kept_with(source, "header", lambda file: file.read(_HEADER), b"")
    told = re.search(rb"BZERO *= *([-+.\dEe]+)", head)
    return float(told[1]) if told else 0.0


def with_sign_told(image: Image.Image, zero: float) -> Image.Image:
    """A loaded FITS of 16 bits as the numbers that it stands for; ``ImageError`` where some are negative."""
    stored = np.asarray(image)
    if zero == _UNSIGNED:
        return Image.fromarray(stored ^ np.uint16(0x8000))
    if stored.max() > 0x7FFF:
        raise ImageError("it holds numbers below zero: save it as a TIFF of floats first")
    return image
