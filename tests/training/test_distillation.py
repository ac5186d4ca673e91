"""A teacher: its pictures are its network's own, the share of them is what the recipe says, and students follow it."""

from pathlib import Path

import numpy as np
import pytest
from training_runs import NOISY, RECIPE, recipe_file

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.errors import RecipeError
from sr_plugins.training.picture_files import turned
from sr_plugins.training.run.batches import load_pictures
from sr_plugins.training.run.recipe import read_recipe
from sr_plugins.training.run.run_folder import RunFolder
from sr_plugins.training.run.trainer import train

STUDENT = RECIPE.replace("scale = 2", 'scale = 2\nstart = "tiny-x2.safetensors"\nteacher = "tiny-x2.safetensors"')


def taught(share: float) -> str:
    return STUDENT.replace("batch = 4", f"batch = 4\nteacher = {share}").replace("1e-", "1e-9")


def test_the_teachers_pictures_are_its_self_ensemble(tmp_path: Path, data: Path) -> None:
    recipe = read_recipe(recipe_file(tmp_path, taught(0.5)))
    pictures = load_pictures(recipe, data, "luma", 0, "cpu")[0][2]
    assert len(pictures.taught) == len(pictures.pairs) == 4
    with Upscaler("tiny", device="cpu", self_ensemble=True) as upscaler:
        for (low, high), result in zip(pictures.pairs, pictures.taught, strict=True):
            assert result.shape == high.shape
            expected = upscaler.upscale(Frame([low[0]], FrameFormat(family="gray", bits=16))).planes[0]
            assert np.array_equal(result[0], expected)


def test_nobody_waits_for_a_teacher_that_no_stage_will_ask_again(tmp_path: Path, data: Path) -> None:
    recipe = read_recipe(recipe_file(tmp_path, taught(0.5)))
    last = recipe.stages[0].iterations - 1
    assert [len(load_pictures(recipe, data, "luma", i, "cpu")[0][2].taught) for i in (last, last + 1)] == [4, 0]


def test_targets_are_mixed_by_the_share(tmp_path: Path, data: Path) -> None:
    recipe = read_recipe(recipe_file(tmp_path, taught(0.5)))
    pictures = load_pictures(recipe, data, "luma", 0, "cpu")[0][2]
    drawn = pictures.draw(np.random.default_rng(5), 6, 8)
    lows, targets = zip(*(pictures.cut(drawn, 8, share) for share in (0, 0.3, 1)), strict=True)
    assert np.array_equal(lows[0], lows[2])
    np.testing.assert_allclose(targets[1], 0.7 * targets[0] + 0.3 * targets[2], atol=1e-6)
    found = {p.tobytes() for p in targets[2]}  # at the share of 1 they are the teacher's own, wherever they were cut
    everywhere = {
        turned(picture[:, 2 * y : 2 * y + 16, 2 * x : 2 * x + 16].astype(np.float32), turn).tobytes()
        for picture in pictures.taught
        for y in range(25)
        for x in range(25)
        for turn in range(8)
    }
    assert {(p * np.float32(65535)).round().astype(np.float32).tobytes() for p in targets[2]} <= everywhere
    assert len(found) == 6


def test_a_student_that_begins_as_its_teacher_is_near_it_from_the_start(tmp_path: Path, data: Path) -> None:
    losses = {}
    for share in (0.0, 1.0):
        text = taught(share).replace('teacher = "tiny-x2.safetensors"\n', "") if not share else taught(share)
        train(read_recipe(recipe_file(tmp_path, text)), data, tmp_path / f"run{share}", device="cpu")
        losses[share] = next(iter(RunFolder(tmp_path / f"run{share}", resume=True).lines())).loss
    assert losses[1.0] < 0.5 * losses[0.0]  # what is left is what the mean of eight positions changes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (taught(0.5).replace("tiny-x2", "none"), "no weights none.safetensors: looked in"),
        (taught(0.5).replace('teacher = "tiny-x2', 'teacher = "fast-x3'), "fast-x3.safetensors enlarges x3: it cannot"),
        (taught(0.5) + NOISY, "model.teacher needs a degradation that draws nothing at random"),
    ],
)
def test_a_teacher_that_cannot_teach_is_told(tmp_path: Path, data: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        train(read_recipe(recipe_file(tmp_path, text)), data, tmp_path / "run", device="cpu")
    assert message in str(caught.value)
