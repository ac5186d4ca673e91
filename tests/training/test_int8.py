"""Stages for 8-bit integers, and stages that end before their rates do."""

import os
import re
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_runs import RECIPE, log_of, recipe_file, same_weights

from sr_plugins.errors import RecipeError
from sr_plugins.plugins import plugins
from sr_plugins.training.lettering import lettering
from sr_plugins.training.run.recipe import read_recipe
from sr_plugins.training.run.run_folder import Progress
from sr_plugins.training.run.trainer import train
from sr_plugins.weights.safetensors_files import read_card

INT8 = RECIPE.replace("[[stage]]\niterations = 10", "[[stage]]\nint8 = true\niterations = 10")


def test_a_stage_for_8_bit_integers_leaves_ranges_and_survives_stops(tmp_path: Path, data: Path) -> None:
    recipe = read_recipe(recipe_file(tmp_path, INT8))
    whole = train(recipe, data, tmp_path / "whole", device="cpu")

    def interrupt(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    for _ in range(3):
        parts = train(recipe, data, tmp_path / "parts", device="cpu", resume=True, report=interrupt)
    assert same_weights(whole, parts)
    ranges = load_file(whole)["int8_ranges"]
    assert ranges.shape == (4, 2)  # of four hidden layers
    assert (ranges[:, 1] > 0).all()
    opened = plugins().open_weights(whole)
    assert torch.equal(opened.torch().module.int8_ranges, ranges)  # type: ignore[arg-type]


def test_lettering_has_the_strongest_edges_there_are() -> None:
    letters = lettering(16, 48, 2)
    assert letters.shape == (16, 1, 48, 48)
    assert letters.min() == 0
    assert letters.max() == 1
    assert torch.equal(letters, lettering(16, 48, 2))
    contrast = (letters.amax((1, 2, 3)) - letters.amin((1, 2, 3))) * 255
    assert contrast.min() >= 40  # letters thinner than a pixel lose some of their 60
    assert not torch.equal(letters, lettering(16, 48, 2, seed=1))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[stage]]\niterations = 20", "[[stage]]\nint8 = true\niterations = 20", "is followed by one without"),
        ("patch = 12", "patch = 12\nint8 = 1", "int8 = 1 is neither true nor false"),
        ("iterations = 20", "iterations = 20\nschedule = 10", "schedule = 10 is not a whole number of at least 20"),
    ],
)
def test_stages_that_make_no_sense(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        read_recipe(recipe_file(tmp_path, RECIPE.replace(old, new)))


def test_a_network_that_cannot_be_trained_for_8_bit_integers_is_told(tmp_path: Path, data: Path) -> None:
    recipe = read_recipe(recipe_file(tmp_path, INT8.replace('"tiny"', '"vdsr"')))
    with pytest.raises(RecipeError, match="vdsr x2 cannot be trained for 8-bit integers"):
        train(recipe, data, tmp_path / "run", device="cpu")


def test_a_stage_that_ends_before_its_rates_do_is_the_start_of_the_longer_one(tmp_path: Path, data: Path) -> None:
    stage = RECIPE[: RECIPE.rindex("[[stage]]")]
    long = train(read_recipe(recipe_file(tmp_path, stage)), data, tmp_path / "long", device="cpu")
    cut = stage.replace("iterations = 20", "iterations = 10\nschedule = 20")
    short = train(read_recipe(recipe_file(tmp_path, cut)), data, tmp_path / "short", device="cpu")
    assert (read_card(long)["iterations"], read_card(short)["iterations"]) == (20, 10)
    lines = log_of(tmp_path / "long")
    assert lines[0] | {"seconds": 0, "iterations": 10} == log_of(tmp_path / "short")[0] | {"seconds": 0}
