"""What a file says about its colours in words of its own format stays in that format, or a line says that it goes."""

import io
import logging
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.images.color_profiles import srgb_profile
from sr_plugins.images.files import upscale_file

COLOURS = np.random.default_rng(8).integers(0, 256, (6, 8, 4), np.uint8)
# endpoints of Display P3 as 2.30 fixed point numbers, and a gamma of 2.2 as 16.16 (BITMAPV4HEADER)
ENDPOINTS = [round(part * 2**30) for part in (0.68, 0.32, 0, 0.265, 0.69, 0.045, 0.15, 0.06, 0.79)]
CALIBRATED = struct.pack("<9i3I", *ENDPOINTS, *[round(2.2 * 65536)] * 3)


def bitmap(bits: int) -> bytes:
    """A BITMAPV4HEADER with LCS_CALIBRATED_RGB."""
    samples = COLOURS[::-1, :, [2, 1, 0, 3][: bits // 8]].tobytes()
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000) if bits == 32 else (0, 0, 0, 0)
    head = struct.pack("<IiiHHIIiiII", 108, 8, 6, 1, bits, 3 if bits == 32 else 0, len(samples), 2835, 2835, 0, 0)
    head += struct.pack("<4I", *masks) + bytes(4) + CALIBRATED
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + len(samples), 0, 0, 14 + len(head)) + head + samples


@pytest.mark.parametrize("bits", [24, 32])
def test_a_calibrated_bitmap_stays_one(bits: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in.bmp").write_bytes(bitmap(bits))
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.bmp", tmp_path / "out.bmp", upscaler)
        assert caplog.text == ""
        upscale_file(tmp_path / "in.bmp", tmp_path / "out.png", upscaler)
        assert "PNG cannot hold its primaries and gamma, so colours may look different" in caplog.text
    head = (tmp_path / "out.bmp").read_bytes()[14:]
    assert head[56:60] == bytes(4)
    assert head[60:108] == CALIBRATED
    with Image.open(tmp_path / "out.bmp") as result:
        np.testing.assert_array_equal(np.asarray(result)[::2, ::2], COLOURS[..., : bits // 8])


def test_a_colour_space_of_jpeg_2000_that_is_not_written_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = io.BytesIO()
    Image.fromarray(COLOURS[..., :3]).save(file, "JPEG2000")
    jp2 = file.getvalue()
    at = jp2.index(b"colr") + 7
    (tmp_path / "in.jp2").write_bytes(jp2[:at] + struct.pack(">I", 21) + jp2[at + 4 :])  # ROMM-RGB (ISO 15444-2)
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.jp2", tmp_path / "out.jp2", upscaler)
    assert "JPEG2000 cannot hold its colour space (enumerated 21), so colours may look different" in caplog.text


PROFILE = srgb_profile()
DAMAGED = {
    "empty": b"",
    "no stream": b"no stream",
    "stream cut off": zlib.compress(PROFILE)[:300],
    "profile cut off": zlib.compress(PROFILE[:300]),
    "no profile": zlib.compress(bytes(400)),
}


@pytest.mark.parametrize("packed", [*DAMAGED.values(), zlib.compress(PROFILE)], ids=[*DAMAGED, "whole"])
def test_a_damaged_profile_of_a_png_is_told(packed: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = io.BytesIO()
    Image.fromarray(COLOURS).save(file, "PNG")
    data, chunk = file.getvalue(), b"iCCPname\0\0" + packed
    chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    (tmp_path / "in.png").write_bytes(data[:33] + chunk + data[33:])  # behind the head
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.png", tmp_path / "out.png", upscaler)
    is_whole = packed not in DAMAGED.values()
    line = "in.png: its ICC profile is damaged and left out, so colours may look different"
    assert [message.endswith(line) for message in caplog.messages] == ([] if is_whole else [True])
    with Image.open(tmp_path / "out.png") as result:
        assert result.info.get("icc_profile") == (PROFILE if is_whole else None)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_profile_of_which_a_segment_lacks_is_told(
    missing: int, ending: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = io.BytesIO()
    Image.fromarray(COLOURS).convert("RGB").save(file, "JPEG")
    halves = {1: PROFILE[:200], 2: PROFILE[200:]}
    body = b"ICC_PROFILE\0" + bytes((3 - missing, 2)) + halves[3 - missing]
    (tmp_path / "in.jpg").write_bytes(
        b"\xff\xd8\xff\xe2" + struct.pack(">H", 2 + len(body)) + body + file.getvalue()[2:]
    )
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.jpg", tmp_path / f"out.{ending}", upscaler)
    (line,) = caplog.messages
    assert line.endswith("in.jpg: its ICC profile is damaged and left out, so colours may look different")


@pytest.mark.parametrize(("ending", "target"), [("jpg", "jpg"), ("jpg", "png"), ("tif", "webp"), ("tif", "tif")])
def test_inks_whose_profile_is_cut_off_go_by_the_formulas_and_it_is_told(
    ending: str, target: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They were refused."""
    head = bytearray(300)
    head[:4], head[12:24], head[36:40] = struct.pack(">I", 5000), b"prtrCMYKLab ", b"acsp"
    inks = Image.new("CMYK", (24, 16), (200, 10, 20, 30))
    inks.save(tmp_path / f"in.{ending}", icc_profile=bytes(head), **({"quality": 100} if ending == "jpg" else {}))
    inks.save(tmp_path / "bare.tif")
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / f"in.{ending}", tmp_path / f"out.{target}", upscaler)
        (line,) = caplog.messages
        upscale_file(tmp_path / "bare.tif", tmp_path / "bare.png", upscaler)
    assert "damaged" in line
    assert "colours may look different" in line
    with Image.open(tmp_path / f"out.{target}") as result, Image.open(tmp_path / "bare.png") as plain:
        assert result.mode == ("CMYK" if target in ("jpg", "tif") else "RGB")
        expected = plain.getpixel((9, 9)) if result.mode == "RGB" else (200, 10, 20, 30)
        assert np.allclose(result.getpixel((9, 9)), expected, atol=15)


@pytest.mark.parametrize("damaged", [PROFILE[:200], PROFILE[:36] + b"abcd" + PROFILE[40:]], ids=["cut off", "no mark"])
@pytest.mark.parametrize(("ending", "target"), [("jpg", "png"), ("webp", "webp"), ("tif", "tif"), ("avif", "jpg")])
def test_a_damaged_profile_is_left_out_and_told(
    ending: str, target: str, damaged: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.fromarray(COLOURS).convert("RGB").save(tmp_path / f"in.{ending}", icc_profile=damaged)
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / f"in.{ending}", tmp_path / f"out.{target}", upscaler)
    (line,) = caplog.messages
    assert line.endswith("cannot hold its damaged ICC profile, so colours may look different")
    with Image.open(tmp_path / f"out.{target}") as result:
        assert not result.info.get("icc_profile")
