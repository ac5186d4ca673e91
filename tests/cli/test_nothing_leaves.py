"""No command looks anything up on a network, and none leaves a file in a home but in our own folders."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.timeout(1500)  # the first test that asks runs all commands

# what OMP and locale need; HOME is an empty folder and nothing else of the user's is seen
PASSED = {"PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR"}
NETWORK = ("AF_INET", "AF_INET6")  # with DNS, which asks by UDP; AF_UNIX is who the user is, and workers
Ran = dict[str, tuple[int, list[str], list[str] | None]]
COMMANDS = {
    "image-auto": ["image", "{}/in.png", "-o", "{}/out.png", "--model", "tiny"],
    "image-openvino": ["image", "{}/in.png", "-o", "{}/openvino.png", "--model", "tiny", "--backend", "openvino"],
    "image-onnxruntime": [
        "image",
        "{}/in.png",
        "-o",
        "{}/onnxruntime.png",
        "--model",
        "tiny",
        "--backend",
        "onnxruntime",
    ],
    "video": ["video", "{}/in.mkv", "-o", "{}/out.mkv", "--model", "tiny"],
    "models": ["models"],
    "doctor": ["doctor"],
    "evaluate": ["evaluate", "--data", "{}/set", "--model", "tiny"],
    "export": ["export", "tiny", "-o", "{}/out.onnx"],
    "estimate": ["degradation", "estimate", "{}/in.png", "-o", "{}/out.toml"],
    "adapt": ["adapt", "{}/in.png", "-o", "{}/out.safetensors", "--model", "tiny", "--iterations", "0"],
    "bench": ["bench", "--models", "tiny", "--backends", "torch", "--sizes", "64x48", "--seconds", "0.1"],
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sources")
    picture = Image.effect_noise((64, 48), 60).convert("RGB")
    picture.save(folder / "in.png")
    (folder / "set").mkdir()
    picture.save(folder / "set" / "a.png")
    from sr_plugins.video.ffmpeg_process import find_ffmpeg

    made = [find_ffmpeg(None), "-v", "error", "-f", "lavfi", "-i", "testsrc=s=64x48:d=0.2", str(folder / "in.mkv")]
    subprocess.run(made, check=True)
    return folder


# One process runs them all, in one home: what they import and export once is looked at once. A failed connection to a
# file of the command's name stands in the log where the command begins.
ALL = """
import json, os, socket, sys
from pathlib import Path
from sr_plugins.cli.main import main
for name, words in json.loads(sys.argv[1]).items():
    if name == "doctor":  # image-auto has measured already which backend is the fastest
        os.environ["SR_PLUGINS_BACKEND"] = "torch"
    with socket.socket(socket.AF_UNIX) as mark:
        mark.connect_ex(f"/no such file/{name}")
    sys.argv = ["srp", *words]
    try:
        main()
    except SystemExit as ending:
        status = ending.code
    files = [str(path.relative_to(Path.home())) for path in Path.home().rglob("*") if path.is_file()]
    with Path("told").open("a") as told:
        print(json.dumps([name, status, files]), file=told)
"""


@pytest.fixture(scope="module")
def ran(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """What became of every command: its status, what lay in the home, and how it spoke to others."""
    folder = tmp_path_factory.mktemp("ran")
    home, work, log = folder / "home", folder / "work", folder / "calls"
    home.mkdir()
    shutil.copytree(sources, work)
    commands = json.dumps({name: [word.format(work) for word in words] for name, words in COMMANDS.items()})
    environment = {key: value for key, value in os.environ.items() if key in PASSED}
    environment |= {"HOME": str(home), "OMP_NUM_THREADS": "1"}
    traced = [*_strace(), "-o", str(log)] if _strace() else []
    command = [*traced, sys.executable, "-c", ALL, commands]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=work)
    assert done.returncode == 0, done.stderr
    found: Ran = {}
    for line in (work / "told").read_text().splitlines():
        name, status, files = json.loads(line)
        found[name] = (status, files, [] if traced else None)
    name = ""
    for call in log.read_text(errors="replace").splitlines() if traced else ():
        if "/no such file/" in call:
            name = call.partition("/no such file/")[2].partition('"')[0]
        told = found.setdefault(name, (0, [], []))[2]
        assert told is not None
        told.append(call)
    assert set(found) >= set(COMMANDS), done.stderr
    return found


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_no_look_up_and_no_file_in_the_home(name: str, ran: Ran) -> None:
    """The name that is empty: what is imported before any command."""
    status, left, calls = ran.get(name, (0, [], []))
    assert status == 0
    assert {path for path in left if not path.startswith(".cache/sr-plugins/")} == set()
    if calls is None:
        pytest.skip("no look-ups were watched: strace is not there, or not allowed")
    assert [call for call in calls if any(word in call for word in NETWORK)] == []


def test_looking_up_would_be_seen(tmp_path: Path) -> None:
    if not _strace():
        pytest.skip("strace is not there, or not allowed")
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 53))"
    subprocess.run([*_strace(), "-o", tmp_path / "calls", sys.executable, "-c", code], check=True)
    assert any(NETWORK[0] in call for call in (tmp_path / "calls").read_text().splitlines())


def _strace() -> list[str]:
    """The command that notes every way to speak to a network; empty where nobody may trace."""
    command = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return command
