"""The sample aspect ratio in a NUT stream header.

PyAV cannot set the one that libavformat's NUT muxer writes, so it is put into the header on its way out. Both numbers
stay below 128: they then take the one byte each that "unknown" takes, and every position in the file stays right.
"""

from __future__ import annotations

from fractions import Fraction
from typing import IO

_STREAM_HEADER = b"NS\x11\x40\x5b\xf2\xf9\xdb"
_LARGEST = 127
_POLYNOMIAL = 0x04C11DB7
_CHECKSUM = 4  # bytes


class AspectWriter:
    """A file for PyAV to write NUT of one video stream into, which then says ``aspect``, or the nearest of two
    small numbers, :attr:`pair`."""

    def __init__(self, file: IO[bytes], aspect: Fraction) -> None:
        self._file = file
        self.pair = _small(aspect)

    def write(self, data: bytes) -> int:
        """Called by PyAV; a header begins with the stream, and is repeated now and then."""
        start = data.find(_STREAM_HEADER)
        self._file.write(data if start < 0 else self._filled(data, start + len(_STREAM_HEADER)))
        return len(data)

    def _filled(self, data: bytes, at: int) -> bytes:
        length, begin = _number(data, at)
        end = begin + length - _CHECKSUM
        if end + _CHECKSUM > len(data):  # a repeated header, cut by the end of the buffer: readers skip those
            return data
        at = begin
        for field in "nnsnnnnnsnn":  # numbers and strings up to the picture's width and height
            value, at = _number(data, at)
            at += value if field == "s" else 0
        body = data[begin:at] + bytes(self.pair) + data[at + len(self.pair) : end]
        return data[:begin] + body + _checksum(body).to_bytes(_CHECKSUM, "big") + data[end + _CHECKSUM :]


def _small(aspect: Fraction) -> tuple[int, int]:
    """The nearest ratio of two numbers that fit."""
    if aspect > 1:
        near = 1 / max((1 / aspect).limit_denominator(_LARGEST), Fraction(1, _LARGEST))
    else:
        near = max(aspect.limit_denominator(_LARGEST), Fraction(1, _LARGEST))
    return near.numerator, near.denominator


def _number(data: bytes, at: int) -> tuple[int, int]:
    """NUT's number of variable length at a place, and the place behind it."""
    value = 0
    while True:
        value = value << 7 | data[at] & 0x7F
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def _checksum(data: bytes) -> int:
    """NUT's CRC, which is not zlib's: it begins with zero and takes the highest bit first."""
    value = 0
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (_POLYNOMIAL if value & 1 << 31 else 0)) & 0xFFFFFFFF
    return value
