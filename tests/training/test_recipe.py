"""Recipes: what is read, what is refused, and that every shipped one can be run."""

from pathlib import Path

import pytest

import sr_plugins
from sr_plugins.errors import RecipeError
from sr_plugins.plugins import Plugins
from sr_plugins.training.degradations.chain import build_chain
from sr_plugins.training.losses.weighted_sum import WeightedSum
from sr_plugins.training.run.recipe import Recipe, Stage, read_recipe

SHIPPED = sorted((Path(sr_plugins.__file__).parent / "training" / "recipes").glob("*.toml"))
SMALLEST = """
[model]
name = "tiny"
scale = 2
[[stage]]
iterations = 10
patch = 8
batch = 2
learning_rate = [1e-3, 1e-5]
"""
EARLIER_STAGE = "[[stage]]\niterations = 1\npatch = 8\nbatch = 2\nlearning_rate = [1e-3, 1e-5]\nkeep = 0.5\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def test_the_smallest_recipe_has_sensible_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, SMALLEST)
    stage = Stage(iterations=10, patch=8, batch=2, learning_rate=(1e-3, 1e-5), losses={"l1": 1.0})
    assert read_recipe(path) == Recipe(
        path=path, seed=1, ema=0.999, optimizer="adam", clip_gradient=1.0, validate_every=1000,
        model="tiny", scale=2, start=None, teacher=None, also=(),
        validation=12, sizes=(1.0,), renew=10, description="", degradation=({"name": "bicubic"},), stages=(stage,),
    )  # fmt: skip
    assert read_recipe(path).weights_name == "mine.safetensors"


