"""TIFF files of every depth, byte order, layout and compression: what comes out is what went in, by tifffile's word."""

import logging
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
from fakes import nearest
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import upscale_file
from sr_plugins.images.pillow_filter import upscale_image

HEIGHT, WIDTH = 12, 20
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def samples(kind: str, bands: int = 1) -> np.ndarray:
    values = np.random.default_rng(3).random((HEIGHT, WIDTH, bands))
    dtype = np.dtype(kind)
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        low, high = max(limits.min, -(2**31)), min(limits.max, 2**32)
        values = values * (high - low) + low
    return (values if bands > 1 else values[..., 0]).astype(dtype)


def enlarged(folder: Path, upscaler: Upscaler) -> tifffile.TiffFile:
    upscale_file(folder / "in.tif", folder / "out.tif", upscaler)
    return tifffile.TiffFile(folder / "out.tif")


def assert_doubled(result: np.ndarray, source: np.ndarray) -> None:
    expected = source.repeat(2, 0).repeat(2, 1)
    assert result.dtype == expected.dtype
    # a network computes in float32
    span = float(np.ptp(expected.astype(float))) or 1.0
    whole = 0 if expected.dtype.itemsize <= 2 and expected.dtype.kind != "f" else span * 2e-7
    whole = max(whole, 5e-4) if expected.dtype == np.float16 else whole
    assert np.abs(result.astype(float) - expected.astype(float)).max() <= whole


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_of_sample_stays(kind: str, bands: int, order: str, tmp_path: Path, repeat: Upscaler) -> None:
    source = samples(kind, bands)
    tifffile.imwrite(
        tmp_path / "in.tif",
        source.astype(order + kind),
        byteorder=order,
        photometric="rgb" if bands == 3 else "minisblack",
        metadata=None,
    )
    with enlarged(tmp_path, repeat) as result:
        assert_doubled(result.pages[0].asarray(), source)


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "f2", "f4"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_white_is_zero_is_inverted_once(kind: str, order: str, tmp_path: Path, repeat: Upscaler) -> None:
    source = samples(kind)
    tifffile.imwrite(
        tmp_path / "in.tif", source.astype(order + kind), byteorder=order, photometric="miniswhite", metadata=None
    )
    with enlarged(tmp_path, repeat) as result:
        found = result.pages[0].asarray().astype(float)[::2, ::2]
        assert result.pages[0].photometric == tifffile.PHOTOMETRIC.MINISBLACK
    before = source.astype(float)
    total = found + before
    assert np.ptp(total) <= max(np.ptp(before) * 1e-3, 0)  # every sample and its negative have one sum
    assert np.corrcoef(found.ravel(), before.ravel())[0, 1] < -0.999


