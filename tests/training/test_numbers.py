"""The arithmetic under training, against numpy, scipy and definitions: turns of patches, spectra, kernels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, signal
from scipy.linalg import logm

from sr_plugins.pixels.cubic import cubic_taps
from sr_plugins.training.adaptation.correction_filter import correction_filter
from sr_plugins.training.degradations.blur import filtered, gaussian_kernel, motion_kernel, sinc_kernel
from sr_plugins.training.degradations.likeness import traces
from sr_plugins.training.estimation.kernel import Blur, gaussian_kernel_of
from sr_plugins.training.picture_files import to_channels, turned
from sr_plugins.training.planes_on_device import PlanesOnDevice
from sr_plugins.training.spectrum import ORIENTATIONS, PATCH, RADII, patch_spectra, polar_power, profile

Floats = NDArray[np.float64]


# -- turns and patches ------------------------------------------------------------------------------------------------


def test_the_eight_turns_are_those_of_a_square() -> None:
    square = np.arange(9).reshape(1, 3, 3)
    made = {turned(square, turn).tobytes(): turn for turn in range(8)}
    assert len(made) == 8
    for first in range(8):
        for second in range(8):  # one after the other is one of them, too
            assert turned(turned(square, first), second).tobytes() in made
    assert np.array_equal(turned(square, 0), square)
    assert np.array_equal(turned(square, 4)[0], square[0].T)


def test_a_turn_of_planes_turns_each_of_them() -> None:
    planes = np.random.default_rng(1).random((3, 5, 5))
    for turn in range(8):
        apart = np.stack([turned(plane[None], turn)[0] for plane in planes])
        assert np.array_equal(turned(planes, turn), apart)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), side=st.integers(1, 5))
def test_patches_cut_on_a_device_are_those_of_numpy(seed: int, side: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.random((3, *rng.integers(5, 12, 2))).astype(np.float32) for _ in range(4)]
    planes = PlanesOnDevice(arrays, torch.device("cpu"))
    other = rng.random(arrays[2].shape).astype(np.float32)
    planes.put(2, other)
    arrays[2] = other
    rows, expected, second = [], [], []
    for _ in range(6):
        number = int(rng.integers(4))
        y, x = (int(rng.integers(n - side + 1)) for n in arrays[number].shape[1:])
        turn = int(rng.integers(8))
        rows.append((number, y, x, turn))
        part = arrays[number][:, y : y + side, x : x + side]
        expected.append(turned(part, turn))
        second.append(turned(part[1:2], turn))
    columns = planes.columns(np.array(rows, np.int64))
    assert np.array_equal(planes.cut(*columns, side).numpy(), np.stack(expected))
    first = torch.ones(6, dtype=torch.int64)
    assert np.array_equal(planes.cut(*columns, side, first, 1).numpy(), np.stack(second))


def test_eight_bits_to_sixteen_keep_black_and_white() -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0, 1], picture[1, 0] = 255, (255, 0, 0)
    rgb, luma = to_channels(picture, "rgb"), to_channels(picture, "luma")
    assert (rgb.shape, luma.shape) == ((3, 2, 2), (1, 2, 2))
    assert rgb[:, 0, 1].tolist() == [65535] * 3
    assert (luma[0, 0, 0], luma[0, 0, 1]) == (0, 65535)
    assert luma[0, 1, 0] == round(0.299 * 65535)


# -- spectra ----------------------------------------------------------------------------------------------------------


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    noise = np.random.default_rng(2).normal(0, 5, (512, 512)).astype(np.float32)
    spectra = patch_spectra(noise)
    assert spectra.shape == (15 * 15, PATCH, PATCH // 2 + 1)
    assert spectra[:, 4:-4, 4:-4].mean() == pytest.approx(25, rel=0.03)
    power = polar_power(spectra)
    assert power.shape == (225, len(RADII) - 1, ORIENTATIONS)
    assert np.abs(power.mean(0)[3:] / 25 - 1).max() < 0.15
    vertical, horizontal = profile(noise)
    assert len(vertical) == len(horizontal) == PATCH // 2 + 1
    assert np.abs(np.array([vertical[6:-2].mean(), horizontal[6:-2].mean()]) / 25 - 1).max() < 0.1


@pytest.mark.parametrize(("dy", "dx", "orientation"), [(0, 1, 0), (1, 1, 2), (1, 0, 4), (-1, 1, 6)])
def test_a_wave_shows_in_its_direction_and_band(dy: int, dx: int, orientation: int) -> None:
    y, x = np.mgrid[0:128, 0:128]
    frequency = 0.2 / np.hypot(dy, dx)
    wave = (100 + 50 * np.cos(2 * np.pi * frequency * (dy * y + dx * x))).astype(np.float32)
    power = polar_power(patch_spectra(wave)).mean(0)
    band, direction = np.unravel_index(int(power.argmax()), power.shape)
    assert RADII[band] <= 0.2 < RADII[band + 1]
    assert direction == orientation


def test_a_picture_smaller_than_a_patch_is_mirrored() -> None:
    small = np.random.default_rng(3).random((20, 70)).astype(np.float32)
    padded = np.pad(small, ((0, PATCH - 20), (0, 0)), mode="symmetric")
    assert np.array_equal(patch_spectra(small), patch_spectra(padded))


def test_traces_tell_how_far_pictures_are_apart() -> None:
    noise = np.random.default_rng(4).integers(0, 256, (150, 150, 3), np.uint8)
    soft = np.stack([ndimage.gaussian_filter(noise[..., i].astype(float), 1.2) for i in range(3)], -1)
    a, b = traces([noise]), traces([np.rint(soft).astype(np.uint8)])
    assert a.distance(a) == 0
    assert a.distance(b) == b.distance(a) > 3
    assert b.detail[-1] < a.detail[-1] - 6  # what is fine went


# -- kernels ----------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 20), width=st.integers(1, 20), rows=st.sampled_from([1, 3, 7, 25]), seed=st.integers(0, 99)
)
def test_filtering_is_scipy_s_correlation_at_every_size(height: int, width: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.random((height, width, 3)).astype(np.float32) * 255
    kernel = rng.random((rows, 5))
    kernel /= kernel.sum()
    expected = np.stack(
        [ndimage.correlate(picture[..., i].astype(float), kernel, mode="nearest") for i in range(3)], -1
    )
    ours = filtered(picture, kernel)
    assert ours.dtype == np.float32
    assert np.abs(ours - expected).max() < 1e-3


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 135.0])
def test_kernels_sum_to_one_are_centred_and_lie_along_their_angle(angle: float) -> None:
    for kernel in (gaussian_kernel(3.0, 1.0, angle), motion_kernel(9, angle)):
        radius = kernel.shape[0] // 2
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
        assert kernel.sum() == pytest.approx(1)
        assert abs((kernel * y).sum()) < 1e-9
        assert abs((kernel * x).sum()) < 1e-9
        covariance = np.array([[(kernel * a * b).sum() for a in (x, y)] for b in (x, y)])
        values, vectors = np.linalg.eigh(covariance)
        along = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])) % 180
        assert min(abs(along - angle), 180 - abs(along - angle)) < 4
        assert values[1] > 2 * values[0]


@pytest.mark.parametrize("cutoff", [0.8, 1.6, 3.0])
def test_the_sinc_passes_what_is_below_its_cutoff(cutoff: float) -> None:
    kernel = sinc_kernel(cutoff, 30)
    response = np.abs(np.fft.fft2(kernel, (256, 256)))
    frequency = 2 * np.pi * np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256)[None])
    assert np.abs(response[frequency < cutoff - 0.3] - 1).max() < 0.25
    assert response[(frequency > cutoff + 0.3) & (frequency < np.pi)].max(initial=0) < 0.25


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_covariance_is_told_as_sigmas_and_angle_and_made_a_kernel(scale: int) -> None:
    turn = np.radians(30)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])  # (y, x) order
    covariance = rotation @ np.diag([0.36, 1.44]) @ rotation.T
    log = logm(covariance)
    blur = Blur("gaussian", covariance, 1.0, np.array([log]))
    assert blur.sigmas == pytest.approx((1.2, 0.6))
    assert blur.angle == pytest.approx(30)
    kernel = gaussian_kernel_of(covariance, scale)
    radius = kernel.shape[0] // 2
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    middle = [(kernel * y).sum(), (kernel * x).sum()]
    assert middle == pytest.approx([(scale - 1) / 2] * 2, abs=0.02)  # between the pixels it replaces
    spread = np.array(
        [[(kernel * a * b).sum() for a in (y - middle[0], x - middle[1])] for b in (y - middle[0], x - middle[1])]
    )
    assert np.abs(spread / scale**2 - covariance).max() < 0.05


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_bicubic_itself_needs_no_correction(scale: int) -> None:
    radius = 2 * scale + scale // 2
    line = np.array(cubic_taps(range(-radius, radius + 1), (scale - 1) / 2, scale))
    line /= line.sum()
    found = correction_filter(np.outer(line, line), scale, noise=0.0, power=1000.0)
    single = np.zeros_like(found)
    single[7, 7] = 1
    assert np.abs(found - single).max() < 0.01


def test_the_correction_undoes_a_shift_in_its_direction() -> None:
    """What took pixels two to the right of the middle is mended by taps on the left, not on the right."""
    scale, radius = 2, 8
    line = np.array(cubic_taps(range(-radius, radius + 1), 0.5, scale))
    line /= line.sum()
    moved = np.outer(line, np.roll(line, scale))  # by one small pixel
    found = correction_filter(moved, scale, noise=0.0, power=1000.0)
    y, x = np.unravel_index(int(found.argmax()), found.shape)
    assert (y, x) == (7, 6)
    assert found.sum() == pytest.approx(1)


def test_windows_of_patches_overlap_by_half_and_fade_at_their_edges() -> None:
    """By scipy: the mean power of Hann-windowed patches, half overlapping, is Welch's estimate along an axis."""
    line = np.random.default_rng(10).normal(0, 4, 64 * 40).astype(np.float32)
    picture = np.repeat(line[None], PATCH, 0)
    ours = patch_spectra(picture).mean(0)[0]  # constant down the columns: all of it at vertical frequency 0
    window = np.hanning(PATCH + 2)[1:-1]
    _, theirs = signal.welch(
        line.astype(float), window=window, noverlap=PATCH // 2, detrend="constant", scaling="density"
    )
    theirs[1:-1] /= 2  # one-sided
    weight = window.sum() ** 2 / np.square(window).sum()
    assert np.allclose(ours[1:], theirs[1:] * weight, rtol=0.03)
