"""EXIF and places on the map made true for an upright enlargement, as Pillow reads it; without any other program."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sr_plugins.images.exif import mended_exif, mended_map
from sr_plugins.images.exif_block import ASCII, EXIF, RATIONAL, SHORT, ExifBlock, compiled, field_of, numbers
from sr_plugins.images.placement import Placement
from sr_plugins.images.png_texts import raw_profile

STORED = (70, 50)
SCALE, TIES, MATRIX, RPC, KEYS = 33550, 33922, 34264, 50844, 34735
DOUBLE = 12


def placement(orientation: int, scale: int = 2) -> Placement:
    width, height = STORED if orientation < 5 else STORED[::-1]
    return Placement(STORED, orientation, (width * scale, height * scale))


def block(order: str, first: dict[int, tuple[int, list[float]]], below: dict[int, tuple[int, list[float]]]) -> bytes:
    made = {
        path: [field_of(tag, kind, values, order) for tag, (kind, values) in fields.items()]
        for path, fields in (((), first), ((EXIF,), below))
        if fields
    }
    return compiled(made, order)[0]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_sizes_and_resolutions_are_those_of_the_upright_result(orientation: int, order: str) -> None:
    first = {256: (SHORT, [70]), 257: (SHORT, [50]), 274: (SHORT, [orientation])}
    first |= {282: (RATIONAL, [300]), 283: (RATIONAL, [150])}
    below = {0xA002: (SHORT, [70]), 0xA003: (SHORT, [50]), 0xA20E: (RATIONAL, [1000]), 0xA20F: (RATIONAL, [500])}
    to = placement(orientation)
    mended = mended_exif(block(order, first, below), to)
    assert mended is not None
    theirs = Image.Exif()
    theirs.load(bytes(mended))
    exif = theirs.get_ifd(EXIF)
    assert (theirs[256], theirs[257]) == (exif[0xA002], exif[0xA003]) == to.size
    assert 274 not in theirs
    turned = orientation >= 5
    assert (theirs[282], theirs[283]) == ((150, 300) if turned else (300, 150))
    # pixels of the sensor's plane: as many more as the picture has
    assert (exif[0xA20E], exif[0xA20F]) == ((1000, 2000) if turned else (2000, 1000))


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_the_subject_lies_where_its_pixels_do(orientation: int) -> None:
    area = {0x9214: (SHORT, [10, 20, 6, 8])}
    made = block("<", {256: (SHORT, [70])}, area)
    found = mended_exif(made, placement(orientation))
    assert found is not None
    expected = {1: (20, 40, 12, 16), 3: (120, 60, 12, 16), 6: (60, 20, 16, 12)}[orientation]
    values = numbers(found.directory(found.place_of(EXIF))[0x9214], "<")
    assert tuple(map(int, values)) == expected


def test_a_subject_of_no_kind_is_left_out_and_damage_is_told() -> None:
    found = mended_exif(block("<", {256: (SHORT, [70])}, {0x9214: (SHORT, [1, 2, 3, 4, 5])}), placement(1))
    assert found is not None
    assert 0x9214 not in found.directory(found.place_of(EXIF))
    assert mended_exif(block("<", {274: (SHORT, [6])}, {}), placement(6)) is None  # there was nothing else
    with pytest.raises(ValueError, match="no TIFF header"):
        mended_exif(b"no block", placement(1))


def on_map(found: ExifBlock, tag: int) -> list[float]:
    return [float(v) for v in numbers(found.first()[tag], found.order)]


PLACES = st.floats(-1e6, 1e6, allow_nan=False).map(lambda v: round(v, 3))


@settings(max_examples=40, deadline=None)
@given(
    matrix=st.lists(PLACES, min_size=8, max_size=8), points=st.booleans(), across=st.integers(1, 4),
    down=st.integers(1, 4), x=st.floats(0, 70), y=st.floats(0, 50),
)  # fmt: skip
def test_a_place_on_the_ground_stays_under_its_pixel(
    matrix: list[float], points: bool, across: int, down: int, x: float, y: float
) -> None:
    """GeoTIFF 1.1: by a transformation, of pixels' corners or of their centres (RasterPixelIsPoint)."""
    half = 0.5 if points else 0.0
    whole = [*matrix, 0, 0, 0, 0, 0, 0, 0, 1]
    first = {MATRIX: (DOUBLE, [float(v) for v in whole]), KEYS: (SHORT, [1, 1, 0, 1, 1025, 0, 1, 2 if points else 1])}
    found = mended_exif(block("<", first, {}), Placement(STORED, 1, (70 * across, 50 * down)))
    assert found is not None
    before, after = np.reshape(whole, (4, 4)), np.reshape(on_map(found, MATRIX), (4, 4))
    # (x, y) counts from the picture's corner; a transformation of centres has the first centre at 0
    source = before @ [x - half, y - half, 0, 1]
    result = after @ [x * across - half, y * down - half, 0, 1]
    assert np.allclose(source, result, rtol=1e-9, atol=1e-4)