@pytest.mark.parametrize(("kind", "hole"), [("u1", 0), ("u1", 255), ("u2", 0), ("u2", 65535), ("i2", -9), ("f4", -9)])
def test_numbers_beside_no_data_stay_where_white_is_zero(
    kind: str, hole: int, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    """As GDAL reads them: it inverts nothing. What a picture shows is inverted once, in formats without such a kind."""
    source = np.array([[hole, 1, 2, 100], [3, 4, hole, 125], [200, 210, 254, 253]], kind)
    no_data = (42113, 2, 0, str(hole), True)
    tifffile.imwrite(tmp_path / "in.tif", source, photometric="miniswhite", metadata=None, extratags=[no_data])
    with enlarged(tmp_path, repeat) as result:
        assert_doubled(result.pages[0].asarray(), source)
        assert result.pages[0].photometric == tifffile.PHOTOMETRIC.MINISWHITE
        assert result.pages[0].tags[42113].value == str(hole)
    assert caplog.text == ""
    if kind.startswith("u"):
        upscale_file(tmp_path / "in.tif", tmp_path / "out.png", repeat)
        with Image.open(tmp_path / "out.png") as shown:
            there = source != hole
            top = 255 if kind == "u1" else 65535
            np.testing.assert_array_equal(np.asarray(shown)[::2, ::2][there], top - source[there].astype(int))


@pytest.mark.parametrize(("kind", "top"), [("u1", 255), ("u2", 65535)])
def test_holes_are_known_where_pillow_inverts_white(kind: str, top: int, tmp_path: Path) -> None:
    """A network would make rings around a hole that it took for a colour."""
    source = np.full((12, 12), 100, kind)
    source[4:7, 5:8] = 3
    tags = [(42113, 2, 0, "3", True)]
    tifffile.imwrite(tmp_path / "in.tif", source, photometric="miniswhite", metadata=None, extratags=tags)
    with Image.open(tmp_path / "in.tif") as opened:
        larger = np.asarray(upscale_image(opened, 2, model="bicubic"))
    hole = top - 3 if kind == "u1" else 3  # the number of 16 bits is nothing that Pillow inverts
    expected = np.where(source == 3, hole, top - 100).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(larger, expected)


@pytest.mark.parametrize("kind", ["i1", "i2", "f4"])
def test_an_exchange_of_numbers_is_told(
    kind: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    tifffile.imwrite(tmp_path / "in.tif", np.array([[-4, 7], [1, 9]], kind), photometric="miniswhite", metadata=None)
    with enlarged(tmp_path, repeat) as result:
        np.testing.assert_allclose(result.pages[0].asarray()[::2, ::2], [[9, -2], [4, -4]], atol=1e-5)
    assert "its 0 is white: its numbers are exchanged" in caplog.text


@pytest.mark.parametrize(
    "layout",
    [
        {"tile": (16, 16)},
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">"},
        {"compression": "lzw", "predictor": True},
        {"compression": "zstd"},
        {"compression": "jpeg2000"},
        {"compression": "jpegxl", "compressionargs": {"lossless": True}},
        {"rowsperstrip": 5},
        {"planarconfig": "separate"},
    ],
    ids=lambda layout: "-".join(map(str, layout.items()))[:40],
)
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_every_layout_is_read(layout: dict, kind: str, tmp_path: Path, repeat: Upscaler) -> None:
    if kind == "f4" and "jpeg" in str(layout):
        pytest.skip("tifffile writes no floats so")
    source = samples(kind, 3)
    stored = np.moveaxis(source, 2, 0) if "planarconfig" in layout else source
    tifffile.imwrite(
        tmp_path / "in.tif",
        stored.astype(layout.get("byteorder", "<") + kind),
        photometric="rgb",
        metadata=None,
        **layout,
    )
    with enlarged(tmp_path, repeat) as result:
        assert_doubled(result.pages[0].asarray(), source)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("photometric", ["minisblack", "rgb", "separated", "palette"])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_turned_pages_are_upright_also_where_pillow_maps_them(
    kind: str, photometric: str, orientation: int, tmp_path: Path, repeat: Upscaler
) -> None:
    bands = {"rgb": 3, "separated": 4}.get(photometric, 1)
    if photometric == "separated" and kind == "u2":
        pytest.skip("becomes 8 bits, and says so")
    source = samples(kind, bands)
    further = {}
    if photometric == "palette":
        further["colormap"] = np.linspace(0, 65535, 3 << (8 * source.itemsize)).reshape(3, -1).astype(np.uint16)
    tags = [(274, 3, 1, orientation)]
    tifffile.imwrite(tmp_path / "in.tif", source, photometric=photometric, metadata=None, extratags=tags, **further)
    with enlarged(tmp_path, repeat) as result:
        found = result.pages[0].asarray()
        assert 274 not in result.pages[0].tags
    if photometric == "separated":  # inks are mixed anew: brightness tells how it lies
        source = (255 - source[..., :3].astype(int)) * (255 - source[..., 3:].astype(int))
        found = (255 - found[..., :3].astype(int)) * (255 - found[..., 3:].astype(int))
    if photometric == "palette":
        source = np.moveaxis(further["colormap"][:, source], 0, -1)
        found = found.astype(int) * (257 if found.dtype == np.uint8 else 1)
    turned = source.swapaxes(0, 1) if orientation >= 5 else source
    turned = turned[::-1] if orientation in (3, 4, 7, 8) else turned
    turned = turned[:, ::-1] if orientation in (2, 3, 6, 7) else turned
    expected = turned.astype(float).repeat(2, 0).repeat(2, 1)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= max(expected.max() / 100, 1)
    if photometric == "minisblack" or (photometric, kind) == ("rgb", "u1"):
        with Image.open(tmp_path / "in.tif") as image:  # Pillow's own door
            np.testing.assert_array_equal(np.asarray(upscale_image(image, upscaler=repeat)), expected)


@pytest.mark.parametrize(("bits", "white"), [(2, 3), (4, 15), (10, 1023), (12, 4095), (14, 16383)])
def test_odd_depths_fill_their_type(bits: int, white: int, tmp_path: Path, repeat: Upscaler) -> None:
    source = np.random.default_rng(0).integers(0, white + 1, (HEIGHT, 24)).astype("u1" if bits < 8 else "u2")
    tifffile.imwrite(tmp_path / "in.tif", source, photometric="minisblack", bitspersample=bits, metadata=None)
    with enlarged(tmp_path, repeat) as result:
        found = result.pages[0].asarray()
    most = np.iinfo(found.dtype).max
    np.testing.assert_array_equal(found[::2, ::2], np.rint(source.astype(float) * most / white))


@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_associated_alpha_becomes_straight(kind: str, tmp_path: Path, repeat: Upscaler) -> None:
    most = 1.0 if kind == "f4" else float(np.iinfo(kind).max)
    alpha = np.full((HEIGHT, WIDTH, 1), most / 2)
    colours = np.full((HEIGHT, WIDTH, 3), most / 4)
    both = np.concatenate((colours, alpha), axis=2).astype(kind)
    tifffile.imwrite(tmp_path / "in.tif", both, photometric="rgb", extrasamples=["assocalpha"], metadata=None)
    with enlarged(tmp_path, repeat) as result:
        page = result.pages[0]
        assert [int(k) for k in page.extrasamples] == [2]
        np.testing.assert_allclose(page.asarray()[0, 0] / most, [0.5] * 4, atol=0.01)


@pytest.mark.parametrize("kind", ["u2", "i2", "f4", "f8"])
@pytest.mark.parametrize("bands", [1, 3])
def test_no_data_reaches_no_network(kind: str, bands: int, tmp_path: Path) -> None:
    """The land lies between 550 and 650; a hole of -9999 (0 where there is no minus) must not ring through it."""
    hole = 0 if kind == "u2" else -9999
    land = 600 + 50 * np.sin(np.arange(WIDTH) / 6)[None, :, None] * np.cos(np.arange(HEIGHT) / 6)[:, None, None]
    land = land.repeat(bands, 2)
    land[4:8, 6:12] = hole
    source = (land if bands > 1 else land[..., 0]).astype(kind)
    tags = [(42113, 2, 0, str(hole))]
    tifffile.imwrite(
        tmp_path / "in.tif", source, photometric="rgb" if bands == 3 else "minisblack", metadata=None, extratags=tags
    )
    with Upscaler("tiny") as upscaler, enlarged(tmp_path, upscaler) as result:
        found = result.pages[0].asarray().reshape(2 * HEIGHT, 2 * WIDTH, bands)
        assert result.pages[0].tags[42113].value.strip("\0") == str(hole)
    empty = (found == hole).all(axis=2)
    assert empty[8:16, 12:24].all()
    assert empty.sum() == 8 * 12
    assert found[~empty].min() > 530
    assert found[~empty].max() < 670


def test_missing_values_stay_missing(tmp_path: Path, repeat: Upscaler) -> None:
    source = samples("f4")
    source[3, 4], source[5, 6] = np.nan, np.inf
    tifffile.imwrite(tmp_path / "in.tif", source, photometric="minisblack", metadata=None)
    with enlarged(tmp_path, repeat) as result:
        found = result.pages[0].asarray()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(source).repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(source).repeat(2, 0).repeat(2, 1))


