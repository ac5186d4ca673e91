"""What a picture file holds beside what Pillow tells: chunks, segments, boxes. Every walk ends with the file."""

from __future__ import annotations

import io
import re
import struct
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from PIL import Image

_LARGEST_PART = 1 << 26  # more is passed over: no metadata is so large
_MOST_PARTS = 100_000
_BOXES_WITHIN = {b"meta": 4, b"iprp": 0, b"ipco": 0, b"jp2h": 0}  # box -> bytes before the boxes in it
_GIF_XMP = b"XMP DataXMP"
_BOXES = (
    *(b"ftyp", b"colr", b"pixi", b"av1C", b"iinf", b"clli", b"mdcv", b"pasp", b"clap"),
    *(b"ihdr", b"xml ", b"brob", b"uuid"),
)


class Part(NamedTuple):
    """A piece of a file: a PNG chunk, a JPEG segment (kind is its marker), a RIFF chunk, a box, a GIF extension."""

    kind: bytes
    body: bytes


_kept: dict[tuple[int, str], tuple[weakref.ref[Image.Image], Any]] = {}


def kept_with[T](source: Image.Image, what: str, make: Callable[[IO[bytes]], T], nothing: T) -> T:
    """What ``make`` reads in the file behind a picture, read once; ``nothing`` where there is no file, or no longer.

    It is kept with the picture, because Pillow lets go of a file object when the pixels are loaded.
    """
    key = id(source), what
    known = _kept.get(key)
    if known is not None and known[0]() is source:
        found: T = known[1]
        return found
    with opened_file(source) as file:
        if file is None:
            return nothing
        found = make(file)
        _kept[key] = weakref.ref(source, lambda _: _kept.pop(key, None)), found
        return found


def parts_of(source: Image.Image) -> tuple[Part, ...]:
    """The pieces of the file that a picture was opened from."""
    walk = _WALKS.get(source.format or "")
    return kept_with(source, "parts", lambda file: _bounded(walk(file)), ()) if walk else ()


@contextmanager
def opened_file(source: Image.Image) -> Iterator[IO[bytes] | None]:
    """The file behind an opened picture, at its beginning; ``None`` where it is gone."""
    for name in ("fp", "_fp"):
        file: Any = getattr(source, name, None)
        if isinstance(file, Exception) or not hasattr(file, "seek") or getattr(file, "closed", False):
            continue
        place = file.tell()
        try:
            file.seek(0)
            yield file
        finally:
            file.seek(place)
        return
    name = getattr(source, "filename", "")
    if name and Path(name).is_file():
        with Path(name).open("rb") as file:
            yield file
    else:
        yield None


def bodies(source: Image.Image, kind: bytes, head: bytes = b"") -> list[bytes]:
    """What the pieces of this kind hold behind ``head``."""
    return [part.body[len(head) :] for part in parts_of(source) if part.kind == kind and part.body.startswith(head)]


def _bounded(parts: Iterator[Part]) -> tuple[Part, ...]:
    found: list[Part] = []
    total = 0
    with suppress(struct.error, IndexError):  # cut off: what came before counts
        for part in parts:
            total += len(part.body)
            if len(found) >= _MOST_PARTS or total > 4 * _LARGEST_PART:
                break
            found.append(part)
    return tuple(found)


def _body(file: IO[bytes], length: int, *, wanted: bool = True) -> bytes:
    """The next ``length`` bytes, or nothing where they are not wanted."""
    if wanted and length <= _LARGEST_PART:
        return file.read(length)
    file.seek(length, io.SEEK_CUR)
    return b""


def _png(file: IO[bytes]) -> Iterator[Part]:
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        yield Part(kind, _body(file, length, wanted=kind not in (b"IDAT", b"fdAT")))
        file.seek(4, io.SEEK_CUR)
        if kind == b"IEND":
            return


def _jpeg(file: IO[bytes]) -> Iterator[Part]:
    file.seek(2)
    while len(head := file.read(2)) == 2:
        if head[0] != 0xFF:
            return
        if head[1] == 0xFF:  # filling
            file.seek(-1, io.SEEK_CUR)
            continue
        if head[1] in (0xDA, 0xD9):
            return
        if head[1] == 0x01 or 0xD0 <= head[1] <= 0xD8:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        yield Part(head, _body(file, max(0, length - 2)))


