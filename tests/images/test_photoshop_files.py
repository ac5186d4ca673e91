"""PSD files: the flat picture is enlarged, and what it holds beside is told (Adobe Photoshop File Formats)."""

import io
import logging
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.color_profiles import is_srgb
from sr_plugins.images.files import upscale_file
from sr_plugins.images.pillow_filter import upscale_image

rng = np.random.default_rng(2)
BANDS: NDArray[np.uint8] = rng.integers(0, 256, (6, 5, 7), np.uint8)  # bands, height, width
_EXACT = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE
MODES = {"bitmap": 0, "gray": 1, "indexed": 2, "rgb": 3, "cmyk": 4, "multichannel": 7, "duotone": 8, "lab": 9}


def psd(mode: str, channels: int, resources: bytes = b"", *, layers: int = 0, packed: bool = False) -> bytes:
    """A document of 8 bits; its palette is gray, its layers are empty, and a negative number means transparency."""
    table = bytes(range(256)) * 3 if mode == "indexed" else b""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, 5, 7, 8, MODES[mode])
    section = b""
    if layers:
        empty = bytes(16 + 2) + b"8BIMnorm\xff\0\0\0" + bytes(4)
        section = struct.pack(">h", layers) + empty * abs(layers)
        section = struct.pack(">I", len(section)) + section + bytes(4)
    parts = b"".join(struct.pack(">I", len(part)) + part for part in (table, resources, section))
    if not packed:
        return head + parts + b"\0\0" + BANDS[:channels].tobytes()
    rows = [bytes(imagecodecs.packbits_encode(row.tobytes())) for band in BANDS[:channels] for row in band]
    return head + parts + b"\0\1" + struct.pack(f">{len(rows)}H", *map(len, rows)) + b"".join(rows)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("mode", "channels", "told"),
    [
        *[("gray", 1, ""), ("gray", 2, "1 further channels"), ("indexed", 1, ""), ("cmyk", 4, "")],
        *[("rgb", 3, ""), ("rgb", 4, ""), ("rgb", 6, "3 further channels"), ("cmyk", 5, "1 further channels")],
        *[("lab", 3, ""), ("lab", 4, "1 further channels"), ("duotone", 1, "its inks (duotone) are left out")],
    ],
)
def test_further_channels_are_told(
    mode: str, channels: int, told: str, packed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.psd").write_bytes(psd(mode, channels, packed=packed))
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.psd", tmp_path / "out.png", upscaler)
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)
    with Image.open(tmp_path / "out.png") as result:
        found = np.atleast_3d(np.asarray(result))[::2, ::2]
    if mode in ("gray", "duotone", "rgb"):
        bands = 1 if mode != "rgb" else 4 if channels == 4 else 3
        np.testing.assert_array_equal(found, np.moveaxis(BANDS[:bands], 0, 2))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("mode", "channels", "told"), [("gray", 2, ""), ("gray", 3, "1 further"), ("rgb", 5, "1 further")]
)
def test_transparency_of_layers_is_kept(
    mode: str, channels: int, told: str, packed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.psd").write_bytes(psd(mode, channels, layers=-1, packed=packed))
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.psd", tmp_path / "out.png", upscaler)
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)
    bands = 2 if mode == "gray" else 4
    with Image.open(tmp_path / "out.png") as result:
        np.testing.assert_array_equal(np.asarray(result)[::2, ::2], np.moveaxis(BANDS[:bands], 0, 2))
    with Image.open(io.BytesIO((tmp_path / "in.psd").read_bytes())) as source:
        larger = np.asarray(upscale_image(source, 2, model="nearest"))
    np.testing.assert_array_equal(larger[::2, ::2], np.moveaxis(BANDS[:bands], 0, 2))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(("mode", "colours"), [("cmyk", 4), ("lab", 3)])
