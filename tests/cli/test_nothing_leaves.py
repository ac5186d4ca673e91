"""No command looks anything up on a network, and none leaves a file in a home but in our own folders."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

# what OMP and locale need; HOME is an empty folder and nothing else of the user's is seen
PASSED = {"PATH", "LANG", "PYTHONPATH", "LD_LIBRARY_PATH", "TMPDIR"}
NETWORK = ("AF_INET", "AF_INET6")  # with DNS, which asks by UDP; AF_UNIX is who the user is, and workers
COMMANDS = {
    "image-auto": ["image", "{}/in.png", "-o", "{}/out.png", "--model", "tiny"],
    "image-openvino": ["image", "{}/in.png", "-o", "{}/out.png", "--model", "tiny", "--backend", "openvino"],
    "image-onnxruntime": ["image", "{}/in.png", "-o", "{}/out.png", "--model", "tiny", "--backend", "onnxruntime"],
    "video": ["video", "{}/in.mkv", "-o", "{}/out.mkv", "--model", "tiny"],
    "models": ["models"],
    "doctor": ["doctor"],
    "evaluate": ["evaluate", "--data", "{}/set", "--model", "tiny"],
    "export": ["export", "tiny", "-o", "{}/out.onnx"],
    "estimate": ["degradation", "estimate", "{}/in.png", "-o", "{}/out.toml"],
    "adapt": ["adapt", "{}/in.png", "-o", "{}/out.safetensors", "--model", "tiny", "--iterations", "0"],
    "bench": ["bench", "--models", "tiny", "--sizes", "64x48", "--seconds", "0.1"],
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


@pytest.mark.parametrize("name", COMMANDS)
def test_no_look_up_and_no_file_in_the_home(name: str, sources: Path, tmp_path: Path) -> None:
    home, work, log = tmp_path / "home", tmp_path / "work", tmp_path / "calls"
    home.mkdir()
    shutil.copytree(sources, work)
    srp = [sys.executable, "-m", "sr_plugins.cli", *(word.format(work) for word in COMMANDS[name])]
    environment = {key: value for key, value in os.environ.items() if key in PASSED}
    environment |= {"HOME": str(home), "OMP_NUM_THREADS": "1"}
    traced = [*_strace(), "-o", str(log)] if _strace() else []
    done = subprocess.run([*traced, *srp], capture_output=True, text=True, check=False, env=environment, cwd=work)
    assert done.returncode == 0, done.stderr
    left = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    assert {path for path in left if not path.startswith(".cache/sr-plugins/")} == set()
    if not traced:
        pytest.skip("no look-ups were watched: strace is not there, or not allowed")
    calls = log.read_text(errors="replace").splitlines()
    assert [call for call in calls if any(word in call for word in NETWORK)] == []


def _strace() -> list[str]:
    """The command that notes every way to speak to a network; empty where nobody may trace."""
    command = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return command
