"""AVIF of 10 and 12 bits, which Pillow would make 8, and AVIF without loss, which Pillow does not write.

Samples go through imagecodecs (libavif); what describes the picture, boxes hold that are put in here.
Boxes are those of ISO 14496-12 and ISO 23008-12 (HEIF); how AVIF uses them is in its specification 1.1.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.exif_block import HEAD
from sr_plugins.images.file_parts import bodies, kept_with

_UNSPECIFIED = 2
# H.273: the matrix that goes with these primaries; all others take that of sRGB's usual files
_MATRICES = {1: 1, 9: 9, 4: 4, 7: 7}
_KEPT_MATRICES = (0, 1, 4, 5, 6, 7, 9)
_BT601 = 6
_LIGHT = (b"clli", b"mdcv")


def bits_of(source: Image.Image) -> int:
    """Bits of a sample, by the flags of the AV1 configuration (AV1 in ISOBMFF, 2.3.3)."""
    flags = [body[2] for body in bodies(source, b"av1C") if len(body) > 2]
    if not flags or not flags[0] & 0x40:
        return 8
    return 12 if flags[0] & 0x20 else 10


def matrix_of(source: Image.Image) -> int | None:
    """The file's matrix coefficients (ITU-T H.273); ``None`` where it does not say."""
    body = next(iter(bodies(source, b"colr", b"nclx")), b"")
    return int(struct.unpack_from(">H", body, 4)[0]) if len(body) >= 6 else None


