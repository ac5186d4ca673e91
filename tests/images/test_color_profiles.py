"""CMYK through a real profile: made here, of an ideal printer whose colours are known by a formula."""

import io
import struct
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from fakes import nearest
from PIL import Image

from gimp_bridge import save_like, upscale_image
from sr_plugins import Upscaler
from sr_plugins.images.color_profiles import from_srgb, profile_fits, srgb_profile, to_srgb
from sr_plugins.images.files import upscale_file

Colour = tuple[float, ...]


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb")) as upscaler:
        yield upscaler


def lightness(ink: Colour) -> Colour:
    """Lab of the printer: every ink darkens alike, black alone is used on the way back."""
    return 100.0 * (1 - ink[3]) * (1 - (ink[0] + ink[1] + ink[2]) / 3), 0.0, 0.0


def black(lab: Colour) -> Colour:
    return 0.0, 0.0, 0.0, 1 - lab[0] / 100.0


def lut8(inputs: int, outputs: int, grid: int, colour: Callable[[Colour], Colour], lab_in: bool) -> bytes:
    """An ICC lut8Type (ICC.1:2001-04, 6.5.8) that samples ``colour`` on a grid."""
    head = b"mft1" + bytes(4) + bytes([inputs, outputs, grid, 0])
    head += b"".join(struct.pack(">i", 65536 * (i % 4 == 0)) for i in range(9))
    table = bytes(range(256))
    cells = bytearray()
    for place in product(range(grid), repeat=inputs):
        value = [p / (grid - 1) for p in place]
        if lab_in:
            cells += bytes(round(255 * v) for v in colour((100 * value[0], 255 * value[1] - 128, 255 * value[2] - 128)))
        else:
            level, a, b = colour(tuple(value))
            cells += bytes((round(level * 2.55), round(a + 128), round(b + 128)))
    return head + table * inputs + bytes(cells) + table * outputs


def printer_profile() -> bytes:
    """A version 2 output profile CMYK - Lab."""
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    tags = {
        b"desc": text,
        b"wtpt": b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061),
        b"A2B0": lut8(4, 3, 5, lightness, lab_in=False),
        b"B2A0": lut8(3, 4, 9, black, lab_in=True),
    }
    body, table, place = b"", struct.pack(">I", len(tags)), 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">2I", place + len(body), len(data))
        body += data
    head = struct.pack(">I", place + len(body)) + b"test" + struct.pack(">I", 0x02400000) + b"prtrCMYKLab "
    head += bytes(12) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    return head.ljust(128, b"\0") + table + body


def gray_ramp() -> Image.Image:
    image = Image.new("CMYK", (16, 4))
    for x in range(16):
        image.paste((0, 0, 0, 17 * x), (x, 0, x + 1, 4))
    image.info["icc_profile"] = printer_profile()
    return image


def test_profile_is_used_both_ways() -> None:
    colour = to_srgb(Image.new("CMYK", (2, 2), (60, 60, 60, 0)), printer_profile())
    # L* = 100 (1 - 60/255) = 76.5, in sRGB 189 by IEC 61966-2-1
    assert np.abs(np.subtract(colour.getpixel((0, 0)), 189)).max() <= 2  # type: ignore[arg-type]
    ink = from_srgb(colour, "CMYK", printer_profile()).getpixel((0, 0))
    assert np.abs(np.subtract(ink, (0, 0, 0, 60))).max() <= 3  # type: ignore[arg-type]  # this printer uses black alone


def test_picture_keeps_mode_and_profile(repeat: Upscaler) -> None:
    result = upscale_image(gray_ramp(), upscaler=repeat)
    assert (result.mode, result.info["icc_profile"]) == ("CMYK", printer_profile())
    expected = np.asarray(gray_ramp()).astype(int).repeat(2, 0).repeat(2, 1)
    assert np.abs(np.asarray(result) - expected).max() <= 4


@pytest.mark.parametrize("ending", [".jpg", ".tif"])
def test_file_keeps_mode_and_profile(ending: str, tmp_path: Path, repeat: Upscaler) -> None:
    source = tmp_path / f"in{ending}"
    gray_ramp().save(source, icc_profile=printer_profile())
    upscale_file(source, tmp_path / f"out{ending}", repeat)
    with Image.open(tmp_path / f"out{ending}") as image:
        assert (image.mode, image.info["icc_profile"]) == ("CMYK", printer_profile())


@pytest.mark.parametrize("ending", [".png", ".webp", ".avif", ".bmp"])
def test_other_formats_get_srgb_and_its_profile(ending: str, tmp_path: Path) -> None:
    image = gray_ramp()
    save_like(image, tmp_path / f"out{ending}", image)
    with Image.open(tmp_path / f"out{ending}") as result:
        assert result.mode == "RGB"
        assert result.info.get("icc_profile") == (None if ending == ".bmp" else srgb_profile())
        expected = np.asarray(to_srgb(image, printer_profile())).astype(int)
        assert np.abs(np.asarray(result) - expected).mean() <= 4


def test_gray_profile_stays_with_gray(tmp_path: Path) -> None:
    data = io.BytesIO(srgb_profile())
    gray = data.getvalue()[:16] + b"GRAY" + data.getvalue()[20:]
    assert profile_fits(gray, "L")
    assert profile_fits(gray, "I;16")
    assert not profile_fits(gray, "RGB")
    assert not profile_fits(b"", "RGB")
    image = Image.new("L", (4, 4))
    image.info["icc_profile"] = gray
    save_like(image, tmp_path / "out.png", image)
    with Image.open(tmp_path / "out.png") as result:
        assert result.info["icc_profile"] == gray


def test_srgb_is_known_by_its_colours_and_not_by_its_name() -> None:
    from sr_plugins.images.color_profiles import is_srgb, matrix_profile, srgb_profile

    assert is_srgb(srgb_profile())
    assert is_srgb(srgb_profile().replace(b"s\0R\0G\0B", b"o\0t\0h\0e"))
    assert is_srgb(matrix_profile(1, 13) or b"")
    for other in (matrix_profile(12, 13), matrix_profile(9, 13), matrix_profile(1, 8), srgb_profile()[:200], b""):
        assert not is_srgb(other or b"")
    named = (matrix_profile(12, 13) or b"") + b"sRGB"
    assert not is_srgb(named)


def test_an_image_whose_profile_is_cut_off_goes_by_the_formulas_and_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    image = Image.new("CMYK", (8, 4), (60, 20, 10, 0))
    plain = upscale_image(image, 2, "tiny")
    assert not caplog.messages
    image.info["icc_profile"] = printer_profile()[:300]
    result = upscale_image(image, 2, "tiny")
    assert caplog.messages == ["the image: its ICC profile is damaged and left out, so colours may look different"]
    assert (result.mode, result.info.get("icc_profile")) == ("CMYK", None)
    assert result.tobytes() == plain.tobytes()
