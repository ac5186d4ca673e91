"""An ICC profile into the codestream of a JPEG XL, which neither pillow-jxl-plugin nor imagecodecs can write.

The headers at the beginning of a codestream are bits, ISO/IEC 18181-1: Annex D (image header), E.4 (ICC profile),
C (entropy coding). The frames behind them begin at a byte, so they stay as they are. The samples must be stored in the
profile's own colours, as encoders do it that are told to keep the original profile (``xyb_encoded`` is false).
"""

from __future__ import annotations

from collections.abc import Iterator

SIGNATURE = b"\xff\x0a"
SIDES = ((9, 1), (13, 1), (18, 1), (30, 1))
_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
ENUMS = ((0, 0), (0, 1), (4, 2), (6, 18))
_CUSTOM, _CUSTOM_PRIMARIES = 2, 2
_GRAY, _XYB = 1, 2
_RGB_SPACE = 0
_ALPHA = 0
_TURNED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # bytes with their bits the other way round


class Bits:
    """The bits of a codestream, the lowest of a byte first; those that were read are noted."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "little")
        self.at = 0

    def take(self, count: int) -> int:
        """A number of so many bits."""
        value = (self._number >> self.at) & ((1 << count) - 1)
        self.at += count
        return value

    def one_of(self, choices: tuple[tuple[int, int], ...]) -> int:
        """A U32: two bits choose how many follow, and what is added to them."""
        count, more = choices[self.take(2)]
        return self.take(count) + more

    def between(self, start: int, end: int) -> int:
        """The bits from one place to another, as a number."""
        return (self._number >> start) & ((1 << (end - start)) - 1)


class WrittenBits:
    """Numbers of some bits each, the lowest bit first."""

    def __init__(self) -> None:
        self._number, self.count = 0, 0

    def put(self, value: int, count: int) -> None:
        """Add a number of so many bits."""
        self._number |= value << self.count
        self.count += count

    def data(self) -> bytes:
        """Filled with zeros to a whole byte."""
        return self._number.to_bytes((self.count + 7) // 8, "little")


def with_profile(codestream: bytes, profile: bytes) -> bytes:
    """The codestream with this profile in the place of what it says about its colours.

    Raises:
        ValueError: its header is of a kind that our encoders do not write, or its samples are in colours of its own.
    """
    if not codestream.startswith(SIGNATURE):
        raise ValueError("no bare codestream")
    bits = Bits(codestream[2:514])
    if not _holds_samples(bits):
        raise ValueError("samples in colours of its own")
    before = bits.at
    is_gray = skip_colours(bits)
    if is_gray is None:
        raise ValueError("a profile already")
    after = bits.at
    skip_end(bits)
    end = bits.at
    new = WrittenBits()
    new.put(bits.between(0, before), before)
    new.put(0b10, 2)  # not the usual colours: a profile
    new.put(1 if is_gray else 0, 2)  # RGB or gray, by an Enum's first two choices
    new.put(bits.between(after, end), end - after)
    _put_profile(new, profile)
    return SIGNATURE + new.data() + codestream[2 + (end + 7) // 8 :]


def is_exact(codestream: bytes) -> bool:
    """Whether it holds the samples as they were: in their own colours, and not by blocks of frequencies (VarDCT).

    Behind a profile nothing can be read without decoding it; encoders that lose something do not store samples in its
    colours.
    """
    bits = Bits(codestream[2:514])
    try:
        if not codestream.startswith(SIGNATURE) or not _holds_samples(bits):
            return False
        if skip_colours(bits) is None:
            return True
        skip_end(bits)
    except ValueError:
        return False
    frame = Bits(codestream[2 + (bits.at + 7) // 8 :][:8])
    return not frame.take(1) and frame.take(2) == 0 and frame.take(1) == 1


def _holds_samples(bits: Bits) -> bool:
    """Reads up to what is said of the colours; whether samples are in those, and not in the format's own (XYB)."""
    read_size(bits)
    if bits.take(1):  # all of it as usual
        return False
    if bits.take(1):
        raise ValueError("an image header with orientation, previews or animation in it")
    read_depth(bits)
    bits.take(1)
    for _ in range(bits.one_of(((0, 0), (0, 1), (4, 2), (12, 1)))):
        skip_channel(bits)
    return not bits.take(1)


def skip_end(bits: Bits) -> None:
    """Read over the end of the image header, behind its colours; ``ValueError`` for one with extensions."""
    if bits.take(2):
        raise ValueError("extensions in its header")
    if not bits.take(1):
        raise ValueError("a transform of its own")