@pytest.mark.parametrize("points", [False, True])
def test_tie_points_and_scales_go_together(points: bool) -> None:
    half = 0.5 if points else 0.0
    ties = [10.0, 20.0, 0.0, 5000.0, 8000.0, 0.0, 60.0, 5.0, 0.0, 5100.0, 8030.0, 0.0]
    first = {SCALE: (DOUBLE, [2.0, 3.0, 0.0]), TIES: (DOUBLE, ties)}
    first |= {KEYS: (SHORT, [1, 1, 0, 1, 1025, 0, 1, 2 if points else 1])}
    found = mended_exif(block(">", first, {}), placement(1))
    assert found is not None
    assert on_map(found, SCALE) == [1, 1.5, 0]
    got = on_map(found, TIES)
    for i in (0, 6):
        assert [(got[i] + half) / 2 - half, (got[i + 1] + half) / 2 - half] == pytest.approx(ties[i : i + 2])
        assert got[i + 2 : i + 6] == ties[i + 2 : i + 6]


def test_polynomials_count_lines_and_samples_from_centres() -> None:
    """RPC00B, 92 numbers: the third and fourth are offsets of line and sample, the eighth and ninth their scales."""
    values = [float(i) for i in range(92)]
    found = mended_exif(block("<", {RPC: (DOUBLE, values)}, {}), Placement(STORED, 1, (140, 150)))
    assert found is not None
    got = on_map(found, RPC)
    assert (got[2], got[3]) == (3 * 2.5 - 0.5, 2 * 3.5 - 0.5)
    assert (got[7], got[8]) == (3 * 7, 2 * 8)
    others = [i for i in range(92) if i not in (2, 3, 7, 8)]
    assert [got[i] for i in others] == others


def test_a_map_does_not_hold_for_a_turned_picture() -> None:
    data = block("<", {SCALE: (DOUBLE, [2.0, 3.0, 0.0]), 256: (SHORT, [70])}, {})
    found = mended_exif(data, placement(6))
    assert found is not None
    assert set(found.first()) == {256}
    assert mended_map(data, placement(6)) is None
    kept = mended_map(data, placement(1))
    assert kept is not None
    assert on_map(ExifBlock(kept), SCALE) == [1, 1.5, 0]


def test_a_microscope_s_pixels_are_smaller() -> None:
    text = b'<OME><Pixels SizeX="70" SizeY="50" SizeC="3" PhysicalSizeX="0.5" PhysicalSizeY="0.25"/></OME>'
    made = compiled({(): [field_of(270, 2, text + b"\0", "<")]}, "<")[0]
    found = mended_exif(made, placement(1))
    assert found is not None
    expected = b'<Pixels SizeX="140" SizeY="100" SizeC="3" PhysicalSizeX="0.25" PhysicalSizeY="0.125"/>'
    assert expected in found.first()[270].value


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ("\nexif\n       4\n4d4d002a\n", b"MM\0*"),
        ("\nexif\n       3\n4d4d\n002a\n", b"MM\0"),
        ("\nexif\n", None),
        ("exif 4 4d4g", None),
        (None, None),
    ],
)
def test_bytes_in_a_text_are_read_to_their_number(text: str | None, content: bytes | None) -> None:
    image = Image.new("L", (1, 1))
    image.info["Raw profile type exif"] = text
    assert raw_profile(image, "APP1", "exif") == content


def test_ratios_of_a_resolution_stay_exact() -> None:
    first = {282: (RATIONAL, [Fraction(28346, 10)]), 283: (RATIONAL, [Fraction(1, 3)])}
    found = mended_exif(block("<", first, {}), placement(5))
    assert found is not None
    assert numbers(found.first()[282], "<") == (Fraction(1, 3),)
    assert numbers(found.first()[283], "<") == (Fraction(28346, 10),)


GDAL = (
    b'<GDALMetadata>\n  <Item name="STATISTICS_MAXIMUM" sample="0">255</Item>\n'
    b'  <Item sample="0" name="STATISTICS_MEAN">128</Item>\n%s</GDALMetadata>\0'
)


@pytest.mark.parametrize("other", [b'  <Item name="UNITTYPE" sample="0" role="unittype">metre</Item>\n', b""])
def test_statistics_of_the_smaller_picture_go(other: bytes) -> None:
    """GDAL believes them, and stretches what it shows by them."""
    fields = [field_of(271, ASCII, b"Abc\0", "<"), field_of(42112, ASCII, GDAL % other, "<")]
    found = mended_exif(compiled({(): fields}, "<")[0], placement(1))
    assert found is not None
    assert (found.first()[42112].value if other else found.first().get(42112)) == (
        b"<GDALMetadata>\n" + other.rstrip() + b"\n</GDALMetadata>\0" if other else None
    )
    assert 271 in found.first()
