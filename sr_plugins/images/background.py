"""The colour that a picture asks to be shown on: kept in PNG and in animations of WebP, told elsewhere."""

from __future__ import annotations

import struct

from PIL import Image

from sr_plugins.images.file_parts import bodies
from sr_plugins.images.png_texts import with_chunks

# red, green, blue, alpha, 0 to 65535 each
Background = tuple[int, int, int, int]

_HEAD, _PALETTE, _COLOURED = 13, 3, 2  # length of a PNG's head, two of its kinds (11.2.1)
_OPAQUE = 65535


def background_of(source: Image.Image) -> Background | None:
    """That of a PNG (third edition, 11.3.4.1) or of a WebP animation (its ANIM chunk); ``None`` where none is told."""
    if source.format == "WEBP":
        body = next(iter(bodies(source, b"ANIM")), b"")
        blue, green, red, alpha = (value * 257 for value in body[:4].ljust(4, b"\0"))
        return (red, green, blue, alpha) if alpha else None  # what is clear asks for nothing
    body, head = next(iter(bodies(source, b"bKGD")), b""), next(iter(bodies(source, b"IHDR")), b"")
    if len(head) != _HEAD:
        return None
    depth, kind = head[8], head[9]
    if kind == _PALETTE:
        colour = next(iter(bodies(source, b"PLTE")), b"")[3 * body[0] : 3 * body[0] + 3] if len(body) == 1 else b""
        return (colour[0] * 257, colour[1] * 257, colour[2] * 257, _OPAQUE) if len(colour) == 3 else None
    if len(body) != (6 if kind & _COLOURED else 2):
        return None
    white = (1 << depth) - 1
    red, *others = (min(value, white) * 65535 // white for value in struct.unpack(f">{len(body) // 2}H", body))
    green, blue = others or (red, red)
    return red, green, blue, _OPAQUE


def in_eight_bits(background: Background) -> tuple[int, ...]:
    """As WebP has it."""
    return tuple(value // 257 for value in background)


def with_background(png: bytes, background: Background) -> bytes:
    """A PNG with the colour to show it on; unchanged where it has none of that: it is gray, or of a palette."""
    depth, kind, colour = png[24], png[25], background[:3]
    if kind == _PALETTE or (not kind & _COLOURED and len(set(colour)) > 1):
        return png
    stored = [value * ((1 << depth) - 1) // 65535 for value in (colour if kind & _COLOURED else colour[:1])]
    return with_chunks(png, {b"bKGD": struct.pack(f">{len(stored)}H", *stored)})