def read_size(bits: Bits) -> tuple[int, int]:
    """(width, height) by a SizeHeader (D.2)."""
    small = bits.take(1)
    height = 8 * (bits.take(5) + 1) if small else bits.one_of(SIDES)
    if ratio := bits.take(3):
        across, down = _RATIOS[ratio]
        return height * across // down, height
    return 8 * (bits.take(5) + 1) if small else bits.one_of(SIDES), height


def read_depth(bits: Bits) -> int:
    """How many bits a sample has by a BitDepth (D.3); 0 for floats."""
    is_float = bits.take(1)
    count = bits.one_of(((0, 32), (0, 16), (0, 24), (6, 1)) if is_float else ((0, 8), (0, 10), (0, 12), (6, 1)))
    if is_float:
        bits.take(4)
    return 0 if is_float else count


def skip_channel(bits: Bits) -> None:
    """Read over a channel without a name (D.3.6); ``ValueError`` for others than alpha."""
    if bits.take(1):  # alpha of 8 bits
        return
    kind = bits.one_of(ENUMS)
    read_depth(bits)
    bits.one_of(((0, 0), (0, 3), (0, 4), (3, 1)))
    if bits.one_of(((0, 0), (4, 0), (5, 16), (10, 48))) or kind != _ALPHA:
        raise ValueError("channels with a name, or of another kind than alpha")
    bits.take(1)


def skip_colours(bits: Bits) -> bool | None:
    """What the codestream says of its colours; whether they are gray, ``None`` where a profile says it."""
    if bits.take(1):
        return False
    if bits.take(1):
        return None
    space = bits.one_of(ENUMS)
    if space not in (_RGB_SPACE, _GRAY):
        raise ValueError("neither RGB nor gray")
    if bits.one_of(ENUMS) == _CUSTOM or (space == _RGB_SPACE and bits.one_of(ENUMS) == _CUSTOM_PRIMARIES):
        raise ValueError("primaries of its own")
    if bits.take(1):
        bits.take(24)
    else:
        bits.one_of(ENUMS)
    bits.one_of(ENUMS)
    return space == _GRAY


def _put_profile(new: WrittenBits, profile: bytes) -> None:
    """The profile as E.4 has it, every byte by a code of 8 bits: nothing is compressed."""
    content = bytes(_differences(profile[:128])) + profile[128:]
    commands = b"\0\1" + _varint(len(profile) - 128) if len(profile) > 128 else b""  # no list of tags; the bytes alone
    stored = _varint(len(profile)) + _varint(len(commands)) + commands + content
    _put_u64(new, len(stored))
    new.put(0, 1)  # no LZ77
    new.put(0b001, 3)  # one code for all 41 contexts: a simple list of numbers of no bits
    new.put(1, 1)  # prefix codes
    new.put(15, 4)  # numbers stand for themselves
    new.put(1, 1)  # more than one symbol: 1 + 2**7 + 127
    new.put(7, 4)
    new.put(127, 7)
    new.put(0, 2)  # the code as in RFC 7932, 3.5: of the lengths of codes only 8 occurs, which so takes no bits
    for length in (1, 2, 3, 4, 0, 5, 17, 6, 16, 7, 8, 9, 10, 11, 12, 13, 14, 15):
        # length 0: 00, length 3: 10 from the lowest bit on
        new.put(0b00 if length != 8 else 0b10, 2)
    # at once: profiles with tables have megabytes
    new.put(int.from_bytes(stored.translate(_TURNED), "little"), 8 * len(stored))


def _put_u64(new: WrittenBits, value: int) -> None:
    """D.3: two bits choose 0, 4 bits and 1, 8 bits and 17, or 12 bits and then more by 8."""
    new.put(3, 2)
    new.put(value & 0xFFF, 12)
    value >>= 12
    while value:
        new.put(1, 1)
        new.put(value & 0xFF, 8)
        value >>= 8
    new.put(0, 1)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes(found) + bytes((value,))


def _differences(head: bytes) -> Iterator[int]:
    """A profile's first 128 bytes, minus what E.4.3 expects there."""
    expected = bytearray(128)
    expected[8] = 4
    expected[12:24], expected[36:40] = b"mntrRGB XYZ ", b"acsp"
    expected[68:80] = bytes((0, 0, 246, 214, 0, 1, 0, 0, 0, 0, 211, 45))
    for place, byte in enumerate(head):
        if place == 0:
            expected[:4] = head[:4]  # its length, which is told before
        elif place == 8:
            expected[80:84] = head[4:8]
        elif place == 41 and (rest := {ord("A"): b"PPL", ord("M"): b"SFT"}.get(head[40])):
            expected[41:44] = rest
        elif place == 42 and (rest := {b"SG": b"I ", b"SU": b"NW"}.get(head[40:42])):
            expected[42:44] = rest
        yield byte - expected[place] & 0xFF
