"""JPEG XL that moves: every frame and how long it is shown, by files of cjxl 0.7 and by libjxl's encoder."""

import base64
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sr_plugins import Upscaler
from sr_plugins.errors import ImageError
from sr_plugins.images.files import open_image, upscale_file
from sr_plugins.images.jxl_animation import jxl_timing

rng = np.random.default_rng(8)

# cjxl -d 0 of the frames of drawn() and of one without a time of its own behind the first; jxlinfo: 40, 1250, 70000 ms
BY_CJXL = (
    "/wo4gSKEYAALiksCCAggigAAnAAAAMADJMABSzhpmMqD9ysomABQ7m6MG3e9XEAGAHuIlVoIaJ2BfASUZ5w7jz8SQyhNACBVLehdnbxMTbkWAxBQ"
    "APDQAWwdAxD24wIAAAgIgAAAtAAAAEADJMABSyg1xj6sChImAJS7G2OMu6gRGxvb4gIyAADE1ACgjnOAkIPGHuAAYwQQhIwG4xsvgNB/yjYPSyvV"
    "PAMQEQBgAknVDgMQHH4GAAAICLA4AQCAAACgAAAAQAM0wAFLKCXW4VZQMAGg/P2NMcb1cgEZAABjDgCemWGA1vqjbwB6xrnzzB8J00CbANCZD0QG"
    "RwbfSRMQNgEw5SoPG1bpiAoDEHxyAQAACAgwXEQAQAAAnAAAAEACNMABSyg2Vh+8KUiYAiPK3d0YY1yXXkAGAGAgxXEj3wUL1jmvd0b5mZ8DA0Pr"
    "aJDsg5QYAwhoAICxD2aVGwoVMgMI6WwCAAA="
)
# and with --group_order=1: the first of its sections lies where the middle of the picture does
MIDDLE_FIRST = (
    "/wo4gSKEYAALiksCCAggigBQwpj0IJwAAABAAjzAAUs4aZjKg/crKJgAUO5ujBt3vVxABgB7iJVaCGidgXwElGecO48/EgMQUADw0AFsHUMoTQAg"
    "VS3oXZ28TE25FgMQ9uMCAAAICIAAUMKY9CC0AAAAQAI0wAFLKDXGPqwKEiYAlLsbY4y7qBEbG9viAjIAAMTUAKCOc4CQg8Ye4ABjBBCEjAYDEBEA"
    "YAJJ1Q7jGy+A0H/KNg9LK9U8AxAcfgYAAAgIsDgBAIAAUMKY9CCgAAAAQAM0wAFLKCXW4VZQMAGg/P2NMcb1cgEZAABjDgCemWGA1vqjbwB6xrnz"
    "zB8JExA2ATDlKg8bVumICtNAmwDQmQ9EBkcG30kDEHxyAQAACAgwXEQAQABKGJMeBJwAAABAAyTAAUsoNlYfvClImAIjyt3dGGNcl15ABgBgIMVx"
    "I98FC9Y5r3dG+ZmfAwMIaACAsQ9mlRsKFTIDQ+tokOyDlBgDCOlsAgAA"
)


def drawn() -> list[NDArray[np.uint8]]:
    found = []
    for i in (0, 2, 3):
        frame = np.full((40, 530, 4), (40, 90, 160, 255), np.uint8)
        frame[5 + i * 5 : 15 + i * 5, 100 * i + 20 : 100 * i + 80] = (200, 40 * i, 60, 255)
        frame[0, 0] = frame[-1, -1] = (i, 0, 0, 255)
        found.append(frame)
    return found


@pytest.fixture(scope="module")
def repeat() -> Iterator[Upscaler]:
    with Upscaler("nearest", scale=2) as upscaler:
        yield upscaler


def frames_of(path: Path) -> tuple[list[NDArray[Any]], list[float]]:
    with Image.open(path) as image:
        frames, delays = [], []
        for number in range(image.n_frames):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            frames.append(np.asarray(image.convert("RGBA")))
            delays.append(image.info["duration"])
        return frames, delays


