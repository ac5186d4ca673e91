"""Records of IPTC (Information Interchange Model 4.2), made true for the enlargement."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from sr_plugins.images.placement import Placement

_TAG, _EXTENDED = 0x1C, 0x8000
_NEWS_PHOTO = 3  # its record of what the samples are (IPTC-NAA Digital Newsphoto Parameter Record)
_WIDTH, _HEIGHT, _PIXEL_WIDTH, _PIXEL_HEIGHT = 20, 30, 40, 50
_MOST = 65535


def true_records(data: bytes, to: Placement) -> bytes:
    """The same records; those of a news photo's size say that of the enlargement, or are left out where it is larger
    than they can say. What cannot be read stays as it is."""
    found = list(_datasets(data))
    sides = {number: value for record, number, value, _ in found if record == _NEWS_PHOTO and len(value) == 2}
    pixel = (sides.get(_PIXEL_WIDTH), sides.get(_PIXEL_HEIGHT))
    if None not in pixel:
        sides[_PIXEL_WIDTH], sides[_PIXEL_HEIGHT] = to.exchanged(sides[_PIXEL_WIDTH], sides[_PIXEL_HEIGHT])
    for number, side in zip((_WIDTH, _HEIGHT), to.size, strict=True):
        if number in sides:
            sides[number] = struct.pack(">H", side) if side <= _MOST else b""
    mended = b""
    for record, number, value, whole in found:
        if record == _NEWS_PHOTO and number in (_WIDTH, _HEIGHT, _PIXEL_WIDTH, _PIXEL_HEIGHT) and len(value) == 2:
            whole = whole[:-2] + sides[number] if sides[number] else b""
        mended += whole
    return mended + data[sum(len(whole) for *_, whole in found) :]


def _datasets(data: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Record, number, value and the whole of each, up to the first that is none."""
    place = 0
    while place + 5 <= len(data) and data[place] == _TAG:
        record, number, length = struct.unpack_from(">BBH", data, place + 1)
        at = place + 5
        if length & _EXTENDED:  # the length of the length
            at += length & ~_EXTENDED
            length = int.from_bytes(data[place + 5 : at])
        if at + length > len(data):
            return
        yield record, number, data[at : at + length], data[place : at + length]
        place = at + length
