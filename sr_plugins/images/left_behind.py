"""What lies in a file beside the picture that nothing here takes along, in words: it must not go in silence."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from PIL import Image

from sr_plugins.images.file_parts import Part, bodies, in_letters, kept_with, parts_of
from sr_plugins.images.formats import MOVING
from sr_plugins.images.gain_map import stored_map
from sr_plugins.images.jpeg_2000 import EXIF, IPTC, MAP, XMP
from sr_plugins.images.png_texts import chunks, damaged_profiles, embedded_profile

_CREDENTIALS = "its content credentials (C2PA), which would not hold for the enlargement,"
DAMAGED_PROFILE = "its ICC profile is damaged and left out, so colours may look different"
# what says how pixels are stored, or goes along by other ways; the last one is a quality by Photoshop
_KNOWN_SEGMENTS = re.compile(
    rb"JFIF\0|JFXX\0|Exif\0|http://ns\.adobe\.com/|XMP\0|ICC_PROFILE\0|MPF\0|urn:iso:std:iso:ts:21496|Photoshop 3\.0\0"
    rb"|Adobe_CM\0|Adobe\0|Adobe_Photoshop2|Ducky\0\x01\0\x04.{4}\0\0$",
    re.DOTALL,
)
_KNOWN_CHUNKS = {
    *(b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"bKGD", b"tRNS", b"pHYs"),
    *(b"eXIf", b"tIME", b"tEXt", b"zTXt", b"iTXt", b"acTL", b"fcTL", b"fdAT", b"orNT", b"iDOT", b"vpAg"),
}
_KNOWN_RIFF = {b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP", b"EXIF", b"XMP "}
_KNOWN_BOXES = {
    *(b"jP  ", b"ftyp", b"rreq", b"jp2h", b"ihdr", b"bpcc", b"colr", b"pclr", b"cmap", b"cdef", b"res ", b"jp2c"),
}
_CUBE, _VOLUME, _CUBE_DX10 = 0x200, 0x200000, 4
_EXIF_BLOCKS = (b"Exif\0\0II*\0", b"Exif\0\0MM\0*")
_PADDING = b"\0\xff \r\n\t"
# of a JPEG, with a length or at its end: the others stand within the entropy-coded data, or have nothing behind them
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")


def told_of_further_pictures(source: Image.Image) -> str | None:
    """What becomes of pictures that are no frames or pages that go along, in words; ``None`` where there are none."""
    if source.format in (*MOVING, "TIFF", "HEIF"):  # which go along, or are told elsewhere
        return None
    further = 0
    with suppress(Exception):  # a layer that cannot be read: the flat picture can
        further = int(getattr(source, "n_frames", 1)) - 1
    if source.format == "MPO" and stored_map(source):  # said by itself where it is left out
        further -= 1
    if further < 1:
        return None
    if source.format == "PSD":
        return f"{further} layers are flattened"
    which = f"{further} pictures" if further > 1 else "1 picture"
    behind = "behind the first one" + (" (previews, depth, a second view)" if source.format == "MPO" else "")
    return f"{which} {behind} {'are' if further > 1 else 'is'} left out"


def left_behind(source: Image.Image, *, behind: bool) -> list[str]:
    """In words; ``behind``: also what follows the picture in its file."""
    found: list[str] = []
    if source.format in ("JPEG", "MPO"):
        found = _named(filter(None, (_segment_name(part) for part in parts_of(source))))
        if bodies(source, b"\xff\xe2", b"ICC_PROFILE\0") and not source.info.get("icc_profile"):
            found.append(DAMAGED_PROFILE)
        blocks = [part.body for part in parts_of(source) if part.body.startswith(_EXIF_BLOCKS)]
        if len(blocks) > 1:  # a long one goes on without a head of its own
            found.append("a second block of EXIF is left out")
    elif source.format == "PNG":
        found = _named(_chunk_name(part) for part in parts_of(source) if _is_unknown_chunk(part.kind))
        if (bits := _significant_bits(source)) is not None:
            found.append(f"that {bits} bits of its samples count (sBIT) is left out: the enlargement uses all")
        if embedded_profile(source) is None:
            found.append(DAMAGED_PROFILE)
        found += [f"its {name!r} is damaged and left out" for name in damaged_profiles(source)]
    elif source.format == "WEBP":
        found = _named(_chunk_name(part) for part in parts_of(source) if part.kind not in _KNOWN_RIFF)
    elif source.format == "AVIF" and bodies(source, b"clap"):  # Pillow leaves it, and HEIF's reader does not
        found = ["its crop (clean aperture) is not applied: the whole picture is enlarged"]
    elif source.format == "DDS":
        found = kept_with(source, "surfaces", _further_surfaces, [])
    elif source.format in ("FITS", "PCD"):
        found = ["what its header tells is left out"]
    elif source.format in ("PPM", "PFM") and (factor := source.info.get("scale", 1)) != 1:
        found = [f"that its samples are to be multiplied by {factor:g} is left out"]
    elif source.format == "JPEG2000":
        parts = parts_of(source)
        has_boxes = bool(parts) and parts[0].kind == b"jP  "  # a bare codestream has none
        found = _named(filter(None, map(_box_name, parts))) if has_boxes else []
    end = _ENDS.get(source.format or "")
    if end and behind and (size := kept_with(source, "behind", lambda file: _behind(file, end), 0)):
        found.append(f"{size} bytes behind the picture are left out")
    return found


def _significant_bits(source: Image.Image) -> int | None:
    """The most bits of a PNG's samples that count (11.3.2.7); ``None`` where all do."""
    head, body = next(iter(bodies(source, b"IHDR")), b""), next(iter(bodies(source, b"sBIT")), b"")
    depth = 8 if head[9:10] == b"\3" else int.from_bytes(head[8:9])
    return max(body) if body and max(body) < depth else None


