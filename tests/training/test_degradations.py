"""Every degradation against an outside reference or by its statistics."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, special

from sr_plugins.errors import RecipeError
from sr_plugins.plugins import Plugins
from sr_plugins.training.degradations.blur import gaussian_kernel, motion_kernel, sinc_kernel
from sr_plugins.training.degradations.chain import Chain, build_chain, read_chain
from sr_plugins.training.degradations.compression import pan, transcode
from sr_plugins.training.degradations.generator import DegradationGenerator
from sr_plugins.training.degradations.learning import write_generator
from sr_plugins.training.picture_files import read_rgb

Picture = NDArray[np.uint8]
SHRINK = {"name": "area"}


def chain(*tables: dict[str, Any], scale: int = 1) -> Chain:
    return build_chain(tables, scale, Path("recipe.toml"))


def degraded(picture: Picture, *tables: dict[str, Any], scale: int = 1, seed: int = 1) -> Picture:
    return chain(*tables, scale=scale)(picture, np.random.default_rng(seed))


def flat(value: int = 128, side: int = 96) -> Picture:
    return np.full((side, side, 3), value, np.uint8)


@pytest.fixture(scope="module")
def scene() -> Picture:
    """Smooth shapes, a fine texture and hard edges."""
    y, x = np.mgrid[:80, :96]
    red = 128 + 80 * np.sin(x / 5) * np.cos(y / 9)
    green = np.where((x // 12 + y // 10) % 2, 210, 40)
    blue = 100 + 60 * np.sin(x * y / 40)
    return np.asarray(np.clip(np.stack([red, green, blue], -1), 0, 255), np.uint8)


def energy(difference: NDArray[Any]) -> float:
    return float(np.mean(np.asarray(difference, np.float64) ** 2))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["img_001", "img_050", "img_100"])
def test_bicubic_is_the_published_one_bit_for_bit(shared_data: Path, scale: int, name: str) -> None:
    folder = shared_data / "benchmark" / "BSD100"
    high = read_rgb(folder / f"{name}.png")
    height, width = (side // scale * scale for side in high.shape[:2])
    expected = read_rgb(folder / f"LRx{scale}" / f"{name}.png")
    np.testing.assert_array_equal(degraded(high[:height, :width], {"name": "bicubic"}, scale=scale), expected)


def test_area_is_the_mean_of_blocks(scene: Picture) -> None:
    mean = scene.reshape(40, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(degraded(scene, {"name": "area"}, scale=2) - mean).max() <= 0.5


def test_lanczos_equals_pillow_inside(scene: Picture) -> None:
    ours = degraded(scene, {"name": "lanczos"}, scale=2).astype(int)
    theirs = np.asarray(Image.fromarray(scene).resize((48, 40), Image.Resampling.LANCZOS), int)
    assert np.abs(ours - theirs)[4:-4, 4:-4].max() <= 1


@pytest.mark.parametrize("sigma", [0.6, 1.7])
def test_gaussian_blur_equals_scipy(scene: Picture, sigma: float) -> None:
    ours = degraded(scene, {"name": "gaussian_blur", "sigma": sigma}).astype(float)
    theirs = ndimage.gaussian_filter(scene.astype(float), (sigma, sigma, 0), mode="nearest", truncate=6)
    assert np.abs(ours - theirs).max() < 1.5


def test_anisotropic_gaussian_has_the_spread_it_was_given() -> None:
    kernel = gaussian_kernel(3, 1, angle=0)
    y, x = (np.arange(side) - side // 2 for side in kernel.shape)
    assert (kernel.sum(0) * x**2).sum() ** 0.5 == pytest.approx(3, rel=0.02)
    assert (kernel.sum(1) * y**2).sum() ** 0.5 == pytest.approx(1, rel=0.02)
    np.testing.assert_allclose(gaussian_kernel(3, 1, angle=90), kernel.T, atol=1e-12)


def test_motion_blur_is_a_line() -> None:
    np.testing.assert_allclose(motion_kernel(5, 0).sum(1), [0, 0, 0, 1, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(motion_kernel(5, 0)[3], [0, 0.2, 0.2, 0.2, 0.2, 0.2, 0], atol=1e-12)
    np.testing.assert_allclose(motion_kernel(5, 90), motion_kernel(5, 0).T, atol=1e-9)


def test_a_given_kernel_is_correlated_not_convolved() -> None:
    picture = flat(0)
    picture[40, 40] = 255
    values = [[0, 0, 0], [0, 0, 1], [0, 0, 0]]  # looks one to the right, so the point moves one to the left
    assert degraded(picture, {"name": "kernel", "values": values})[40, 39, 0] == 255


@pytest.mark.parametrize(
    "table",
    [
        {"name": "video", "codec": "h264", "quality": 18, "frames": 1},
        {"name": "video", "codec": "mpeg2", "quality": 4, "frames": 1},
        {"name": "chroma_subsampling"},
    ],
    ids=["h264", "mpeg2", "chroma"],
)
def test_video_makes_flat_pictures_no_darker(table: dict[str, Any]) -> None:
    """Cut off instead of rounded, they were half a code darker on the mean, and networks learnt to brighten."""
    values = range(8, 248, 12)
    drift = [float(degraded(flat(value, 32), table).astype(float).mean()) - value for value in values]
    assert abs(float(np.mean(drift))) < 0.2, drift
    assert max(map(abs, drift)) <= 1


def test_ringing_overshoots_at_an_edge_and_keeps_flat_parts() -> None:
    picture = flat(50)
    picture[:, 48:] = 200
    result = degraded(picture, {"name": "ringing", "cutoff": 1.6}).astype(int)
    assert result[:, 48:].max() > 205
    assert result[:, :48].min() < 45
    assert np.abs(result[:, :20] - 50).max() <= 4


def test_sinc_kernel_equals_the_bessel_function() -> None:
    kernel = sinc_kernel(1.2)
    y, x = np.mgrid[-10:11, -10:11]
    r = np.hypot(x, y)
    with np.errstate(invalid="ignore"):
        expected = np.where(r == 0, 1.2**2 / (4 * np.pi), 1.2 * special.j1(1.2 * r) / (2 * np.pi * r))
    np.testing.assert_allclose(kernel, expected / expected.sum(), atol=1e-9)


def test_gaussian_noise_has_its_strength_and_no_mean() -> None:
    noise = degraded(flat(), {"name": "gaussian_noise", "sigma": 10, "gray": 0}).astype(float) - 128
    assert noise.std() == pytest.approx(10, rel=0.03)
    assert abs(noise.mean()) < 0.3
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.05
    gray = degraded(flat(), {"name": "gaussian_noise", "sigma": 10, "gray": 1})
    assert np.array_equal(gray[..., 0], gray[..., 2])


def test_poisson_noise_grows_with_the_root_of_light() -> None:
    table = {"name": "poisson_noise", "photons": 200, "gray": 0}
    for value in (40, 160):
        result = degraded(flat(value), table).astype(float)
        # counts have the variance of their mean: value * 200 / 255 counts, each 255 / 200 code values
        assert result.std() == pytest.approx((value * 255 / 200) ** 0.5, rel=0.05)
        assert result.mean() == pytest.approx(value, abs=0.5)


def test_jpeg_is_pillows(scene: Picture) -> None:
    buffer = io.BytesIO()
    Image.fromarray(scene).save(buffer, "JPEG", quality=40, subsampling="4:2:0")
    np.testing.assert_array_equal(degraded(scene, {"name": "jpeg", "quality": 40}), np.asarray(Image.open(buffer)))


@pytest.mark.parametrize("codec", ["h264", "h265", "mpeg2"])
def test_video_gets_worse_with_its_quantiser_and_repeats_itself(scene: Picture, codec: str) -> None:
    table = {"name": "video", "codec": codec, "frames": 3}
    errors = []
    for quality in (12, 26, 40):
        result = degraded(scene, table | {"quality": quality})
        assert np.array_equal(result, degraded(scene, table | {"quality": quality}))
        errors.append(energy(result.astype(int) - scene))
    assert errors[0] < errors[1] < errors[2]
    assert errors[2] > 1.3 * errors[0]


@pytest.mark.parametrize("codec", ["h264", "h265", "mpeg2"])
@pytest.mark.parametrize("size", [(33, 47), (5, 9)], ids=str)
def test_video_keeps_odd_and_tiny_sizes_and_every_frame(codec: str, size: tuple[int, int]) -> None:
    clip = pan(np.full((*size, 3), 90, np.uint8), 4, 1, 2)
    result = transcode(clip, codec, 20)
    assert [frame.shape for frame in result] == [(*size, 3)] * 4
    assert np.abs(result[-1].astype(int) - 90).max() <= 4


def test_pan_ends_where_the_picture_is(scene: Picture) -> None:
    clip = pan(scene, 3, 2, -1)
    assert np.array_equal(clip[-1], scene)
    # one frame before, everything lies two pixels to the right... of where it is going: the motion is uniform
    assert np.array_equal(clip[1][:-1, 2:], scene[1:, :-2])
    assert np.array_equal(clip[0][:-2, 4:], scene[2:, :-4])


def test_chroma_subsampling_leaves_gray_alone_and_blurs_colour() -> None:
    gray = np.repeat(np.random.default_rng(0).integers(20, 230, (32, 32, 1), np.uint8), 3, 2)
    assert np.abs(degraded(gray, {"name": "chroma_subsampling"}).astype(int) - gray).max() <= 3
    stripes = flat(0, 32)
    stripes[:, ::2, 0] = 255
    assert energy(degraded(stripes, {"name": "chroma_subsampling"}).astype(int) - stripes) > 1000


@pytest.mark.parametrize("scale", [2, 4])
def test_second_order_shrinks_varies_and_repeats(scene: Picture, scale: int) -> None:
    table = {"name": "second_order"}
    results = [degraded(scene, table, scale=scale, seed=seed) for seed in range(6)]
    assert all(r.shape == (80 // scale, 96 // scale, 3) for r in results)
    assert len({r.tobytes() for r in results}) == 6
    assert np.array_equal(results[3], degraded(scene, table, scale=scale, seed=3))
    noise = {
        strength: np.mean(
            [degraded(flat(), table | {"strength": strength}, scale=scale, seed=i).std() for i in range(4)]
        )
        for strength in (0.1, 1.0)
    }
    assert noise[0.1] < noise[1.0] / 2


@pytest.mark.parametrize(
    "option",
    [{"blur": 1}, {"noise": 1.5}, {"resize_range": 1}, {"strength": [0.2, 0.5]}, {"second": [0.1, 0.9]}],
    ids=str,
)
def test_options_of_second_order_are_numbers_or_pairs(scene: Picture, option: dict[str, Any]) -> None:
    results = {degraded(scene, {"name": "second_order"} | option, seed=seed).tobytes() for seed in range(4)}
    assert len(results) == 4


def test_a_probability_is_kept() -> None:
    black = chain({"name": "gaussian_noise", "sigma": 20, "probability": 0.3})
    changed = [not np.array_equal(black(flat(128, 8), np.random.default_rng(i)), flat(128, 8)) for i in range(300)]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.08)


def test_a_chain_is_random_where_a_step_is() -> None:
    assert not chain({"name": "bicubic"}, scale=2).random
    assert chain({"name": "bicubic"}, {"name": "jpeg", "quality": 50}, scale=2).random
    assert chain({"name": "bicubic"}, {"name": "chroma_subsampling", "probability": 0.5}, scale=2).random


def test_a_seeded_chain_draws_anew_for_each_picture_and_the_same_in_each_run() -> None:
    noisy = chain({"name": "gaussian_noise", "sigma": 20})
    first, second = noisy.seeded(1), noisy.seeded(1)
    pictures = [first(flat()) for _ in range(2)]
    assert not np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[1], [second(flat()) for _ in range(2)][1])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"name": "bicubik"}, "recipe.toml: no degradation called 'bicubik': did you mean 'bicubic'?"),
        ({"name": "jpeg"}, "degradation jpeg needs quality = ..."),
        ({"name": "jpeg", "quality": 300}, "quality = 300 is neither a number nor a pair [low, high] between 1 and 95"),
        ({"name": "jpeg", "quality": [80, 20]}, "quality = [80, 20] is neither"),
        ({"name": "jpeg", "quality": 50, "blocks": 8}, "degradation jpeg has no option blocks; there is quality"),
        ({"name": "video", "codec": "vp9"}, "codec = 'vp9' is none of h264, h265, mpeg2"),
        ({"name": "kernel", "values": [[1, 2]]}, "are no kernel"),
        ({"name": "area", "probability": 2}, "probability = 2 of area is not between 0 and 1"),
    ],
)
def test_a_wrong_table_gets_one_line(table: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        chain(table)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_chain_that_does_not_shrink_is_refused(scene: Picture) -> None:
    with pytest.raises(RecipeError, match="one step must shrink by 2"):
        degraded(scene, {"name": "jpeg", "quality": 90}, scale=2)


def test_a_file_of_its_own_is_read(tmp_path: Path, scene: Picture) -> None:
    path = tmp_path / "tape.toml"
    path.write_text('[[degradation]]\nname = "area"\n[[degradation]]\nname = "jpeg"\nquality = 30\n')
    assert read_chain(path, 2)(scene, np.random.default_rng(0)).shape == (40, 48, 3)
    for text, message in (("", "is needed"), ("x = ", "is not TOML")):
        path.write_text(text)
        with pytest.raises(RecipeError, match=message):
            read_chain(path, 2)
    with pytest.raises(RecipeError, match="cannot read"):
        read_chain(tmp_path / "none.toml", 2)


def test_every_registered_step_runs_on_a_plain_picture(scene: Picture, tmp_path: Path) -> None:
    generator = tmp_path / "generator.safetensors"
    write_generator(DegradationGenerator(1, 4), generator, {})
    needed: dict[str, dict[str, Any]] = {
        "jpeg": {"quality": 50},
        "gaussian_blur": {"sigma": 1},
        "motion_blur": {"length": 3},
        "gaussian_noise": {"sigma": 3},
        "poisson_noise": {"photons": 500},
        "kernel": {"values": [[1]]},
        "learned": {"weights": str(generator)},
    }
    specs = Plugins(installed=False).all_named("sr_degradations")
    assert len(specs) == 15
    for spec in specs:
        step = spec.build(1, **needed.get(spec.name, {}))
        first, second = (step(scene.astype(np.float32), np.random.default_rng(seed)) for seed in (0, 1))
        assert first.shape == scene.shape, spec.name
        assert first.dtype == np.float32, spec.name
        assert spec.random or np.array_equal(first, second), spec.name
