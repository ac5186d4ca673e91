"""Adapting gains where the degradation is another, loses nothing where it is not, and its files run everywhere."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner
from PIL import Image

from sr_plugins import Frame, FrameFormat, LoadedModel, ModelSpec, Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import RecipeError, WeightsError
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.models.corrected_network import CorrectedNetwork
from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.plugins import plugins
from sr_plugins.training.adaptation.adaptation import adapt
from sr_plugins.training.adaptation.children import LEAST, Children, split, with_compression_as_noise
from sr_plugins.training.adaptation.correction_filter import correction_filter
from sr_plugins.training.degradations.blur import filtered, gaussian_kernel
from sr_plugins.training.degradations.chain import build_chain
from sr_plugins.training.estimation.estimation import estimate
from sr_plugins.training.estimation.kernel import gaussian_kernel_of
from sr_plugins.training.estimation.source import Rgb, Source
from sr_plugins.weights.pretrained import load_model
from sr_plugins.weights.safetensors_files import read_card, write_weights

HERE = Path("recipe.toml")
BICUBIC: list[dict[str, Any]] = [{"name": "bicubic"}]


def crop(name: str, side: int = 192) -> Rgb:
    picture = np.asarray(getattr(skimage.data, name)())
    return np.ascontiguousarray(picture[20 : 20 + side, 100 : 100 + side])


def tables_of(sigma: float, noise: float = 0) -> list[dict[str, Any]]:
    """Gaussian blur of this sigma in large pixels, at scale 2."""
    kernel = gaussian_kernel_of(np.eye(2) * sigma**2 / 4, 2)
    steps: list[dict[str, Any]] = [{"name": "kernel", "values": kernel.tolist()}, {"name": "subsample", "factor": 2}]
    return [*steps, {"name": "gaussian_noise", "sigma": noise}] if noise else steps


def degraded(picture: Rgb, tables: list[dict[str, Any]]) -> Rgb:
    return build_chain(tables, 2, HERE)(picture, np.random.default_rng(3))


def enlarged(loaded: LoadedModel, picture: Rgb) -> np.ndarray:
    gray = np.asarray(Image.fromarray(picture).convert("L"))
    with Upscaler(loaded, device="cpu", backend="torch") as upscaler:
        return np.asarray(upscaler.upscale(Frame([gray], FrameFormat(family="gray"))).planes[0])


def quality(loaded: LoadedModel, small: Rgb, truth: Rgb) -> float:
    return psnr(enlarged(loaded, small)[4:-4, 4:-4], np.asarray(Image.fromarray(truth).convert("L"))[4:-4, 4:-4])


@pytest.fixture(scope="module")
def start() -> LoadedModel:
    return load_model(plugins().model("fast", 2))


def test_the_filter_makes_a_picture_look_shrunk_by_bicubic() -> None:
    high = crop("coffee", 256).astype(np.float32)
    kernel = gaussian_kernel_of(np.eye(2) * 1.8**2 / 4, 2)
    small = filtered(high, kernel)[::2, ::2]
    bicubic = downscale_bicubic(high.astype(np.uint8), 2).astype(np.float32)
    taps = correction_filter(kernel, 2, 0.1, float(small.var()))
    assert taps.sum() == pytest.approx(1)
    np.testing.assert_allclose(taps, taps[::-1, ::-1], atol=6e-3)
    inner = np.s_[8:-8, 8:-8]
    before = np.mean((small - bicubic)[inner] ** 2)
    assert np.mean((filtered(small, taps) - bicubic)[inner] ** 2) < 0.55 * before


def test_the_filter_leaves_what_needs_no_correction_and_spares_noise() -> None:
    # the Gaussian nearest to bicubic needs little; noise stronger than the picture makes any filter smooth
    kernel = gaussian_kernel_of(np.eye(2) * 0.14, 2)
    identity = correction_filter(kernel, 2, 1e-3, 1000)
    assert identity[7, 7] > 0.75
    noisy = correction_filter(gaussian_kernel_of(np.eye(2), 2), 2, 900, 1000)
    assert (
        np.square(noisy).sum() < 0.5 * np.square(correction_filter(gaussian_kernel_of(np.eye(2), 2), 2, 1, 1000)).sum()
    )


@pytest.mark.parametrize("name", ["coffee", "astronaut"])
def test_the_filter_alone_gains_where_the_blur_is_stronger(start: LoadedModel, name: str) -> None:
    truth = crop(name)
    small = degraded(truth, tables_of(1.9, noise=1))
    tables = estimate([Source(name, [small], None)]).tables()
    adapted = adapt(start, [small], tables, HERE, iterations=0)
    assert adapted.way == "filter"
    assert adapted.gain > 0.2
    assert quality(adapted.loaded, small, truth) > quality(start, small, truth) + 0.7


def test_training_gains_more_than_the_filter_on_held_out_parts(start: LoadedModel) -> None:
    small = degraded(crop("coffee"), tables_of(1.6))
    filter_only = adapt(start, [small], tables_of(1.6), HERE, iterations=0)
    trained = adapt(start, [small], tables_of(1.6), HERE, iterations=20)
    assert trained.way == "trained"
    assert trained.after > filter_only.after + 0.05
    assert trained.loaded.card["adapted"]["iterations"] == 20


def test_a_clean_bicubic_source_loses_nothing(start: LoadedModel) -> None:
    truth = crop("astronaut")
    small = downscale_bicubic(truth, 2)
    adapted = adapt(start, [small], BICUBIC, HERE, iterations=10)
    assert quality(adapted.loaded, small, truth) > quality(start, small, truth) - 0.05


def test_a_wrong_degradation_is_never_worse_on_held_out_parts(start: LoadedModel) -> None:
    small = downscale_bicubic(crop("coffee"), 2)
    far = {"name": "kernel", "values": gaussian_kernel(6).tolist()}
    adapted = adapt(
        start, [small], [far, {"name": "bicubic"}, {"name": "gaussian_noise", "sigma": 40}], HERE, iterations=2
    )
    assert adapted.after >= adapted.before
    assert adapted.gain >= 0


def test_the_same_seed_gives_the_same_weights(start: LoadedModel) -> None:
    small = degraded(crop("coffee", 160), tables_of(1.6, noise=2))
    first, again, other = (
        adapt(start, [small], tables_of(1.6, noise=2), HERE, iterations=5, seed=seed).loaded.torch().module.state_dict()
        for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize(
    ("picture", "reason"),
    [
        (np.zeros((120, 120, 3), np.uint8), "nothing to learn from"),
        (np.full((16, 16, 3), 90, np.uint8), "too small"),
        (crop("coffee", 16), "too small"),
    ],
    ids=["black", "tiny", "tiny picture"],
)
def test_what_teaches_nothing_leaves_the_model_as_it_is(start: LoadedModel, picture: Rgb, reason: str) -> None:
    adapted = adapt(start, [picture], BICUBIC, HERE, iterations=3)
    assert adapted.way == "unchanged"
    assert reason in adapted.reason
    assert adapted.loaded is start
    assert adapt(start, [], BICUBIC, HERE).reason == "there are no pictures"


def test_pure_noise_is_survived(start: LoadedModel) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    adapted = adapt(start, [noise], estimate([Source("noise", [noise], None)]).tables(), HERE, iterations=2)
    assert adapted.after >= adapted.before


def test_a_recipe_for_another_scale_is_refused(start: LoadedModel) -> None:
    steps = [tables_of(1.5)[0], {"name": "subsample", "factor": 3}]
    with pytest.raises(RecipeError, match="for scale 3"):
        adapt(start, [crop("coffee")], steps, HERE, iterations=0)


def test_networks_without_branches_adapt_too() -> None:
    spec = ModelSpec(name="bicubic", scale=2, channels="luma", build=lambda: BicubicUpsample(2), receptive_radius=2)
    start = LoadedModel(spec, TorchNetwork(spec.build()))
    small = degraded(crop("astronaut"), tables_of(1.8))
    assert adapt(start, [small], tables_of(1.8), HERE, iterations=0).gain > 0.2


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_frames_held_out_are_not_learnt_from(count: int) -> None:
    frames = [np.full((90 + i, 161, 3), i, np.uint8) for i in range(count)]
    for frame in frames:
        frame[..., 0] = np.arange(161)
    training, held_out = split(frames, 2)
    assert training
    assert held_out
    assert all(side % 2 == 0 for part in (*training, *held_out) for side in part.shape[:2])
    seen = {(int(p[0, x, 1]), int(p[0, x, 0])) for p in training for x in range(p.shape[1])}
    kept = {(int(p[0, x, 1]), int(p[0, x, 0])) for p in held_out for x in range(p.shape[1])}
    assert not seen & kept
    assert split([np.zeros((2 * LEAST - 2, 300, 3), np.uint8)], 2) == ([], [])


def test_fresh_children_differ_and_patches_match() -> None:
    chain = build_chain(tables_of(1.2, noise=5), 2, HERE)
    children = Children([crop("coffee", 100)], chain, 2, "luma", 1)
    old = children.pairs[0][0]
    children.renew(0)
    assert np.abs(old.astype(int) - children.pairs[0][0]).max() > 257
    low, high = children.batch(np.random.default_rng(0), 4, 20)
    assert low.shape == (4, 1, 20, 20)
    assert high.shape == (4, 1, 40, 40)
    shrunk = torch.nn.functional.avg_pool2d(high, 2)
    assert (shrunk - low).abs().mean() < 0.05


def test_the_command_writes_weights_that_run_everywhere(tmp_path: Path, start: LoadedModel) -> None:
    small = degraded(crop("coffee", 200), tables_of(1.8))
    picture, weights, recipe = tmp_path / "in.png", tmp_path / "film.safetensors", tmp_path / "found.toml"
    Image.fromarray(small).save(picture)
    run = CliRunner()
    assert run.invoke(srp, ["degradation", "estimate", str(picture), "-o", str(recipe)]).exit_code == 0
    arguments = ["adapt", str(picture), "-o", str(weights), "--degradation", str(recipe), "--iterations", "3"]
    done = run.invoke(srp, [*arguments, "--device", "cpu"], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.strip() == str(weights)
    assert done.stderr.splitlines()[-1].startswith("gained ")

    result = run.invoke(srp, ["image", str(picture), "-o", str(tmp_path / "out.png"), "--model", str(weights)])
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "out.png") as image:
        assert image.size == (200, 200)
    loaded = plugins().open_weights(weights)
    frame = Frame([np.ascontiguousarray(small[..., 1])], FrameFormat(family="gray"))
    whole, tiled = (
        Upscaler(weights, device="cpu", backend="torch", precision="float32", tile=tile).upscale(frame).planes[0]
        for tile in (4096, 48)
    )
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    assert loaded.spec.receptive_radius == start.spec.receptive_radius + 7
    again = run.invoke(srp, ["adapt", str(picture), "-o", str(tmp_path / "b.safetensors"), "--model", str(weights)])
    assert isinstance(again.exception, WeightsError)
    assert "adapted to a source already" in str(again.exception)


def test_nothing_gained_writes_the_model_itself(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((100, 100, 3), np.uint8)).save(tmp_path / "black.png")
    weights = tmp_path / "same.safetensors"
    done = CliRunner().invoke(srp, ["adapt", str(tmp_path / "black.png"), "-o", str(weights), "--iterations", "2"])
    assert done.exit_code == 0, done.output
    assert "nothing gained" in done.stderr
    assert plugins().open_weights(weights).spec.label == "fast x2"


@pytest.mark.parametrize("value", [16, None], ids=["black", "one still"])
def test_a_clip_in_which_nothing_moves_gets_a_clear_answer(tmp_path: Path, value: int | None) -> None:
    clip, weights = tmp_path / "clip.mkv", tmp_path / "clip.safetensors"
    picture = crop("coffee", 96) if value is None else np.full((96, 96, 3), value, np.uint8)
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", 25, options={"qp": "20", "preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        for _ in range(12):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    done = CliRunner().invoke(
        srp, ["adapt", str(clip), "-o", str(weights), "--iterations", "2"], catch_exceptions=False
    )
    assert done.exit_code == 0
    assert done.stderr.splitlines()[-1].startswith("nothing gained" if value else ("gained", "nothing gained"))
    assert "blur: the pictures are too small or too plain to tell" in done.stderr or value is None
    assert plugins().open_weights(weights).spec.scale == 2


def test_a_card_that_makes_no_sense_is_refused(tmp_path: Path, start: LoadedModel) -> None:
    network = CorrectedNetwork(start.torch().module, 5)
    for card, message in (
        ({"model": "fast", "scale": 2, "correction": 4}, "not an odd number"),
        ({"model": "nobody", "scale": 2, "correction": 5}, "not installed"),
        ({"model": "fast", "scale": 2, "correction": 7}, "does not fit"),
    ):
        write_weights(tmp_path / "a.safetensors", network, card)
        with pytest.raises(WeightsError, match=message):
            plugins().open_weights(tmp_path / "a.safetensors")
    assert read_card(tmp_path / "a.safetensors")["correction"] == 7


def test_compression_counts_as_noise_of_its_own_strength_and_conversion_does_not() -> None:
    def sigma(**step: Any) -> float:
        tables = with_compression_as_noise([*BICUBIC, step], [crop("coffee", 96)], HERE)
        assert tables[0] == BICUBIC[0]
        assert all(table["name"] != step["name"] for table in tables)
        return float(tables[1]["sigma"]) if len(tables) > 1 else 0.0

    assert sigma(name="video", codec="h264", quality=[0, 1]) == 0
    assert sigma(name="jpeg", quality=95) == 0
    for name, levels in (("video", (20, 28, 36)), ("jpeg", (80, 50, 20))):
        found = [sigma(name=name, quality=level) for level in levels]
        assert 1 < found[0] < found[1] < found[2] < 20
    assert with_compression_as_noise(BICUBIC, [crop("coffee", 96)], HERE) == BICUBIC
