"""What the VapourSynth filter leaves behind: crashes, the last clip gone, scripts loaded again, memory over time."""

import gc
import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import vapoursynth as vs
from fakes import Nearest, blur, model_of, nearest
from torch import Tensor
from vapoursynth_clips import clip_of
from warm_python import python

import sr_plugins
from vapoursynth_filter import upscale
from vapoursynth_filter.__main__ import SCRIPT


def workers() -> int:
    gc.collect()
    return sum(t.name.startswith("sr_plugins-") for t in threading.enumerate())


class Crash(Nearest):
    """Fails on a frame that is all 77."""

    def forward(self, x: Tensor) -> Tensor:
        if bool((x[:, 0, 0, 0] * 255).round().eq(77).any()):
            raise ZeroDivisionError("the model has a bug")
        return super().forward(x)


def test_a_crash_in_the_model_names_the_frame_and_frees_the_device() -> None:
    def run() -> None:
        clip = clip_of(vs.GRAY8, 4, 4, 90, plane_of=lambda n, i, shape: np.full(shape, n, np.uint8))
        clip = clip.std.SetFrameProps(_Range=vs.RANGE_FULL)
        larger = upscale(clip, model_of(Crash), device="cpu", batch=4)
        with pytest.raises(
            vs.Error, match=r"sr_plugins: frame 77: model crash x2 .*ZeroDivisionError: the model has a bug"
        ):
            for _ in larger.frames():
                pass

    before = workers()
    for _ in range(2):  # the second time as a script that is loaded again
        run()
        assert workers() == before


def test_device_is_freed_with_the_last_clip_that_needs_it() -> None:
    before = workers()
    larger = upscale(clip_of(vs.GRAY8), blur(), device="cpu")
    cropped = larger.std.CropRel(left=2)
    larger.get_frame(0)
    del larger
    assert workers() == before + 1
    cropped.get_frame(0)
    del cropped
    assert workers() == before


def test_nothing_is_kept_when_building_fails() -> None:
    before = workers()
    with pytest.raises(vs.Error):
        upscale(clip_of(vs.YUV420P8, 26), nearest(), width=39)  # told when the upscaler is there already
    assert workers() == before


# Previewers keep one process and make a new environment for each load of a script.
RELOAD = """
import threading
import vapoursynth as vs

class Policy(vs.EnvironmentPolicy):
    current = None
    def on_policy_registered(self, api): self.api = api
    def on_policy_cleared(self): pass
    def get_current_environment(self): return self.current
    def set_environment(self, environment):
        before, self.current = self.current, environment
        return before
    def is_alive(self, environment): return environment is not None

policy = Policy()
vs.register_policy(policy)
kept = []
for load in range(3):
    data = policy.api.create_environment()
    environment = policy.api.wrap_environment(data)
    with environment.use():
        from fakes import blur
        from vapoursynth_filter import upscale
        larger = upscale(vs.core.std.BlankClip(format=vs.YUV420P8, width=32, height=16, length=4), blur(), device="cpu")
        assert larger.get_frame(load).width == 64
        running = [t for t in threading.enumerate() if t.name.startswith("sr_plugins-")]
        assert len(running) == 1, running
        kept.append(larger)  # as an editor that has not let go yet
    policy.api.destroy_environment(data)
    assert not any(t.is_alive() for t in running)
print("reloaded")
"""


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    path = [str(Path(__file__).parent.parent), str(Path(sr_plugins.__file__).parent.parent)]
    code = f"import sys; sys.path[:0] = {path}\n{code}"
    return python("-c", code, timeout=120, whole_end=True)


def test_script_reloads_in_one_process_and_each_load_frees_its_device() -> None:
    done = run_python(RELOAD)
    assert (done.returncode, done.stdout) == (0, "reloaded\n"), done.stderr


def test_import_touches_no_core() -> None:
    """Editors set their own policy first; an import that asks for the core would take that away."""
    done = run_python("import vapoursynth as vs, vapoursynth_filter; print(vs.has_policy())")
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc, which is Linux's")
def test_memory_is_flat_over_1000_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without trimming the heap this grows by some 0.15 MB a frame: fragments, not objects."""
    monkeypatch.setattr("vapoursynth_filter.pool.TRIM_BYTES", 32 << 20)
    larger = upscale(clip_of(vs.RGBS, 96, 64, 1000, plane_of=lambda n, i, shape: np.full(shape, 0.5)), nearest())
    resident = []
    for n, frame in enumerate(larger.frames(close=True)):
        if n % 50 == 49:
            resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        del frame
    assert max(resident[10:]) - max(resident[:10]) < 40e6, [round(r / 1e6) for r in resident]


def test_example_script_is_valid_and_uses_the_filter(capsys: pytest.CaptureFixture[str]) -> None:
    compile(SCRIPT, "upscale.vpy", "exec")
    done = run_python("import runpy; runpy.run_module('vapoursynth_filter', run_name='__main__')")
    assert (done.returncode, done.stdout, done.stderr) == (0, SCRIPT, "")


def test_torch_threads_are_left_as_they_are() -> None:
    before = torch.get_num_threads()
    upscale(clip_of(vs.GRAY8), nearest()).get_frame(0)
    assert torch.get_num_threads() == before
