"""Pictures in memory, the batches cut from them, and what is said about bad ones."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.errors import DataError
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.training.degradations.chain import build_chain
from sr_plugins.training.estimation.source import read_source
from sr_plugins.training.picture_files import list_pictures, read_rgb, to_channels
from sr_plugins.training.run.batches import Batches, load_pictures
from sr_plugins.training.run.pictures import Pictures
from sr_plugins.training.run.recipe import Recipe, read_recipe

RECIPE = """
[model]
name = "tiny"
scale = 2
[data]
validation = 1
renew = 2
[[degradation]]
name = "bicubic"
[[degradation]]
name = "gaussian_noise"
sigma = [0, 20]
[[stage]]
iterations = 40
patch = 8
batch = 4
learning_rate = [1e-3, 1e-5]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(5):
        pixels = np.random.default_rng(i).integers(0, 256, (48, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE)
    return read_recipe(path)


def every_second(picture: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    return picture[::2, ::2]


def test_luma_is_full_range_bt601() -> None:
    colours = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    luma = to_channels(colours, "luma")[0, 0] / 65535
    np.testing.assert_allclose(luma, [0.299, 0.587, 0.114, 1], atol=1e-4)
    assert np.array_equal(to_channels(colours, "rgb")[0, 0], [65535, 0, 0, 65535])


def test_low_and_high_patches_lie_over_each_other(folder: Path) -> None:
    pictures = Pictures(list_pictures(folder), 2, "rgb", every_second, seed=1, least=16)
    low, high = pictures.cut(pictures.draw(np.random.default_rng(0), 64, 6), 6)
    assert low.shape == (64, 3, 6, 6)
    assert high.shape == (64, 3, 12, 12)
    # whatever the flip, each low-resolution pixel is one of the four it covers: always the same one of a patch
    covered = high.reshape(64, 3, 6, 2, 6, 2).transpose(0, 3, 5, 1, 2, 4)
    same = (covered == low[:, None, None]).all((3, 4, 5))
    assert (same.sum((1, 2)) == 1).all()
    assert same.any(0).all(), "all flips occur"


def test_shares_of_a_batch_make_the_whole(folder: Path) -> None:
    pictures = Pictures(list_pictures(folder), 2, "luma", every_second, seed=1, least=16)
    drawn = pictures.draw(np.random.default_rng(5), 6, 8)
    whole = pictures.cut(drawn, 8)
    shares = [pictures.cut(drawn[rank::2], 8) for rank in range(2)]
    for part in (0, 1):
        assert np.array_equal(whole[part][0::2], shares[0][part])
        assert np.array_equal(whole[part][1::2], shares[1][part])


def test_a_device_cuts_the_same_patches(folder: Path) -> None:
    pictures = Pictures(list_pictures(folder), 2, "rgb", every_second, seed=1, least=16)
    pictures.taught = [high[:, ::-1] for _, high in pictures.pairs]
    copy = pictures.copied_to(torch.device("cpu"))
    drawn = pictures.draw(np.random.default_rng(5), 64, 7)
    assert len({tuple(turn) for turn in drawn[:, 3:].tolist()}) == 8
    for teacher in (0.0, 0.3):
        for expected, found in zip(pictures.cut(drawn, 7, teacher), copy.cut(drawn, 7, teacher), strict=True):
            np.testing.assert_allclose(found.numpy(), expected, atol=2e-7 if teacher else 0)
    before = copy.cut(drawn, 7)[0]
    pictures.put(1, 65535 - pictures.pairs[1][0])
    low = copy.cut(drawn, 7)[0]
    assert np.array_equal(low.numpy(), pictures.cut(drawn, 7)[0])
    assert torch.equal(low[drawn[:, 0] != 1], before[drawn[:, 0] != 1])


def test_pictures_in_several_sizes(folder: Path) -> None:
    paths = list_pictures(folder)
    whole = Pictures(paths, 2, "luma", every_second, seed=1, least=16)
    both = Pictures(paths, 2, "luma", every_second, seed=1, least=16, sizes=(1.0, 0.5))
    for own, kept in zip(whole.pairs, both.pairs, strict=False):
        assert np.array_equal(own[1], kept[1])
    for (_, path, size), (low, high) in zip(both.sources, both.pairs, strict=True):
        assert high.shape[1:] == tuple(2 * side for side in low.shape[1:])
        picture = downscale_bicubic(np.asarray(Image.open(path).convert("RGB")), 2)
        if size == 0.5:  # an outside way to half the size; roundings in between differ
            expected = to_channels(picture[: high.shape[1], : high.shape[2]], "luma")
            assert np.abs(high.astype(int) - expected).max() <= 2 * 257
    assert {size for _, _, size in both.sources} == {1.0, 0.5}


def test_bad_pictures_are_skipped_by_name(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "0.png").write_bytes(b"this is no picture")
    (folder / "1.png").write_bytes((folder / "2.png").read_bytes()[:300])
    Image.new("RGB", (40, 9)).save(folder / "3.png")
    Image.new("L", (33, 35), 100).save(folder / "gray.png")
    (folder / "notes.txt").write_text("not looked at")
    with caplog.at_level(logging.WARNING):
        pictures = Pictures(list_pictures(folder), 2, "luma", every_second, seed=1, least=16)
    assert [path.name for _, path, _ in pictures.sources] == ["2.png", "4.png", "gray.png"]
    assert pictures.pairs[2][1].shape == (1, 34, 32)
    told = caplog.text
    assert "0.png cannot be read" in told
    assert "1.png cannot be read" in told
    assert "3.png is 40 x 8, smaller than a patch (16)" in told


def test_a_folder_without_use_is_refused(tmp_path: Path, folder: Path, recipe: Recipe) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        list_pictures(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        list_pictures(tmp_path / "empty")
    with pytest.raises(DataError, match="none of 5 pictures can be used"):
        Pictures(list_pictures(folder), 2, "luma", every_second, seed=1, least=100)
    with pytest.raises(DataError, match="5 pictures, and 5 are for validation"):
        load_pictures(replace(recipe, validation=5), folder, "luma", 0)


def drawn(recipe: Recipe, folder: Path, start: int, count: int) -> list[NDArray[np.float32]]:
    sets, _ = load_pictures(recipe, folder, "luma", start)
    batches = Batches(recipe, sets, start)
    found = [batches.get() for _ in range(count)]
    batches.close()
    return [np.concatenate([low.numpy().ravel(), high.numpy().ravel()]) for _, low, high in found]


def test_batches_are_the_same_after_a_resume(folder: Path, recipe: Recipe) -> None:
    through = drawn(recipe, folder, 0, 30)
    for start in (1, 9, 17):
        resumed = drawn(recipe, folder, start, 30 - start)
        assert all(np.array_equal(a, b) for a, b in zip(through[start:], resumed, strict=True))


def test_a_random_degradation_is_drawn_anew(folder: Path, recipe: Recipe) -> None:
    sets, _ = load_pictures(recipe, folder, "luma", 0)
    before = [low.copy() for low, _ in sets[2].pairs]
    batches = Batches(recipe, sets, 0)
    for _ in range(20):
        batches.get()
    batches.close()
    # 20 iterations and a renewal every 2: each of the 4 pictures had at least two fresh copies
    assert all(not np.array_equal(a, b) for a, (b, _) in zip(before, sets[2].pairs, strict=True))


def test_scales_take_turns_at_one_size_of_the_target(folder: Path, recipe: Recipe) -> None:
    both = replace(recipe, scale=4, also=(2,), stages=(replace(recipe.stages[0], patch=4),))
    sets, validation = load_pictures(both, folder, "luma", 0)
    batches = Batches(both, sets, 0)
    found = [batches.get() for _ in range(4)]
    batches.close()
    assert [(scale, low.shape[-1], high.shape[-1]) for scale, low, high in found] == [(4, 4, 16), (2, 8, 16)] * 2
    assert validation.scale == 4


def test_gray_of_sixteen_bits_is_the_picture_and_not_white(tmp_path: Path) -> None:
    ramp = np.arange(0, 65536, 16, np.uint16).reshape(64, 64)
    for name in ("a.png", "a.tiff"):
        Image.fromarray(ramp).save(tmp_path / name)
        for picture in (read_rgb(tmp_path / name), read_source(tmp_path / name).frames[0]):
            assert picture.shape == (64, 64, 3)
            assert np.abs(picture - ramp[..., None] / 257).max() <= 0.5
    Image.fromarray(ramp.astype(np.float32) / 65535).save(tmp_path / "float.tiff")
    with pytest.raises(DataError, match=r"float\.tiff has samples of 32 bits"):
        read_rgb(tmp_path / "float.tiff")


def broken_chunk(path: Path) -> None:
    """Spoil the name of the chunk after the header, on which Pillow raises ``SyntaxError``."""
    content = bytearray(path.read_bytes())
    content[37:41] = b"\0\0\0\0"
    path.write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [lambda p: p.write_bytes(b""), lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 50), broken_chunk],
)
def test_a_damaged_picture_is_an_error_of_ours(folder: Path, spoil: Callable[[Path], object]) -> None:
    spoil(folder / "0.png")
    with pytest.raises(DataError, match=r"0\.png cannot be read"):
        read_rgb(folder / "0.png")


def test_a_chain_serves_as_the_degradation(folder: Path) -> None:
    chain = build_chain([{"name": "bicubic"}], 2, folder / "r.toml")
    pictures = Pictures(list_pictures(folder), 2, "rgb", chain, seed=1, least=16)
    assert [low.shape for low, _ in pictures.pairs] == [(3, 24, 20)] * 5
