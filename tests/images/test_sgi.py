"""SGI pictures as ffmpeg writes them, in run-length code that Pillow refuses, and of 16 bits, which it cuts down."""

import io
import subprocess
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import upscale_file
from sr_plugins.images.pillow_filter import upscale_image
from sr_plugins.video.ffmpeg_process import find_ffmpeg

WIDTH, HEIGHT = 33, 24
KINDS = {"gray": ("u1", 1), "rgb24": ("u1", 3), "rgba": ("u1", 4), "gray16be": (">u2", 1), "rgb48be": (">u2", 3)}
DEPTHS = KINDS | {"rgba64be": (">u2", 4)}


def ffmpeg(*arguments: str) -> bytes:
    return subprocess.run([find_ffmpeg(), "-y", "-v", "error", *arguments], check=True, capture_output=True).stdout


def samples(path: Path, kind: str, size: tuple[int, int]) -> NDArray[Any]:
    dtype, bands = DEPTHS[kind]
    raw = ffmpeg("-i", str(path), "-frames:v", "1", "-f", "rawvideo", "-pix_fmt", kind, "-")
    return np.frombuffer(raw, dtype).reshape(size[1], size[0], bands)


@pytest.mark.parametrize("coded", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_samples_are_those_of_another_reader(kind: str, coded: bool, tmp_path: Path) -> None:
    drawn = ("-f", "lavfi", "-i", f"testsrc=s={WIDTH}x{HEIGHT}:d=0.1:r=10", "-frames:v", "1", "-pix_fmt", kind)
    ffmpeg(*drawn, "-rle", str(int(coded)), str(tmp_path / "in.sgi"))
    assert (tmp_path / "in.sgi").read_bytes()[2] == coded
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.sgi", tmp_path / "out.png", upscaler)
    wanted = samples(tmp_path / "in.sgi", kind, (WIDTH, HEIGHT))
    assert len(np.unique(wanted)) > 4
    np.testing.assert_array_equal(samples(tmp_path / "out.png", kind, (2 * WIDTH, 2 * HEIGHT))[::2, ::2], wanted)


@pytest.mark.parametrize("in_memory", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_images_that_pillow_opened_and_cannot_decode(kind: str, in_memory: bool, tmp_path: Path) -> None:
    drawn = ("-f", "lavfi", "-i", f"testsrc=s={WIDTH}x{HEIGHT}:d=0.1:r=10", "-frames:v", "1", "-pix_fmt", kind)
    ffmpeg(*drawn, "-rle", "1", str(tmp_path / "in.sgi"))
    wanted = samples(tmp_path / "in.sgi", kind, (WIDTH, HEIGHT)).astype(float)
    with Image.open(io.BytesIO((tmp_path / "in.sgi").read_bytes()) if in_memory else tmp_path / "in.sgi") as source:
        larger = np.asarray(upscale_image(source, 2, model="nearest")).reshape(2 * HEIGHT, 2 * WIDTH, -1)
        again = np.asarray(upscale_image(source, 2, model="nearest")).reshape(larger.shape)
    exact = wanted if "16" not in kind and "48" not in kind else wanted / 257
    np.testing.assert_array_equal(larger[::2, ::2], np.rint(exact))
    np.testing.assert_array_equal(again, larger)


@pytest.mark.parametrize("kind", ["gray16be", "rgb48be", "rgba64be"])
def test_16_bits_stay_so(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    wanted = np.random.default_rng(4).integers(0, 65536, (HEIGHT, WIDTH, DEPTHS[kind][1])).astype(np.uint16)
    (tmp_path / "in.png").write_bytes(bytes(imagecodecs.png_encode(wanted)))
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.png", tmp_path / "out.sgi", upscaler)
    np.testing.assert_array_equal(samples(tmp_path / "out.sgi", kind, (2 * WIDTH, 2 * HEIGHT))[::2, ::2], wanted)
    assert caplog.text == ""


def test_gray_with_alpha_becomes_colour_with_alpha(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, WIDTH * HEIGHT).astype(np.uint16).reshape(HEIGHT, WIDTH)
    (tmp_path / "in.png").write_bytes(bytes(imagecodecs.png_encode(np.dstack((ramp, ramp[::-1])))))
    with Upscaler("nearest", scale=2) as upscaler:
        upscale_file(tmp_path / "in.png", tmp_path / "out.sgi", upscaler)
    found = samples(tmp_path / "out.sgi", "rgba64be", (2 * WIDTH, 2 * HEIGHT))[::2, ::2]
    np.testing.assert_array_equal(found, np.dstack((ramp, ramp, ramp, ramp[::-1])))


def test_code_that_does_not_fit_is_damage(tmp_path: Path) -> None:
    Image.linear_gradient("L").resize((WIDTH, HEIGHT)).save(tmp_path / "in.sgi")
    ffmpeg("-i", str(tmp_path / "in.sgi"), "-rle", "1", str(tmp_path / "coded.sgi"))
    data = (tmp_path / "coded.sgi").read_bytes()
    for cut in (600, len(data) - 3):
        (tmp_path / "cut.sgi").write_bytes(data[:cut])
        with Upscaler("nearest", scale=2) as upscaler, pytest.raises(ImageError, match=r"cut\.sgi is damaged"):
            upscale_file(tmp_path / "cut.sgi", tmp_path / "out.png", upscaler)
    assert not (tmp_path / "out.png").exists()
