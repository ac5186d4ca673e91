"""Gain maps of HDR photos in JPEG: kept, enlarged and turned with the picture.

A second JPEG behind the picture says by how much each place shines brighter on a display that can: Ultra HDR
(Adobe's hdrgm in XMP), ISO 21496-1, Apple's. An index (CIPA DC-007, Multi-Picture Format) says where it lies.
The map is enlarged by bicubic interpolation: it is coarser than the picture already, and viewers interpolate it too.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, NamedTuple

from PIL import Image

from sr_plugins.images.exif_block import ExifBlock, field_of, numbers, read_directory
from sr_plugins.images.file_parts import bodies, kept_with
from sr_plugins.images.jpeg_segments import jpeg_segment
from sr_plugins.images.placement import Placement
from sr_plugins.images.upright import turned_by

ISO = b"urn:iso:std:iso:ts:21496:-1\0"
_INDEX = b"MPF\0"
_APP1, _APP2 = 0xE1, 0xE2
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
# what says in a secondary picture's XMP that it is a gain map: Adobe's, and Apple's
_OF_MAPS = (b"http://ns.adobe.com/hdr-gain-map/1.0/", b"urn:com:apple:photo:2020:aux:hdrgainmap")
_ITEM = re.compile(rb"""Item:Semantic\s*=\s*["'](\w+)["']|Item:Length\s*=\s*["'](\d+)["']|<[\w:]*Item[\s>]""")
_MP_VERSION, _MP_COUNT, _MP_ENTRIES = 0xB000, 0xB001, 0xB002
_UNDEFINED, _LONG = 7, 4
_PRIMARY = 0x030000  # the baseline picture
_HOLE = b"where the index of pictures goes"
_MOST_SEGMENTS = 10_000


class Segment(NamedTuple):
    """A marker segment of a JPEG: ``at`` where its body begins."""

    marker: int
    body: bytes
    at: int


@dataclass(frozen=True)
class GainMap:
    """A gain map that goes along.

    Attributes:
        jpeg: the map, a whole JPEG with what says how it is meant.
        told: the body of the picture's own segment of ISO 21496-1, if it has one.
    """

    jpeg: bytes
    told: bytes | None

    def segments(self) -> bytes:
        """What the picture has to hold: ISO's note, and room for the index that :meth:`behind` puts in."""
        note = jpeg_segment(_APP2, self.told) if self.told else b""
        return note + jpeg_segment(_APP2, (_INDEX + _HOLE).ljust(len(_index(0, 0, 0)), b"\0"))

    def behind(self, picture: bytes) -> bytes:
        """The picture, whose segments hold ours, with its index filled and the map behind it."""
        at = picture.index(_INDEX + _HOLE)
        index = _index(len(picture), len(self.jpeg), len(picture) - (at + len(_INDEX)))
        return picture[:at] + index + picture[at + len(index) :] + self.jpeg


def gain_map_of(source: Image.Image, to: Placement) -> GainMap | None:
    """The map behind a picture as it goes with its enlargement; ``None`` where there is none that can be read.

    The segments that say how the map is meant stay as they are; its own EXIF goes with the old pixels.
    """
    stored = stored_map(source)
    if stored is None:
        return None
    try:
        with Image.open(io.BytesIO(stored), formats=["JPEG", "MPO"]) as image:
            samples = image if image.mode == "L" else image.convert("RGB")
            samples.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    across, down = to.factors
    samples = turned_by(samples, to.orientation)
    size = max(1, round(samples.width * across)), max(1, round(samples.height * down))
    kept = b"".join(
        jpeg_segment(segment.marker, segment.body)
        for segment in segments_of(stored)
        if (segment.marker == _APP1 and segment.body.startswith(_XMP))
        or (segment.marker == _APP2 and segment.body.startswith((ISO, b"ICC_PROFILE\0")))
    )
    file = io.BytesIO()
    larger = samples.resize(size, Image.Resampling.BICUBIC)
    larger.save(file, "JPEG", quality=95, subsampling=0, extra=kept, icc_profile=None)
    note = next((ISO + body for body in bodies(source, b"\xff\xe2", ISO)), None)
    return GainMap(file.getvalue(), note)