def test_stages_follow_each_other(tmp_path: Path) -> None:
    second = SMALLEST[SMALLEST.index("[[stage]]") :].replace("10", "5")
    recipe = read_recipe(written(tmp_path, SMALLEST + second))
    assert recipe.iterations == 15
    assert [recipe.stage_at(i) for i in (0, 9, 10, 14)] == [(0, 0), (0, 9), (1, 0), (1, 4)]
    with pytest.raises(IndexError):
        recipe.stage_at(15)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[model]", "colour = 1\n[model]", "unknown key colour; there is clip_gradient"),
        ("[model]", 'optimizer = "sgd"\n[model]', "optimizer = 'sgd' is not one of adam, muon"),
        ("scale = 2", "scale = 2\ndepth = 3", "unknown key model.depth"),
        ("scale = 2", 'scale = "two"', "scale = 'two' is not a whole number"),
        ("scale = 2", "scale = true", "scale = True is not a whole number"),
        ("scale = 2", "scale = 2\nalso = [3]", "model.also = [3] is not a list of scales that divide 2"),
        ("scale = 2", "", "scale is needed"),
        ('name = "tiny"', "name = 3", "name = 3 is not a text"),
        ("patch = 8", "patch = 2", "patch = 2 is not a whole number of at least 4"),
        ("[[stage]]", "[data]\nsizes = [2.0]\n[[stage]]", "data.sizes = [2.0] is not a list of numbers above 0"),
        ("batch = 2", "batch = 2\nworkers = 3", "unknown key stage[0].workers"),
        ("[1e-3, 1e-5]", "1e-3", "stage[0].learning_rate is a pair"),
        ("[[stage]]", "[data]\nvalidation = 0\n[[stage]]", "validation = 0 is not a whole number of at least 1"),
        ("[[stage]]", "[[degradation]]\nquality = 3\n[[stage]]", "each with a name"),
        ("batch = 2", 'batch = 2\nlosses = {l1 = "much"}', "stage[0].losses.l1 is a weight above 0, or a table"),
        ("batch = 2", "batch = 2\nlosses = {l1 = -1.0}", "stage[0].losses.l1 is a weight above 0"),
        ("batch = 2", "batch = 2\nlosses = {}", "stage[0].losses is empty"),
        ("patch = 8", "", "patch is needed"),
        ("[1e-3, 1e-5]", "[1e-3, 0]", "stage[0].learning_rate is a pair [first, last] of numbers above 0"),
        ("[model]", "ema = nan\n[model]", "ema = nan is not a number of at least 0 and below 1"),
        ("[model]", "ema = 1.5\n[model]", "ema = 1.5 is not a number of at least 0 and below 1"),
        ("[model]", "clip_gradient = inf\n[model]", "clip_gradient = inf is not a number"),
        ("[model]", "flat_borders = -1\n[model]", "flat_borders = -1 is not a whole number of at least 0"),
        ("[model]", "clip_gradient = 0\n[model]", "clip_gradient = 0 is not a number"),
        ("batch = 2", "batch = 2\nlosses = {content = {features = 3}}", "stage[0].losses.content is a weight"),
        ("batch = 2", "batch = 2\nteacher = 1.5", "stage[0].teacher = 1.5 is not a number from 0 to 1"),
        ("batch = 2", "batch = 2\nteacher = true", "stage[0].teacher = True is not a number from 0 to 1"),
        ("batch = 2", "batch = 2\nteacher = 0.5", "a stage listens to with teacher = 0.8: give both"),
        ("scale = 2", 'scale = 2\nteacher = "a.safetensors"', "a stage listens to with teacher = 0.8: give both"),
        ("batch = 2", "batch = 2\nkeep = 2", "stage[0].keep = 2 is not a number from 0 to 1"),
        ("[[stage]]", EARLIER_STAGE + "[[stage]]", "keep is of the last stage"),
        ("[[stage]]", "[stage]", "at least one [[stage]] is needed"),
        ("[model]", "[model", "is not TOML"),
    ],
)
def test_a_wrong_key_is_told_in_one_line_with_the_file(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = written(tmp_path, SMALLEST.replace(old, new, 1))
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_recipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read"):
        read_recipe(tmp_path / "none.toml")


def test_every_model_has_its_recipe() -> None:
    names = {f"{spec.name}-x{spec.scale}" for spec in Plugins(installed=False).models() if spec.needs_weights}
    # LapSRN's x2 is the first level of its x4
    assert {path.stem for path in SHIPPED} == names - {"lapsrn-x2"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: p.stem)
def test_a_shipped_recipe_can_be_run(path: Path) -> None:
    recipe = read_recipe(path)
    assert path.stem == f"{recipe.model}-x{recipe.scale}"
    spec = Plugins(installed=False).model(recipe.model, recipe.scale)
    for scale in (recipe.scale, *recipe.also):
        assert build_chain(recipe.degradation, scale, path).scale == scale
    for stage in recipe.stages:
        assert WeightedSum(stage.losses, 1 if spec.channels == "luma" else 3, path).weights
    for weights in (recipe.start, recipe.teacher):
        assert weights is None or weights.removesuffix(".safetensors") in {p.stem for p in SHIPPED}


def documented(page: str) -> str:
    return (Path(sr_plugins.__file__).parent.parent / "docs" / page).read_text()


def test_the_documented_recipe_is_one(tmp_path: Path) -> None:
    text = documented("training.md")
    block = text[text.index("```toml", text.index("## A recipe")) + 7 :]
    recipe = read_recipe(written(tmp_path, block[: block.index("```")]))
    assert (recipe.model, recipe.scale, recipe.stages[0].patch) == ("fast", 2, 48)


@pytest.mark.parametrize(
    ("hook", "page"),
    [("sr_degradations", "training.md"), ("sr_losses", "training.md"), ("sr_metrics", "models.md")],
)
def test_every_name_is_documented(hook: str, page: str) -> None:
    rows = [line.split("|")[1] for line in documented(page).splitlines() if line.startswith("| `")]
    for spec in Plugins(installed=False).all_named(hook):
        assert any(f"`{spec.name}`" in row for row in rows), spec.name


def test_every_model_is_documented() -> None:
    rows = [line.split("|")[1] for line in documented("models.md").splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in row.replace("`", "").replace(" ", "").split(",")} >= {
        spec.name for spec in Plugins(installed=False).models()
    }
