"""Bitmaps of 16 bits whose masks name an alpha channel, as GIMP writes them."""

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.images.files import upscale_file


@pytest.mark.parametrize(("mask", "expected"), [(0x8000, (0, 255)), (0, (255, 255))])
@pytest.mark.parametrize(("width", "from_above"), [(6, False), (7, True)])
@pytest.mark.parametrize("length", [56, 108, 124])
def test_alpha_of_sixteen_bits(
    length: int, width: int, from_above: bool, mask: int, expected: tuple[int, int], tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    there = rng.integers(0, 2, (5, width))
    colours = rng.integers(0, 32, (5, width, 3))
    words = colours @ [1 << 10, 1 << 5, 1] | there << 15
    lines = np.pad(words if from_above else words[::-1], ((0, 0), (0, width % 2))).astype("<u2")
    head = struct.pack("<IiiHHIIiiII", length, width, -5 if from_above else 5, 1, 16, 3, 0, 2835, 2835, 0, 0)
    head = (head + struct.pack("<4I", 0x7C00, 0x3E0, 0x1F, mask)).ljust(length, b"\0")
    start = b"BM" + struct.pack("<IHHI", 14 + length + lines.nbytes, 0, 0, 14 + length)
    (tmp_path / "in.bmp").write_bytes(start + head + lines.tobytes())
    with Upscaler("nearest", scale=2) as upscaler:
        for target in ("out.png", "out.bmp"):
            upscale_file(tmp_path / "in.bmp", tmp_path / target, upscaler)
            with Image.open(tmp_path / target) as result:
                assert result.mode == ("RGBA" if mask else "RGB")
                found = np.asarray(result.convert("RGBA"))[::2, ::2]
            np.testing.assert_array_equal(found[..., 3], np.take(expected, there))
            np.testing.assert_array_equal(found[..., :3], colours * 255 // 31)