@pytest.mark.parametrize("ending", ["png", "webp", "gif", "avif"])
def test_every_frame_and_its_time_go_into_animations(ending: str, tmp_path: Path, repeat: Upscaler) -> None:
    (tmp_path / "in.jxl").write_bytes(base64.b64decode(BY_CJXL))
    upscale_file(tmp_path / "in.jxl", tmp_path / f"out.{ending}", repeat, quality=100)
    frames, delays = frames_of(tmp_path / f"out.{ending}")
    assert delays == [40, 1250, 70000]
    for found, expected in zip(frames, drawn(), strict=True):
        exact = ending in ("png", "gif")
        assert np.abs(found[::2, ::2].astype(int) - expected)[..., :3].mean() <= (0 if exact else 2)
    with Image.open(tmp_path / f"out.{ending}") as image:
        assert image.info.get("loop", 0) == 0  # for ever; AVIF does not say


def test_frames_are_not_dropped_for_a_format_of_one(tmp_path: Path, repeat: Upscaler) -> None:
    (tmp_path / "in.jxl").write_bytes(base64.b64decode(BY_CJXL))
    for ending in ("jpg", "jxl"):
        with pytest.raises(ImageError, match=r"in\.jxl: 3 frames of an animation do not go into .*: use \.webp"):
            upscale_file(tmp_path / "in.jxl", tmp_path / f"out.{ending}", repeat)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jxl"]


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("type", [np.uint8, np.uint16])
@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (30, 20), (256, 257), (600, 520)])
def test_frames_of_any_kind_are_found(
    size: tuple[int, int], bands: int, type: Any, lossless: bool, tmp_path: Path
) -> None:
    noise = rng.integers(0, np.iinfo(type).max + 1, (3, size[1], size[0], bands), type)
    data = imagecodecs.jpegxl_encode(noise, lossless=lossless, level=80, effort=3)
    (tmp_path / "in.jxl").write_bytes(data)
    with open_image(tmp_path / "in.jxl") as image:
        assert jxl_timing(image) == ((100.0, 100.0, 100.0), 0)  # by jxlinfo: what imagecodecs writes


def test_sixteen_bits_stay_in_a_moving_png(tmp_path: Path, repeat: Upscaler) -> None:
    for bands in (1, 2, 3, 4):
        noise = rng.integers(0, 65536, (3, 6, 9, bands), np.uint16)
        (tmp_path / "in.jxl").write_bytes(imagecodecs.jpegxl_encode(noise, lossless=True))
        upscale_file(tmp_path / "in.jxl", tmp_path / "out.png", repeat)
        found = imagecodecs.apng_decode((tmp_path / "out.png").read_bytes())
        np.testing.assert_array_equal(found.reshape(3, 12, 18, bands)[:, ::2, ::2], noise)
        assert frames_of(tmp_path / "out.png")[1] == [100, 100, 100]


def test_of_one_whose_times_are_out_of_reach_the_first_frame_is_taken_and_that_is_told(
    tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in.jxl").write_bytes(base64.b64decode(MIDDLE_FIRST))
    with caplog.at_level(logging.WARNING):
        upscale_file(tmp_path / "in.jxl", tmp_path / "out.png", repeat)
    assert "in.jxl: all frames of the animation but the first are left out" in caplog.text
    with Image.open(tmp_path / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image)[::2, ::2], drawn()[0])


@pytest.mark.parametrize("cut", [30, 90, 150, 300, 360])
def test_what_is_cut_off_is_told(cut: int, tmp_path: Path, repeat: Upscaler, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "in.jxl").write_bytes(base64.b64decode(BY_CJXL)[:cut])
    with caplog.at_level(logging.WARNING):
        try:
            upscale_file(tmp_path / "in.jxl", tmp_path / "out.png", repeat)
        except ImageError as error:
            told = str(error)
        else:
            told = caplog.text
    assert "in.jxl" in told
    assert "left out" in told or "damaged" in told or "cannot be read" in told
