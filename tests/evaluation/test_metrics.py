"""Metrics against scikit-image, by hand and by their direction; the protocol on the field's test set."""

import json
import math
import os
import shutil
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import fakes
import numpy as np
import pytest
import torch
import warm_python
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage import metrics as reference

from sr_plugins import Upscaler
from sr_plugins.cli.evaluate import command
from sr_plugins.errors import DataError, PluginError, UnknownNameError
from sr_plugins.evaluation import lpips, stlpips
from sr_plugins.evaluation import quality as evaluation
from sr_plugins.evaluation.flicker import flicker
from sr_plugins.evaluation.niqe import asymmetric_fit, block_features, fit, niqe
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.evaluation.ssim import ms_ssim, ssim
from sr_plugins.interface.metric import MetricSpec
from sr_plugins.pixels import matlab
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.plugins import Plugins
from sr_plugins.training.picture_files import read_rgb
from sr_plugins.weights.safetensors_files import read_card, write_weights

Image8 = NDArray[np.uint8]
SPECS: dict[str, MetricSpec] = {spec.name: spec for spec in Plugins(installed=False).all_named("sr_metrics")}


def textured(side: int = 200, seed: int = 0) -> Image8:
    """Noise with the spectrum of natural pictures, and some edges."""
    rng = np.random.default_rng(seed)
    plane = sum(
        ndimage.zoom(rng.standard_normal((side // s + 1,) * 2), s, order=1)[:side, :side] * s**0.5
        for s in (1, 2, 4, 8, 16, 32)
    )
    plane = plane / np.std(plane) * 40 + 128  # type: ignore[arg-type]
    plane[side // 3 : side // 2, side // 4 :] += 50
    return np.clip(plane, 16, 235).astype(np.uint8)


def noisy(picture: Image8, sigma: float) -> Image8:
    rng = np.random.default_rng(1)
    return np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def blurred(picture: Image8, sigma: float) -> Image8:
    return np.asarray(ndimage.gaussian_filter(picture.astype(float), sigma), np.uint8)


@pytest.mark.parametrize("spoil", [lambda p: noisy(p, 8), lambda p: blurred(p, 1.2), lambda p: 255 - p])
def test_psnr_and_ssim_equal_scikit_image(spoil: Callable[[Image8], Image8]) -> None:
    picture = textured()[:, :170]
    worse = spoil(picture)
    assert psnr(worse, picture) == pytest.approx(
        reference.peak_signal_noise_ratio(picture, worse, data_range=255), abs=1e-4
    )
    expected = reference.structural_similarity(
        picture, worse, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert ssim(worse, picture) == pytest.approx(expected, abs=1e-4)


def test_psnr_by_hand() -> None:
    assert psnr(np.full((4, 4), 10, np.uint8), np.full((4, 4), 15, np.uint8)) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(textured(), textured()) == math.inf


def test_ms_ssim_is_the_product_over_scales() -> None:
    picture = textured(192)
    worse = blurred(noisy(picture, 10), 0.7)
    x, y = worse.astype(float), picture.astype(float)
    expected = 1.0
    for i, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):

        def smooth(plane: NDArray[np.float64]) -> NDArray[np.float64]:
            # truncate 3.5 is scikit-image's choice for a window of 11
            return ndimage.gaussian_filter(plane, 1.5, truncate=3.5)[5:-5, 5:-5]

        mean_x, mean_y = smooth(x), smooth(y)
        covariance = smooth(x * y) - mean_x * mean_y
        variance = smooth(x * x) - mean_x**2 + smooth(y * y) - mean_y**2
        term = (2 * covariance + 58.5225) / (variance + 58.5225)
        if i == 4:
            term = term * (2 * mean_x * mean_y + 6.5025) / (mean_x**2 + mean_y**2 + 6.5025)
        expected *= term.mean() ** weight
        x, y = (p.reshape(p.shape[0] // 2, 2, -1, 2).mean((1, 3)) for p in (x, y))
    assert ms_ssim(worse, picture) == pytest.approx(expected, abs=1e-9)
    assert ms_ssim(picture, picture) == pytest.approx(1)


def test_small_pictures_are_refused_in_words() -> None:
    small = textured(64)
    with pytest.raises(DataError, match="11 x 11 and more, got 8 x 9"):
        ssim(small[:9, :8], small[:9, :8])
    with pytest.raises(DataError, match="176 x 176"):
        ms_ssim(small, small)
    with pytest.raises(DataError, match="192 x 192"):
        niqe(small)


def test_niqe_rises_with_blur_noise_and_blocks(shared_data: Path) -> None:
    picture = matlab.to_luma(read_rgb(shared_data / "benchmark" / "Set5" / "baby.png"))
    clean = niqe(picture)
    assert 2 < clean < 6
    assert clean + 1 < niqe(blurred(picture, 1.5)) < niqe(blurred(picture, 3))
    assert clean + 1 < niqe(noisy(picture, 15)) < niqe(noisy(picture, 40))


@pytest.mark.parametrize("shape", [0.8, 1, 2, 3.5])
def test_the_asymmetric_fit_finds_the_distribution_that_scipy_drew(shape: float) -> None:
    from scipy import stats  # seconds, where tests are collected

    draws = stats.gennorm.rvs(shape, size=200_000, random_state=0)
    lopsided = np.concatenate([draws[draws < 0] * 1.5, draws[draws > 0] * 4])
    # the two halves of the model share one shape and have masses in proportion to their scales
    keep = np.random.default_rng(0).random(len(lopsided)) < np.where(lopsided < 0, 1.5 / 4, 1)
    found = asymmetric_fit(lopsided[keep])
    assert found == pytest.approx((shape, 1.5, 4), rel=0.03)


def test_niqe_looks_at_every_block_of_noise_alike() -> None:
    noise = np.clip(np.random.default_rng(0).normal(128, 20, (200, 300)), 0, 255).astype(np.uint8)
    features, sharpness = block_features(noise)
    assert features.shape == (6, 36)
    assert sharpness == pytest.approx(20, rel=0.15)
    assert features.std(0).max() < 0.2


def test_the_niqe_fit_is_reproducible_and_is_near_its_own_pictures() -> None:
    pictures = [textured(200, seed) for seed in range(8)]
    mean, covariance = fit(pictures)
    again = fit(pictures)
    assert np.array_equal(mean, again[0])
    assert np.array_equal(covariance, again[1])
    assert mean.shape == (36,)
    with pytest.raises(DataError):
        fit([np.full((192, 192), 7, np.uint8)])


def test_flicker_by_hand() -> None:
    still = np.repeat(textured(32)[None], 4, 0).clip(10, 200)
    assert flicker(still, still) == 0
    softer = still + 3
    assert flicker(softer.astype(np.uint8), still) == 0, "an error that stays is no flicker"
    blinking = still.copy()
    blinking[1::2] += 6
    assert flicker(blinking, still) == 6
    moving = np.stack([np.roll(still[0], t, 1) for t in range(4)])
    assert flicker(moving, moving) == 0, "true motion is no flicker"
    with pytest.raises(DataError, match="at least two"):
        flicker(still[:1], still[:1])


def test_lpips_runs_or_says_what_to_install() -> None:
    told = lpips.missing()
    if told is None:
        picture = np.repeat(textured(96)[..., None], 3, 2)
        measure = lpips.build()
        assert measure(picture, picture) == pytest.approx(0, abs=1e-6)
        assert measure(noisy(picture, 30), picture) > 0.05
    else:
        assert "pip install lpips" in told
        with pytest.raises(PluginError, match="pip install lpips"):
            CliRunner().invoke(command, ["--data", ".", "--metrics", "lpips"], catch_exceptions=False)


@pytest.mark.parametrize("size", [(stlpips.LEAST, stlpips.LEAST), (33, 40), (100, 151)])
def test_stlpips_is_its_authors(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision", reason="the authors' own code imports torchvision")
    for unused in ("IPython", "torchsummary"):  # imported there, and for nothing
        module = types.ModuleType(unused)
        module.embed = module.summary = None  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, unused, module)
    authors = pytest.importorskip("stlpips_pytorch.stlpips", reason="stlpips-pytorch is not installed")
    theirs = authors.LPIPS(net="alex", variant="shift_tolerant", verbose=False)
    picture = np.random.default_rng(4).integers(0, 256, (*size, 3), np.uint8)
    darker = (picture * 0.8).astype(np.uint8)
    first, second = (torch.from_numpy(p / 127.5 - 1).float().permute(2, 0, 1)[None] for p in (picture, darker))
    with torch.inference_mode():
        wanted = float(theirs(first, second))
    assert wanted > 1e-4
    measure = stlpips.build()
    assert measure(picture, darker) == pytest.approx(wanted, rel=1e-5)
    assert measure(picture, picture) == 0
    with pytest.raises(DataError, match="at least 21"):
        measure(picture[:20], darker[:20])


def test_stlpips_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stlpips, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(PluginError, match="pip install stlpips-pytorch"):
        CliRunner().invoke(command, ["--data", ".", "--metrics", "stlpips"], catch_exceptions=False)


def test_luma_is_matlabs() -> None:
    colours = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert matlab.to_luma(colours).tolist() == [[16, 235, 81, 145, 41]]
    assert matlab.to_ycbcr(colours)[0].tolist() == [
        [16, 128, 128], [235, 128, 128], [81, 90, 240], [145, 54, 34], [41, 240, 110],
    ]  # fmt: skip
    back = matlab.ycbcr_to_rgb(matlab.to_ycbcr(colours)).astype(int)
    assert np.abs(back - colours).max() <= 2


@pytest.mark.parametrize(
    ("scale", "decibel", "similarity"), [(2, 33.66, 0.9299), (3, 30.39, 0.8682), (4, 28.42, 0.8104)]
)
def test_bicubic_has_the_value_of_the_literature(
    shared_data: Path, scale: int, decibel: float, similarity: float
) -> None:
    folder = shared_data / "benchmark" / "Set5"
    results = evaluation.evaluate({"bicubic": evaluation.bicubic(scale)}, folder, scale, [SPECS["psnr"], SPECS["ssim"]])
    assert results["bicubic"].mean("psnr") == pytest.approx(decibel, abs=0.03)
    assert results["bicubic"].mean("ssim") == pytest.approx(similarity, abs=0.002)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Three small pictures; no low-resolution ones."""
    for i in range(3):
        Image.fromarray(np.repeat(textured(49, i)[..., None], 3, 2)).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.mark.parametrize("channels", ["luma", "rgb"])
def test_a_model_is_measured_through_the_upscaler(photographs: Path, channels: str) -> None:
    done: list[str] = []
    with Upscaler(fakes.nearest(2, channels), device="cpu") as upscaler:  # type: ignore[arg-type]
        ways = {"nearest": evaluation.upscale_with(upscaler)}
        result = evaluation.evaluate(ways, photographs, 2, [SPECS["psnr"], SPECS["flicker"]], done=done.append)[
            "nearest"
        ]
    assert result.names == done == ["0", "1", "2"]
    assert len(result.values["flicker"]) == 1
    low = downscale_bicubic(read_rgb(photographs / "1.png")[:48, :48], 2)
    expected = psnr(
        matlab.to_luma(low).repeat(2, 0).repeat(2, 1)[2:-2, 2:-2],
        matlab.to_luma(read_rgb(photographs / "1.png")[:48, :48])[2:-2, 2:-2],
    )
    assert result.values["psnr"][1] == pytest.approx(expected, abs=1e-9)


def test_psnr_of_colours_equals_scikit_image_and_sees_what_luma_does_not(tmp_path: Path) -> None:
    gray = textured(48)
    high = np.stack((gray, gray, np.roll(gray, 5, 0)), 2)
    Image.fromarray(high).save(tmp_path / "a.png")
    with Upscaler(fakes.nearest(2, "rgb"), device="cpu") as upscaler:
        ways = {"nearest": evaluation.upscale_with(upscaler)}
        result = evaluation.evaluate(ways, tmp_path, 2, [SPECS["psnr"], SPECS["psnr-rgb"]])["nearest"]
    made = downscale_bicubic(high, 2).repeat(2, 0).repeat(2, 1)
    expected = reference.peak_signal_noise_ratio(high[2:-2, 2:-2], made[2:-2, 2:-2], data_range=255)
    assert result.values["psnr-rgb"] == [pytest.approx(expected, abs=1e-9)]
    assert result.values["psnr-rgb"][0] != pytest.approx(result.values["psnr"][0], abs=0.1)


def test_low_resolution_pictures_beside_are_used_and_must_fit(photographs: Path) -> None:
    folder = photographs / "LRx2"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.full((24, 24, 3), 90, np.uint8)).save(folder / f"{i}.png")
    pairs = list(evaluation.picture_pairs(photographs, 2))
    assert all((low == 90).all() and high.shape == (48, 48, 3) for _, low, high in pairs)
    Image.fromarray(np.zeros((25, 24, 3), np.uint8)).save(folder / "1.png")
    with pytest.raises(DataError, match=r"1\.png is 24 x 25: times 2 that is not 48 x 48"):
        list(evaluation.picture_pairs(photographs, 2))
    (folder / "0.png").unlink()
    with pytest.raises(DataError, match=r"0\.png cannot be read"):
        list(evaluation.picture_pairs(photographs, 2))


def weights_file(folder: Path) -> Path:
    spec = Plugins(installed=False).model("tiny", 2)
    path = folder / "mine.safetensors"
    write_weights(path, spec.build(), {"model": "tiny", "scale": 2, "seed": 4})
    return path


def test_the_command_prints_json_and_notes_the_card(photographs: Path, tmp_path: Path) -> None:
    path = weights_file(tmp_path)
    arguments = ["--model", str(path), "--data", str(photographs), "--device", "cpu", "--write-card"]
    outcome = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    told = json.loads(outcome.stdout)
    assert [p["name"] for p in told["results"]["bicubic"]["pictures"]] == ["0", "1", "2"]
    mean = told["results"]["tiny"]["mean"]
    pictures = told["results"]["tiny"]["pictures"]
    assert mean["psnr"] == pytest.approx(np.mean([p["psnr"] for p in pictures]), abs=1e-3)
    card = read_card(path)
    assert card["seed"] == 4
    assert card["metrics"] == {photographs.name: mean}
    # another metric, and another scale, stand beside what was there
    CliRunner().invoke(command, [*arguments, "--metrics", "flicker"], catch_exceptions=False)
    CliRunner().invoke(command, [*arguments, "--metrics", "psnr", "--scale", "3"], catch_exceptions=False)
    metrics = read_card(path)["metrics"]
    assert set(metrics) == {photographs.name, f"{photographs.name} x3"}
    assert set(metrics[photographs.name]) == {"psnr", "ssim", "flicker"}


def test_the_command_prints_a_table_and_degrades_on_request(photographs: Path, tmp_path: Path) -> None:
    path = weights_file(tmp_path)
    chain = tmp_path / "jpeg.toml"
    chain.write_text('[[degradation]]\nname = "bicubic"\n[[degradation]]\nname = "jpeg"\nquality = 20\n')
    arguments = ["--model", str(path), "--data", str(photographs), "--device", "cpu"]
    clean = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert clean.exit_code == 0
    assert "mean" in clean.stdout
    bad = CliRunner().invoke(command, [*arguments, "--degradation", str(chain), "--json"], catch_exceptions=False)
    good = CliRunner().invoke(command, [*arguments, "--json"], catch_exceptions=False)
    psnr_of = [json.loads(o.stdout)["results"]["bicubic"]["mean"]["psnr"] for o in (bad, good)]
    assert psnr_of[0] < psnr_of[1] - 1


def test_a_metric_named_twice_counts_once(photographs: Path) -> None:
    arguments = ["--model", "tiny", "--data", str(photographs), "--device", "cpu", "--json", "--metrics"]
    twice, once = (
        json.loads(CliRunner().invoke(command, [*arguments, names], catch_exceptions=False).stdout)
        for names in ("psnr, psnr,ssim", "psnr,ssim")
    )
    assert twice == once
    assert CliRunner().invoke(command, [*arguments, " ,"]).exit_code == 2


def evaluate_tiny(data: Path, weights: Path) -> subprocess.CompletedProcess[str]:
    """``srp evaluate --write-card`` in the folder of ``weights``, which are the model's."""
    arguments = ["--model", "tiny", "--data", str(data), "--device", "cpu", "--metrics", "psnr", "--write-card"]
    environment = os.environ | {"SR_PLUGINS_WEIGHTS": str(weights.parent)}
    return warm_python.srp("evaluate", *arguments, env=environment, cwd=weights.parent)


def test_the_card_goes_to_the_model_that_was_measured(photographs: Path, tmp_path: Path) -> None:
    path = weights_file(tmp_path).rename(tmp_path / "tiny-x2.safetensors")
    (tmp_path / "tiny").write_text("no weights")  # a file of the model's name in the working folder
    done = evaluate_tiny(photographs, path)
    assert done.returncode == 0, done.stderr
    assert "mean" in done.stdout
    assert set(read_card(path)["metrics"]) == {photographs.name}


def test_weights_that_take_no_card_are_told_before_measuring(tmp_path: Path) -> None:
    path = tmp_path / "tiny-x2.safetensors"
    write_weights(path, Plugins(installed=False).model("tiny", 2).build(), {})
    (tmp_path / "one.png").write_bytes(b"no picture, which is not looked at")
    done = evaluate_tiny(tmp_path, path)
    assert done.returncode == 1
    assert "has no card that names its model and scale" in done.stderr


def test_wrong_requests_are_told(photographs: Path, tmp_path: Path) -> None:
    path = weights_file(tmp_path)
    with pytest.raises(UnknownNameError, match="no metric called 'psrn': did you mean 'psnr'"):
        CliRunner().invoke(command, ["--data", str(photographs), "--metrics", "psrn"], catch_exceptions=False)
    arguments = ["--model", str(path), "--device", "cpu", "--data"]
    with pytest.raises(DataError, match="is not a folder"):
        CliRunner().invoke(command, [*arguments, str(tmp_path / "none")], catch_exceptions=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        CliRunner().invoke(command, [*arguments, str(tmp_path / "empty")], catch_exceptions=False)
    outcome = CliRunner().invoke(command, [*arguments, str(photographs), "--scale", "1.5"])
    assert outcome.exit_code == 2
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(photographs / "other.png")
    with pytest.raises(DataError, match="differ in size"):
        CliRunner().invoke(command, [*arguments, str(photographs), "--metrics", "flicker"], catch_exceptions=False)
    shutil.rmtree(photographs)
