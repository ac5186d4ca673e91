"""A device, a backend or a target that cannot be is refused before any file is looked at, by every command."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from sr_plugins.cli.main import srp

# What each command needs beside; none of the sources is what its name says, so that a look at one would be told.
COMMANDS = {
    "image": ["image", "in.png", "-o", "out.png"],
    "several": ["image", "in.png", "in.jpg", "-o", "out/"],
    "video": ["video", "in.mkv", "-o", "out.mkv"],
    "preview": ["video", "in.mkv", "--preview", "-o", "out.html"],
    "tune": ["video", "in.mkv", "--tune"],
    "pipe": ["pipe"],
    "evaluate": ["evaluate", "--data", "folder"],
    "demo": ["demo", "-o", "out.png"],
    "bench": ["bench", "--models", "tiny", "--sizes", "16x16"],
    "adapt": ["adapt", "in.png", "-o", "out.safetensors"],
    "learn": ["degradation", "learn", "in.png", "--clean", "folder", "-o", "out.safetensors"],
    "train": ["train", "fast-x2", "--data", "folder", "--out", "run"],
    "queue": ["train", "--queue", "queue.toml", "--data", "folder", "--out", "run"],
    "gimp": ["gimp", "install", "--gimp-dir", "folder"],
}
UPSCALES = ["image", "several", "video", "preview", "tune", "pipe", "evaluate"]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "type[Refused]":
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SR_PLUGINS_BACKEND", raising=False)
    Path("folder").mkdir()
    for name in ("in.png", "in.jpg", "in.mkv", "folder/in.png"):
        Path(name).write_bytes(b"neither picture nor film")
    Path("queue.toml").write_text('[[run]]\nrecipe = "fast-x2.toml"\n')
    return Refused


class Refused:
    """A command line that ended without a trace; ``told`` is what it said."""

    def __init__(self, *words: str) -> None:
        before = sorted(Path.cwd().rglob("*"))
        done: Result = CliRunner().invoke(srp, words, input=b"no stream")
        assert done.exit_code != 0, done.output
        assert done.stdout == ""
        assert sorted(Path.cwd().rglob("*")) == before
        self.told = done.stderr + str(done.exception)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("device", ["gpu", "cuda:77", "meta"])
def test_a_device_that_is_not_here(command: str, device: str, refused: type[Refused]) -> None:
    assert f"device {device!r}" in refused(*COMMANDS[command], "--device", device).told.replace("called ", "")


@pytest.mark.parametrize("command", ["adapt", "learn", "train", "queue"])
def test_training_is_on_one_device(command: str, refused: type[Refused]) -> None:
    assert "training runs on one device" in refused(*COMMANDS[command], "--device", "cpu,cpu").told


@pytest.mark.parametrize("command", UPSCALES)
@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--backend", "opnvino"], "no backend called 'opnvino': did you mean 'openvino'?"),
        (["--backend", "cuda"], "no backend called 'cuda'"),
        (["--model", "fats"], "no model called 'fats': did you mean 'fast'?"),
        (["--model", "tyni"], "no model called 'tyni': did you mean 'tiny'?"),
        (["--model", "gone.pth"], "no weights file at gone.pth"),
        (["--backend", "torch", "--precision", "int8"], "no precision of backend torch on cpu called 'int8'"),
        (["--precision", "float16", "--device", "cpu"], "called 'float16': float16 needs a GPU, there is "),
        (["--backend", "torch", "--precision", "float16", "--device", "cpu"], "float16 needs a GPU, there is "),
        (["--backend", "ort"], "no backend called 'ort': did you mean 'onnxruntime'?"),
        (["--backend", "TRT"], "called 'TRT': TensorRT runs what srp export writes"),
        (["--backend", "pytorch"], "did you mean 'torch'?"),
    ],
)
def test_a_backend_that_is_not_here(command: str, words: list[str], says: str, refused: type[Refused]) -> None:
    assert says in refused(*COMMANDS[command], "--device", "cpu", *words).told


@pytest.mark.parametrize("command", UPSCALES)
def test_a_backend_of_the_environment(command: str, refused: type[Refused], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_PLUGINS_BACKEND", "opnvino")
    assert "did you mean 'openvino'?" in refused(*COMMANDS[command]).told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["image", "in.png", "-o", "y.txt"], ".txt pictures cannot be written"),
        (["image", "in.png", "--format", "txt"], "'txt' is no picture format"),
        (["image", "folder", "-o", "y/", "--format", "txt"], "'txt' is no picture format"),
        (["video", "in.mkv", "-o", "y.txt"], "y.txt: no video container is called 'txt'; .mkv holds everything"),
        (["video", "in.mkv", "-o", "y.srt"], "y.srt: no film fits into 'srt'; .mkv holds everything"),
        (["video", "in.mkv", "-o", "y.png"], "numbered pictures are named y_%05d.png"),
        (["video", "in.mkv", "-o", "y.mkv", "--", "-f", "txt"], "no video container is called 'txt'"),
        (["video", "in.mkv", "--preview", "-o", "y.txt"], "y.txt is no page"),
        (["compare", "in.png", "in.jpg", "-o", "y.txt"], "y.txt is no page"),
        (["demo", "-o", "y.txt"], "its name ends in .png"),
        (["adapt", "in.png", "-o", "y.txt"], "y.txt: weights are written as .safetensors"),
        (["degradation", "learn", "in.png", "--clean", "folder", "-o", "y.txt"], "y.txt: weights are written as"),
        (["degradation", "estimate", "in.png", "-o", "y.txt"], "y.txt: recipes are written as .toml"),
        (["degradation", "estimate", "in.png", "-o", "y.toml", "--plot", "y.txt"], "y.txt: .txt plots cannot be"),
        (["export", "tiny", "-o", "y.txt"], "y.txt does not end in"),
    ],
)
def test_a_target_that_cannot_be_written_by_its_name(words: list[str], says: str, refused: type[Refused]) -> None:
    assert says in refused(*words).told


def test_a_cluster_has_devices_of_its_own(refused: type[Refused]) -> None:
    told = refused("video", "gone.mkv", "-o", "out.mkv", "--jobs", "ray", "--device", "cuda:77").told
    assert "gone.mkv: there is no such file" in told


def test_a_run_that_cannot_begin_leaves_no_folder(refused: type[Refused]) -> None:
    assert "gone is not a folder with pictures" in refused("train", "fast-x2", "--data", "gone").told
    assert "add more" in refused("train", "fast-x2", "--data", "folder", "--out", "runs/of/mine").told


def test_models_on_one_page_are_all_there(refused: type[Refused]) -> None:
    told = refused("video", "in.mkv", "--preview", "--model", "nearest,gone", "-o", "y.html").told
    assert "no model called 'gone'" in told


def test_another_program_is_no_ffmpeg(refused: type[Refused]) -> None:
    other = shutil.which("true")
    assert other is not None
    told = refused("video", "in.mkv", "-o", "y.mkv", "--ffmpeg", other).told
    assert f"{other} is another program than ffmpeg" in told


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "gone"], "gone is not a folder with pictures"),
        (["--data", "folder", "--degradation", "gone.toml"], "gone.toml"),
    ],
)
def test_evaluate_looks_for_its_files_first(
    words: list[str], says: str, refused: type[Refused], monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_early(**options: object) -> None:
        raise AssertionError("an upscaler was made")

    monkeypatch.setattr("sr_plugins.cli.evaluate.make_upscaler", too_early)
    assert says in refused("evaluate", *words).told


# 300 megabytes of addresses: enough for Python and numpy, and not for torch's libraries.
LITTLE = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (300 << 20,) * 2)
from sr_plugins.cli.main import main
sys.argv = ["srp", *sys.argv[1:]]
main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is set by RLIMIT_AS, as Linux means it")
@pytest.mark.parametrize("name", ["image", "video", "evaluate"])
def test_a_library_that_does_not_fit_into_memory_is_told_in_one_line(name: str, refused: "type[Refused]") -> None:
    done = subprocess.run(
        [sys.executable, "-c", LITTLE, *COMMANDS[name]],
        capture_output=True,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("srp: a library cannot be loaded (")
    assert done.stderr.endswith("raise the limit of memory (ulimit -v) if it does not fit, else install it anew\n")
    assert done.stderr.count("\n") == 1
    assert not Path("out.png").exists()
