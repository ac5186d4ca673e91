"""Segments of a JPEG (ITU-T T.81, B.2.4) that carry metadata, beyond what Pillow's writer knows: one of each."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from hashlib import md5

from PIL import Image

from sr_plugins.images.file_parts import bodies
from sr_plugins.images.xmp import Xmp

LARGEST_SEGMENT = 65533
_XMP_HEAD, _EXTENDED_HEAD = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP_HEAD = b"Photoshop 3.0\0"


def segments_for(xmp: bytes | None, resources: bytes, comments: Iterable[bytes], lost: list[str]) -> bytes:
    """XMP, Photoshop's notes and comments as segments; names in ``lost`` what is too large for them."""
    found = b""
    if xmp:
        try:
            standard, extended = Xmp(xmp).split(LARGEST_SEGMENT - len(_XMP_HEAD))
            found += jpeg_segment(0xE1, _XMP_HEAD + standard)
            found += b"".join(jpeg_segment(0xE1, _EXTENDED_HEAD + part) for part in _pieces(extended))
        except ValueError as error:
            lost.append(f"XMP of {len(xmp)} bytes ({error})")
    step = LARGEST_SEGMENT - len(_PHOTOSHOP_HEAD)
    for at in range(0, len(resources), step):
        found += jpeg_segment(0xED, _PHOTOSHOP_HEAD + resources[at : at + step])
    for comment in comments:
        if len(comment) > LARGEST_SEGMENT:
            lost.append(f"a comment of {len(comment)} bytes")
        else:
            found += jpeg_segment(0xFE, comment)
    return found


def extended_xmp(source: Image.Image) -> bytes:
    """Extended XMP of a JPEG (XMP specification part 3, 1.1.3.1), if it is whole."""
    parts = bodies(source, b"\xff\xe1", _EXTENDED_HEAD)
    whole = bytearray()
    for part in sorted(parts, key=lambda p: p[36:40]):
        if len(part) > 40 and part[:36] == parts[0][:36] and int.from_bytes(part[36:40], "big") == len(whole):
            whole += part[40:]
    return bytes(whole) if parts and len(whole) == int.from_bytes(parts[0][32:36], "big") else b""


def jpeg_segment(marker: int, body: bytes) -> bytes:
    """One segment; ``marker`` is the second byte of its marker."""
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _pieces(extended: bytes) -> Sequence[bytes]:
    name = md5(extended, usedforsecurity=False).hexdigest().upper().encode()
    step = 65000
    return [
        name + struct.pack(">II", len(extended), at) + extended[at : at + step] for at in range(0, len(extended), step)
    ]


def with_aspect(jpeg: bytes, aspect: tuple[float, float]) -> bytes:
    """A JPEG as Pillow writes it, whose JFIF head tells a ratio of resolutions and no unit of length."""
    if jpeg[6:11] != b"JFIF\0":
        return jpeg
    return jpeg[:13] + struct.pack(">BHH", 0, *whole_ratio(aspect, 0xFFFF)) + jpeg[18:]


def whole_ratio(aspect: tuple[float, float], most: int) -> tuple[int, int]:
    """The ratio in whole numbers of at most ``most``."""
    x, y = (Fraction(value).limit_denominator(1_000_000) for value in aspect)
    if x.denominator == y.denominator == 1 and max(x, y) <= most:
        return int(x), int(y)
    ratio = x / y
    for largest in (most, 1000, 1):
        found = ratio.limit_denominator(largest)
        if 0 < found.numerator <= most:
            return found.numerator, found.denominator
    return 1, 1
