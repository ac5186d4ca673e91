"""Whether a file's compression lost anything: what a picture made of it should be written with."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import IO

from PIL import Image

from sr_plugins.images.avif_file import matrix_of
from sr_plugins.images.file_parts import kept_with, parts_of
from sr_plugins.images.jpeg_2000_samples import bits_of_jpeg_2000
from sr_plugins.images.jxl_profile import is_exact

_JXL = b"\0\0\0\x0cJXL "
_HEADS = 1024  # bytes that a codestream's headers lie in
_START, _STYLE, _TILE = b"\xff\x4f\xff\x51", 0xFF52, 0xFF90  # markers of ISO/IEC 15444-1, Annex A
_BANDS = {"L": 1, "LA": 2, "I;16": 1, "RGB": 3, "YCbCr": 3, "RGBA": 4}


def is_lossless(source: Image.Image, format: str) -> bool:
    """Whether the file is of ``format`` and lost nothing by it, for formats that know both ways.

    An AVIF that holds RGB as it is (matrix 0: nothing but writers without loss does that); a WebP whose first picture
    is a VP8L chunk (WebP container specification); a JPEG XL that was not made from a JPEG, with samples as they were.
    """
    if source.format != format:
        return False
    if format == "AVIF":
        return matrix_of(source) == 0
    if format == "WEBP":
        return next((part.kind == b"VP8L" for part in parts_of(source) if part.kind in (b"VP8 ", b"VP8L")), False)
    if format == "JXL":
        return kept_with(source, "exact", _is_exact_jxl, False)
    return False


def _is_exact_jxl(file: IO[bytes]) -> bool:
    if not file.read(8).startswith(_JXL):
        file.seek(0)
        return is_exact(file.read(_HEADS))
    end, place, stream = file.seek(0, 2), 0, b""
    while place + 16 <= end:
        file.seek(place)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        length = length or end - place
        if kind == b"jbrd" or length < 8:  # it was a JPEG, and can be one again
            return False
        if kind in (b"jxlc", b"jxlp") and len(stream) < _HEADS:
            piece = file.read(min(place + length - file.tell(), _HEADS))
            stream += piece[4:] if kind == b"jxlp" else piece  # pieces have a number
        place += length
    return is_exact(stream)


def jpeg2000_ratio(source: Image.Image) -> float | None:
    """How many times smaller than its samples a lossy JPEG 2000 is; ``None`` for one without loss, and for others.

    Its transform tells: the 9-7 one cannot be undone exactly.
    """
    if source.format != "JPEG2000":
        return None
    size = kept_with(source, "lossy", _size_if_lossy, 0)
    of_a_sample = 2 if bits_of_jpeg_2000(source) > 8 else 1
    return source.width * source.height * _BANDS.get(source.mode, 3) * of_a_sample / size if size else None


def _size_if_lossy(file: IO[bytes]) -> int:
    """Bytes of the file where its wavelet is the irreversible one, else 0."""
    head = file.read(1 << 16)
    start = head.find(_START)
    if start < 0:
        return 0
    for marker, body in _segments(head, start + 2):
        if marker == _STYLE and len(body) > 9:
            return file.seek(0, 2) if body[9] == 0 else 0
    return 0


def _segments(head: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    while place + 4 <= len(head):
        marker, length = int.from_bytes(head[place : place + 2]), int.from_bytes(head[place + 2 : place + 4])
        if marker == _TILE or length < 2:
            return
        yield marker, head[place + 4 : place + 2 + length]
        place += 2 + length
