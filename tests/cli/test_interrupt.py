"""Ctrl-C: the work ends at the next tile, whatever is finished stays, and no number of them aborts the process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import pytest
from PIL import Image
from video_clips import ffmpeg_run, moving
from warm_python import in_foreground

from sr_plugins.cli.stopping import refuse_lost, stoppable

# Each network call notes itself and is interrupted from outside: tiles are counted, not seconds.
MODEL = """
import sys, time
from torch import nn
from sr_plugins import ModelSpec, hookimpl

class Slow(nn.Module):
    def forward(self, x):
        print("tile", file=sys.stderr, flush=True)
        time.sleep(0.5)
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

@hookimpl
def sr_models():
    yield ModelSpec(name="slow", scale=2, channels="luma", build=Slow, receptive_radius=0, needs_weights=False)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "slow_model.py").write_text(MODEL)
    info = tmp_path / "slow_model-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-model\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[sr_plugins]\nslow = slow_model\n")
    Image.effect_noise((1024, 1024), 60).save(tmp_path / "large.png")
    Image.effect_noise((16, 16), 60).save(tmp_path / "a.png")
    return tmp_path


@pytest.fixture
def usual_handlers() -> Iterator[None]:
    """As a shell starts a command in the foreground."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def paths(folder: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}


def until(said: TextIO, line: str, times: int = 1) -> None:
    lines: list[str] = []
    while sum(found == f"{line}\n" for found in lines) < times:
        lines.append(said.readline())
        assert lines[-1], lines


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
@pytest.mark.parametrize(
    ("number", "times", "status"),
    [(signal.SIGINT, 1, 130), (signal.SIGINT, 8, 130), (signal.SIGTERM, 2, 143), (signal.SIGHUP, 1, 129)],
)
def test_an_interrupted_picture_ends_at_the_next_tile(number: int, times: int, status: int, folder: Path) -> None:
    line = "image a.png large.png -o out/ --model slow --tile 64 --backend torch --device cpu"
    with in_foreground("-m", "sr_plugins.cli", *line.split(), cwd=folder, env=paths(folder)) as (process, said):
        until(said, "tile", 4)  # one of the small picture, three of 256 of the large one
        for _ in range(times):
            os.kill(process.pid, number)
            time.sleep(0.05)
        rest = said.read()
        assert process.wait() == status, rest
    assert rest.count("tile") <= 2
    assert "terminate" not in rest
    assert "Traceback" not in rest
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.png"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_what_a_command_started_is_silent_and_gone_after_ctrl_c_in_the_terminal(folder: Path) -> None:
    words = ("-m", "sr_plugins.cli", "bench", "--models", "slow", "--sizes", "64x64", "--backends", "torch")
    with in_foreground(*words, "--device", "cpu", cwd=folder, env=paths(folder)) as (process, said):
        until(said, "tile")  # in the process that measures
        os.killpg(process.pid, signal.SIGINT)
        rest = said.read()  # whoever holds the pipe is gone when it ends
        assert process.wait() == 130, rest
    assert "Traceback" not in rest


def test_an_interrupt_that_a_library_swallows_is_raised_the_next_time(usual_handlers: None) -> None:
    cleaned = False

    def work() -> None:
        nonlocal cleaned
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGINT)  # cleaning up is not interrupted
            cleaned = True

    with pytest.raises(SystemExit) as ending, stoppable():
        work()
    assert cleaned
    assert ending.value.code == 130
    signal.raise_signal(signal.SIGTERM)  # nor is the end of the process


def test_an_error_that_a_library_makes_of_an_interrupt_is_not_told(usual_handlers: None) -> None:
    """As readers of weights do."""

    def work() -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        refuse_lost()

    with pytest.raises(SystemExit) as ending, stoppable():
        work()
    assert ending.value.code == 143
    refuse_lost()  # nobody has asked for the end of what comes later


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_a_pipe_of_nut_that_is_asked_to_end_while_it_waits(tmp_path: Path) -> None:
    """An interrupt within PyAV's reading is taken for the end of the stream, by PyAV."""
    ffmpeg_run(*moving("64x48", 8), "-c:v", "rawvideo", tmp_path / "in.nut")
    stream = (tmp_path / "in.nut").read_bytes()
    words = ["-m", "sr_plugins.cli", "pipe", "--format", "nut", "--model", "nearest", "--device", "cpu"]
    with subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stderr is not None
        try:
            process.stdin.write(stream[: len(stream) // 2])
            process.stdin.flush()
            assert b"NUT says neither range nor matrix" in process.stderr.readline()  # the first frame is through
            time.sleep(1)  # most likely all others are, too, and it waits; it ends alike if it does not
            process.send_signal(signal.SIGTERM)
            rest = process.stderr.read()
            assert process.wait() == 143, rest
        finally:
            process.kill()
    assert b"Traceback" not in rest
    assert b"srp:" not in rest


LATE = """
import os, signal
from sr_plugins.cli.stopping import stoppable
class Late:
    def __del__(self, kill=os.kill, process=os.getpid()):
        kill(process, number)
late = Late()  # taken down with this module, after Python gave up its handlers
with stoppable():
    signal.raise_signal(number)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_while_libraries_are_taken_down_kills_nothing(number: int, folder: Path) -> None:
    with in_foreground("-c", f"number = {int(number)}\n{LATE}", cwd=folder, env=paths(folder)) as (process, said):
        rest = said.read()
        assert process.wait() == 128 + number, rest
    assert rest == ""


INTERRUPTED = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('loaded', flush=True)"


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
@pytest.mark.parametrize("package", ["click", "pluggy"])
def test_an_interrupt_of_the_first_imports_is_silent(package: str, folder: Path, usual_handlers: None) -> None:
    (folder / f"{package}.py").write_text(INTERRUPTED)
    command = [sys.executable, "-m", "sr_plugins.cli", "models"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=paths(folder), check=False)
    assert (found.returncode, found.stdout, found.stderr.strip()) == (130, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
@pytest.mark.parametrize(("package", "loaded"), [("torch", True), ("ncnn", True), ("others", False)])
def test_a_runtime_is_loaded_before_an_interrupt_is_raised(
    package: str, loaded: bool, folder: Path, usual_handlers: None
) -> None:
    """Python's error in the midst of its C++ code aborts the process with its stack."""
    (folder / f"{package}.py").write_text(INTERRUPTED)
    line = f"import time\nfrom sr_plugins.cli.stopping import stoppable\nwith stoppable():\n import {package}"
    waiting = "\n while True: time.sleep(1)"
    command = [sys.executable, "-c", line + waiting]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=paths(folder), check=False)
    assert (found.returncode, found.stdout, found.stderr) == (130, "loaded\n" if loaded else "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_an_interrupt_of_code_that_cannot_raise_is_not_lost(folder: Path, usual_handlers: None) -> None:
    """As importlib's callbacks of weak references: Python tells what they raise, and goes on."""
    line = "class Late:\n def __del__(self): signal.raise_signal(signal.SIGTERM)\nwith stoppable():\n Late()"
    start, waiting = (
        "import signal, time\nfrom sr_plugins.cli.stopping import stoppable\n",
        "\n while True: time.sleep(1)",
    )
    command = [sys.executable, "-c", start + line + waiting]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=paths(folder), check=False)
    assert (found.returncode, found.stdout, found.stderr) == (143, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
def test_an_interrupt_of_code_that_is_a_text_ends_with_the_status(folder: Path, usual_handlers: None) -> None:
    """As a dataclass makes its methods; CPython would kill itself by SIGINT."""
    line = "import signal\nfrom sr_plugins.cli.stopping import stoppable\nwith stoppable():\n exec(text)"
    (folder / "made.py").write_text(f"text = 'signal.raise_signal(signal.SIGTERM)'\n{line}")
    command = [sys.executable, "-m", "made"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=paths(folder), check=False)
    assert (found.returncode, found.stdout, found.stderr) == (143, "", "")


def test_what_others_ignore_or_handle_stays_theirs(usual_handlers: None) -> None:
    heard: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    with stoppable():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
