"""Ctrl-C: the work ends at the next tile, whatever is finished stays, and no number of them aborts the process."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

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


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a terminal")
@pytest.mark.parametrize("times", [1, 8])
def test_an_interrupted_picture_ends_at_the_next_tile(times: int, folder: Path) -> None:
    command = ["image", "a.png", "large.png", "-o", "out/", "--model", "slow", "--tile", "64", "--backend", "torch"]
    process = subprocess.Popen(
        [sys.executable, "-m", "sr_plugins.cli", *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"},
        stderr=subprocess.PIPE,
        text=True,
        # a shell that started pytest in the background made it, and with it its children, deaf to Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stderr is not None
    lines: list[str] = []
    while sum(line == "tile\n" for line in lines) < 4:  # one of the small picture, three of 256 of the large one
        lines.append(process.stderr.readline())
        assert lines[-1], lines
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    with process:  # closes its pipe
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert rest.count("tile") <= 2
    assert "terminate" not in rest
    assert "Traceback" not in rest
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["a.png"]
