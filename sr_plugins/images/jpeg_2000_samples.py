"""Samples of a JPEG 2000 as they are stored. Pillow makes 8 bits of more, and by that black of white (seen in 13.0)."""

from __future__ import annotations

from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.file_parts import kept_with
from sr_plugins.pixels.frame import eight_bits

_START = b"\xff\x4f\xff\x51"  # a codestream's first two markers, SOC and SIZ (ISO/IEC 15444-1, A.4.1 and A.5.1)
_COUNT, _COMPONENTS, _EACH = 40, 42, 3  # where SIZ says how many components there are, and of which depth each is
_MOST = 16384
_SIGNED = 0x80


def bits_of_jpeg_2000(source: Image.Image) -> int:
    """The most bits of a component; 8 for other formats."""
    return max((depth for depth, _ in _components(source)), default=8)


def deep_jpeg_2000(source: Image.Image) -> NDArray[np.uint16] | None:
    """The samples of colours of more than 8 bits, brought to 16: (height, width, bands), alpha last.

    ``None`` for 8 bits, for CMYK, and for what Pillow reads whole: gray of 16 bits (with fewer it moves them up, and
    white is none), and palettes.

    Raises:
        ValueError: they are in an order that is not read.
    """
    whole = source.mode == "I;16" and _components(source) == ((16, False),)
    return _samples(source) if source.mode in ("I;16", "LA", "RGB", "RGBA") and not whole else None


def narrowed_truly(source: Image.Image) -> Image.Image | None:
    """Colours of more than 8 bits as their nearest of 8, in place of what Pillow makes of them; ``None`` for others."""
    deep = _samples(source) if source.mode in ("LA", "RGB", "RGBA", "CMYK") else None
    if deep is None:
        return None
    return Image.frombytes(source.mode, source.size, eight_bits(deep).tobytes())


def _samples(source: Image.Image) -> NDArray[np.uint16] | None:
    if bits_of_jpeg_2000(source) <= 8:
        return None
    import imagecodecs

    data = kept_with(source, "whole", lambda file: file.read(), b"")
    samples = np.asarray(imagecodecs.jpeg2k_decode(data))  # Y'CbCr becomes RGB
    samples = samples.reshape(*samples.shape[:2], -1)
    parts = _components(source)
    if samples.shape[:2] != source.size[::-1] or samples.shape[2] != len(source.getbands()):
        raise ValueError(f"{len(parts)} components of more than 8 bits are not read: convert it to TIFF first")
    bands = []
    for number, (depth, signed) in enumerate(parts[: samples.shape[2]]):
        stored = samples[..., number].astype(np.int64) + (1 << depth - 1 if signed else 0)
        white = (1 << depth) - 1
        bands.append(((stored.clip(0, white) * 65535 + white // 2) // white).astype(np.uint16))
    return np.stack(bands, axis=2)


def _components(source: Image.Image) -> tuple[tuple[int, bool], ...]:
    """(bits, signed) of each component."""
    return kept_with(source, "components", _read_components, ()) if source.format == "JPEG2000" else ()


def _read_components(file: IO[bytes]) -> tuple[tuple[int, bool], ...]:
    head = file.read()
    if (start := head.find(_START)) < 0:
        return ()
    count = int.from_bytes(head[start + _COUNT : start + _COMPONENTS])
    depths = head[start + _COMPONENTS : start + _COMPONENTS + _EACH * min(count, _MOST) : _EACH]
    return tuple(((depth & ~_SIGNED) + 1, bool(depth & _SIGNED)) for depth in depths)