def _further_surfaces(file: IO[bytes]) -> list[str]:
    """What a DDS holds beside its first surface (DDS_HEADER and its extension of DirectX 10)."""
    head = file.read(148)
    if len(head) < 128:
        return []
    levels, kind, capabilities = (
        struct.unpack_from("<I", head, 28)[0],
        head[84:88],
        struct.unpack_from("<I", head, 112)[0],
    )
    count = struct.unpack_from("<I", head, 140)[0] if kind == b"DX10" and len(head) == 148 else 1
    found = ["its smaller versions (mipmaps) are left out"] if levels > 1 else []
    if capabilities & _CUBE or (kind == b"DX10" and head[136] & _CUBE_DX10):
        found.append("the other faces of the cube are left out")
    elif count > 1 or capabilities & _VOLUME:
        found.append("the further layers of the texture are left out")
    return found


def _named(names: object) -> list[str]:
    distinct = list(dict.fromkeys(names))  # type: ignore[call-overload]
    found = [f"{_CREDENTIALS} are left out"] if _CREDENTIALS in distinct else []
    others = [str(name) for name in distinct if name != _CREDENTIALS]
    return [*found, f"what its parts {', '.join(others[:5])} hold is left out"] if others else found


def _segment_name(part: Part) -> str | None:
    """What an application segment of a JPEG calls itself; nothing for those that are no such, or known."""
    marker = part.kind[1]
    if not 0xE0 <= marker <= 0xEF or _KNOWN_SEGMENTS.match(part.body):
        return None
    if marker == 0xEB and part.body.startswith(b"JP"):  # JUMBF boxes (ISO 19566-5)
        return _CREDENTIALS if b"c2pa" in part.body else "JUMBF"
    name = re.match(rb"[ -~]{2,24}", part.body)
    return f"{name[0].decode().strip()} (APP{marker - 0xE0})" if name else f"APP{marker - 0xE0}"


def _is_unknown_chunk(kind: bytes) -> bool:
    return bool(kind[0] & 0x20) and kind not in _KNOWN_CHUNKS  # small first letter: may be passed over (PNG 5.4)


def _chunk_name(part: Part) -> str:
    return _CREDENTIALS if part.kind in (b"caBX", b"C2PA") else in_letters(part.kind)


def _box_name(part: Part) -> str | None:
    if part.kind == b"uuid" and part.body.startswith((XMP, EXIF, IPTC, MAP)):
        return None
    if b"c2pa" in part.body[:200]:
        return _CREDENTIALS
    return None if part.kind in _KNOWN_BOXES else in_letters(part.kind)


def _behind(file: IO[bytes], end: Callable[[bytes], int | None]) -> int:
    """Bytes behind the end of the picture, filling aside."""
    data = file.read()
    try:
        place = end(data)
    except (struct.error, IndexError):  # cut off
        return 0
    return len(data[place:].strip(_PADDING)) if place is not None else 0


def _jpeg_end(data: bytes) -> int | None:
    place = 2
    while marker := _JPEG_MARKER.search(data, place):
        if marker[0] == b"\xff\xd9":
            return marker.end()
        place = marker.end() + int(struct.unpack_from(">H", data, marker.end())[0])
    return None


def _png_end(data: bytes) -> int | None:
    place = 8
    for kind, body in chunks(data):
        place += 12 + len(body)
        if kind == b"IEND":
            return place
    return None


def _webp_end(data: bytes) -> int | None:
    return 8 + int(struct.unpack_from("<I", data, 4)[0])


def _gif_end(data: bytes) -> int | None:
    place = 13 + (3 << ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    while data[place] in b"!,":
        if data[place : place + 1] == b"!":
            place += 2
        else:
            flags = data[place + 9]
            place += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
        while data[place]:  # sub-blocks
            place += 1 + data[place]
        place += 1
    return place + 1 if data[place : place + 1] == b";" else None


def _psd_end(data: bytes) -> int | None:
    """Adobe Photoshop File Formats Specification: four sections with a length, then the flat picture."""
    channels, height, width, depth = (int(n) for n in struct.unpack_from(">HIIH", data, 12))
    place = 26
    for _ in range(3):  # colour mode, resources, layers
        place += 4 + int(struct.unpack_from(">I", data, place)[0])
    (compression,) = struct.unpack_from(">H", data, place)
    place += 2
    if compression == 0:
        return place + channels * height * ((width * depth + 7) // 8)
    if compression == 1:  # a length for each row, then the rows
        return place + 2 * channels * height + sum(map(int, struct.unpack_from(f">{channels * height}H", data, place)))
    return None


def _map_end(data: bytes) -> int | None:
    """A binary portable map; others may follow it in the same file."""
    head = re.match(rb"P([456])((?:\s|#[^\n]*\n)+\d+){2}(?:((?:\s|#[^\n]*\n)+\d+)\s|\s)", data[:4096])
    if head is None:
        return None
    numbers = [int(number) for number in re.sub(rb"#[^\n]*\n", b" ", head[0][2:]).split()]
    width, height, kind = numbers[0], numbers[1], head[1]
    if kind == b"4":
        return head.end() + (width + 7) // 8 * height if len(numbers) == 2 else None
    if len(numbers) != 3:
        return None
    return head.end() + width * height * (3 if kind == b"6" else 1) * (1 if numbers[2] < 256 else 2)


_ENDS: dict[str, Callable[[bytes], int | None]] = {
    "JPEG": _jpeg_end,
    "PNG": _png_end,
    "WEBP": _webp_end,
    "GIF": _gif_end,
    "PSD": _psd_end,
    "PPM": _map_end,
}
