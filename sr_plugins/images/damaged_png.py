"""PNG files of which Pillow refuses a part that may be passed over (PNG third edition, 13.2): the picture is whole."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageFile

from sr_plugins.images.file_parts import in_letters
from sr_plugins.images.png_texts import chunk

logger = logging.getLogger("sr_plugins")

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST = 10_000  # parts before the pixels
_SAMPLES = (b"IDAT", b"IEND")
_COLOUR = (b"iCCP", b"cHRM", b"gAMA", b"sRGB", b"cICP")
_OF_THE_PIXELS = (b"tRNS", b"acTL", b"fcTL")  # without them it would be another picture


class _Stored(NamedTuple):
    kind: bytes
    whole: bytes
    is_sound: bool


def open_without_damage(path: Path) -> ImageFile.ImageFile | None:
    """The picture without what Pillow refuses of the parts beside it, which is told; ``None`` where nothing else helps.

    The file is in memory then: Pillow reads no other.
    """
    with path.open("rb") as file:
        if file.read(len(_SIGNATURE)) != _SIGNATURE:
            return None
        data = file.read()
    before = list(_before_samples(data))
    if not before or before[0].kind != b"IHDR" or len(before) > _MOST:
        return None
    needed = b"".join(part.whole for part in before if part.kind in (b"IHDR", b"PLTE"))
    left = [part for part in before if not _may_stay(part, needed)]
    if not left or any(part.kind in _OF_THE_PIXELS or part.kind[0] & 0x20 == 0 for part in left):
        return None
    begin = sum(len(part.whole) for part in before)
    kept = b"".join(part.whole for part in before if part not in left)
    try:
        image = Image.open(io.BytesIO(_SIGNATURE + kept + data[begin:]))
    except (OSError, ValueError):
        return None
    image.filename = str(path)
    names = ", ".join(dict.fromkeys(in_letters(part.kind) for part in left))
    colours = ", so colours may look different" if any(part.kind in _COLOUR for part in left) else ""
    logger.warning("%s: its damaged parts %s are left out%s", path, names, colours)
    return image


def _before_samples(data: bytes) -> Iterator[_Stored]:
    at = 0
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        whole = data[at : at + 12 + length]
        if kind in _SAMPLES or len(whole) < 12 + length:
            return
        yield _Stored(kind, whole, zlib.crc32(whole[4:-4]) == int.from_bytes(whole[-4:]))
        at += len(whole)


def _may_stay(part: _Stored, needed: bytes) -> bool:
    """Whether Pillow opens a picture that has this part alone."""
    if part.kind in (b"IHDR", b"PLTE") or not part.is_sound:
        return part.is_sound
    tried = _SIGNATURE + needed + part.whole + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    try:
        Image.open(io.BytesIO(tried)).close()
    except Exception:  # of each kind of part it raises what it likes
        return False
    return True
