"""How long the frames of a JPEG XL animation are shown, which no reader here tells beside their samples.

ISO/IEC 18181-1: D.3 (image header), F.2 (frame header), F.3 (table of contents). What lies behind a colour profile, or
in an order of its own, would have to be decoded to be passed over: of such files nothing is known.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from PIL import Image

from sr_plugins.images.file_parts import kept_with
from sr_plugins.images.jxl_channels import Ticks, codestream_of, read_head
from sr_plugins.images.jxl_profile import SIGNATURE, Bits, skip_colours, skip_end

_REGULAR, _LF, _REFERENCE, _PROGRESSIVE = range(4)  # types of frames (F.2)
_REPLACE, _BLEND, _MUL_ADD, _MUL = 0, 2, 3, 4  # ways to lay a frame over the one before
_LF_KEPT = 0x20
_SIDES = ((8, 0), (11, 256), (14, 2304), (30, 18688))
_SIZES = ((10, 0), (14, 1024), (22, 17408), (30, 4211712))  # bytes of a section
_LONGEST_HEAD = 1 << 12
_MOST = 100_000  # frames


class JxlTiming(NamedTuple):
    """Milliseconds of each frame that is shown, and how often all of them are, 0 for ever."""

    delays: tuple[float, ...]
    plays: int


class _Layout(NamedTuple):
    """What the image header says that frames are read by."""

    size: tuple[int, int]
    channels: int
    is_xyb: bool
    ticks: Ticks


class _Frame(NamedTuple):
    """What is said of one frame: its length in ticks, whether it is the last and shown, and where it ends."""

    ticks: int
    is_last: bool
    is_shown: bool
    end: int


def jxl_timing(source: Image.Image) -> JxlTiming | None:
    """That of an opened JPEG XL animation; ``None`` for a still, for others, and where it cannot be found out."""
    if source.format != "JXL":
        return None
    return kept_with(source, "timing", lambda file: _timing(file.read()), None)


def _timing(data: bytes) -> JxlTiming | None:
    codestream = codestream_of(data)
    bits = Bits(codestream[len(SIGNATURE) : _LONGEST_HEAD])
    try:
        head, size = read_head(bits)
        if head.ticks is None or not codestream.startswith(SIGNATURE):
            return None
        is_xyb = bool(bits.take(1))
        if skip_colours(bits) is None:
            return None
        if not bits.take(1):  # tone mapping: two numbers, a choice, a number
            bits.take(2 * 16 + 1 + 16)
        skip_end(bits)
        layout = _Layout(size, len(head.channels), is_xyb, head.ticks)
        at, delays, ticks = len(SIGNATURE) + (bits.at + 7) // 8, list[Fraction](), 0
        for _ in range(_MOST):
            frame = _frame(codestream, at, layout)
            at = frame.end
            ticks += frame.ticks
            if frame.is_shown:
                delays.append(ticks * head.ticks.seconds * 1000)
                ticks = 0
            if frame.is_last:
                return JxlTiming(tuple(map(float, delays)), head.ticks.plays)
    except ValueError:
        pass
    return None


def _frame(codestream: bytes, at: int, layout: _Layout) -> _Frame:
    """The frame that begins there; ``ValueError`` where its end cannot be told."""
    if at >= len(codestream):
        raise ValueError("cut off")
    bits = Bits(codestream[at : at + _LONGEST_HEAD])
    if bits.take(1):  # a still by default
        raise ValueError("a frame that says nothing")
    kind, is_modular, flags = bits.take(2), bits.take(1), _u64(bits)
    is_normal = kind in (_REGULAR, _PROGRESSIVE)
    ycbcr = 0 if layout.is_xyb else bits.take(1)
    upsampling = 1
    if not flags & _LF_KEPT:
        bits.take(6 * ycbcr)
        upsampling = 1 << bits.take(2)
        bits.take(2 * layout.channels)
    group = 128 << bits.take(2) if is_modular else 256
    if not is_modular and layout.is_xyb:
        bits.take(6)
    passes = _passes(bits) if kind != _REFERENCE else 1
    level = bits.take(2) + 1 if kind == _LF else 0
    (width, height), is_whole = layout.size, True
    if kind != _LF and bits.take(1):
        left, top = (_signed(bits.one_of(_SIDES)) for _ in range(2)) if kind != _REFERENCE else (0, 0)
        full = (width, height)
        width, height = bits.one_of(_SIDES), bits.one_of(_SIDES)
        is_whole = left <= 0 and top <= 0 and left + width >= full[0] and top + height >= full[1]
    replaces = True
    if is_normal:
        replaces = _blending(bits, layout.channels, is_whole=is_whole)
        for _ in range(layout.channels):
            _blending(bits, layout.channels, is_whole=is_whole)
    ticks = bits.one_of(((0, 0), (0, 1), (8, 0), (32, 0))) if is_normal else 0
    bits.take(32 * (is_normal and layout.ticks.has_codes))
    is_last = bool(is_normal and bits.take(1))
    kept = bits.take(2) if kind != _LF and not is_last else 0
    may_be_kept = not is_last and (ticks == 0 or kept != 0)
    if kind == _REFERENCE or (is_normal and replaces and is_whole and may_be_kept):
        bits.take(1)  # before or after the colours are made
    bits.take(8 * bits.one_of(((0, 0), (4, 0), (5, 16), (10, 48))))  # its name
    _skip_filter(bits, is_modular=bool(is_modular))
    _skip_extensions(bits)
    if bits.take(1):
        raise ValueError("sections in an order of their own")
    step = upsampling << 3 * level
    width, height = -(-width // step), -(-height // step)
    sections = 1
    if passes > 1 or max(width, height) > group:
        sections = 2 + _groups(width, height, 8 * group) + passes * _groups(width, height, group)
    end = _end(codestream, at + (bits.at + 7) // 8, sections)
    return _Frame(ticks, is_last, is_normal and (is_last or ticks > 0), end)


def _groups(width: int, height: int, side: int) -> int:
    return -(-width // side) * -(-height // side)


def _end(codestream: bytes, at: int, sections: int) -> int:
    """Where sections end, whose sizes are listed from there on."""
    if sections > 8 * (len(codestream) - at):
        raise ValueError("more sections than bytes")
    bits, total = Bits(codestream[at : at + 4 * sections]), 0
    for _ in range(sections):
        total += bits.one_of(_SIZES)
    return at + (bits.at + 7) // 8 + total


def _u64(bits: Bits) -> int:
    """D.3: two bits choose 0, 4 bits and 1, 8 bits and 17, or 12 bits and then more by 8."""
    choice = bits.take(2)
    if choice < 3:
        return (0, bits.take(4 * (choice == 1)) + 1, bits.take(8 * (choice == 2)) + 17)[choice]
    value, shift = bits.take(12), 12
    while bits.take(1):
        if shift == 60:
            return value | bits.take(4) << shift
        value |= bits.take(8) << shift
        shift += 8
    return value


def _signed(value: int) -> int:
    return -(value + 1) // 2 if value & 1 else value // 2


def _passes(bits: Bits) -> int:
    count = bits.one_of(((0, 1), (0, 2), (0, 3), (3, 4)))
    if count > 1:
        steps = bits.one_of(((0, 0), (0, 1), (0, 2), (1, 3)))
        bits.take(2 * (count - 1) + 2 * steps)
        for _ in range(steps):
            bits.one_of(((0, 0), (0, 1), (0, 2), (3, 0)))
    return count


def _blending(bits: Bits, channels: int, *, is_whole: bool) -> bool:
    """Read over how a frame is laid over another; whether it stands in its place."""
    mode = bits.one_of(((0, 0), (0, 1), (0, 2), (2, 3)))
    if channels and mode in (_BLEND, _MUL_ADD):
        bits.one_of(((0, 0), (0, 1), (0, 2), (3, 3)))
    if channels and mode in (_BLEND, _MUL_ADD, _MUL):
        bits.take(1)
    if mode != _REPLACE or not is_whole:
        bits.take(2)
    return mode == _REPLACE


def _skip_filter(bits: Bits, *, is_modular: bool) -> None:
    """F.2, RestorationFilter: what smooths the edges of blocks."""
    if bits.take(1):
        return
    if bits.take(1) and bits.take(1):
        bits.take(6 * 16)
    if steps := bits.take(2):
        if not is_modular and bits.take(1):
            bits.take(8 * 16)
        if bits.take(1):
            bits.take(5 * 16)
        if bits.take(1):
            bits.take((3 + (not is_modular)) * 16)
        bits.take(16 * (is_modular and steps > 0))
    _skip_extensions(bits)


def _skip_extensions(bits: Bits) -> None:
    named = _u64(bits)
    sizes = [_u64(bits) for number in range(64) if named >> number & 1]
    if sum(sizes) > 8 * _LONGEST_HEAD:
        raise ValueError("extensions beyond all measure")
    bits.take(sum(sizes))