def test_what_is_left_out_is_told(tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture) -> None:
    bands = samples("u1", 5)
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        file.write(bands, photometric="rgb", extrasamples=["unassalpha", "unspecified"], metadata=None, subifds=1)
        file.write(
            bands[::2, ::2].copy(),
            photometric="rgb",
            extrasamples=["unassalpha", "unspecified"],
            metadata=None,
            subfiletype=1,
        )
    with caplog.at_level(logging.WARNING), enlarged(tmp_path, repeat) as result:
        assert result.pages[0].shape == (2 * HEIGHT, 2 * WIDTH, 4)
    told = " ".join(caplog.messages)
    assert "1 further bands" in told
    assert "1 smaller versions" in told


@pytest.mark.parametrize(
    ("kind", "photometric", "bands"), [("c8", "minisblack", 1), ("u1", "minisblack", 3), ("u2", "cielab", 3)]
)
def test_what_cannot_be_enlarged_is_refused_with_a_cure(
    kind: str, photometric: str, bands: int, tmp_path: Path, repeat: Upscaler
) -> None:
    source = np.zeros((HEIGHT, WIDTH, bands) if bands > 1 else (HEIGHT, WIDTH), kind)
    tifffile.imwrite(tmp_path / "in.tif", source, photometric=photometric, planarconfig="contig", metadata=None)
    with pytest.raises(ImageError, match="save"):
        upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize("kind", ["u1", "u2"])
