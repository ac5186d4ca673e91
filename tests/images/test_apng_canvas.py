"""Frames of an APNG lie over each other as its standard says, half transparent ones too."""

import struct
import subprocess
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import upscale_file
from sr_plugins.images.pillow_filter import upscale_image
from sr_plugins.video.ffmpeg_process import find_ffmpeg

WIDTH, HEIGHT = 8, 6
rng = np.random.default_rng(3)
# left, top, width, height; disposal; blending
LAID = [
    *(((0, 0, 8, 6), 0, 0), ((1, 1, 5, 3), 0, 1), ((2, 0, 6, 4), 1, 1), ((0, 2, 4, 4), 2, 1), ((3, 3, 5, 3), 0, 0)),
    ((0, 0, 8, 6), 0, 1),
]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


# left, top, steps right and down of the seven passes of an interlaced picture (8.2)
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def apng(path: Path, kind: str, *, poster: bool = False, interlaced: bool = False) -> list[NDArray[np.float64]]:
    """Write frames of random colours and alpha; what is to be seen of them, by the formula of 13.16, 0 to 1."""
    top = float(np.iinfo(kind).max)
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8 if kind == "u1" else 16, 6, 0, 0, interlaced)
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"acTL", struct.pack(">II", len(LAID), 0))
    if poster:
        file += chunk(b"IDAT", zlib.compress(b"".join(b"\0" + bytes(WIDTH * 4 * int(kind[1])) for _ in range(HEIGHT))))
    canvas, shown, sequence = np.zeros((HEIGHT, WIDTH, 4)), [], 0
    for number, ((left, above, width, height), disposal, blending) in enumerate(LAID):
        frame = rng.integers(0, int(top) + 1, (height, width, 4), kind)
        frame[:, ::3, 3] = top
        frame[:, 1::3, 3] = 0
        control = struct.pack(">5I2H2B", sequence, width, height, left, above, 1, 10, disposal, blending)
        passes = PASSES if interlaced else [(0, 0, 1, 1)]
        rows = [row for x, y, right, down in passes for row in frame[y::down, x::right] if row.size]
        packed = zlib.compress(b"".join(b"\0" + row.astype(f">{kind}").tobytes() for row in rows))
        sequence += 1
        file += chunk(b"fcTL", control)
        if number or poster:
            file += chunk(b"fdAT", struct.pack(">I", sequence) + packed)
            sequence += 1
        else:
            file += chunk(b"IDAT", packed)
        before = canvas.copy()
        for y, x in np.ndindex(height, width):
            colour, alpha, under = frame[y, x, :3] / top, frame[y, x, 3] / top, canvas[above + y, left + x].copy()
            whole = alpha + under[3] * (1 - alpha) if blending else alpha
            mixed = colour * alpha + under[:3] * under[3] * (1 - alpha) if blending else colour * whole
            canvas[above + y, left + x] = *(mixed / whole if whole else colour), whole
        shown.append(canvas.copy())
        if disposal == 1:
            canvas[above : above + height, left : left + width] = 0
        elif disposal == 2:
            canvas = before
    path.write_bytes(file + chunk(b"IEND", b""))
    return shown


def assert_same(found: NDArray[Any], wanted: NDArray[np.float64], steps: float) -> None:
    """Equal alpha, and equal colours where something is to be seen."""
    values = found / float(np.iinfo(found.dtype).max)
    np.testing.assert_allclose(values[..., 3], wanted[..., 3], atol=steps)
    seen = wanted[..., 3] > 0.1
    np.testing.assert_allclose(values[seen], wanted[seen], atol=steps)


def test_the_standard_is_what_ffmpeg_shows(tmp_path: Path) -> None:
    wanted = apng(tmp_path / "in.png", "u1")
    command = [find_ffmpeg(), "-v", "error", "-f", "apng", "-i", str(tmp_path / "in.png"), "-fps_mode", "passthrough"]
    raw = subprocess.run([*command, "-f", "rawvideo", "-pix_fmt", "rgba", "-"], check=True, capture_output=True).stdout
    found = np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH, 4)
    for one, expected in zip(found, wanted, strict=True):
        assert_same(one, expected, 4 / 255)


@pytest.mark.parametrize("poster", [False, True])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_half_transparent_frames_are_mixed_as_the_standard_says(kind: str, poster: bool, tmp_path: Path) -> None:
    wanted = apng(tmp_path / "in.png", kind, poster=poster)
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.png", tmp_path / "out.png", upscaler)
    found = imagecodecs.apng_decode((tmp_path / "out.png").read_bytes())
    assert found.dtype == kind
    for one, expected in zip(found[poster:], wanted, strict=True):
        assert_same(one[::2, ::2], expected, 3 / np.iinfo(kind).max)


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_interlaced_frames_are_read_in_silence(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    wanted = apng(tmp_path / "in.png", kind, interlaced=True)
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.png", tmp_path / "out.png", upscaler)
    found = imagecodecs.apng_decode((tmp_path / "out.png").read_bytes())
    for one, expected in zip(found, wanted, strict=True):
        assert_same(one[::2, ::2], expected, 3 / np.iinfo(kind).max)
    assert capfd.readouterr().err == ""


def test_frames_without_any_fully_transparent_pixel_stay_half_transparent(tmp_path: Path) -> None:
    first, second = (Image.new("RGBA", (WIDTH, HEIGHT), (*colour, 102)) for colour in ((200, 0, 0), (0, 200, 0)))
    first.save(tmp_path / "in.png", save_all=True, append_images=[second], duration=100, blend=[0, 1])
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.png", tmp_path / "out.png", upscaler)
    found = imagecodecs.apng_decode((tmp_path / "out.png").read_bytes())
    assert found.shape[-1] == 4
    assert [frame[0, 0, 3] for frame in found] == [102, 163]  # 0.4, and 0.4 + 0.4 * (1 - 0.4)


def test_frames_given_one_by_one_in_any_order_too(tmp_path: Path) -> None:
    wanted = apng(tmp_path / "in.png", "u1")
    with Image.open(tmp_path / "in.png") as image:
        for number, frame in enumerate(ImageSequence.Iterator(image)):
            result = upscale_image(frame, 2, model="nearest").convert("RGBA")
            assert_same(np.asarray(result)[::2, ::2], wanted[number], 3 / 255)


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_a_frame_beyond_the_canvas_is_damage(kind: str, tmp_path: Path) -> None:
    apng(tmp_path / "in.png", kind)
    content = bytearray((tmp_path / "in.png").read_bytes())
    at = content.rindex(b"fcTL")
    content[at + 8 : at + 12] = (60000).to_bytes(4, "big")  # its width
    length = int.from_bytes(content[at - 4 : at], "big")
    content[at + 4 + length : at + 8 + length] = zlib.crc32(content[at : at + 4 + length]).to_bytes(4, "big")
    (tmp_path / "wide.png").write_bytes(content)
    with Upscaler("nearest", scale=2) as upscaler, pytest.raises(ImageError, match=r"wide\.png.*damaged"):
        upscale_file(tmp_path / "wide.png", tmp_path / "out.png", upscaler)
    assert not (tmp_path / "out.png").exists()
