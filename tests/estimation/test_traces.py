"""What pictures went through, read from pixels that were made so: compression, noise, enlargement, and luma itself."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from sr_plugins import Frame, FrameFormat
from sr_plugins.estimation.compression import DCT, find_jpeg, mean_quantiser, video_compression
from sr_plugins.estimation.enlargement import find_enlargement
from sr_plugins.estimation.noise import Noise, estimate_noise, noise_sigma
from sr_plugins.estimation.sight import SIDE, Sight, look, look_at, luma_of, middle
from sr_plugins.pixels.antialiased import resize

Luma = NDArray[np.float32]


def scene(height: int = 256, width: int = 256, seed: int = 0) -> Luma:
    """Detail of every size, 8-bit codes."""
    rng = np.random.default_rng(seed)
    layers = sum(s * ndimage.gaussian_filter(rng.normal(size=(height, width)), s) for s in (0.8, 2, 5, 12))
    flat = ndimage.gaussian_filter(rng.normal(size=(height, width)), 25) > 0
    picture = 128 + 50 * np.where(flat, ndimage.gaussian_filter(layers, 3), layers)
    return np.clip(np.rint(picture), 5, 250).astype(np.float32)


def through_jpeg(picture: Luma, quality: int) -> Luma:
    import io

    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.asarray(image, np.float32)


def test_the_transform_is_scipy_s() -> None:
    block = np.random.default_rng(1).random((8, 8))
    assert np.allclose(DCT @ block @ DCT.T, fft.dctn(block, norm="ortho"))
    assert np.allclose(DCT @ DCT.T, np.eye(8))


@pytest.mark.parametrize("quality", [40, 60, 80])
@pytest.mark.parametrize(("top", "left"), [(0, 0), (3, 0), (0, 5), (6, 7)])
def test_a_jpeg_shows_wherever_its_blocks_begin(quality: int, top: int, left: int) -> None:
    whole = through_jpeg(scene(), quality)
    found = find_jpeg(whole[top : 256 - (4 if top else 0), left : 256 - (4 if left else 0)])  # a part begins anywhere
    assert found.codec == "jpeg"
    low, high = found.quality
    assert low - 1 <= quality <= high + 1
    assert found.tables()[0]["name"] == "jpeg"


def test_what_is_no_jpeg_is_none_and_a_small_picture_says_nothing() -> None:
    clean = find_jpeg(scene(seed=2))
    assert clean.codec == "none"
    assert clean.tables() == []
    small = find_jpeg(through_jpeg(scene(), 40)[:63])
    assert (small.codec, small.confidence) == ("none", 0)


@pytest.mark.parametrize(
    ("codec", "name", "quality"),
    [
        ("h264", "h264", (21, 31)),
        ("hevc", "h265", (21, 31)),
        ("mpeg2video", "mpeg2", (43, 51)),
        ("vp9", "h265", (21, 31)),
    ],
)
def test_quantisers_become_a_range_of_a_codec_that_recipes_know(
    codec: str, name: str, quality: tuple[float, float]
) -> None:
    """The tenth and the half of them; MPEG-2's, of which recipes take twice the number, end at 51."""
    found = video_compression(codec, [22, 22, 22, 30, 30, 30, 34], 0.1)
    assert (found.codec, found.quality) == (name, quality)
    assert found.tables()[0]["codec"] == name


def test_without_quantisers_the_rate_says_little() -> None:
    rich, poor = (video_compression("h264", [], rate) for rate in (0.32, 0.02))
    assert rich.quality[0] + 24 == pytest.approx(poor.quality[0])  # six steps of the quantiser halve the rate
    assert rich.confidence < 0.5
    assert video_compression("h264", [], 0).confidence < rich.confidence


@pytest.mark.parametrize(("blocks", "mean"), [([], 26.0), ([0, 0], 26.0), ([-4, 2, 8], 28.0)])
def test_the_mean_quantiser_of_a_frame(blocks: list[int], mean: float) -> None:
    """libavutil/video_enc_params.h: a header, then blocks, each with its difference of the quantiser."""
    size, offset = 24, 64
    head = struct.pack("=I4xQQii", len(blocks), offset, size, 1, 26).ljust(offset, b"\0")
    rows = b"".join(struct.pack("=iiiii", 0, 0, 16, 16, change).ljust(size, b"\0") for change in blocks)
    assert mean_quantiser(head + rows) == pytest.approx(mean)


@pytest.mark.parametrize("sigma", [2.0, 6.0, 15.0])
def test_noise_is_measured_whatever_lies_beneath(sigma: float) -> None:
    noisy = scene(400, 400) + np.random.default_rng(3).normal(0, sigma, (400, 400)).astype(np.float32)
    noisy = np.clip(np.rint(noisy), 0, 255).astype(np.float32)
    assert noise_sigma(noisy) == pytest.approx(sigma, rel=0.2, abs=0.4)
    found = estimate_noise([noisy])
    assert found.sigma == pytest.approx(sigma, rel=0.2, abs=0.4)
    assert not found.signal_dependent


