"""What is damaged beside the pixels of a PNG costs no picture: such parts may be passed over (third edition, 13.2)."""

import io
import logging
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import upscale_file

BODY = {
    "a profile without a name": (b"iCCP", b"x" * 30, 0),
    "a profile packed by nobody knows what": (b"iCCP", b"name\0\7abcdefgh", 0),
    "half a resolution": (b"pHYs", b"abc", 0),
    "half a gamma": (b"gAMA", b"a", 0),
    "a text of another checksum": (b"tEXt", b"Comment\0a", 1),
    "a packed text of no kind": (b"zTXt", b"abc\0\1abc", 0),
    "a part of its maker": (b"prVt", b"a", 1),
}


def part(kind: bytes, body: bytes, damage: int = 0) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ damage)


def written(path: Path, mode: str, *parts: bytes) -> Image.Image:
    image = Image.linear_gradient("L").resize((16, 12)).convert(mode)
    file = io.BytesIO()
    image.save(file, "PNG")
    at = file.getvalue().index(b"IDAT") - 4
    path.write_bytes(file.getvalue()[:at] + b"".join(parts) + file.getvalue()[at:])
    return image


@pytest.mark.parametrize("mode", ["RGB", "P", "LA", "I;16"])
@pytest.mark.parametrize("damage", BODY)
def test_the_picture_is_read_and_what_is_sound_beside_it(
    damage: str, mode: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image = written(tmp_path / "in.png", mode, part(b"tEXt", b"Title\0sound"), part(*BODY[damage]))
    with Upscaler("nearest", scale=2) as upscaler, caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.png", tmp_path / "out.png", upscaler)
    with Image.open(tmp_path / "out.png") as result:
        assert result.info["Title"] == "sound"
        expected = image.convert("L") if mode == "P" else image
        assert np.array_equal(np.asarray(result.convert(expected.mode))[::2, ::2], np.asarray(expected))
    (line,) = (line for line in caplog.messages if "damaged" in line)
    assert line.startswith(f"{tmp_path / 'in.png'}: its damaged parts ")
    assert line.isprintable()
    assert imagecodecs.png_decode((tmp_path / "in.png").read_bytes()).shape[:2] == (12, 16)  # libpng takes it, too


@pytest.mark.parametrize("damaged", [part(b"tRNS", b"\0\1"), part(b"PLTE", b"abc", 1), part(b"acTL", b"a")])
def test_what_tells_of_the_pixels_is_not_passed_over(damaged: bytes, tmp_path: Path) -> None:
    written(tmp_path / "in.png", "RGB", damaged)
    with Upscaler("nearest", scale=2) as upscaler, pytest.raises(ImageError, match=r"in\.png"):
        upscale_file(tmp_path / "in.png", tmp_path / "out.png", upscaler)
    assert not (tmp_path / "out.png").exists()
