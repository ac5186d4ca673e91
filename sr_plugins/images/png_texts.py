"""Texts of PNG files (PNG 11.3.3): every one of them, with language and translated keyword."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple

from PIL import Image
from PIL.PngImagePlugin import PngInfo, iTXt

from sr_plugins.images.color_profiles import is_whole
from sr_plugins.images.file_parts import bodies, parts_of
from sr_plugins.images.jpeg_segments import whole_ratio

_LARGEST_TEXT = 1 << 26
_HEAD, _COLOURED, _PALETTE = 13, 2, 3  # bytes of IHDR; a bit of its colour type, and that of a palette (11.2.1)
_XMP_KEYWORD = "XML:com.adobe.xmp"
_RAW = "Raw profile type {}"
# what is carried otherwise
_RAW_NAMES = ("exif", "APP1", "iptc", "8bim", "xmp", "icc", "icm")
_RAW_TEXT = re.compile(r"\s*[^\n]*\n\s*(\d{1,10})\s((?:[0-9a-fA-F]|\s)*)")
_ELSEWHERE = (_XMP_KEYWORD, *map(_RAW.format, _RAW_NAMES))
_XMP_IN_APP1 = b"http://ns.adobe.com/xap/1.0/\0"  # ImageMagick's old way took a JPEG's segment as it was


class Text(NamedTuple):
    """One text: tEXt and zTXt have neither language nor translation and are of Latin-1."""

    keyword: str
    text: str
    language: str = ""
    translated: str = ""
    international: bool = False


def texts_of(source: Image.Image) -> tuple[Text, ...]:
    """All texts of a PNG in their order; metadata that goes by other ways is left out."""
    found = []
    for kind, body in parts_of(source):
        with suppress(ValueError, zlib.error):
            text = _text(kind, body) if kind in (b"tEXt", b"zTXt", b"iTXt") else None
            if text and text.keyword not in _ELSEWHERE:
                found.append(text)
    if not found and source.format == "PNG":  # the file is gone: what Pillow remembers
        known = getattr(source, "text", {})
        found = [Text(k, str(v), international=isinstance(v, iTXt)) for k, v in known.items() if k not in _ELSEWHERE]
    return tuple(found)


def packet_of(source: Image.Image) -> bytes | None:
    """The XMP of a PNG, wherever in the file it stands."""
    for body in bodies(source, b"iTXt", _XMP_KEYWORD.encode() + b"\0"):
        with suppress(ValueError, zlib.error):
            text = _text(b"iTXt", _XMP_KEYWORD.encode() + b"\0" + body)
            if text and text.text:
                return text.text.encode()
    if packet := raw_profile(source, "xmp"):
        return packet
    segment = raw_profile(source, "APP1") or b""
    return segment.removeprefix(_XMP_IN_APP1) if segment.startswith(_XMP_IN_APP1) else None


def raw_profile(source: Image.Image, *names: str) -> bytes | None:
    """What a PNG's text holds in ImageMagick's way: a line with its name (exiftool's is of two words), the number of
    its bytes, then hexadecimal digits."""
    for name in names:
        text = source.info.get(_RAW.format(name))
        parts = _RAW_TEXT.fullmatch(text) if isinstance(text, str) else None
        if parts is not None and len(parts[2]) <= _LARGEST_TEXT:
            with suppress(ValueError):
                return bytes.fromhex(parts[2])[: int(parts[1])]
    return None


def damaged_profiles(source: Image.Image) -> list[str]:
    """The names of texts that should hold metadata in this way, and cannot be read."""
    held = (name for name in _RAW_NAMES if isinstance(source.info.get(_RAW.format(name)), str))
    return [_RAW.format(name) for name in held if raw_profile(source, name) is None]


def embedded_profile(source: Image.Image) -> bytes | None:
    """The ICC profile of a PNG (11.3.2.3): nothing where it has none, ``None`` where that is damaged or cut off."""
    chunk = next(iter(bodies(source, b"iCCP")), None)
    if chunk is None:
        return b""
    stream = zlib.decompressobj()
    try:
        profile = stream.decompress(chunk.partition(b"\0")[2][1:], _LARGEST_TEXT)
    except zlib.error:
        return None
    return profile if stream.eof and is_whole(profile) else None


def as_comment(text: Text) -> bytes:
    """A text as a comment of formats that know no keywords."""
    whole = text.text if text.keyword == "Comment" else f"{text.keyword}: {text.text}"
    return whole.encode()


def put_texts(info: PngInfo, texts: Iterable[Text], comments: Iterable[bytes], xmp: bytes | None) -> None:
    """Add texts to what ``Image.save`` writes."""
    texts = [*texts, *(Text("Comment", comment.decode("utf-8", "replace")) for comment in comments)]
    for text in texts:
        if text.international:
            info.add_itxt(text.keyword, text.text, text.language, text.translated)
        else:
            info.add_text(text.keyword, text.text)  # Pillow takes iTXt for what is not Latin-1
    if xmp:
        info.add_itxt(_XMP_KEYWORD, xmp.decode("utf-8", "replace"))


def _text(kind: bytes, body: bytes) -> Text:
    keyword, rest = body.split(b"\0", 1)
    if kind == b"tEXt":
        return Text(keyword.decode("latin-1"), rest.decode("latin-1"))
    if kind == b"zTXt":
        return Text(keyword.decode("latin-1"), _inflated(rest[1:]).decode("latin-1"))
    language, translated, text = rest[2:].split(b"\0", 2)
    value = _inflated(text) if rest[0] else text
    return Text(keyword.decode("latin-1"), value.decode(), language.decode("latin-1"), translated.decode(), True)


def _inflated(data: bytes) -> bytes:
    inflating = zlib.decompressobj()
    found = inflating.decompress(data, _LARGEST_TEXT)
    if not inflating.eof:
        raise ValueError("a text that never ends")
    return found


def with_aspect(png: bytes, aspect: tuple[float, float]) -> bytes:
    """A PNG that tells a ratio of resolutions and no unit of length (PNG third edition, 11.3.4.3)."""
    return with_chunks(png, {b"pHYs": struct.pack(">IIB", *whole_ratio(aspect, 2**31 - 1), 0)})


def with_chunks(png: bytes, further: Mapping[bytes, bytes]) -> bytes:
    """A PNG that has these, too, behind its head."""
    behind_head = 8 + 12 + _HEAD
    return png[:behind_head] + b"".join(chunk(*one) for one in further.items()) + png[behind_head:]


def chunks(png: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and body of each part of a PNG in memory; of a file that is cut off the last body is short."""
    at, view = 8, memoryview(png)
    while at + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, view[at + 8 : at + 8 + length]
        at += 12 + length


def chunk(kind: bytes, body: bytes | memoryview) -> bytes:
    """One part of a PNG with its length and checksum (PNG third edition, 5.3)."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
