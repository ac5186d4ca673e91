"""A queue of runs: killed at random moments it ends with the same weights; what is wrong is told before any work."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import warm_python
from click.testing import CliRunner
from safetensors.torch import load_file
from training_runs import NOISY, RECIPE
from warm_python import TRAINING

from sr_plugins.cli.train import command
from sr_plugins.errors import RecipeError
from sr_plugins.training.run.queue import read_queue, run_queue
from sr_plugins.training.run.run_folder import RunFolder
from sr_plugins.weights.safetensors_files import read_card

QUEUE = '[[run]]\nrecipe = "first.toml"\n[[run]]\nrecipe = "second.toml"\n'
CHECKPOINTS_ALWAYS = (
    "import sys; from pathlib import Path; from sr_plugins.training.run import queue, trainer; trainer.SAVE_EVERY = 0; "
    "queue.run_queue(*map(Path, sys.argv[1:]), device='cpu')"
)
KILLS = 3


@pytest.fixture
def queue(tmp_path: Path) -> Path:
    """Two runs, the second of which begins where the first ends."""
    noisy = RECIPE.replace("[[stage]]", NOISY + "[[stage]]", 1)
    (tmp_path / "first.toml").write_text('optimizer = "muon"\n' + noisy)
    (tmp_path / "second.toml").write_text(RECIPE.replace("scale = 2", 'scale = 2\nstart = "first.safetensors"'))
    path = tmp_path / "queue.toml"
    path.write_text(QUEUE)
    return path


def bytes_of(weights: Path) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(weights).items()}


def lines_of(folder: Path) -> list[tuple[int, float, float | None]]:
    """The log without the time."""
    return [(line.iteration, line.loss, line.psnr) for line in RunFolder(folder, resume=True).lines()]


def told(weights: Path) -> dict[str, object]:
    """The card without the time that it took."""
    return {key: value for key, value in read_card(weights).items() if key != "seconds"}


def test_killed_at_random_moments_it_ends_with_the_same_weights(tmp_path: Path, queue: Path, data: Path) -> None:
    first = tmp_path / "first.toml"
    first.write_text(first.read_text().replace("iterations = 20", "iterations = 30"))
    whole = run_queue(queue, data, tmp_path / "whole", device="cpu")
    assert [run.recipe.path.stem for run in whole] == ["first", "second"]
    out = tmp_path / "parts"
    arguments = ("-c", CHECKPOINTS_ALWAYS, queue, data, out)
    chance = random.Random(1)
    for _ in range(KILLS):
        before = checkpoints(out)
        with Path(os.devnull).open("r+") as nothing:
            process = warm_python.start(*arguments, stdin=nothing.fileno(), stdout=nothing.fileno(), imports=TRAINING)
        while process.poll() is None and checkpoints(out) == before:
            time.sleep(0.01)  # until it has got further than the one before
        time.sleep(chance.random() / 4)
        process.kill()
        process.wait()
    assert warm_python.python(*arguments, imports=TRAINING).returncode == 0
    assert [run.done for run in read_queue(queue, data, out)] == [True, True]
    for run in whole:
        parts = out / run.recipe.path.stem
        assert bytes_of(parts / run.weights.name) == bytes_of(run.weights)
        assert told(parts / run.weights.name) == told(run.weights)
        assert lines_of(parts) == lines_of(run.folder)
        assert {p.name for p in parts.iterdir() if not p.name.startswith(".")} == {p.name for p in run.folder.iterdir()}


def checkpoints(out: Path) -> list[int]:
    return [path.stat().st_mtime_ns for path in sorted(out.glob("*/checkpoint.pt"))]


def test_a_signal_stops_it_and_what_is_done_stays(tmp_path: Path, queue: Path, data: Path) -> None:
    out = tmp_path / "runs"
    told: list[int] = []
    done = run_queue(
        queue,
        data,
        out,
        device="cpu",
        report=lambda run, p: os.kill(os.getpid(), signal.SIGTERM),
        stopped=told.append,
    )
    assert (done, told) == ([], [signal.SIGTERM])
    assert not (out / "second").exists()
    done = run_queue(queue, data, out, device="cpu")
    assert [run.weights.name for run in done] == ["first.safetensors", "second.safetensors"]
    kept = [(run.weights.stat().st_mtime_ns, run.weights.read_bytes()) for run in done]
    again = run_queue(queue, data, out, device="cpu")
    assert [(run.weights.stat().st_mtime_ns, run.weights.read_bytes()) for run in again] == kept


def test_the_command_runs_it_on_one_core_at_the_lowest_priority(tmp_path: Path, queue: Path, data: Path) -> None:
    code = (
        "import os, sys, torch; from sr_plugins.cli import train\n"
        "torch.set_num_threads(2)\n"
        "train._report = lambda *_: print(torch.get_num_threads(), os.getpriority(os.PRIO_PROCESS, 0))\n"
        "train.command(sys.argv[1:])"
    )
    arguments = ["--queue", str(queue), "--data", str(data), "--out", str(tmp_path / "runs")]
    done = warm_python.python("-c", code, *arguments, imports=TRAINING)
    assert done.returncode == 0, done.stderr
    *seen, first, second = done.stdout.splitlines()
    assert set(seen) == {"1 19"}
    assert [Path(first).name, Path(second).name] == ["first.safetensors", "second.safetensors"]


def test_a_run_that_fails_is_told_and_the_next_is_tried(tmp_path: Path, queue: Path, data: Path) -> None:
    (tmp_path / "second.toml").write_text(RECIPE)
    (tmp_path / "few").mkdir()
    queue.write_text(QUEUE.replace('"first.toml"', '"first.toml"\ndata = "few"'))
    with pytest.raises(RecipeError, match=r"not finished: first\.toml \(.*few"):
        run_queue(queue, data, tmp_path / "runs", device="cpu")
    assert (tmp_path / "runs" / "second" / "second.safetensors").is_file()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"queue\.toml: a list of tables \[\[run\]\] is needed"),
        ("[[run]]\n", "names no recipe"),
        ('[[run]]\nrecipe = "third.toml"\n', r"cannot read .*third\.toml"),
        ("[[run]]\nrecipe = 3\n", "recipe = 3 is not a path"),
        (QUEUE + "priority = 1\n", r"unknown key run\.priority; there is data, out, recipe"),
        (QUEUE + '[[run]]\nrecipe = "first.toml"\n', "two runs would share the folder"),
    ],
)
def test_what_is_wrong_is_told_before_work(tmp_path: Path, queue: Path, data: Path, text: str, message: str) -> None:
    queue.write_text(text)
    with pytest.raises(RecipeError, match=message):
        run_queue(queue, data, tmp_path / "runs", device="cpu")
    assert not (tmp_path / "runs").exists()


def test_what_a_queue_names(tmp_path: Path, queue: Path, data: Path) -> None:
    queue.write_text('data = "own"\n' + QUEUE + 'data = "other"\nout = "far/away"\n[[run]]\nrecipe = "tiny-x2.toml"\n')
    first, second, shipped = read_queue(queue, out=tmp_path / "runs")
    assert (first.data, second.data, shipped.data) == (tmp_path / "own", tmp_path / "other", tmp_path / "own")
    assert (first.folder, second.folder) == (tmp_path / "runs" / "first", tmp_path / "far" / "away")
    assert shipped.recipe.path.parent.name == "recipes"
    assert shipped.recipe.places == (first.folder, second.folder)
    assert read_queue(queue, data)[0].data == data
    queue.write_text(QUEUE)
    with pytest.raises(RecipeError, match=r"first\.toml has no pictures"):
        read_queue(queue)


def test_the_queue_is_run_by_one_process(tmp_path: Path, queue: Path, data: Path) -> None:
    messages = []

    def second_start(*_: object) -> None:
        with pytest.raises(RecipeError, match="is being run by another process") as caught:
            run_queue(queue, data, tmp_path / "runs", device="cpu")
        messages.append(caught.value)

    run_queue(queue, data, tmp_path / "runs", device="cpu", report=second_start)
    assert messages


def test_the_command_wants_a_recipe_or_a_queue(tmp_path: Path, queue: Path) -> None:
    run = CliRunner().invoke
    for arguments in ([], ["a.toml", "--queue", str(queue)]):
        assert "either a RECIPE or --queue" in run(command, arguments).output
    assert "--data is missing" in run(command, [str(tmp_path / "first.toml")]).output