def _webp(file: IO[bytes]) -> Iterator[Part]:
    file.seek(12)
    while len(head := file.read(8)) == 8:
        kind, length = struct.unpack("<4sI", head)
        if kind == b"ANMF":  # a frame: 16 bytes of its own, then the picture's chunks
            file.seek(16, io.SEEK_CUR)
            yield Part(kind, b"")
            continue
        yield Part(kind, _body(file, length + length % 2, wanted=kind in (b"VP8X", b"ANIM")))


def _boxes(file: IO[bytes]) -> Iterator[Part]:
    """Boxes of ISO 14496-12 and of JPEG 2000, those within others after their parents."""
    end = file.seek(0, io.SEEK_END)
    file.seek(0)
    while file.tell() + 8 <= end:
        at = file.tell()
        length, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
            head = 16
        length = length or end - at
        if length < head:
            return
        if kind in _BOXES_WITHIN:
            yield Part(kind, b"")
            file.seek(at + head + _BOXES_WITHIN[kind])
            continue
        yield Part(kind, _body(file, length - head, wanted=kind in _BOXES))
        file.seek(at + length)


def _gif(file: IO[bytes]) -> Iterator[Part]:
    head = file.read(13)
    file.seek(3 << ((head[10] & 7) + 1) if head[10] & 0x80 else 0, io.SEEK_CUR)
    while kind := file.read(1):
        if kind == b"!":
            label = file.read(1)
            begin = file.tell()
            body = _blocks(file)
            if body.startswith(_GIF_XMP):  # no blocks: the packet's letters stand where lengths do (XMP part 3, 1.1.2)
                end = file.tell()
                file.seek(begin + 1)
                body = file.read(min(end - begin - 1, _LARGEST_PART))
            yield Part(label, body)
        elif kind == b",":
            place = file.read(9)
            file.seek((3 << ((place[8] & 7) + 1) if place[8] & 0x80 else 0) + 1, io.SEEK_CUR)
            _blocks(file)
        else:
            return


def _blocks(file: IO[bytes]) -> bytes:
    """A GIF's data sub-blocks, joined."""
    found = bytearray()
    while (length := file.read(1)) > b"\0" and len(found) <= _LARGEST_PART:
        found += file.read(length[0])
    return bytes(found)


def _bmp(file: IO[bytes]) -> Iterator[Part]:
    begin = 14 if file.read(2) == b"BM" else 0  # a DIB has no head of the file
    file.seek(begin)
    head = file.read(124)
    (length,) = struct.unpack_from("<I", head)  # OS/2's have their own fields where Windows' have colours
    head = head[:length]
    yield Part(b"head", head if length in (40, 52, 56, 108, 124) else head[:40])
    if len(head) == 124 and head[56:60] == b"DEBM":  # PROFILE_EMBEDDED
        at, size = struct.unpack_from("<II", head, 112)
        file.seek(begin + at)
        yield Part(b"profile", _body(file, size))


def _psd(file: IO[bytes]) -> Iterator[Part]:
    yield Part(b"head", file.read(26))
    (length,) = struct.unpack(">I", file.read(4))
    file.seek(length, io.SEEK_CUR)  # the palette
    (length,) = struct.unpack(">I", file.read(4))
    yield Part(b"8BIM", _body(file, length))


_WALKS: dict[str, Callable[[IO[bytes]], Iterator[Part]]] = {
    "PNG": _png,
    "JPEG": _jpeg,
    "MPO": _jpeg,
    "WEBP": _webp,
    "AVIF": _boxes,
    "HEIF": _boxes,
    "JXL": _boxes,
    "JPEG2000": _boxes,
    "GIF": _gif,
    "BMP": _bmp,
    "DIB": _bmp,
    "PSD": _psd,
}


def in_letters(name: bytes) -> str:
    """A name that a file gives, fit for a line on a terminal."""
    return re.sub(r"[^ -~]", "?", name.decode("latin-1")).strip()


def image_resources(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Photoshop's image resources (8BIM): number, the whole resource, what it holds."""
    place = 0
    while place + 12 <= len(data) and data[place : place + 4] in (b"8BIM", b"MeSa", b"PHUT", b"DCSR", b"AgHg"):
        (number,) = struct.unpack_from(">H", data, place + 4)
        name = data[place + 6] + 1
        at = place + 6 + name + name % 2
        if at + 4 > len(data):
            return
        (size,) = struct.unpack_from(">I", data, at)
        end = at + 4 + size + size % 2
        yield number, data[place:end], data[at + 4 : at + 4 + size]
        place = end
