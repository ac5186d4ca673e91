"""A generator learns a hidden degradation from pictures of other things, and its file serves as a recipe's step."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner
from PIL import Image
from scipy import ndimage

from sr_plugins.cli.main import srp
from sr_plugins.errors import DataError, RecipeError, WeightsError
from sr_plugins.estimation.noise import noise_sigma
from sr_plugins.pixels.matlab import downscale_bicubic, to_8bit
from sr_plugins.plugins import plugins
from sr_plugins.training.degradations.chain import build_chain, read_chain
from sr_plugins.training.degradations.generator import DegradationGenerator, PatchDiscriminator, shrunk
from sr_plugins.training.degradations.learned import degrade
from sr_plugins.training.degradations.learning import Learning, learn_degradation, write_generator
from sr_plugins.training.degradations.likeness import traces
from sr_plugins.training.estimation.kernel import estimate_blur
from sr_plugins.training.estimation.source import Rgb, luma
from sr_plugins.training.run.recipe import read_recipe
from sr_plugins.weights.pretrained import PRETRAINED
from sr_plugins.weights.safetensors_files import read_card

NOISE = 5.0
BLUR = 1.9  # pixels of the large picture
SHIPPED = "film-degradation-x2.safetensors"
RECIPE = Path(__file__).parent.parent.parent / "benchmarks" / "old-film-x2.toml"


def hidden(picture: Rgb) -> Rgb:
    """Blur, the mean over 2 x 2 pixels, and noise of its own in every colour."""
    soft = ndimage.gaussian_filter(picture.astype(np.float64), (BLUR, BLUR, 0), mode="nearest")
    small = soft.reshape(soft.shape[0] // 2, 2, soft.shape[1] // 2, 2, 3).mean((1, 3))
    return to_8bit(small + np.random.default_rng(9).normal(0, NOISE, small.shape))


def photographs(*names: str) -> list[Rgb]:
    found = [np.asarray(getattr(skimage.data, name)()) for name in names if name != "motorcycle"]
    found += [np.asarray(skimage.data.stereo_motorcycle()[0])] if "motorcycle" in names else []
    return [picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2] for picture in found]


def step(path: Path | str, scale: int = 2) -> Any:
    return build_chain([{"name": "learned", "weights": str(path)}], scale, Path("recipe.toml"))


@pytest.fixture(scope="module")
def clean() -> list[Rgb]:
    return photographs("astronaut", "coffee")


@pytest.fixture(scope="module")
def target() -> list[Rgb]:
    return [hidden(picture) for picture in photographs("chelsea", "motorcycle")]


@pytest.fixture(scope="module")
def looks() -> list[Learning]:
    return []


@pytest.fixture(scope="module")
def generator(clean: list[Rgb], target: list[Rgb], looks: list[Learning]) -> DegradationGenerator:
    return learn_degradation(clean, target, 2, iterations=150, report=looks.append)


@pytest.fixture(scope="module")
def made(generator: DegradationGenerator, clean: list[Rgb]) -> list[Rgb]:
    return [to_8bit(degrade(generator, p.astype(np.float32), np.random.default_rng(i))) for i, p in enumerate(clean)]


def test_noise_moves_to_that_of_the_target(clean: list[Rgb], made: list[Rgb]) -> None:
    wanted, found, before = (
        float(np.mean([noise_sigma(luma(picture)) for picture in pictures]))
        for pictures in ([hidden(p) for p in clean], made, [downscale_bicubic(p, 2) for p in clean])
    )
    assert wanted == pytest.approx(NOISE * np.sqrt(0.299**2 + 0.587**2 + 0.114**2), rel=0.15)
    assert abs(found - wanted) < 0.35 * wanted
    assert before < 0.5 * wanted


def test_blur_moves_to_that_of_the_target(clean: list[Rgb], made: list[Rgb]) -> None:
    def sigma(pictures: list[Rgb]) -> float:
        blur = estimate_blur([luma(picture) for picture in pictures])
        assert blur is not None
        return float(np.sqrt(np.linalg.det(blur.covariance) ** 0.5))

    before, found, wanted = (
        sigma(pictures) for pictures in ([downscale_bicubic(p, 2) for p in clean], made, [hidden(p) for p in clean])
    )
    assert abs(found - wanted) < 0.5 * abs(before - wanted)


def test_the_traces_move_to_those_of_the_target_and_of_the_truth(
    clean: list[Rgb], target: list[Rgb], made: list[Rgb], looks: list[Learning]
) -> None:
    before = traces([downscale_bicubic(p, 2) for p in clean])
    for wanted in (traces(target), traces([hidden(p) for p in clean])):
        assert traces(made).distance(wanted) < 0.5 * before.distance(wanted)
    assert [look.iteration for look in looks] == sorted(look.iteration for look in looks)
    assert looks[-1].iteration == looks[-1].iterations == 150
    assert looks[-1].best == min(look.distance for look in looks)
    assert all(0 <= look.told_apart <= 1 for look in looks)


def test_the_content_stays(clean: list[Rgb], made: list[Rgb]) -> None:
    for picture, small in zip(clean, made, strict=True):
        plain = downscale_bicubic(picture, 2).astype(np.float64)
        coarse = [ndimage.zoom(ndimage.uniform_filter(p.astype(np.float64), (8, 8, 0)), (0.25, 0.25, 1), order=0)
                  for p in (small, plain)]  # fmt: skip
        assert np.abs(coarse[0] - coarse[1]).mean() < 2.5
        assert np.abs(small.mean((0, 1)) - plain.mean((0, 1))).max() < 3


def test_the_same_seed_learns_the_same(clean: list[Rgb], target: list[Rgb]) -> None:
    first, again, other = (
        learn_degradation(clean, target, 2, iterations=6, seed=seed).state_dict() for seed in (1, 1, 2)
    )
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_before_it_learns_the_generator_is_bicubic_with_a_little_grain(scale: int, clean: list[Rgb]) -> None:
    picture = clean[0][:120, :144]
    untrained = DegradationGenerator(scale, 8).eval()
    x = torch.from_numpy(picture.transpose(2, 0, 1)[None] / np.float32(255))
    noise = torch.randn(1, untrained.noises, 120 // scale, 144 // scale)
    with torch.no_grad():
        plain, grainy = untrained(x, 0 * noise)[0].numpy() * 255, untrained(x, noise)[0].numpy() * 255
    theirs = np.asarray(Image.fromarray(picture).resize((144 // scale, 120 // scale), Image.Resampling.BICUBIC))
    assert np.abs(plain - theirs.transpose(2, 0, 1)).mean() < 1.5
    assert 1 < (grainy - plain).std() < 4


def test_a_linear_part_leaves_flat_pictures_and_can_shift_nothing() -> None:
    untrained = DegradationGenerator(2, 4).eval()
    with torch.no_grad():
        for layer in untrained.layers:
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.zero_()
                assert layer.bias is not None
                layer.bias.zero_()
        untrained.kernel.normal_()
        flat = untrained(torch.full((1, 3, 20, 24), 0.4), torch.zeros(1, 4, 10, 12))
    torch.testing.assert_close(flat, torch.full((1, 3, 10, 12), 0.4))
    with torch.no_grad():  # the four taps in the middle are the four pixels that become one
        untrained.kernel.zero_()
        untrained.kernel[..., 4:6, 4:6] = 1
        x = torch.zeros(1, 3, 24, 24)
        x[:, :, 12:14, 10:12] = 1
        linear = untrained(x, torch.zeros(1, 4, 12, 12)) - shrunk(x, 2)
    assert int(linear[0, 0].argmax()) == 6 * 12 + 5
    torch.testing.assert_close(linear[..., 7, 5], linear[..., 5, 5])
    torch.testing.assert_close(linear[..., 6, 6], linear[..., 6, 4])


def test_the_discriminator_sees_patches_and_faint_grain() -> None:
    discriminator = PatchDiscriminator(4)
    assert discriminator(torch.rand(2, 3, 12, 12)).shape == (2, 1, 1, 1)
    flat = torch.full((1, 3, 32, 32), 0.5)
    with torch.no_grad():
        away = (discriminator(flat + 0.01 * torch.randn_like(flat)) - discriminator(flat)).abs().max()
    assert float(away) > 1e-3


def test_traces_tell_blur_noise_and_how_coarse_it_is(clean: list[Rgb]) -> None:
    plain = [downscale_bicubic(picture, 2) for picture in clean]
    base, rng = traces(plain), np.random.default_rng(0)
    assert base.distance(base) == 0
    soft = traces([to_8bit(ndimage.gaussian_filter(p.astype(float), (1, 1, 0))) for p in plain])
    assert (soft.detail < base.detail).all()
    white = [rng.normal(0, 1, p.shape[:2])[..., None] for p in plain]
    clumps = [ndimage.gaussian_filter(w, (1, 1, 0)) for w in white]
    fine, coarse = (
        traces([to_8bit(p + 6 * n / n.std()) for p, n in zip(plain, noise, strict=True)]) for noise in (white, clumps)
    )
    assert fine.calm[-1] > base.calm[-1] + 6
    assert coarse.calm[-1] < fine.calm[-1] - 6
    assert coarse.calm[0] > fine.calm[0]
    assert base.distance(fine) == fine.distance(base) > 2


def test_a_file_gives_what_the_generator_gave(
    generator: DegradationGenerator, clean: list[Rgb], tmp_path: Path
) -> None:
    path = tmp_path / "mine.safetensors"
    write_generator(generator, path, {"data": "two photographs"})
    picture = clean[1][:101, :77]
    chain = step(path)
    assert chain.random
    found = chain(picture, np.random.default_rng(4))
    assert found.shape == (51, 39, 3)
    expected = to_8bit(degrade(generator, picture.astype(np.float32), np.random.default_rng(4)))
    np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(found, chain(picture, np.random.default_rng(5)))
    assert read_card(path)["data"] == "two photographs"


def test_a_file_is_found_by_name_and_read_anew_when_it_changed(
    clean: list[Rgb], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = clean[0][:64, :64]
    monkeypatch.setenv("SR_PLUGINS_WEIGHTS", str(tmp_path))
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        changed = DegradationGenerator(2, 8)
        torch.nn.init.normal_(changed.clumps)
        write_generator(changed, tmp_path / "old-tape.safetensors", {})
        results.append(step("old-tape.safetensors")(picture, np.random.default_rng(0)))
    assert not np.array_equal(results[0], results[1])


def test_files_that_do_not_serve_are_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    write_generator(DegradationGenerator(3, 4), tmp_path / "three.safetensors", {})
    wrong: list[tuple[Any, str]] = [
        (tmp_path / "none.safetensors", "no learned degradation"),
        (tmp_path / "broken.safetensors", "not a readable safetensors"),
        (tmp_path / "three.safetensors", "shrink by 3, not by 2"),
        (PRETRAINED / "fast-x2.safetensors", "holds no learned degradation"),
    ]
    for path, message in wrong:
        with pytest.raises(RecipeError, match=message) as caught:
            step(path)
        assert "\n" not in str(caught.value)
        assert path.name in str(caught.value)
    with pytest.raises(RecipeError, match="needs weights"):
        build_chain([{"name": "learned"}], 2, Path("recipe.toml"))
    with pytest.raises(RecipeError, match="not a text"):
        build_chain([{"name": "learned", "weights": 3}], 2, Path("recipe.toml"))


def test_pictures_too_small_to_learn_from_are_refused(clean: list[Rgb], target: list[Rgb]) -> None:
    tiny = [np.zeros((20, 500, 3), np.uint8)]
    with pytest.raises(DataError, match="none of the clean pictures has 64 x 64"):
        learn_degradation(tiny, target, 2)
    with pytest.raises(DataError, match="none of the target pictures has 32 x 32"):
        learn_degradation(clean, tiny, 2)
    with pytest.raises(DataError, match="none of the target"):
        learn_degradation(clean, [], 2)


def test_the_command_learns_and_its_file_is_a_step(clean: list[Rgb], target: list[Rgb], tmp_path: Path) -> None:
    folder, small, out = tmp_path / "clean", tmp_path / "small.png", tmp_path / "tape.safetensors"
    folder.mkdir()
    Image.fromarray(clean[0][:200, :200]).save(folder / "one.png")
    Image.fromarray(target[0][:100, :100]).save(small)
    arguments = ["degradation", "learn", str(small), "--clean", str(folder), "-o"]
    more = ["--iterations", "4", "--device", "cpu"]
    done = CliRunner().invoke(srp, [*arguments, str(out), *more], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.strip() == str(out)
    assert "4 / 4" in done.stderr
    (tmp_path / "tape.toml").write_text(f'[[degradation]]\nname = "learned"\nweights = "{out}"\n')
    assert read_chain(tmp_path / "tape.toml", 2)(clean[0][:64, :64], np.random.default_rng(0)).shape == (32, 32, 3)
    failed = CliRunner().invoke(srp, [*arguments, str(tmp_path / "tape.pt"), *more])
    assert isinstance(failed.exception, WeightsError)
    assert "named so" not in str(failed.exception)
    failed = CliRunner().invoke(
        srp, ["degradation", "learn", str(small), "--clean", str(small), "-o", str(out), "--overwrite"]
    )
    assert isinstance(failed.exception, DataError)


def test_the_shipped_example_makes_film_and_has_its_recipe() -> None:
    path = PRETRAINED / SHIPPED
    assert path.stat().st_size < 200_000
    card = read_card(path)
    assert "benchmarks/learned_film.py" in card["data"]
    assert card["license"]
    chain = step(SHIPPED)
    gray = [
        chain(np.full((160, 160, 3), value, np.uint8), np.random.default_rng(0)).astype(float) for value in (30, 128)
    ]
    dark, middle = (g[8:-8, 8:-8] @ [0.299, 0.587, 0.114] for g in gray)
    grain = middle - middle.mean()
    assert 3 < grain.std() < 8
    assert dark.std() < middle.std()
    assert (grain[:, 1:] * grain[:, :-1]).mean() > 0.25 * grain.var()  # coarser than a pixel
    recipe = read_recipe(RECIPE)
    assert recipe.degradation[0] == {"name": "learned", "weights": SHIPPED}
    assert build_chain(recipe.degradation, recipe.scale, recipe.path).random
    assert plugins().model(recipe.model, recipe.scale)
