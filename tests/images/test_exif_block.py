"""Image file directories as bytes: read by others as they were meant, in both byte orders and all types."""

import io
import logging
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fakes import nearest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.images.exif_block import (
    EXIF,
    GPS,
    HEAD,
    INTEROP,
    LONG,
    MAKER_NOTE,
    RATIONAL,
    SHORT,
    SRATIONAL,
    UNDEFINED,
    ExifBlock,
    Field,
    compiled,
    field_of,
    in_order,
    numbers,
    packed,
    read_directory,
)
from sr_plugins.images.files import upscale_file

# types of numbers, with what they hold (TIFF 6.0, section 2)
WHOLE = (-(2**31), 2**31 - 1)
RANGES = {1: (0, 255), 3: (0, 65535), 4: (0, 2**32 - 1), 6: (-128, 127), 8: (-(2**15), 2**15 - 1), 9: WHOLE}
RATIOS = {RATIONAL: (0, 2**32 - 1), SRATIONAL: WHOLE}
ORDERS = st.sampled_from("<>")


@st.composite
def fields(draw: st.DrawFn, order: str) -> Field:
    tag = draw(st.integers(60000, 64999))  # of nobody: Pillow knows how many numbers belong to some
    kind = draw(st.sampled_from([*RANGES, *RATIOS, 12]))
    if kind in RANGES:
        values = draw(st.lists(st.integers(*RANGES[kind]), min_size=1, max_size=5))
    elif kind == 12:
        values = draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3))
    else:
        low, high = RATIOS[kind]
        parts = st.tuples(st.integers(low, high), st.integers(1, 1000)).map(lambda p: Fraction(*p))
        values = draw(st.lists(parts, min_size=1, max_size=3))
    return field_of(tag, kind, values, order)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), order=ORDERS)
def test_what_is_put_together_is_read_by_others_as_it_was(data: st.DataObject, order: str) -> None:
    found = data.draw(st.lists(fields(order), min_size=1, max_size=6, unique_by=lambda field: field.tag))
    block, first = compiled({(): found}, order)
    assert first % 2 == 0
    again, following = read_directory(ExifBlock(block).read, first, order)
    assert following == 0
    assert list(again) == sorted(f.tag for f in found)
    theirs = Image.Exif()
    theirs.load(HEAD + block)
    for field in found:
        assert (again[field.tag].kind, again[field.tag].value) == (field.kind, field.value)
        assert again[field.tag].value_at % 2 == 0
        told = theirs[field.tag]
        if field.kind == 1:  # Pillow gives bytes
            assert list(told) == [int(v) for v in numbers(field, order)]
            continue
        values = told if isinstance(told, tuple) else (told,)
        assert [Fraction(float(v)) for v in values] == [Fraction(float(v)) for v in numbers(field, order)]


@settings(max_examples=40, deadline=None)
@given(data=st.data(), order=ORDERS)
def test_another_byte_order_holds_the_same_numbers(data: st.DataObject, order: str) -> None:
    field, other = data.draw(fields(order)), "<>"[order == "<"]
    turned = in_order(field, order, other)
    assert numbers(turned, other) == numbers(field, order)
    assert in_order(turned, other, order) == field
    blob = Field(1, UNDEFINED, 4, b"abcd")
    assert in_order(blob, order, other) == blob


