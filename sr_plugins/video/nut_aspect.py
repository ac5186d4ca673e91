"""The sample aspect ratio in a NUT stream header.

PyAV cannot set the one that libavformat's NUT muxer writes, so it is put into the header on its way out. The first one,
which readers go by, tells it exactly and may become longer; headers that are repeated later keep their length, so that
all distances in the file stay right.
"""

from __future__ import annotations

from fractions import Fraction
from typing import IO

_STREAM_HEADER = b"NS\x11\x40\x5b\xf2\xf9\xdb"
_LARGEST = 127  # in the one byte that "unknown" takes
_POLYNOMIAL = 0x04C11DB7
_CHECKSUM = 4  # bytes
_LONG = 4096  # bytes from which on a header's length has a checksum of its own


class AspectWriter:
    """A file for PyAV to write NUT of one video stream into, which then says ``aspect``."""

    def __init__(self, file: IO[bytes], aspect: Fraction) -> None:
        self._file = file
        self._aspect = aspect
        self._begun = False

    def write(self, data: bytes) -> int:
        """Called by PyAV; a header begins with the stream, and is repeated now and then."""
        start = data.find(_STREAM_HEADER)
        self._file.write(data if start < 0 else self._filled(data, start))
        return len(data)

    def _filled(self, data: bytes, start: int) -> bytes:
        length, begin = _number(data, start + len(_STREAM_HEADER))
        begin += _CHECKSUM if length > _LONG else 0
        end = begin + length - _CHECKSUM
        if end + _CHECKSUM > len(data):  # a repeated header, cut by the end of the buffer: readers skip those
            return data
        at = begin
        for field in "nnsnnnnnsnn":  # numbers and strings up to the picture's width and height
            value, at = _number(data, at)
            at += value if field == "s" else 0
        aspect = _small(self._aspect) if self._begun else self._aspect
        self._begun = True
        body = data[begin:at] + _bytes(aspect.numerator) + _bytes(aspect.denominator) + data[at + 2 : end]
        head = _STREAM_HEADER + _bytes(len(body) + _CHECKSUM)
        if len(body) + _CHECKSUM > _LONG:
            head += _checksum(head)
        return data[:start] + head + body + _checksum(body) + data[end + _CHECKSUM :]


def _small(aspect: Fraction) -> Fraction:
    """The nearest ratio of two numbers that fit."""
    if aspect > 1:
        return 1 / max((1 / aspect).limit_denominator(_LARGEST), Fraction(1, _LARGEST))
    return max(aspect.limit_denominator(_LARGEST), Fraction(1, _LARGEST))


def _number(data: bytes, at: int) -> tuple[int, int]:
    """NUT's number of variable length at a place, and the place behind it."""
    value = 0
    while True:
        value = value << 7 | data[at] & 0x7F
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _bytes(number: int) -> bytes:
    """NUT's number of variable length."""
    digits = bytearray([number & 0x7F])
    while number := number >> 7:
        digits.insert(0, number & 0x7F | 0x80)
    return bytes(digits)


def _checksum(data: bytes) -> bytes:
    """NUT's CRC, which is not zlib's: it begins with zero and takes the highest bit first."""
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (_POLYNOMIAL if value & 1 << 31 else 0)) & 0xFFFFFFFF
    return value.to_bytes(_CHECKSUM, "big")