def stored_map(source: Image.Image) -> bytes | None:
    """The JPEG of the gain map as the file holds it."""
    if source.format not in ("JPEG", "MPO") or not _may_have_one(source):
        return None
    return kept_with(source, "gain map", _found, None)


def segments_of(jpeg: bytes) -> Iterator[Segment]:
    """The marker segments before the picture's data."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        if at + 4 > len(jpeg) or jpeg[at] != 0xFF or jpeg[at + 1] in (0xDA, 0xD9):
            return
        (length,) = struct.unpack_from(">H", jpeg, at + 2)
        yield Segment(jpeg[at + 1], jpeg[at + 4 : at + 2 + length], at + 4)
        at += 2 + length


def _may_have_one(source: Image.Image) -> bool:
    heads = bodies(source, b"\xff\xe2", _INDEX)
    return bool(heads) or any(b"GainMap" in body for body in bodies(source, b"\xff\xe1", _XMP))


def _found(file: IO[bytes]) -> bytes | None:
    whole = file.read()
    for begin, end in (*_by_index(whole), *_by_container(whole)):
        picture = whole[begin:end]
        if picture[:2] == b"\xff\xd8" and _is_map(picture):
            return picture
    return None


def _by_index(whole: bytes) -> Iterator[tuple[int, int]]:
    """Where the further pictures lie by the index: offsets count from its own TIFF header."""
    for segment in segments_of(whole):
        if segment.marker != _APP2 or not segment.body.startswith(_INDEX):
            continue
        index, base = segment.body[len(_INDEX) :], segment.at + len(_INDEX)
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(index[:4])
        if order is None:
            return
        try:
            (at,) = struct.unpack_from(order + "I", index, 4)
            fields, _ = read_directory(ExifBlock(index).read, at, order)
            entries = fields[_MP_ENTRIES].value
            count = int(numbers(fields[_MP_COUNT], order)[0])
        except (ValueError, KeyError, IndexError, struct.error):
            return
        for number in range(1, min(count, len(entries) // 16)):
            size, offset = struct.unpack_from(order + "II", entries, 16 * number + 4)
            yield base + offset, base + offset + size


def _by_container(whole: bytes) -> Iterator[tuple[int, int]]:
    """Where it lies by Google's container, whose pieces follow each other up to the file's end."""
    packet = next((s.body for s in segments_of(whole) if s.marker == _APP1 and s.body.startswith(_XMP)), b"")
    pieces: list[tuple[bytes, int]] = []
    semantic = b""
    for found in _ITEM.finditer(packet):
        if found[1]:
            semantic = found[1]
        elif found[2]:
            pieces.append((semantic, int(found[2])))
    end = len(whole)
    for semantic, length in reversed(pieces):
        if semantic == b"GainMap":
            yield end - length, end
        end -= length


def _is_map(jpeg: bytes) -> bool:
    for segment in segments_of(jpeg):
        if segment.marker == _APP2 and segment.body.startswith(ISO):
            return True
        if segment.marker == _APP1 and any(name in segment.body for name in _OF_MAPS):
            return True
    return False


def _index(first: int, second: int, second_at: int) -> bytes:
    """The body of an index of two pictures: their lengths, and where the second one lies."""
    rows = struct.pack("<IIIHH", _PRIMARY, first, 0, 0, 0) + struct.pack("<IIIHH", 0, second, second_at, 0, 0)
    fields = (
        field_of(_MP_VERSION, _UNDEFINED, b"0100", "<"),
        field_of(_MP_COUNT, _LONG, [2], "<"),
        field_of(_MP_ENTRIES, _UNDEFINED, rows, "<"),
    )
    at = 8 + 2 + 12 * len(fields) + 4
    records = b""
    for field in fields:
        value = field.value if len(field.value) <= 4 else struct.pack("<I", at)
        records += struct.pack("<HHI", field.tag, field.kind, field.amount) + value
    return _INDEX + b"II*\0\x08\0\0\0" + struct.pack("<H", len(fields)) + records + bytes(4) + rows
