"""How deep a JPEG XL is, and its channels beside colours, by its codestream's header (ISO/IEC 18181-1, Annex D)."""

from __future__ import annotations

import struct
from fractions import Fraction
from typing import NamedTuple

from PIL import Image

from sr_plugins.errors import ImageError
from sr_plugins.images.file_parts import kept_with
from sr_plugins.images.jxl_profile import ENUMS, SIGNATURE, Bits, read_depth, read_size

_ALPHA, _SPOT, _BLACK, _CFA = 0, 2, 4, 5
_NAMES = {1: "depth", 3: "selection", _CFA: "colour filter", 6: "temperature"}
_NEAR, _FAR = ((0, 16), (0, 32), (5, 1), (9, 33)), ((6, 1), (8, 65), (10, 321), (12, 1345))  # sides of a preview
_LONGEST_HEADER = 1 << 16


class Channel(NamedTuple):
    """A channel: its number in table D.9, and whether it is alpha that the colours are multiplied with."""

    kind: int
    is_associated: bool = False


class Ticks(NamedTuple):
    """By what an animation counts: seconds of a tick, how often it is shown (0: for ever), and time codes."""

    seconds: Fraction
    plays: int
    has_codes: bool


class JxlHeader(NamedTuple):
    """Bits of a sample, 0 for floats, the channels beside the colours, in their order, and what moves."""

    bits: int = 8
    channels: tuple[Channel, ...] = ()
    ticks: Ticks | None = None


def header_of(source: Image.Image) -> JxlHeader:
    """That of an opened JPEG XL; the usual one where it cannot be read."""
    if source.format != "JXL":
        return JxlHeader()
    return kept_with(source, "header", lambda file: _read(codestream_of(file.read(), _LONGEST_HEADER)), JxlHeader())


def has_associated_alpha(source: Image.Image) -> bool:
    """Whether the colours are multiplied with alpha, as libjxl gives them."""
    alpha = [channel for channel in header_of(source).channels if channel.kind == _ALPHA]
    return bool(alpha) and alpha[0].is_associated


def check_channels(source: Image.Image) -> None:
    """``ImageError`` for a JPEG XL of inks, of which Pillow's plug-in gives three as red, green and blue."""
    if any(channel.kind == _BLACK for channel in header_of(source).channels):
        raise ImageError("it is a JPEG XL of inks (CMYK), whose black is not read: convert it to RGB first")


def told_of_channels(source: Image.Image) -> list[str]:
    """What goes of the channels beside the colours, in words."""
    kinds = [channel.kind for channel in header_of(source).channels]
    left = [_NAMES.get(kind, "unknown") for kind in kinds if kind not in (_ALPHA, _SPOT)]
    left += ["alpha"] * (kinds.count(_ALPHA) - 1)
    told = [f"its further channels ({', '.join(left)}) are left out"] if left else []
    return told + (["its spot colours become part of the picture"] if _SPOT in kinds else [])


def codestream_of(data: bytes, most: int | None = None) -> bytes:
    """The codestream in a file, which may lie in several boxes (ISO/IEC 18181-2); not much more of it than ``most``."""
    if data.startswith(SIGNATURE):
        return data[:most]
    found, at, size = [], 0, 0
    while at + 8 <= len(data) and (most is None or size < most):
        length, kind = struct.unpack_from(">I4s", data, at)
        head = 16 if length == 1 else 8
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16])
        end = at + length if length else len(data)  # 0: to the end
        if end < at + head:
            break
        if kind in (b"jxlc", b"jxlp"):  # whole, or in parts with a number before each
            begin = at + head + (4 if kind == b"jxlp" else 0)
            found.append(data[begin : end if most is None else min(end, begin + most)])
            size += len(found[-1])
        at = end
    return b"".join(found)


def read_head(bits: Bits) -> tuple[JxlHeader, tuple[int, int]]:
    """The image header up to its colours, and (width, height)."""
    size = read_size(bits)
    if bits.take(1):  # all of it as usual
        return JxlHeader(), size
    ticks = _read_fields(bits) if bits.take(1) else None
    depth = read_depth(bits)
    bits.take(1)
    count = bits.one_of(((0, 0), (0, 1), (4, 2), (12, 1)))
    return JxlHeader(depth, tuple(_channel(bits) for _ in range(count)), ticks), size


def _read(codestream: bytes) -> JxlHeader:
    if not codestream.startswith(SIGNATURE):
        return JxlHeader()
    return read_head(Bits(codestream[2:]))[0]


def _read_fields(bits: Bits) -> Ticks | None:
    """Orientation, intended size, preview; what is said of an animation."""
    bits.take(3)
    if bits.take(1):
        read_size(bits)
    has_preview = bits.take(1)
    if has_preview:
        sides = _NEAR if bits.take(1) else _FAR
        bits.one_of(sides)
        if bits.take(3) == 0:
            bits.one_of(sides)
    if not bits.take(1) or has_preview:  # which is a frame of its own size
        return None
    over = bits.one_of(((0, 100), (0, 1000), (10, 1), (30, 1)))
    seconds = Fraction(bits.one_of(((0, 1), (0, 1001), (8, 1), (10, 1))), over)
    return Ticks(seconds, bits.one_of(((0, 0), (3, 0), (16, 0), (32, 0))), bool(bits.take(1)))


def _channel(bits: Bits) -> Channel:
    if bits.take(1):
        return Channel(_ALPHA)
    kind = bits.one_of(ENUMS)
    read_depth(bits)
    bits.one_of(((0, 0), (0, 3), (0, 4), (3, 1)))
    bits.take(8 * bits.one_of(((0, 0), (4, 0), (5, 16), (10, 48))))  # its name
    if kind == _SPOT:
        bits.take(4 * 16)
    elif kind == _CFA:
        bits.one_of(((0, 1), (2, 0), (4, 3), (8, 19)))
    return Channel(kind, kind == _ALPHA and bool(bits.take(1)))
