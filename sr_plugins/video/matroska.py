"""Whether a Matroska file is whole, by what its outermost element says; its packets may end before the film does."""

from __future__ import annotations

from pathlib import Path

_EBML, _SEGMENT = bytes.fromhex("1a45dfa3"), bytes.fromhex("18538067")
_TAIL = 4096  # bytes at the end; zeros alone are what a download that stopped leaves of a file made in advance


def is_whole(path: Path) -> bool:
    """Whether all bytes are there that the file says it has. One that does not say how many it has is not known to be.

    The format of a size is RFC 8794, section 6: the zeros before its first one say how many bytes it has.
    """
    length = path.stat().st_size
    with path.open("rb") as file:
        place = 0
        for name in (_EBML, _SEGMENT):
            file.seek(place)
            head = file.read(12)
            if head[:4] != name or len(head) < 12 or not head[4]:
                return False
            count = 9 - head[4].bit_length()
            size = int.from_bytes(head[4 : 4 + count]) & ((1 << 7 * count) - 1)
            if size == (1 << 7 * count) - 1:  # unknown, as of a broadcast
                return False
            place += 4 + count + size
        file.seek(max(0, length - _TAIL))
        return place <= length and any(file.read())
