"""Shrinking arrays: Pillow's kernels, MATLAB's bicubic and its Y'CbCr, against Pillow, scikit-image and definitions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from skimage.color import rgb2ycbcr

from sr_plugins.pixels.antialiased import KERNELS, resize, resize_matrix
from sr_plugins.pixels.cubic import cubic_weight
from sr_plugins.pixels.matlab import MATRIX, OFFSET, downscale_bicubic, to_8bit, to_luma, to_ycbcr, ycbcr_to_rgb

PILLOWS = {
    "area": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SIZES = [(40, 30, 20, 15), (40, 30, 17, 11), (24, 40, 48, 100), (9, 7, 9, 7), (5, 3, 1, 1), (1, 1, 6, 4)]


@settings(max_examples=80, deadline=None)
@given(source=st.integers(1, 50), target=st.integers(1, 50), kernel=st.sampled_from(sorted(KERNELS)))
def test_rows_sum_to_one_and_mirror_each_other(source: int, target: int, kernel: str) -> None:
    matrix = resize_matrix(source, target, kernel)
    assert matrix.shape == (target, source)
    assert np.allclose(matrix.sum(1), 1, atol=1e-5)
    if kernel != "area":  # whose half-open box takes the one of two pixels at equal distance
        assert np.allclose(matrix, matrix[::-1, ::-1], atol=1e-5)


@pytest.mark.parametrize("kernel", PILLOWS)
@pytest.mark.parametrize(("height", "width", "rows", "columns"), SIZES)
def test_it_is_pillow_s_away_from_the_border(kernel: str, height: int, width: int, rows: int, columns: int) -> None:
    """Pillow leaves out what lies beyond a border and this repeats the edge: near it they may differ."""
    picture = np.random.default_rng(1).random((height, width, 1)).astype(np.float32)
    ours = resize(picture, rows, columns, kernel)[..., 0]
    theirs = np.asarray(Image.fromarray(picture[..., 0]).resize((columns, rows), PILLOWS[kernel]))
    assert ours.shape == theirs.shape == (rows, columns)
    reach = KERNELS[kernel][1]
    edges = [math.ceil(reach * max(1.0, n / m) * m / n + 1) for n, m in ((height, rows), (width, columns))]
    inside = tuple(slice(edge, side - edge) for edge, side in zip(edges, ours.shape, strict=True))
    if kernel != "area":
        assert np.abs(ours[inside] - theirs[inside]).max(initial=0) < 1e-5
    if kernel == "area" and rows <= height:  # which never looks beyond; larger, ties may go either way
        assert np.abs(ours - theirs).max() < 1e-5


@pytest.mark.parametrize("kernel", sorted(KERNELS))
@pytest.mark.parametrize(("height", "width", "rows", "columns"), SIZES)
def test_a_ramp_stays_where_it_is(kernel: str, height: int, width: int, rows: int, columns: int) -> None:
    """No shift by half a pixel: each result lies where its own centre lies in the source."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    result = resize(np.stack((y, x), -1), rows, columns, kernel)
    for axis, (n, m) in enumerate(((height, rows), (width, columns))):
        places = (np.arange(m) + 0.5) * n / m - 0.5
        line = result[:, columns // 2, 0] if axis == 0 else result[rows // 2, :, 1]
        edge = math.ceil(KERNELS[kernel][1] * max(1.0, m / n) + 1)
        inside = slice(edge, m - edge)
        limit = 0.5 if kernel == "area" else 0.02 * max(1.0, n / m) + 0.06 * (kernel == "lanczos")
        assert np.abs(line - places)[inside].max(initial=0) <= limit


@pytest.mark.parametrize("kernel", sorted(KERNELS))
def test_white_stays_white_and_channels_apart(kernel: str) -> None:
    picture = np.zeros((7, 9, 3), np.float32)
    picture[..., 1] = 255
    result = resize(picture, 4, 13, kernel)
    assert np.abs(result - np.array([0, 255, 0])).max() < 1e-3
    assert result.flags.c_contiguous
    assert result.dtype == np.float32


def published(picture: NDArray[np.uint8], scale: int) -> NDArray[np.float64]:
    """``imresize(picture, 1 / scale)`` of one plane before the last rounding, from its description, tap by tap."""

    def shrunk(line: NDArray[np.float64]) -> NDArray[np.float64]:
        values = []
        for i in range(math.ceil(len(line) / scale)):
            center = (i + 0.5) * scale - 0.5
            taps = range(math.floor(center - 2 * scale), math.ceil(center + 2 * scale) + 1)
            weights = [cubic_weight((tap - center) / scale) for tap in taps]
            total = math.fsum(weights)
            inside = [min(max(tap, 0), len(line) - 1) for tap in taps]
            values.append(math.fsum(w / total * line[tap] for w, tap in zip(weights, inside, strict=True)))
        return np.array(values)

    rows = np.apply_along_axis(shrunk, 0, picture.astype(np.float64))
    rows = np.clip(np.floor(rows + 0.5), 0, 255)
    return np.clip(np.apply_along_axis(shrunk, 1, rows), 0, 255)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (13, 16), (25, 9)])
