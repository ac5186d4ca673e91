"""What a person meets first: names that work, hints that fit the installation, a bar that moves."""

import contextlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import warm_python

from sr_plugins.engine.job_queue import JobQueue
from sr_plugins.errors import RecipeError
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.training.run.recipe import find_recipe, read_recipe
from sr_plugins.upscaler import Upscaler
from sr_plugins.weights.open_model import open_model


def test_a_recipe_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_recipe(find_recipe(Path("fast-x2"))).path.name == "fast-x2.toml"
    Path("fast-x2").write_text("mine")
    assert find_recipe(Path("fast-x2")) == Path("fast-x2")  # a file of that name comes first
    with pytest.raises(RecipeError, match="did you mean 'quality-x2'"):
        find_recipe(Path("qualty-x2"))


def test_the_filter_without_vapoursynth_says_what_to_install() -> None:
    code = "import sys; sys.modules['vapoursynth'] = None; import vapoursynth_filter"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert re.search("vapoursynth_filter needs VapourSynth: .*pip install", done.stderr.splitlines()[-1])


def test_what_was_taken_out_has_a_stand_in(caplog: pytest.LogCaptureFixture) -> None:
    assert open_model("perceptual").spec.label == "fast x4"
    assert caplog.messages == ["perceptual was taken out: it drew dotted stitches along edges; fast stands in for it"]


def test_the_bar_moves_within_a_picture() -> None:
    seen: list[tuple[int, int]] = []
    frame = Frame([np.zeros((96, 96), np.uint8)], FrameFormat(family="gray"))
    with Upscaler("tiny", 2, device="cpu", tile=64) as upscaler:
        upscaler.watch_tiles(lambda done, count: seen.append((done, count)))
        upscaler.upscale(frame)
        count = seen[0][1]
        assert count > 1
        assert sorted(seen) == [(n, count) for n in range(1, count + 1)]
        upscaler.watch_tiles(None)
        upscaler.upscale(frame)
        assert len(seen) == count
    assert JobQueue().watch is None


def on_a_terminal(*command: str) -> str:
    """What ``python COMMAND`` writes to a terminal of 100 columns; ``AssertionError`` unless it ends well."""
    ours, its = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = warm_python.start(*command, stdin=its, stdout=its, stderr=its, env=environment)
    os.close(its)
    written = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody has the other end open
        while piece := os.read(ours, 1 << 16):
            written += piece
    os.close(ours)
    assert process.wait(60) == 0, written.decode()
    return written.decode()


def test_the_bar_moves_on_a_terminal(tmp_path: Path) -> None:
    from commands import picture

    source, target = picture(tmp_path / "a[1].png", (160, 96)), tmp_path / "b.png"
    command = ["-m", "sr_plugins.cli", "image", str(source), "-o", str(target), "--model", "tiny"]
    written = on_a_terminal(*command, "--device", "cpu", "--tile", "32")
    shown = [int(share) for share in re.findall(r"(\d+)%", written)]
    assert shown == sorted(shown)
    assert len({share for share in shown if 0 < share < 100}) >= 10
    assert f"{source} 160x96 -> {target} 320x192" in written.replace("\r\n", "")


def test_the_cheaper_way_is_measured() -> None:
    from sr_plugins.video.cheaper import cheaper_model

    with Upscaler("quality", 2, device="cpu", backend="torch") as upscaler:
        found: Any = cheaper_model(upscaler)
    assert found is not None
    assert found[0] in ("realtime", "tiny")
    assert 0 < found[1] < 0.6
    with Upscaler("tiny", 2, device="cpu", backend="torch") as upscaler:
        assert cheaper_model(upscaler) is None