def deep_samples(source: Image.Image) -> NDArray[np.uint16] | None:
    """A still picture of more than 8 bits as it is stored, (height, width, bands), its range brought to 16 bits."""
    bits = bits_of(source)
    if bits == 8 or getattr(source, "n_frames", 1) > 1:
        return None
    import imagecodecs

    data = kept_with(source, "whole", lambda file: file.read(), b"")
    samples = imagecodecs.avif_decode(data)
    if samples.dtype != np.uint16 or samples.ndim not in (2, 3):
        return None
    white = (1 << bits) - 1
    deep: NDArray[np.uint16] = ((samples.astype(np.uint32) * 65535 + white // 2) // white).astype(np.uint16)
    return deep.reshape(*deep.shape[:2], -1)


def bits_for(source: Image.Image) -> int:
    """Bits of an AVIF picture made from 16 bits: those of an AVIF source, otherwise the most there are."""
    return bits_of(source) if source.format == "AVIF" and bits_of(source) > 8 else 12


def light_levels(source: Image.Image) -> dict[bytes, bytes]:
    """Content light level and mastering display as the chunks that PNG has for them (third edition, 11.3.2.7 and 8)."""
    found = {}
    for body in bodies(source, b"clli")[:1]:
        if len(body) == 4:
            found[b"cLLI"] = struct.pack(">II", *(value * 10_000 for value in struct.unpack(">HH", body)))
    for body in bodies(source, b"mdcv")[:1]:
        if len(body) == 24:
            green, blue, red, rest = body[:4], body[4:8], body[8:12], body[12:]
            found[b"mDCV"] = red + green + blue + rest
    return found


def write_avif(
    file: IO[bytes],
    samples: NDArray[np.uint8] | NDArray[np.uint16],
    *,
    bits: int,
    quality: int,
    code_points: tuple[int, int] | None,
    matrix: int | None,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
    light: Mapping[bytes, bytes] | None = None,
) -> None:
    """A still picture of any depth.

    Args:
        file: open for writing.
        samples: of 8 or 16 bits, (height, width) or (height, width, bands): gray, gray and alpha, RGB or RGBA.
        bits: 10 or 12 for samples of 16 bits; otherwise 8.
        quality: 1 to 100; 100 with the matrix of RGB itself (0) loses nothing beside the bits.
        code_points: primaries and transfer of ITU-T H.273; ``None``: those of sRGB, or what the profile says.
        matrix: of the same; ``None``: the one that goes with the primaries.
        icc_profile: an ICC profile.
        exif: a block, with or without its head.
        xmp: a packet.
        light: PNG's chunks cLLI and mDCV.
    """
    import imagecodecs

    white = (1 << bits) - 1
    stored = samples if bits == 8 else ((samples.astype(np.uint32) * white + 32767) // 65535).astype(np.uint16)
    primaries, transfer = code_points or ((_UNSPECIFIED,) * 2 if icc_profile else (1, 13))
    if matrix not in _KEPT_MATRICES:
        matrix = _MATRICES.get(primaries, _BT601)
    data = imagecodecs.avif_encode(
        stored,
        level=quality,
        bitspersample=bits,
        pixelformat="yuv400" if stored.ndim == 2 else "yuv444",
        primaries=primaries,
        transfer=transfer,
        matrix=_BT601 if stored.ndim == 2 and matrix == 0 else matrix,
    )
    items = {}
    if exif:
        items[b"Exif"] = bytes(4) + exif.removeprefix(HEAD)
    if xmp:
        items[b"mime"] = xmp
    properties = [box(b"colr", b"prof" + icc_profile)] if icc_profile else []
    properties += list(_light_boxes(light or {}))
    file.write(with_items(bytes(data), items, properties))


def with_items(avif: bytes, items: Mapping[bytes, bytes], properties: list[bytes]) -> bytes:
    """The file with further items that describe its picture, and further properties of it.

    Args:
        avif: as libavif writes it: offsets of 32 bits, counted from the file's beginning.
        items: type (``Exif``, ``mime`` for XMP) -> content.
        properties: whole boxes.

    Raises:
        ValueError: the file is built in another way.
    """
    if not items and not properties:
        return avif
    before, meta, after = b"", b"", b""
    for kind, whole in boxes(avif):
        if kind == b"meta":
            meta = whole
        elif meta:
            after += whole
        else:
            before += whole
    inner = dict(boxes(meta[12:]))
    (primary,) = struct.unpack_from(">H", inner[b"pitm"], 12)
    number = max(_item_numbers(inner[b"iinf"])) + 1
    places: list[tuple[int, int, int]] = []  # item, where in the new data, its length
    data, entries, references = b"", b"", b""
    for kind, content in items.items():
        name = b"\0application/rdf+xml\0" if kind == b"mime" else b"\0"
        entries += box(b"infe", b"\2\0\0\0" + struct.pack(">HH", number, 0) + kind + name)
        references += box(b"cdsc", struct.pack(">HHH", number, 1, primary))
        places.append((number, len(data), len(content)))
        data += content
        number += 1
    inner[b"iinf"] = _more_items(inner[b"iinf"], entries, len(items))
    old = inner.get(b"iref", box(b"iref", bytes(4)))
    if references:
        inner[b"iref"] = box(b"iref", old[8:] + references)
    inner[b"iprp"] = _more_properties(inner[b"iprp"], properties, primary)
    grown = len(_more_places(inner[b"iloc"], places, 0, 0)) - len(inner[b"iloc"])
    length = sum(map(len, inner.values())) + grown + 12
    data_at = len(before) + length + len(after) + 8
    inner[b"iloc"] = _more_places(inner[b"iloc"], places, length - len(meta), data_at)
    return before + box(b"meta", bytes(4) + b"".join(inner.values())) + after + (box(b"mdat", data) if data else b"")


def box(kind: bytes, content: bytes) -> bytes:
    """A box of ISO 14496-12."""
    return struct.pack(">I4s", 8 + len(content), kind) + content


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, the whole box) of boxes that follow each other; ``ValueError`` where they do not fit."""
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length < 8 or at + length > len(data):
            raise ValueError(f"a box {kind!r} of {length} bytes")
        yield kind, data[at : at + length]
        at += length


def _item_numbers(iinf: bytes) -> list[int]:
    if iinf[8] != 0:
        raise ValueError("an iinf box of another version")
    return [struct.unpack_from(">H", whole, 12)[0] for _, whole in boxes(iinf[14:])]


def _more_items(iinf: bytes, entries: bytes, count: int) -> bytes:
    (known,) = struct.unpack_from(">H", iinf, 12)
    return box(b"iinf", iinf[8:12] + struct.pack(">H", known + count) + iinf[14:] + entries)


def _more_properties(iprp: bytes, properties: list[bytes], primary: int) -> bytes:
    inner = dict(boxes(iprp[8:]))
    ipco, ipma = inner[b"ipco"], inner[b"ipma"]
    first = len(list(boxes(ipco[8:]))) + 1
    if ipma[8:12] != bytes(4) or first + len(properties) > 127:
        raise ValueError("an ipma box of another version")
    (count,) = struct.unpack_from(">I", ipma, 12)
    at, body = 16, ipma[8:16]
    for _ in range(count):
        item, known = struct.unpack_from(">HB", ipma, at)
        links = ipma[at + 3 : at + 3 + known]
        at += 3 + known
        if item == primary:
            links += bytes(range(first, first + len(properties)))
        body += struct.pack(">HB", item, len(links)) + links
    return box(b"iprp", box(b"ipco", ipco[8:] + b"".join(properties)) + box(b"ipma", body))


def _more_places(iloc: bytes, places: list[tuple[int, int, int]], shift: int, data_at: int) -> bytes:
    if iloc[8:14] != b"\0\0\0\0\x44\0":
        raise ValueError("an iloc box of another version")
    (count,) = struct.unpack_from(">H", iloc, 14)
    body, at = iloc[8:14] + struct.pack(">H", count + len(places)), 16
    for _ in range(count):
        item, reference, extents = struct.unpack_from(">HHH", iloc, at)
        body += struct.pack(">HHH", item, reference, extents)
        at += 6
        for _ in range(extents):
            offset, length = struct.unpack_from(">II", iloc, at)
            body += struct.pack(">II", offset + shift, length)
            at += 8
    for item, place, length in places:
        body += struct.pack(">HHHII", item, 0, 1, data_at + place, length)
    return box(b"iloc", body)


def _light_boxes(light: Mapping[bytes, bytes]) -> Iterator[bytes]:
    if len(level := light.get(b"cLLI", b"")) == 8:
        values = [min(65535, value // 10_000) for value in struct.unpack(">II", level)]
        yield box(b"clli", struct.pack(">HH", *values))
    if len(display := light.get(b"mDCV", b"")) == 24:
        red, green, blue, rest = display[:4], display[4:8], display[8:12], display[12:]
        yield box(b"mdcv", green + blue + red + rest)
