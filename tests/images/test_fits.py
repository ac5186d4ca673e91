"""FITS, by its standard 4.0: big endian with a sign, zero where BZERO says, lines from below, planes one by one."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import upscale_file
from sr_plugins.images.pillow_filter import upscale_image

rng = np.random.default_rng(6)


def fits(stored: NDArray[np.generic], zero: str = "", *further: str) -> bytes:
    """(height, width) or (planes, height, width), the first line being the upper one."""
    bits = stored.dtype.itemsize * (-8 if stored.dtype.kind == "f" else 8)
    cards = ["SIMPLE  = T", f"BITPIX  = {bits} / a note", f"NAXIS   = {stored.ndim}"]
    cards += [f"NAXIS{number + 1}  = {side}" for number, side in enumerate(reversed(stored.shape))]
    cards += [f"BZERO   = {zero}"] if zero else []
    head = "".join(card.ljust(80) for card in [*cards, *further, "END"]).encode()
    data = stored[..., ::-1, :].astype(stored.dtype.newbyteorder(">")).tobytes()
    return head.ljust(2880) + data.ljust(-(-len(data) // 2880) * 2880, b"\0")


def enlarged(folder: Path, data: bytes, ending: str = ".tif") -> NDArray[np.generic]:
    (folder / "in.fits").write_bytes(data)
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(folder / "in.fits", folder / f"out{ending}", upscaler)
    if ending == ".tif":
        found: NDArray[np.generic] = tifffile.imread(folder / "out.tif")
        return found[::2, ::2]
    with Image.open(folder / f"out{ending}") as result:
        return np.asarray(result)[::2, ::2]


@pytest.mark.parametrize("zero", ["32768", "3.2768E4", "32768.0", ""])
def test_numbers_are_those_of_the_header(zero: str, tmp_path: Path) -> None:
    numbers = rng.integers(0, 65536 if zero else 32768, (7, 10), np.uint16)
    stored = (numbers.astype(int) - (32768 if zero else 0)).astype(np.int16)
    np.testing.assert_array_equal(enlarged(tmp_path, fits(stored, zero), ".png"), numbers)
    with Image.open(tmp_path / "in.fits") as opened:
        np.testing.assert_array_equal(np.asarray(upscale_image(opened, 2, model="nearest"))[::2, ::2], numbers)


@pytest.mark.parametrize(
    ("kind", "zero", "meant"),
    [
        *(("u1", "", "u1"), ("u1", "-128", "i1"), ("i2", "", "i2"), ("i2", "32768", "u2"), ("i4", "", "i4")),
        *(("i4", "2147483648", "u4"), ("f4", "", "f4"), ("f8", "", "f8")),
    ],
)
def test_every_kind_of_number_stays(kind: str, zero: str, meant: str, tmp_path: Path) -> None:
    if kind[0] == "f":
        stored = (rng.random((7, 10)) * 3 - 1).astype(kind)
        stored[2, 3] = np.nan
        expected = stored
    else:
        limits = np.iinfo(kind)
        stored = rng.integers(limits.min, limits.max, (7, 10), kind, endpoint=True)
        expected = (stored.astype(np.int64) + int(zero or "0")).astype(meant)
    found = enlarged(tmp_path, fits(stored, zero))
    assert found.dtype == meant
    spread = np.nanmax(expected.astype(float)) - np.nanmin(
        expected.astype(float)
    )  # of which a network's float32 is exact to 2**-24
    exact = stored.dtype.itemsize < 4
    np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=0, atol=0 if exact else spread * 1e-7)


@pytest.mark.parametrize(
    ("kind", "zero", "step", "meant"),
    [
        *(
            ("i2", "100", "", "f4"),
            ("i2", "-32768", "2.0", "f4"),
            ("u1", "0", "0.5", "f4"),
            ("i4", "7.5", "3D-2", "f8"),
        ),
        *(("f4", "1", "4", "f4"), ("f8", "0", "1E-3", "f8")),
    ],
)
def test_a_header_that_scales_numbers_makes_floats_of_them(
    kind: str, zero: str, step: str, meant: str, tmp_path: Path
) -> None:
    stored = rng.integers(0, 100, (7, 10)).astype(kind)
    expected = stored.astype(float) * float((step or "1").replace("D", "E")) + float(zero)
    scaled = (f"BSCALE  = {step}",) if step else ()
    found = enlarged(tmp_path, fits(stored, zero, *scaled))
    assert found.dtype == meant
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())
    with Image.open(tmp_path / "in.fits") as opened:
        if meant == kind == "f4":
            np.testing.assert_allclose(np.asarray(upscale_image(opened, 2, model="nearest"))[::2, ::2], expected, 1e-6)
        elif kind[0] != "f":  # no mode of Pillow's has a place
            with pytest.raises(ImageError, match="BSCALE"):
                upscale_image(opened, 2, model="nearest")


def test_blank_of_scaled_numbers_is_no_number(tmp_path: Path) -> None:
    stored = np.full((6, 5), 8, np.int16)
    stored[2, 3] = -1
    found = enlarged(tmp_path, fits(stored, "1", "BSCALE  = 0.5", "BLANK   = -1"))
    assert np.argwhere(np.isnan(found)).tolist() == [[2, 3]]
    np.testing.assert_allclose(found[~np.isnan(found)], 5)


@pytest.mark.parametrize(
    ("how", "bits"), [("RICE_1", 16), ("GZIP_1", 16), ("GZIP_1", 64), ("GZIP_1", -64), ("GZIP_2", 16)]
)
def test_samples_packed_in_a_table_are_refused_with_a_cure(how: str, bits: int, tmp_path: Path) -> None:
    table = ["XTENSION= 'BINTABLE'", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 8", "NAXIS2  = 6", "ZIMAGE  = T"]
    packing = [f"ZCMPTYPE= '{how}  '", f"ZBITPIX = {bits}", "ZNAXIS  = 2", "ZNAXIS1 = 10", "ZNAXIS2 = 6", "END"]
    first = "".join(card.ljust(80) for card in ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "END"]).encode()
    second = "".join(card.ljust(80) for card in [*table, *packing]).encode()
    with pytest.raises(ImageError, match=rf"in\.fits: its samples are packed \({how}\).*funpack"):
        enlarged(tmp_path, first.ljust(2880) + second.ljust(2880) + bytes(2880))


@pytest.mark.parametrize("is_first", [True, False])
def test_whole_numbers_of_64_bits_are_refused_with_a_cure(is_first: bool, tmp_path: Path) -> None:
    wide = fits(np.ones((7, 10), np.int64))
    empty = "".join(card.ljust(80) for card in ["SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0", "END"]).encode()
    data = wide if is_first else empty.ljust(2880) + wide.replace(b"SIMPLE  = T      ", b"XTENSION= 'IMAGE'")
    with pytest.raises(ImageError, match=r"in\.fits: its samples are whole numbers of 64 bits.*BITPIX -64"):
        enlarged(tmp_path, data)


def test_three_planes_are_colours_and_others_are_refused(tmp_path: Path) -> None:
    planes = rng.integers(0, 256, (3, 7, 10), np.uint8)
    np.testing.assert_array_equal(enlarged(tmp_path, fits(planes), ".png"), np.moveaxis(planes, 0, 2))
    np.testing.assert_array_equal(enlarged(tmp_path, fits(planes[:1])), planes[0])
    with pytest.raises(ImageError, match=r"in\.fits: it holds 2 planes: save each"):
        enlarged(tmp_path, fits(planes[:2]))


def test_blank_reaches_no_network(tmp_path: Path) -> None:
    numbers = np.full((12, 14), 1000, np.int16)
    numbers[5, 6] = -9999
    (tmp_path / "in.fits").write_bytes(fits(numbers, "", "BLANK   = -9999"))
    with Upscaler("tiny", scale=2) as upscaler:
        upscale_file(tmp_path / "in.fits", tmp_path / "out.tif", upscaler)
    found = tifffile.imread(tmp_path / "out.tif")
    assert sorted(np.unique(found)) == [-9999, 1000]
    assert (found[10:12, 12:14] == -9999).all()


def test_numbers_below_zero_are_refused_where_there_is_no_place_for_them(tmp_path: Path) -> None:
    (tmp_path / "in.fits").write_bytes(fits(np.full((3, 4), -5, np.int16)))
    with Image.open(tmp_path / "in.fits") as opened, pytest.raises(ImageError, match="below zero"):
        upscale_image(opened, 2, model="nearest")
