"""Measures of quality against their formulas written out, and what they must do whatever the picture."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, signal
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sr_plugins.errors import DataError
from sr_plugins.evaluation import warping
from sr_plugins.evaluation.flicker import flicker
from sr_plugins.evaluation.niqe import SHAPES, asymmetric_fit, block_features, niqe
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.evaluation.quality import Result, inner
from sr_plugins.evaluation.ssim import filter_valid, gaussian_window, ms_ssim, ssim

Plane = NDArray[np.uint8]
rng = np.random.default_rng(11)


def texture(height: int, width: int, seed: int = 0) -> Plane:
    noise = np.random.default_rng(seed).normal(size=(height, width))
    smooth = ndimage.gaussian_filter(noise, 2) * 300 + ndimage.gaussian_filter(noise, 0.7) * 30
    return np.clip(np.rint(128 + smooth), 0, 255).astype(np.uint8)


def spoiled(picture: Plane, sigma: float, seed: int = 1) -> Plane:
    noisy = picture + np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


@settings(max_examples=30, deadline=None)
@given(height=st.integers(11, 40), width=st.integers(11, 40), seed=st.integers(0, 99), sigma=st.floats(1, 40))
def test_ssim_and_psnr_are_scikit_image_s_at_every_size(height: int, width: int, seed: int, sigma: float) -> None:
    picture = texture(height, width, seed)
    other = spoiled(picture, sigma, seed)
    assert psnr(other, picture) == pytest.approx(peak_signal_noise_ratio(picture, other, data_range=255))
    theirs = structural_similarity(
        picture, other, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )[1]
    assert ssim(other, picture) == pytest.approx(theirs[5 : height - 5, 5 : width - 5].mean(), abs=1e-6)


@pytest.mark.parametrize("metric", [psnr, ssim, ms_ssim])
def test_both_pictures_count_alike_and_worse_is_lower(metric: object) -> None:
    assert callable(metric)
    picture = texture(192, 176)  # that halve to whole pixels: what is cut off of odd sides is at one end
    a, b = spoiled(picture, 4), spoiled(picture, 12)
    assert metric(a, picture) == pytest.approx(metric(picture, a))
    assert metric(picture, picture) > metric(a, picture) > metric(b, picture)
    for turn in (np.fliplr, np.flipud, np.transpose):
        assert metric(turn(a), turn(picture)) == pytest.approx(metric(a, picture), rel=1e-9)


def test_equal_pictures_are_perfect() -> None:
    picture = texture(176, 176)
    assert psnr(picture, picture) == math.inf
    assert ssim(picture, picture) == pytest.approx(1)
    assert ms_ssim(picture, picture) == pytest.approx(1)


@pytest.mark.parametrize("shift", [1, 7, 60])
def test_psnr_of_a_shift_in_brightness(shift: int) -> None:
    picture = np.full((8, 8), 100, np.uint8)
    assert psnr((picture + shift).astype(np.uint8), picture) == pytest.approx(20 * math.log10(255 / shift))
    assert psnr((picture - shift).astype(np.uint8), picture) == pytest.approx(20 * math.log10(255 / shift))


def test_ms_ssim_by_scipy() -> None:
    """Wang, Simoncelli and Bovik, 2003, with scipy's convolution and means of two by two."""
    picture = texture(203, 181)
    x, y = spoiled(picture, 9).astype(float), picture.astype(float)
    window = np.outer(signal.windows.gaussian(11, 1.5), signal.windows.gaussian(11, 1.5))
    window /= window.sum()

    def mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(signal.convolve2d(plane, window, "valid"))

    product = 1.0
    for i, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mx, my = mean(x), mean(y)
        vx, vy, cov = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        term = (2 * cov + 58.5225) / (vx + vy + 58.5225)
        if i == 4:
            term = term * (2 * mx * my + 6.5025) / (mx**2 + my**2 + 6.5025)
        product *= float(term.mean()) ** weight
        x, y = (p[: p.shape[0] // 2 * 2, : p.shape[1] // 2 * 2] for p in (x, y))
        x, y = (p.reshape(p.shape[0] // 2, 2, p.shape[1] // 2, 2).mean((1, 3)) for p in (x, y))
    assert ms_ssim(spoiled(picture, 9), picture) == pytest.approx(product, abs=1e-9)


def test_a_negative_is_no_similar_picture() -> None:
    picture = texture(180, 180)
    assert ssim(255 - picture, picture) < 0
    assert ms_ssim(255 - picture, picture) == 0  # negative structure, which has no power of a fraction


@pytest.mark.parametrize(("width", "sigma"), [(11, 1.5), (7, 7 / 6), (5, 0.4)])
def test_the_window_is_scipy_s_and_filters_as_a_convolution(width: int, sigma: float) -> None:
    window = gaussian_window(width, sigma)
    theirs = signal.windows.gaussian(width, sigma)
    assert np.allclose(window, theirs / theirs.sum())
    plane = rng.random((20, 17))
    expected = signal.convolve2d(plane, np.outer(window, window), "valid")
    assert np.allclose(filter_valid(plane, window), expected)


@pytest.mark.parametrize("border", [1, 2, 3])
def test_the_border_is_left_out_on_all_sides(border: int) -> None:
    picture = np.arange(80, dtype=np.uint8).reshape(8, 10)
    kept = inner(picture, border)
    assert kept.shape == (8 - 2 * border, 10 - 2 * border)
    assert kept[0, 0] == picture[border, border]
    assert kept[-1, -1] == picture[-1 - border, -1 - border]


def test_nothing_inside_a_border_is_told() -> None:
    with pytest.raises(DataError, match="9 x 4 pixels have nothing left inside a border of 2"):
        inner(np.zeros((4, 9), np.uint8), 2)


def test_the_mean_of_no_pictures_is_no_number() -> None:
    assert math.isnan(Result(values={"psnr": []}).mean("psnr"))
    assert Result(values={"psnr": [1.0, 2.0, 6.0]}).mean("psnr") == 3


@pytest.mark.parametrize("shape", [0.5, 1.0, 2.0, 5.0])
def test_the_fit_scales_with_what_it_fits_and_turns_with_its_sign(shape: float) -> None:
    values = np.sign(rng.normal(size=20000)) * rng.gamma(1 / shape, size=20000) ** (1 / shape)
    values[values > 0] *= 2  # wider above
    found, left, right = asymmetric_fit(values)
    assert SHAPES[0] <= found <= SHAPES[-1]
    assert right > 1.5 * left
    again, *scales = asymmetric_fit(3 * values)
    assert (again, *scales) == (pytest.approx(found), pytest.approx(3 * left), pytest.approx(3 * right))
    turned, *sides = asymmetric_fit(-values)
    assert (turned, *sides) == (pytest.approx(found), pytest.approx(right), pytest.approx(left))


def test_what_is_on_one_side_alone_has_no_fit() -> None:
    assert all(map(math.isnan, asymmetric_fit(np.array([1.0, 2.0, 3.0]))))
    assert all(map(math.isnan, asymmetric_fit(np.zeros(9))))


def test_niqe_of_a_flat_picture_is_told() -> None:
    with pytest.raises(DataError, match="no block with any texture"):
        niqe(np.full((192, 192), 90, np.uint8))


def test_niqe_s_features_are_of_whole_blocks_in_their_order() -> None:
    picture = texture(200, 300)
    features, sharpness = block_features(picture)
    assert features.shape == (2 * 3, 36)
    assert sharpness.shape == (6,)
    softer = picture.copy()
    softer[96:192, 96:192] = ndimage.gaussian_filter(picture[96:192, 96:192].astype(float), 3)
    there = block_features(softer)[1]
    assert int(np.argmin(there)) == 4  # the second row's second block
    assert np.allclose(there[[0, 2, 3, 5]], sharpness[[0, 2, 3, 5]], rtol=0.06)
    # what lies beyond whole blocks is not looked at
    cut = picture.copy()
    cut[192:], cut[:, 288:] = 0, 255
    assert np.array_equal(block_features(cut)[0], features)


def test_flicker_sees_what_comes_and_goes_alone() -> None:
    film = np.stack([texture(20, 24, seed) for seed in range(5)]) // 2
    constant = (film + 40).astype(np.uint8)  # an error that stays
    assert flicker(film, film) == flicker(constant, film) == 0
    blinking = film.copy()
    blinking[::2] += 10
    assert flicker(blinking, film) == pytest.approx(10)
    once = film.copy()
    once[2] += 10  # comes and goes: two of four steps
    assert flicker(once, film) == pytest.approx(5)
    assert flicker(film[::-1], film[::-1]) == 0
    assert flicker(blinking[::-1], film[::-1]) == pytest.approx(flicker(blinking, film))


def test_flicker_does_not_wrap_around_in_eight_bits() -> None:
    black, white = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    assert flicker(np.stack([black, white]), np.stack([white, black])) == 510


def test_the_warping_error_of_one_pixel_of_a_still_film() -> None:
    """By hand: nothing moves, so it is the mean square of the differences, times 1000."""
    pytest.importorskip("cv2", reason="needs OpenCV: pip install 'sr-plugins[flow]'")
    still = np.repeat(texture(32, 40)[None], 3, 0)
    clip = still.copy()
    clip[1, 16, 20] ^= 64
    expected = 1000 * (64 / 255) ** 2 / (32 * 40)  # in both steps
    assert warping.build()(clip, still) == pytest.approx(expected, rel=0.02)


def test_films_of_which_nothing_is_seen_twice() -> None:
    pytest.importorskip("cv2", reason="needs OpenCV: pip install 'sr-plugins[flow]'")
    assert warping.missing() is None
    with pytest.raises(DataError, match="at least two, with sides of at least 16"):
        warping.build()(np.zeros((3, 15, 40), np.uint8), np.zeros((3, 15, 40), np.uint8))
