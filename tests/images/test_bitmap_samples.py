"""Bitmaps whose masks say where colours and alpha lie in a pixel: of GIMP, of ffmpeg, of graphics cards' formats."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.bitmap_samples import MaskedBitmap, open_masked_bitmap
from sr_plugins.images.files import open_image, save_like, upscale_file
from sr_plugins.images.pillow_filter import upscale_image
from sr_plugins.images.true_info import load_truly

# bits of a pixel, masks of red, green, blue, alpha
_LAYOUTS = {
    "4-4-4": (16, (0xF00, 0xF0, 0xF, 0)),
    "4-4-4-4": (16, (0xF00, 0xF0, 0xF, 0xF000)),
    "2-3-1": (16, (0x30, 0xE, 0x1, 0)),
    "5-6-5, blue first": (16, (0x1F, 0x7E0, 0xF800, 0)),
    "red first, 24": (24, (0xFF, 0xFF00, 0xFF0000, 0)),
    "7-1-8-7": (32, (0xFE000000, 0x1000000, 0xFF0000, 0xFE00)),
    "no blue": (16, (0xFF00, 0xFF, 0, 0)),
    "8-8-8 in the middle": (32, (0xFF00, 0xFF0000, 0xFF000000, 0)),
    "10-10-10": (32, (0x3FF00000, 0xFFC00, 0x3FF, 0)),
    "10-10-10-2": (32, (0x3FF, 0xFFC00, 0x3FF00000, 0xC0000000)),
    "11-11-10": (32, (0xFFE00000, 0x1FFC00, 0x3FF, 0)),
}


def _bitmap(
    path: Path, words: np.ndarray, bits: int, masks: tuple[int, ...], length: int = 56, *, above: bool = False
) -> None:
    """Words (height, width), the first line on top, as a file."""
    height, width = words.shape
    octets = np.ascontiguousarray(words.astype("<u4")).view(np.uint8).reshape(height, width, 4)[..., : bits // 8]
    lines = np.pad(octets.reshape(height, -1), ((0, 0), (0, -width * bits // 8 % 4)))
    stored = (lines if above else lines[::-1]).tobytes()
    compression = 6 if length == 40 and masks[3] else 3
    down = -height if above else height
    head = struct.pack("<IiiHHIIiiII", length, width, down, 1, bits, compression, 0, 2835, 2835, 0, 0)
    told = struct.pack("<4I", *masks)[: 16 if length >= 56 or compression == 6 else 12]
    body = (head + told).ljust(length, b"\0") if length > 40 else head + told
    path.write_bytes(b"BM" + struct.pack("<IHHI", 14 + len(body) + len(stored), 0, 0, 14 + len(body)) + body + stored)


def _bands(words: np.ndarray, masks: tuple[int, ...]) -> np.ndarray:
    """Shares of 1 that the masks cut out."""
    low = [mask & -mask or 1 for mask in masks]
    return np.stack([(words & m) // n / max(m // n, 1) for m, n in zip(masks, low, strict=True)], axis=2)


@pytest.mark.parametrize("layout", _LAYOUTS)
@pytest.mark.parametrize(("length", "above"), [(40, False), (56, True), (124, False)])
def test_masks(layout: str, length: int, above: bool, tmp_path: Path) -> None:
    bits, masks = _LAYOUTS[layout]
    words = np.random.default_rng(3).integers(0, 1 << bits, (5, 7))
    _bitmap(tmp_path / "in.bmp", words, bits, masks, length, above=above)
    with pytest.raises(OSError, match="Unsupported"):
        Image.open(tmp_path / "in.bmp")
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.bmp", tmp_path / "out.png", upscaler)
        with open_image(tmp_path / "in.bmp") as source:
            assert source.info["dpi"] == pytest.approx((72, 72), abs=0.01)
            save_like(upscale_image(source, upscaler=upscaler), tmp_path / "saved.png", source)
    expected = _bands(words, masks)[..., : 4 if masks[3] else 3]
    found = imagecodecs.imread(tmp_path / "out.png")[::2, ::2]
    top = np.iinfo(found.dtype).max
    assert found.dtype == (np.uint16 if "10" in layout else np.uint8)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected * top, atol=0.501)
    saved = np.asarray(Image.open(tmp_path / "saved.png"))[::2, ::2]
    np.testing.assert_allclose(saved, expected * 255, atol=1)


@pytest.mark.parametrize(
    ("bits", "masks"),
    [
        (16, (0xF800, 0x7E0, 0x1F, 0)),
        (24, (0xFF0000, 0xFF00, 0xFF, 0)),
        (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
        (32, (0xFF000000, 0xFF0000, 0xFF00, 0)),
        (32, (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
    ],
)
def test_masks_that_pillow_knows_are_the_same(bits: int, masks: tuple[int, ...], tmp_path: Path) -> None:
    words = np.random.default_rng(4).integers(0, 1 << bits, (6, 5))
    _bitmap(tmp_path / "in.bmp", words, bits, masks)
    ours = open_masked_bitmap(tmp_path / "in.bmp")
    assert isinstance(ours, MaskedBitmap)
    with ours, Image.open(tmp_path / "in.bmp") as theirs:
        assert (ours.size, ours.mode) == (theirs.size, theirs.mode)
        np.testing.assert_allclose(np.asarray(ours).astype(int), np.asarray(theirs), atol=1 if bits == 16 else 0)


@pytest.mark.parametrize(("mask", "expected"), [(0x8000, (0, 255)), (0, (255, 255))])
@pytest.mark.parametrize(("width", "above"), [(6, False), (7, True)])
@pytest.mark.parametrize("length", [56, 108, 124])
def test_alpha_of_sixteen_bits(
    length: int, width: int, above: bool, mask: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    """Masks of which Pillow reads the colours, and passes the alpha over."""
    rng = np.random.default_rng(5)
    there = rng.integers(0, 2, (5, width))
    colours = rng.integers(0, 32, (5, width, 3))
    words = colours @ [1 << 10, 1 << 5, 1] | there << 15
    _bitmap(tmp_path / "in.bmp", words, 16, (0x7C00, 0x3E0, 0x1F, mask), length, above=above)
    with Upscaler("nearest", scale=2) as upscaler:
        for target in ("out.png", "out.bmp"):
            upscale_file(tmp_path / "in.bmp", tmp_path / target, upscaler)
            with Image.open(tmp_path / target) as result:
                assert result.mode == ("RGBA" if mask else "RGB")
                found = np.asarray(result.convert("RGBA"))[::2, ::2]
            np.testing.assert_array_equal(found[..., 3], np.take(expected, there))
            np.testing.assert_array_equal(found[..., :3], colours * 255 // 31)


@pytest.mark.parametrize(("mask", "cut", "told"), [(0xF05, 0, "no run of bits"), (0xF00, 9, "cut off")])
def test_bitmaps_that_cannot_be_read_are_told(mask: int, cut: int, told: str, tmp_path: Path) -> None:
    _bitmap(tmp_path / "in.bmp", np.arange(12).reshape(3, 4), 16, (mask, 0xF0, 0xF, 0))
    data = (tmp_path / "in.bmp").read_bytes()
    (tmp_path / "in.bmp").write_bytes(data[: len(data) - cut])
    with Upscaler("nearest", scale=2) as upscaler, pytest.raises(ImageError, match=f"in.bmp.*{told}"):
        upscale_file(tmp_path / "in.bmp", tmp_path / "out.png", upscaler)
    assert not (tmp_path / "out.png").exists()
    with open_image(tmp_path / "in.bmp") as source, pytest.raises(ImageError, match=told):
        load_truly(source)
