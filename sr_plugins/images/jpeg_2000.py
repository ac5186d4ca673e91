"""What Pillow neither reads nor writes of a JPEG 2000 (ISO 15444-1): what it holds beside its pixels, deep colours."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.avif_file import box
from sr_plugins.images.exif_block import HEAD
from sr_plugins.images.file_parts import bodies

# UUIDs of boxes: XMP (ISO 16684-1 part 3, 1.1.8), EXIF and IPTC as Adobe and exiftool write them, GeoJP2
XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
EXIF = b"JpgTiffExif->JP2"
IPTC = bytes.fromhex("33c7a4d2b81d4723a0baf1a3e097ad38")
MAP = bytes.fromhex("b14bf8bd083d4b43a5ae8cd7d5a6ce03")
_WORST, _BEST, _STEP = 20, 110, 2  # decibels that a lossy file is looked for between


def box_of(source: Image.Image, uuid: bytes) -> bytes | None:
    """What the first box of this name holds."""
    return next(iter(bodies(source, b"uuid", uuid)), None) if source.format == "JPEG2000" else None


def exif_in_box(source: Image.Image) -> bytes | None:
    """The EXIF block, with the head that it has in other formats."""
    body = box_of(source, EXIF)
    return HEAD + body.removeprefix(HEAD) if body else None


def with_boxes(
    jp2: bytes,
    profile: bytes | None,
    dpi: tuple[float, float] | None,
    contents: Iterable[tuple[bytes, bytes | None]],
) -> bytes:
    """A JPEG 2000 file with a profile in the place of a number, and with UUID boxes before its codestream.

    A bare codestream has no place for either, and stays as it is.

    Args:
        jp2: as Pillow writes it.
        profile: an ICC profile.
        dpi: dots per inch, across and down.
        contents: UUID and content of each box; those without content are left out.
    """
    if jp2[4:8] != b"jP  ":
        return jp2
    jp2 = _with_profile(jp2, profile) if profile else jp2
    jp2 = _with_resolution(jp2, dpi) if dpi else jp2
    at = 0
    while at + 8 <= len(jp2):
        length, kind = struct.unpack_from(">I4s", jp2, at)
        if kind == b"jp2c" or length < 8:
            break
        at += length
    return jp2[:at] + b"".join(box(b"uuid", uuid + body) for uuid, body in contents if body) + jp2[at:]


def _with_profile(jp2: bytes, profile: bytes) -> bytes:
    """I.5.3.3: the colour told by a profile (method 2) instead of a number."""
    header = jp2.find(b"jp2h") - 4
    at = jp2.find(b"colr") - 4
    if header < 0 or at < header:
        return jp2
    (old,) = struct.unpack_from(">I", jp2, at)
    colours = box(b"colr", b"\2\0\0" + profile)
    (size,) = struct.unpack_from(">I", jp2, header)
    return (
        jp2[:header] + struct.pack(">I", size - old + len(colours)) + jp2[header + 4 : at] + colours + jp2[at + old :]
    )


def _with_resolution(jp2: bytes, dpi: tuple[float, float]) -> bytes:
    """I.5.3.7.1: the capture resolution in dots a metre, vertical first, at the end of the header box."""
    (across, across_power), (down, down_power) = (_ratio(value / 0.0254) for value in dpi)
    ratios = *down.as_integer_ratio(), *across.as_integer_ratio()
    return _with_header_box(jp2, box(b"res ", box(b"resc", struct.pack(">4HBB", *ratios, down_power, across_power))))


def _with_header_box(jp2: bytes, added: bytes) -> bytes:
    header = jp2.find(b"jp2h") - 4
    if header < 0:
        return jp2
    (size,) = struct.unpack_from(">I", jp2, header)
    end = header + size
    return jp2[:header] + struct.pack(">I", size + len(added)) + jp2[header + 4 : end] + added + jp2[end:]


def _ratio(value: float) -> tuple[Fraction, int]:
    """A number as a ratio of 16 bits and a power of ten."""
    power = 0
    while value > 0xFFFF:
        value, power = value / 10, power + 1
    return Fraction(value).limit_denominator(max(1, int(0xFFFF / max(value, 1)))), power


def deep_codestream(samples: NDArray[np.uint16], ratio: float | None, *, bare: bool) -> bytes:
    """A JPEG 2000 of 16 bits.

    Args:
        samples: (height, width) or (height, width, 2 to 4), alpha last.
        ratio: how many times smaller than the samples it may be; ``None``: nothing is lost.
        bare: a codestream without boxes.
    """
    import imagecodecs

    kind: Literal["j2k", "jp2"] = "j2k" if bare else "jp2"
    if ratio is None:
        jp2 = bytes(imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, codecformat=kind))
    else:  # the encoder is told a signal-to-noise ratio
        low, high, jp2 = _WORST, _BEST, b""
        while high - low > _STEP:
            middle = (low + high) // 2
            tried = bytes(imagecodecs.jpeg2k_encode(samples, level=middle, reversible=False, codecformat=kind))
            if len(tried) * ratio > samples.nbytes:
                high = middle
            else:
                low = middle
            if not jp2 or len(tried) * ratio <= samples.nbytes:
                jp2 = tried
    alpha = samples.shape[2] - 1 if samples.ndim == 3 and samples.shape[2] in (2, 4) else 0
    if alpha and not bare:  # I.5.3.6: each colour by its number, and opacity of all of them
        channels = [*((number, 0, number + 1) for number in range(alpha)), (alpha, 1, 0)]
        entries = b"".join(struct.pack(">3H", *channel) for channel in channels)
        jp2 = _with_header_box(jp2, box(b"cdef", struct.pack(">H", len(channels)) + entries))
    return jp2