def test_transparency_of_inks_and_lab_is_kept(
    mode: str, colours: int, packed: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Beside it the colours are those of the same document without it, in sRGB by Little CMS, or by PDF's formulas."""
    (tmp_path / "in.psd").write_bytes(psd(mode, colours + 1, layers=-1, packed=packed))
    (tmp_path / "opaque.psd").write_bytes(psd(mode, colours, packed=packed))
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        for name, ending in (("in", "png"), ("opaque", "png"), ("in", "tif"), ("in", "webp")):
            upscale_file(tmp_path / f"{name}.psd", tmp_path / f"{name}.{ending}", upscaler)
        with Image.open(tmp_path / "in.psd") as source:
            larger = upscale_image(source, upscaler=upscaler)
    assert [line.partition(": ")[2] for line in caplog.messages] == [
        "its colours become sRGB, beside which its transparency can stay"
    ] * 3
    with Image.open(tmp_path / "opaque.png") as result:
        seen = np.asarray(result)[::2, ::2]
    if mode == "lab":  # which went there and back, rounded
        lab = Image.merge("LAB", [Image.fromarray(band) for band in BANDS[:3]])
        ways = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        direct = ImageCms.profileToProfile(lab, *ways, ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB", flags=_EXACT)
        assert direct is not None
        seen = np.asarray(direct)
    expected = np.dstack((seen, BANDS[colours]))
    for found in (*(Image.open(tmp_path / f"in.{ending}") for ending in ("png", "tif")), larger):
        with found:
            assert found.mode == "RGBA"
            np.testing.assert_array_equal(np.asarray(found)[::2, ::2], expected)
            assert is_srgb(found.info["icc_profile"])


def test_opaque_inks_stay_inks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = psd("cmyk", 5, layers=-1)
    (tmp_path / "in.psd").write_bytes(whole[: -BANDS[0].size] + b"\xff" * BANDS[0].size)
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.psd", tmp_path / "out.tif", upscaler)
    assert caplog.text == ""
    with Image.open(tmp_path / "out.tif") as result:
        assert result.mode == "CMYK"


def test_without_a_negative_number_of_layers_it_is_a_selection(tmp_path: Path) -> None:
    (tmp_path / "in.psd").write_bytes(psd("gray", 2, layers=1))
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.psd", tmp_path / "out.png", upscaler)
    with Image.open(tmp_path / "out.png") as result:
        np.testing.assert_array_equal(np.asarray(result)[::2, ::2], BANDS[0])


def test_a_layer_that_was_chosen_is_read_where_it_lies(tmp_path: Path) -> None:
    stored = np.ascontiguousarray(BANDS[2])
    rows = [bytes(imagecodecs.packbits_encode(row.tobytes())) for row in stored]
    channel = b"\0\1" + struct.pack(">5H", *map(len, rows)) + b"".join(rows)
    record = struct.pack(">iiiiHhI", 0, 0, 5, 7, 1, 0, len(channel)) + b"8BIMnorm\xff\0\0\0"
    record += struct.pack(">I", 12) + bytes(12)  # no mask, no ranges, no name
    section = struct.pack(">h", 2) + 2 * record + 2 * channel
    section = struct.pack(">I", len(section) + len(section) % 2) + section + bytes(len(section) % 2) + bytes(4)
    whole = psd("gray", 2, packed=True)
    head = 26 + 4 + 4
    (tmp_path / "in.psd").write_bytes(whole[:head] + struct.pack(">I", len(section)) + section + whole[head + 4 :])
    with Image.open(tmp_path / "in.psd") as source:
        flat = np.asarray(upscale_image(source, 2, model="nearest"))
        source.seek(2)
        layer = np.asarray(upscale_image(source, 2, model="nearest"))
    np.testing.assert_array_equal(flat[::2, ::2], BANDS[0])
    np.testing.assert_array_equal(layer[::2, ::2], BANDS[2])


def test_inks_that_are_no_colours_are_refused(tmp_path: Path) -> None:
    (tmp_path / "in.psd").write_bytes(psd("multichannel", 3))
    with (
        Upscaler("nearest", scale=2) as upscaler,
        pytest.raises(ImageError, match=r"in\.psd: its channels are inks .*: convert it to RGB or CMYK first"),
    ):
        upscale_file(tmp_path / "in.psd", tmp_path / "out.png", upscaler)


def test_a_transparent_index_stays_transparent(tmp_path: Path) -> None:
    index = int(BANDS[0, 2, 3])
    clear = b"8BIM" + struct.pack(">HHIH", 1047, 0, 2, index)
    (tmp_path / "in.psd").write_bytes(psd("indexed", 1, clear))
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.psd", tmp_path / "out.png", upscaler)
    with Image.open(tmp_path / "out.png") as result:
        alpha = np.asarray(result.convert("RGBA"))[::2, ::2, 3]
    np.testing.assert_array_equal(alpha, np.where(BANDS[0] == index, 0, 255))
