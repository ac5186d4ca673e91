"""How many bytes a file has by its own word: Matroska, the QuickTime family and RIFF (AVI) say it in their outermost
elements. Its packets may end before the film does."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_TAIL = 4096  # bytes at the end; zeros alone are what a download that stopped leaves of a file made in advance
# Outermost boxes of ISO 14496-12 and QuickTime. Behind them some cameras leave what is no box.
_BOXES = {b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"uuid", b"sidx", b"styp", b"mfra", b"meta"}
_OPEN_END = (0, 0xFFFFFFFF)  # sizes of what was written before anybody knew them


def bytes_due(path: Path, container: str) -> int | None:
    """The length that a file should have; ``None``: it does not say. ``container`` is the name of ffmpeg's demuxer."""
    with path.open("rb") as file:
        if container.startswith("matroska"):
            return _matroska(file)
        if container.startswith("mov"):
            return _boxes(file)[1]
        return _riff(file) if container == "avi" else None


def is_whole(path: Path) -> bool:
    """Whether all bytes of a Matroska file are there that it says it has. One that does not say how many is not known
    to be."""
    length = path.stat().st_size
    with path.open("rb") as file:
        due = _matroska(file)
        file.seek(max(0, length - _TAIL))
        return due is not None and due <= length and any(file.read())


def lacks_index(path: Path) -> bool:
    """Whether it is of the QuickTime family and without the index at its end (``moov``), for it was never finished."""
    try:
        with path.open("rb") as file:
            kinds = _boxes(file)[0]
    except OSError:
        return False
    return b"moov" not in kinds and (b"mdat" in kinds or kinds[:1] == [b"ftyp"])


def _matroska(file: BinaryIO) -> int | None:
    """The format of a size is RFC 8794, section 6: the zeros before its first one say how many bytes it has."""
    place = 0
    for name in (_EBML, _SEGMENT):
        file.seek(place)
        head = file.read(12)
        if head[:4] != name or len(head) < 12 or not head[4]:
            return None
        count = 9 - head[4].bit_length()
        size = int.from_bytes(head[4 : 4 + count]) & ((1 << 7 * count) - 1)
        if size == (1 << 7 * count) - 1:  # unknown, as of a broadcast
            return None
        place += 4 + count + size
    return place


def _boxes(file: BinaryIO) -> tuple[list[bytes], int | None]:
    """The kinds of the outermost boxes, and where the last one ends."""
    kinds, place, due = list[bytes](), 0, None
    while True:
        file.seek(place)
        head = file.read(16)
        if len(head) < 8 or head[4:8] not in _BOXES:
            return kinds, due
        (size,) = struct.unpack(">I", head[:4])
        if size == 1 and len(head) == 16:
            (size,) = struct.unpack(">Q", head[8:])
        kinds.append(head[4:8])
        if size < 8:  # up to the end, wherever that is
            return kinds, None
        place += size
        due = place


def _riff(file: BinaryIO) -> int | None:
    """A long AVI has several such parts (OpenDML)."""
    place, due = 0, None
    while True:
        file.seek(place)
        head = file.read(8)
        if len(head) < 8 or head[:4] != b"RIFF":
            return due
        (size,) = struct.unpack("<I", head[4:])
        if size in _OPEN_END:
            return None
        due = place + 8 + size
        place = due + size % 2


def still_chunks(path: Path, stream: int) -> int:
    """How many empty chunks an AVI's index lists for a stream behind its last frame, each of which shows that once
    more; libavformat leaves them out."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"AVI ":
            return 0
        place = 12
        while len(head := file.read(8)) == 8 and head[:4] != b"idx1":
            place += 8 + (size := int.from_bytes(head[4:], "little")) + size % 2
            file.seek(place)
        index = file.read(int.from_bytes(head[4:], "little")) if len(head) == 8 else b""
    mine = [size for name, _, _, size in struct.iter_unpack("<4s3I", index[: len(index) // 16 * 16])
            if name[:2] == b"%02d" % stream]  # fmt: skip
    return next((count for count, size in enumerate(reversed(mine)) if size), 0)
