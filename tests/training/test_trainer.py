"""The training loop: it learns, survives interruption, and several processes do the run of one."""

import os
import re
import shutil
import signal
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import warm_python
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import load_file
from training_runs import NOISY, RECIPE, drawings, log_of, recipe_file, same_weights
from warm_python import TRAINING

from sr_plugins.cli.train import command
from sr_plugins.errors import DataError, DeviceError, RecipeError, UnknownModelError
from sr_plugins.plugins import plugins
from sr_plugins.training.run.recipe import read_recipe
from sr_plugins.training.run.run_folder import Progress, RunFolder
from sr_plugins.training.run.trainer import train
from sr_plugins.weights.fitting import load_into
from sr_plugins.weights.safetensors_files import read_card


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has come to its end, to be read and copied."""
    folder = tmp_path_factory.mktemp("finished")
    train(read_recipe(recipe_file(folder)), drawings(folder / "pictures"), folder / "run", device="cpu")
    return folder / "run"


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_50_iterations_on_one_picture_gain_3_db(tmp_path: Path, optimizer: str) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    y, x = np.mgrid[:96, :96]
    ripples = 128 + 50 * np.sin(x * 1.25) + 50 * np.sin((x + y) * 0.85)
    for name in ("a.png", "b.png"):  # one is held out: the same picture
        Image.fromarray(ripples.astype(np.uint8)).save(folder / name)
    stage = "[[stage]]\niterations = 50\npatch = 24\nbatch = 4\nlearning_rate = [2e-3, 1e-4]\n"
    text = f'ema = 0.9\noptimizer = "{optimizer}"\n' + RECIPE[: RECIPE.index("[[stage]]")] + stage
    told: list[Progress] = []
    train(read_recipe(recipe_file(tmp_path, text)), folder, tmp_path / "run", device="cpu", report=told.append)
    first, last = told[0].psnr, told[-1].psnr
    assert first is not None
    assert last is not None
    assert told[-1].iteration == 50
    print("GAIN", optimizer, first, last, told[0].loss, told[-1].loss)
    assert last > first + 3
    assert told[-1].loss < told[0].loss / 2


@pytest.mark.parametrize(
    ("optimizer", "degradation"), [("adam", ""), ("muon", NOISY)], ids=["adam, bicubic", "muon, random"]
)
def test_a_resumed_run_is_the_uninterrupted_run(tmp_path: Path, data: Path, optimizer: str, degradation: str) -> None:
    text = f'optimizer = "{optimizer}"\nflat_borders = 4\n' + RECIPE.replace("[[stage]]", degradation + "[[stage]]", 1)
    recipe = read_recipe(recipe_file(tmp_path, text))
    whole = train(recipe, data, tmp_path / "whole", device="cpu")

    def interrupt(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    for _ in range(3):
        parts = train(recipe, data, tmp_path / "parts", device="cpu", resume=True, report=interrupt)
    lines, expected = log_of(tmp_path / "parts"), log_of(tmp_path / "whole")
    assert [line["iteration"] for line in expected] == [10, 20, 30]
    for key in ("iteration", "psnr"):
        assert {line["iteration"]: line[key] for line in lines} == {line["iteration"]: line[key] for line in expected}
    assert same_weights(whole, parts)


def test_sigterm_saves_and_stops_soon(tmp_path: Path, data: Path) -> None:
    recipe = read_recipe(recipe_file(tmp_path))
    before = signal.getsignal(signal.SIGTERM)
    weights = train(recipe, data, tmp_path / "run", device="cpu", report=lambda p: os.kill(os.getpid(), signal.SIGTERM))
    assert signal.getsignal(signal.SIGTERM) == before
    card = read_card(weights)
    assert 10 < card["iterations"] <= 20
    assert card["of_iterations"] == 30


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGHUP")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_the_command_says_how_far_it_came_and_how_to_go_on(
    number: int, status: int, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, add = tmp_path / "run", RunFolder.add

    def interrupted(run: RunFolder, line: Progress) -> None:
        add(run, line)
        os.kill(os.getpid(), number)

    arguments = [str(recipe_file(tmp_path)), "--data", str(data), "--out", str(out), "--device", "cpu"]
    before = signal.signal(number, signal.SIG_DFL)  # whoever began the tests may have had it ignored
    try:
        with monkeypatch.context() as patched:
            patched.setattr(RunFolder, "add", interrupted)
            done = CliRunner().invoke(command, arguments)
    finally:
        signal.signal(number, before)
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("srp: "))
    assert done.exit_code == status
    assert line == f"srp: stopped after {log_of(out)[-1]['iteration']} of 30 iterations: --resume goes on"
    done = CliRunner().invoke(command, [*arguments, "--resume"])
    assert (done.exit_code, done.stdout) == (0, f"{out / 'mine.safetensors'}\n")
    assert "stopped" not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGHUP")
def test_signals_that_are_ignored_stay_so(tmp_path: Path, data: Path) -> None:
    told: list[int] = []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        weights = train(
            read_recipe(recipe_file(tmp_path)),
            data,
            tmp_path / "run",
            device="cpu",
            report=lambda p: os.kill(os.getpid(), signal.SIGHUP),
            stopped=told.append,
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (read_card(weights)["iterations"], told) == (30, [])


def test_the_run_leaves_weights_with_a_card_a_log_and_a_plot(finished: Path) -> None:
    weights = finished / "mine.safetensors"
    card = read_card(weights)
    expected = {
        "model": "tiny", "scale": 2, "license": "MIT", "data": "drawings made by the test", "pictures": 4, "seed": 3,
        "degradation": [{"name": "bicubic"}], "losses": [{"l1": 1.0}, {"l2": 1.0}], "iterations": 30,
        "of_iterations": 30, "recipe": "mine.toml", "metrics": {},
    }  # fmt: skip
    assert {key: card[key] for key in expected} == expected
    assert card["architecture"].startswith("post-upsampling")
    assert 10 < card["validation_psnr"] < 60
    load_into(plugins().model("tiny", 2).build(), load_file(weights), weights)
    assert len(log_of(finished)) == 3
    with Image.open(finished / "curve.png") as plot:
        assert plot.size == (800, 450)
        assert len(set(plot.convert("RGB").get_flattened_data())) > 20


@pytest.mark.parametrize(("precision", "other"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_a_resumed_run_keeps_its_precision(tmp_path: Path, data: Path, precision: str, other: str) -> None:
    recipe = read_recipe(recipe_file(tmp_path))
    whole = train(recipe, data, tmp_path / "whole", device="cpu", precision=precision)

    def interrupt(progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    train(recipe, data, tmp_path / "parts", device="cpu", precision=precision, report=interrupt)
    parts = train(recipe, data, tmp_path / "parts", device="cpu", resume=True)  # auto, whatever is faster here
    assert same_weights(whole, parts)
    assert read_card(parts)["precision"] == precision
    assert not same_weights(whole, train(recipe, data, tmp_path / "other", device="cpu", precision=other))


def test_a_run_is_not_overwritten_by_accident(tmp_path: Path, data: Path, finished: Path) -> None:
    recipe = read_recipe(recipe_file(tmp_path))
    shutil.copytree(finished, tmp_path / "run")
    with pytest.raises(RecipeError, match="already holds a run: add --resume"):
        train(recipe, data, tmp_path / "run", device="cpu")
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"half a checkpoint")
    with pytest.raises(RecipeError, match="cannot be read, remove it"):
        train(recipe, data, tmp_path / "run", device="cpu", resume=True)


def test_a_cut_log_line_is_dropped(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, resume=False)
    for i in (10, 20, 30):
        run.add(Progress(i, 40, 0.5, 30.0, 1.0))
    with run.log.open("a") as file:
        file.write('{"iteration": 4')
    run.forget_after(20)
    assert [line.iteration for line in run.lines()] == [10, 20]


def test_weights_to_start_from(tmp_path: Path, data: Path, finished: Path) -> None:
    first = shutil.copytree(finished, tmp_path / "first") / "mine.safetensors"
    text = RECIPE.replace("scale = 2", f'scale = 2\nstart = "{first.relative_to(tmp_path)}"').replace("1e-", "1e-9")
    second = train(read_recipe(recipe_file(tmp_path, text)), data, tmp_path / "second", device="cpu")
    a, b = load_file(first), load_file(second)
    for key, value in a.items():
        torch.testing.assert_close(b[key], value, rtol=1e-3, atol=1e-5)
    with pytest.raises(RecipeError, match=r"no weights none\.safetensors: looked in"):
        train(read_recipe(recipe_file(tmp_path, RECIPE.replace("scale = 2", 'scale = 2\nstart = "none.safetensors"'))),
              data, tmp_path / "third", device="cpu")  # fmt: skip
    other = RECIPE.replace("scale = 2", f'scale = 2\nstart = "{first.relative_to(tmp_path)}"')
    with pytest.raises(RecipeError, match="fits edsr x2"):
        train(read_recipe(recipe_file(tmp_path, other.replace('"tiny"', '"edsr"'))), data, tmp_path / "4", device="cpu")


def test_some_of_the_weights_before_the_last_stage_are_kept(tmp_path: Path, data: Path, finished: Path) -> None:
    """Also where a stop within that stage is gone on from."""
    first = RECIPE[: RECIPE.rindex("[[stage]]")]
    before = load_file(train(read_recipe(recipe_file(tmp_path, first)), data, tmp_path / "first", device="cpu"))
    after = load_file(finished / "mine.safetensors")
    text = RECIPE.replace("losses = { l2", "keep = 0.25\nlosses = { l2").replace(
        "validate_every = 10", "validate_every = 5"
    )
    recipe = read_recipe(recipe_file(tmp_path, text))

    def interrupt(progress: Progress) -> None:
        if progress.iteration == 25:
            os.kill(os.getpid(), signal.SIGTERM)

    train(recipe, data, tmp_path / "kept", device="cpu", report=interrupt)
    kept = load_file(train(recipe, data, tmp_path / "kept", device="cpu", resume=True))
    for name, tensor in kept.items():
        if name.endswith(".weight"):  # flat colours are taken off a bias afterwards
            assert (after[name] - before[name]).abs().max() > 1e-5
            torch.testing.assert_close(tensor, 0.25 * before[name] + 0.75 * after[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["vdsr", "edsr", "dbpn", "lapsrn"])
def test_every_shape_trains(tmp_path: Path, data: Path, name: str) -> None:
    scale = 4 if name == "lapsrn" else 2
    text = RECIPE.replace('"tiny"', f'"{name}"').replace("scale = 2", f"scale = {scale}")
    if name == "lapsrn":
        text = text.replace("scale = 4", "scale = 4\nalso = [2]").replace("patch = 12", "patch = 8")
    text = text.replace("iterations = 20", "iterations = 4").replace("iterations = 10", "iterations = 2")
    weights = train(read_recipe(recipe_file(tmp_path, text)), data, tmp_path / "run", device="cpu")
    spec = plugins().model(name, scale)
    load_into(spec.build(), load_file(weights), weights)
    fresh = spec.build().state_dict()
    assert list(load_file(weights)) == sorted(fresh)


def test_adversarial_training_resumes_with_its_discriminator(tmp_path: Path, data: Path) -> None:
    losses = "losses = { l1 = 1.0, content = 0.5, texture = 0.1, adversarial = { weight = 0.1, features = 8 } }"
    text = RECIPE.replace("losses = { l1 = 1.0 }", losses).replace("patch = 8", "patch = 12")
    recipe = read_recipe(recipe_file(tmp_path, text))
    whole = train(recipe, data, tmp_path / "whole", device="cpu")
    told: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        told.append(progress)
        if len(told) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    for _ in range(2):
        parts = train(recipe, data, tmp_path / "parts", device="cpu", resume=True, report=interrupt)
    assert same_weights(whole, parts)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, data: Path) -> None:
    text = RECIPE.replace("[1e-3, 1e-4]", "[1e30, 1e30]").replace("seed = 3", "seed = 3\nclip_gradient = 1e30")
    with pytest.raises(DataError, match="not finite near iteration"):
        train(read_recipe(recipe_file(tmp_path, text)), data, tmp_path / "run", device="cpu")


def test_weights_out_of_bounds_are_not_saved_and_the_told_cure_helps(tmp_path: Path, data: Path) -> None:
    run, short = tmp_path / "run", RECIPE[: RECIPE.index("[[stage]]")] + RECIPE[RECIPE.rindex("[[stage]]") :]
    text = short.replace("iterations = 10", "iterations = 1").replace("[1e-4, 1e-5]", "[1e30, 1e30]")
    with pytest.raises(DataError, match="weights have left all bounds at iteration 1: lower the learning rate"):
        train(read_recipe(recipe_file(tmp_path, text)), data, run, device="cpu")
    assert not list(run.glob("*.safetensors"))
    read_card(train(read_recipe(recipe_file(tmp_path, short)), data, run, device="cpu", resume=True))


@pytest.mark.parametrize("every", [7, 15])
def test_validation_comes_when_it_is_asked_for(tmp_path: Path, data: Path, every: int) -> None:
    recipe = read_recipe(recipe_file(tmp_path, re.sub(r"validate_every = \d+", f"validate_every = {every}", RECIPE)))
    train(recipe, data, tmp_path / "run", device="cpu")
    assert [line["iteration"] for line in log_of(tmp_path / "run")] == sorted({*range(every, 31, every), 20, 30})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"tiny"', '"fast"', "is of a run of tiny x2 with adam, not of fast x2 with adam: name another folder"),
        ("seed = 3", 'seed = 3\noptimizer = "muon"', "not of tiny x2 with muon"),
        ("iterations = 20", "iterations = 5", "has done 30 iterations of 15"),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, data: Path, finished: Path, old: str, new: str, message: str
) -> None:
    shutil.copytree(finished, tmp_path / "run")
    other = read_recipe(recipe_file(tmp_path, RECIPE.replace(old, new)))
    with pytest.raises(RecipeError, match=message):
        train(other, data, tmp_path / "run", device="cpu", resume=True)


def test_a_foreign_checkpoint_is_refused(tmp_path: Path, data: Path) -> None:
    (tmp_path / "run").mkdir()
    torch.save({"epoch": 3}, tmp_path / "run" / "checkpoint.pt")
    with pytest.raises(RecipeError, match=r"checkpoint\.pt is of another run"):
        train(read_recipe(recipe_file(tmp_path)), data, tmp_path / "run", device="cpu", resume=True)


@pytest.mark.parametrize(
    ("old", "new", "kind", "message"),
    [
        ('"tiny"', '"tny"', UnknownModelError, "no model called 'tny': did you mean 'tiny'"),
        ("l1 = 1.0", "l7 = 1.0", RecipeError, "no loss called 'l7'"),
        ("[[stage]]", '[[degradation]]\nname = "bicubi"\n[[stage]]', RecipeError, "no degradation called 'bicubi'"),
        ("patch = 8", "patch = 200", DataError, "none of 4 pictures can be used"),
        ("scale = 2", "scale = 4\nalso = [2]", RecipeError, "fast x4 has no smaller scales inside"),
        ("l1 = 1.0", 'charbonnier = { weight = 1.0, epsilon = "x" }', RecipeError, "epsilon = 'x' is not a number"),
        ("l1 = 1.0", "adversarial = { weight = 0.1, features = 0 }", RecipeError, "features = 0 is not a whole number"),
        ("l1 = 1.0", 'adversarial = { weight = 0.1, matching = "x" }', RecipeError, "matching = 'x' is not a number"),
    ],
)
def test_what_cannot_be_run_is_told(
    tmp_path: Path, data: Path, old: str, new: str, kind: type[Exception], message: str
) -> None:
    text = RECIPE.replace(old, new, 1).replace('"tiny"\nscale = 4', '"fast"\nscale = 4')
    with pytest.raises(kind, match=message):
        train(read_recipe(recipe_file(tmp_path, text)), data, tmp_path / "run", device="cpu")


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there(tmp_path: Path, data: Path, device: str) -> None:
    with pytest.raises(DeviceError, match=device):
        train(read_recipe(recipe_file(tmp_path)), data, tmp_path / "run", device=device)


def test_the_command_trains_and_goes_on(tmp_path: Path, data: Path) -> None:
    path, run = recipe_file(tmp_path), tmp_path / "run"
    arguments = [str(path), "--data", str(data), "--out", str(run), "--device", "cpu"]
    first = CliRunner().invoke(command, [*arguments, "--minutes", "0.0001"], catch_exceptions=False)
    assert first.exit_code == 0
    assert first.stdout.strip() == str(run / "mine.safetensors")
    assert read_card(run / "mine.safetensors")["iterations"] == 10
    second = CliRunner().invoke(command, [*arguments, "--resume"], catch_exceptions=False)
    assert "30 / 30  loss" in second.stderr
    assert read_card(run / "mine.safetensors")["iterations"] == 30


def test_two_processes_do_the_run_of_one(tmp_path: Path, data: Path) -> None:
    text = RECIPE.replace("iterations = 20", "iterations = 3").replace("iterations = 10", "iterations = 2")
    recipe = read_recipe(recipe_file(tmp_path, text))
    alone = load_file(train(recipe, data, tmp_path / "alone", device="cpu"))
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom sr_plugins.training.run.recipe import read_recipe\n"
        "from sr_plugins.training.run.trainer import train\n"
        "train(read_recipe(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3]), device='cpu')\n"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # what torchrun sets for the processes it starts
    world = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    arguments = (script, recipe.path, data, tmp_path / "together")
    with Path(os.devnull).open("r+") as nothing:
        silent, ranks = nothing.fileno(), [os.environ | world | {"RANK": str(rank)} for rank in range(2)]
        started = [
            warm_python.start(*arguments, stdin=silent, stdout=silent, env=environment, imports=TRAINING)
            for environment in ranks
        ]
    assert [process.wait(120) for process in started] == [0, 0]
    together = load_file(tmp_path / "together" / "mine.safetensors")
    torch.manual_seed(recipe.seed)
    spec = plugins().model("tiny", 2)
    assert spec.build_for_training is not None
    begun = spec.build_for_training().fold().state_dict()  # type: ignore[operator]
    moved = sum((alone[k] - begun[k]).abs().mean() for k in alone)
    apart = sum((alone[k] - together[k]).abs().mean() for k in alone)
    assert apart < 0.02 * moved, "they differ by rounding, not by what they learn"
    assert len(log_of(tmp_path / "together")) == len(log_of(tmp_path / "alone"))