def test_matlab_s_bicubic_at_every_size(scale: int, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(scale).integers(0, 256, size, np.uint8)
    ours = downscale_bicubic(picture, scale)
    exact = published(picture, scale)
    assert ours.shape == exact.shape
    assert ours.dtype == np.uint8
    assert np.abs(ours - exact).max() <= 0.5 + 1e-6


def test_channels_are_shrunk_as_planes_are() -> None:
    picture = np.random.default_rng(5).integers(0, 256, (14, 11, 3), np.uint8)
    apart = np.stack([downscale_bicubic(picture[..., i], 3) for i in range(3)], -1)
    assert np.array_equal(downscale_bicubic(picture, 3), apart)


def test_shrinking_by_one_is_nothing() -> None:
    picture = np.random.default_rng(6).integers(0, 256, (14, 11, 3), np.uint8)
    assert np.array_equal(downscale_bicubic(picture, 1), picture)


def test_ycbcr_is_scikit_image_s() -> None:
    picture = np.random.default_rng(7).integers(0, 256, (30, 40, 3), np.uint8)
    exact = rgb2ycbcr(picture)
    ours = to_ycbcr(picture)
    assert ours.dtype == np.uint8
    assert np.abs(ours - exact).max() <= 0.5 + 1e-9
    assert np.array_equal(ours[..., 0], to_luma(picture))


@pytest.mark.parametrize(
    ("rgb", "ycbcr"),
    [
        ((0, 0, 0), (16, 128, 128)),
        ((255, 255, 255), (235, 128, 128)),
        ((255, 0, 0), (81, 90, 240)),
        ((0, 255, 0), (145, 54, 34)),
        ((0, 0, 255), (41, 240, 110)),
    ],
)
def test_the_colours_of_the_bars(rgb: tuple[int, int, int], ycbcr: tuple[int, int, int]) -> None:
    """ITU-R BT.601 in 8 bits."""
    pixel = np.array([[rgb]], np.uint8)
    assert to_ycbcr(pixel)[0, 0].tolist() == list(ycbcr)
    assert np.abs(ycbcr_to_rgb(np.array([[ycbcr]], np.uint8))[0, 0].astype(int) - rgb).max() <= 2


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(0, 255)] * 3))
def test_the_way_back_is_exact_but_for_rounding(rgb: tuple[int, int, int]) -> None:
    pixel = np.array([[rgb]], np.uint8)
    assert np.abs(ycbcr_to_rgb(to_ycbcr(pixel)).astype(int) - pixel).max() <= 2
    exact = pixel @ MATRIX.T + OFFSET
    assert np.allclose((exact - OFFSET) @ np.linalg.inv(MATRIX).T, pixel)


@pytest.mark.parametrize(
    ("value", "code"),
    [(-3, 0), (-0.4, 0), (0.49, 0), (0.5, 1), (1.5, 2), (2.5, 3), (254.5, 255), (255.4, 255), (999, 255)],
)
def test_halves_go_up_and_nothing_leaves_eight_bits(value: float, code: int) -> None:
    assert to_8bit(np.array([value])).tolist() == [code]
