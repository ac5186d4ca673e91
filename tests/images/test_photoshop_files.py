"""PSD files: the flat picture is enlarged, and what it holds beside is told (Adobe Photoshop File Formats)."""

import logging
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import upscale_file

rng = np.random.default_rng(2)
BANDS: NDArray[np.uint8] = rng.integers(0, 256, (6, 5, 7), np.uint8)  # bands, height, width
MODES = {"bitmap": 0, "gray": 1, "indexed": 2, "rgb": 3, "cmyk": 4, "multichannel": 7, "duotone": 8, "lab": 9}


def psd(mode: str, channels: int, resources: bytes = b"") -> bytes:
    """A flat document of 8 bits, not compressed; its palette is gray."""
    table = bytes(range(256)) * 3 if mode == "indexed" else b""
    head = b"8BPS" + struct.pack(">H6xHIIHH", 1, channels, 5, 7, 8, MODES[mode])
    parts = b"".join(struct.pack(">I", len(part)) + part for part in (table, resources, b""))
    return head + parts + b"\0\0" + BANDS[:channels].tobytes()


@pytest.mark.parametrize(
    ("mode", "channels", "told"),
    [
        *[("gray", 1, ""), ("gray", 2, "1 further channels"), ("indexed", 1, ""), ("cmyk", 4, "")],
        *[("rgb", 3, ""), ("rgb", 4, ""), ("rgb", 6, "3 further channels"), ("cmyk", 5, "1 further channels")],
        *[("lab", 3, ""), ("lab", 4, "1 further channels"), ("duotone", 1, "its inks (duotone) are left out")],
    ],
)
def test_further_channels_are_told(
    mode: str, channels: int, told: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.psd").write_bytes(psd(mode, channels))
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.psd", tmp_path / "out.png", upscaler)
    assert told in caplog.text
    assert bool(told) == bool(caplog.text)
    with Image.open(tmp_path / "out.png") as result:
        found = np.atleast_3d(np.asarray(result))[::2, ::2]
    if mode in ("gray", "duotone", "rgb"):
        bands = 1 if mode != "rgb" else 4 if channels == 4 else 3
        np.testing.assert_array_equal(found, np.moveaxis(BANDS[:bands], 0, 2))


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