def whole(order: str, *, note_at: int = 0) -> bytes:
    """A block with all kinds of directories and a maker note of 40 bytes."""
    note = Field(MAKER_NOTE, UNDEFINED, 40, bytes(range(40)))
    exposure = field_of(0x9204, SRATIONAL, [Fraction(-1, 3)], order)
    directories = {
        (): [field_of(0x0112, SHORT, [6], order), field_of(0x010F, 2, b"Acme\0", order)],
        (EXIF,): [note, exposure],
        (GPS,): [field_of(2, RATIONAL, [48, Fraction(51, 2), 0], order)],
        (EXIF, INTEROP): [field_of(1, 2, b"R98\0", order)],
    }
    return compiled(directories, order, note_at=note_at)[0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("note_at", [0, 8, 100, 5000])
def test_directories_below_lie_where_they_are_looked_for_and_notes_where_they_count_from(
    order: str, note_at: int
) -> None:
    data = whole(order, note_at=note_at)
    block = ExifBlock(data)
    note = block.directory(block.place_of(EXIF))[MAKER_NOTE]
    assert note.value == bytes(range(40))
    assert note.value_at == note_at or not note_at
    assert block.place_of(EXIF, GPS) == 0
    theirs = Image.Exif()
    theirs.load(bytes(block))
    assert theirs[0x010F] == "Acme"
    assert [float(v) for v in theirs.get_ifd(GPS)[2]] == [48, 25.5, 0]
    assert float(theirs.get_ifd(EXIF)[0x9204]) == pytest.approx(-1 / 3)
    assert theirs.get_ifd(INTEROP)[1] == "R98"


@pytest.mark.parametrize("order", ["<", ">"])
def test_changes_in_place_move_nothing_else(order: str) -> None:
    block = ExifBlock(whole(order))
    before = len(block.data)
    exposure = block.directory(block.place_of(EXIF))[0x9204]
    block.set_numbers(exposure, [Fraction(-2, 7)])
    block.set_numbers(block.first()[0x0112], [1])
    assert len(block.data) == before
    assert numbers(block.directory(block.place_of(EXIF))[0x9204], order) == (Fraction(-2, 7),)
    block.set_numbers(block.first()[0x0112], [70_000])  # a LONG has room in the place of a SHORT
    assert (block.first()[0x0112].kind, numbers(block.first()[0x0112], order)) == (LONG, (70_000,))
    with pytest.raises(OverflowError, match="2 values instead of 1"):
        block.set_numbers(exposure, [1, 2])
    block.remove(block.first_at, {0x0112})
    assert set(block.first()) == {0x010F, EXIF, GPS}
    assert block.directory(block.place_of(GPS))[2].amount == 3
    block.add([field_of(0x010F, 2, b"Other maker\0", order), field_of(0x0100, LONG, [9], order)])
    assert list(block.first()) == [0x0100, 0x010F, EXIF, GPS]
    theirs = Image.Exif()
    theirs.load(bytes(block))
    assert (theirs[0x010F], theirs[0x0100]) == ("Other maker", 9)
    assert theirs.get_ifd(EXIF)[MAKER_NOTE] == bytes(range(40))


def test_a_thumbnail_goes_with_all_that_only_it_used() -> None:
    file = io.BytesIO()
    Image.new("RGB", (8, 6)).save(file, "JPEG")
    thumbnail = file.getvalue()
    data = bytearray(whole("<"))
    (first,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, first)
    data += bytes(len(data) % 2)
    second, end = len(data), first + 2 + 12 * count
    struct.pack_into("<I", data, end, second)
    data += struct.pack("<HHHIIHHIII", 2, 0x201, LONG, 1, second + 30, 0x202, LONG, 1, len(thumbnail), 0) + thumbnail
    block = ExifBlock(bytes(data))
    block.without_thumbnail()
    assert len(block.data) == second
    assert read_directory(block.read, block.first_at, "<")[1] == 0
    assert block.directory(block.place_of(EXIF))[MAKER_NOTE].value == bytes(range(40))
    block.without_thumbnail()
    assert len(block.data) == second


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (1, 256),
        (SHORT, -1),
        (LONG, 2**32),
        (6, 128),
        (RATIONAL, Fraction(-1, 2)),
        (RATIONAL, 2**32),
        (SRATIONAL, 2**31),
    ],
)
def test_numbers_that_a_type_does_not_hold(kind: int, value: int) -> None:
    with pytest.raises(OverflowError):
        packed(kind, [value], "<")


@pytest.mark.parametrize("value", [Fraction(1, 3), Fraction(2**31 - 1, 7), Fraction(10**12, 10**11 + 7)])
@pytest.mark.parametrize("sign", [1, -1])
def test_ratios_are_the_nearest_that_32_bits_hold(value: Fraction, sign: int) -> None:
    kind = SRATIONAL if sign < 0 else RATIONAL
    (got,) = numbers(field_of(1, kind, [sign * value], ">"), ">")
    assert float(got) == pytest.approx(float(sign * value), rel=1e-6)


@pytest.mark.parametrize("data", [b"", b"II*\0", b"no TIFF at all", HEAD + b"MM*\0" + bytes(8)])
def test_what_is_no_block_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="no TIFF header"):
        ExifBlock(data)


def test_directories_that_lie_nowhere_are_empty() -> None:
    block = ExifBlock(b"II*\0" + struct.pack("<I", 5000) + bytes(4))
    assert block.first() == {}
    assert block.place_of(EXIF) == 0
    crowded = ExifBlock(b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + bytes(60))
    assert crowded.first() == {}


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


@pytest.mark.parametrize("order", ["<", ">"])
def test_numbers_of_a_big_tiff_stay_and_those_that_nothing_holds_are_told(
    order: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    """Of 8 bytes each, of either sign and byte order; what is written is no BigTIFF."""
    tags = [(65000, 16, 2, (5, 0), True), (65001, 17, 1, -7, True), (65002, 16, 1, 1 << 40, True)]
    picture = np.random.default_rng(1).integers(0, 65535, (6, 8, 3), np.uint16)
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    tifffile.imwrite(source, picture, bigtiff=True, byteorder=order, photometric="rgb", extratags=tags)
    with caplog.at_level(logging.WARNING):
        upscale_file(source, target, repeat)
    assert "numbers of more than 32 bits (tag 65002) are left out" in caplog.text
    with tifffile.TiffFile(target) as result:
        told = {tag.code: (int(tag.dtype), tag.value) for tag in result.pages[0].tags if tag.code >= 65000}
        assert np.array_equal(result.asarray(), picture.repeat(2, 0).repeat(2, 1))
    assert told == {65000: (4, (5, 0)), 65001: (9, -7)}