def test_noise_that_grows_with_light_is_told_by_its_line() -> None:
    rng = np.random.default_rng(4)
    ramp = np.tile(np.linspace(20, 235, 500, dtype=np.float32), (400, 1))
    noisy = ramp + rng.normal(size=ramp.shape) * np.sqrt(2 + 0.25 * ramp)
    found = estimate_noise([np.clip(np.rint(noisy), 0, 255).astype(np.float32)])
    assert found.signal_dependent
    assert found.slope == pytest.approx(0.25, rel=0.25)
    assert found.sigma == pytest.approx(np.sqrt(2 + 0.25 * 128), rel=0.15)


def test_too_little_to_tell_noise_by() -> None:
    assert noise_sigma(scene(20, 20)) == 0
    assert noise_sigma(scene(6, 300)) == 0
    assert estimate_noise([scene(6, 6)]) == Noise(0.0, 0.0, 0.0)
    assert Noise(-5.0, 0.0, 1.0).sigma == 0


@pytest.mark.parametrize(("numerator", "denominator"), [(2, 1), (3, 2), (4, 3)])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_an_enlarged_picture_is_known_by_its_factor(numerator: int, denominator: int, kernel: str) -> None:
    side = 240 * denominator // numerator
    small = scene(side, side, seed=5)[..., None]
    large = np.rint(resize(small, 240, 240, kernel)[..., 0]).clip(0, 255).astype(np.float32)
    assert find_enlargement(large).factor == pytest.approx(numerator / denominator)
    assert find_enlargement(np.ascontiguousarray(large.T)).factor == pytest.approx(numerator / denominator)


def test_what_was_not_enlarged_and_what_says_nothing() -> None:
    assert find_enlargement(scene(seed=6)).factor == 1
    for nothing in (scene(95, 300), np.full((240, 240), 90, np.float32)):
        found = find_enlargement(nothing)
        assert (found.factor, found.confidence) == (1, 0)


FORMATS = [
    (FrameFormat(family="gray"), 1),
    (FrameFormat(family="gray", full_range=False), 1),
    (FrameFormat(family="gray", bits=12), 1),
    (FrameFormat(family="gray", bits=32, is_float=True), 1),
    (FrameFormat(family="yuv", bits=10, subsampling=(1, 1)), 1),
    (FrameFormat(family="rgb", bits=16), 3),
]


@pytest.mark.parametrize(("format", "count"), FORMATS)
def test_luma_of_every_format_is_that_of_the_picture(format: FrameFormat, count: int) -> None:
    values = scene(40, 56) / 255
    if format.is_float:
        planes = [values]
    else:
        top = (1 << format.bits) - 1
        low, span = (0, top) if format.full_range else (16 << format.bits - 8, 219 << format.bits - 8)
        planes = [np.rint(low + values * span).astype(format.dtype)] * count
    if format.family == "yuv":
        planes += [np.full((20, 28), 512, np.uint16)] * 2
    assert np.abs(luma_of(Frame(planes, format)) - 255 * values).max() < 0.7


def test_luma_weighs_colours_and_cuts_off_what_is_beyond() -> None:
    planes = [np.full((8, 8), value, np.uint8) for value in (200, 100, 50)]
    assert np.allclose(luma_of(Frame(planes, FrameFormat(family="rgb"))), 0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    beyond = np.array([[-1.0, 2.0], [np.nan, 0.5]], np.float32)
    found = luma_of(Frame([beyond], FrameFormat(family="gray", bits=32, is_float=True)))
    assert found.tolist() == [[0, 255], [0, 127.5]]
    codes = np.array([[0, 16, 235, 255]], np.uint8)
    assert luma_of(Frame([codes], FrameFormat(family="gray", full_range=False))).tolist() == [[0, 0, 255, 255]]


@pytest.mark.parametrize("length", [1, 8, 767, 768, 769, 775, 776, 1080, 4001])
def test_the_middle_begins_and_ends_with_a_block(length: int) -> None:
    kept = middle(length)
    assert 0 <= kept.start <= kept.stop <= length
    assert kept.start % 8 == 0
    assert (length - kept.stop) % 8 == 0
    assert kept.stop - kept.start == length if length < SIDE else kept.stop - kept.start >= SIDE
    assert abs(kept.start - (length - kept.stop)) <= 8  # as much is left out on either side


def test_what_is_seen_of_several_frames_is_what_most_of_them_show() -> None:
    frames = [Frame([p.astype(np.uint8)], FrameFormat(family="gray")) for p in (scene(), through_jpeg(scene(), 50))]
    clean, coded = frames
    assert look_at([coded]).quality == pytest.approx(50, abs=3)
    assert look_at([coded, coded, clean]).quality == look_at([coded]).quality
    assert look_at([coded, clean, clean]).quality is None
    assert look_at([coded, clean]).quality is None
    assert look(np.zeros((7, 100), np.float32)) == Sight()