@pytest.mark.parametrize("photometric", ["mask", "minisblack"])
def test_a_mask_behind_the_picture_is_left_out_and_told(
    photometric: str, kind: str, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    """As GDAL stores which pixels count: one bit each, NewSubfileType 4; Pillow knows no such page."""
    source, mask = samples(kind, 3), np.ones((HEIGHT, WIDTH), bool)
    with tifffile.TiffWriter(tmp_path / "in.tif") as file:
        file.write(source, photometric="rgb", metadata=None)
        file.write(mask, photometric=photometric, bitspersample=1, subfiletype=4, metadata=None)
    with caplog.at_level(logging.WARNING), enlarged(tmp_path, repeat) as result:
        assert len(result.pages) == 1
        assert_doubled(result.pages[0].asarray(), source)
    assert "1 masks" in " ".join(caplog.messages)


@pytest.mark.parametrize("order", ["<", ">"])
def test_24_bits_fill_32(order: str, tmp_path: Path, repeat: Upscaler) -> None:
    """White is white: 2**24 - 1 becomes 2**32 - 1. Bytes lie in the file's order, as libtiff reads them."""
    values = (0, 1 << 23, (1 << 24) - 1, 77)
    stored = b"".join(value.to_bytes(3, "little" if order == "<" else "big") for value in values)
    fields = ((256, 4), (257, 1), (258, 24), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 12))
    entries = b"".join(struct.pack(order + "HHII", tag, 4, 1, number) for tag, number in fields)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 20)
    (tmp_path / "in.tif").write_bytes(head + stored + struct.pack(order + "H", len(fields)) + entries + bytes(4))
    with enlarged(tmp_path, repeat) as file:
        result = file.pages[0].asarray()
    assert result.dtype == np.uint32
    whole = 2**32 - 1
    expected = np.array(values) * (whole / (2**24 - 1))
    assert np.abs(result[0, ::2].astype(float) - expected).max() <= whole * 2e-7


def test_gray_with_premultiplied_alpha_stays_gray(tmp_path: Path, repeat: Upscaler) -> None:
    source = np.dstack([np.full((6, 8), 100, np.uint8), np.full((6, 8), 200, np.uint8)])
    tifffile.imwrite(tmp_path / "in.tif", source, photometric="minisblack", extrasamples=["assocalpha"])
    with enlarged(tmp_path, repeat) as file:
        result = file.pages[0].asarray()
    assert result.shape == (12, 16, 2)
    assert np.abs(result.astype(int) - (100 * 255 // 200, 200)).max() <= 1


def test_a_picture_larger_than_its_page_is_no_smaller_version(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = np.random.default_rng(3).integers(0, 256, (24, 32, 3), np.uint8)
    for name, first, below in (("preview", whole[::2, ::2], whole), ("pyramid", whole, whole[::2, ::2])):
        with tifffile.TiffWriter(tmp_path / f"{name}.tif") as file:
            file.write(first.copy(), photometric="rgb", subifds=1)
            file.write(below.copy(), photometric="rgb", subfiletype=1)
    with Upscaler("nearest", scale=2) as upscaler:
        with pytest.raises(ImageError, match=r"preview\.tif: a picture of 32 x 24 lies in a directory below"):
            upscale_file(tmp_path / "preview.tif", tmp_path / "out.tif", upscaler)
        with caplog.at_level(logging.WARNING):
            upscale_file(tmp_path / "pyramid.tif", tmp_path / "out.tif", upscaler)
    assert "1 smaller versions in directories below are left out" in caplog.text
    assert tifffile.imread(tmp_path / "out.tif").shape == (48, 64, 3)


@pytest.mark.parametrize(("number", "name"), [(34676, "SGILOG"), (52479, "52479")])
def test_a_compression_that_is_not_read_is_no_damage(number: int, name: str, tmp_path: Path, repeat: Upscaler) -> None:
    tifffile.imwrite(tmp_path / "in.tif", np.zeros((4, 5), np.float32), compression="zlib")
    data = (tmp_path / "in.tif").read_bytes()
    entry = struct.pack("<HHI", 259, 3, 1)
    at = data.index(entry) + 8
    (tmp_path / "in.tif").write_bytes(data[:at] + struct.pack("<H", number) + data[at + 2 :])
    with pytest.raises(ImageError, match=rf"in\.tif: its compression \({name}\) is not read: save it with another"):
        upscale_file(tmp_path / "in.tif", tmp_path / "out.tif", repeat)
