"""Calls with equal settings share an engine, and each lets it go."""

import gc
import os
import shutil
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from fakes import blur, nearest
from vapoursynth_clips import clip_of, planes_of

from sr_plugins import Upscaler
from sr_plugins.weights.pretrained import pretrained
from vapoursynth_filter import shared_upscalers, upscale

SETTINGS = {"device": "cpu", "backend": "torch", "precision": "float32"}


def lanes() -> int:
    gc.collect()
    return sum(t.name.startswith("sr_plugins-") for t in threading.enumerate())


def test_equal_settings_share_lanes_and_the_last_clip_ends_them() -> None:
    before, clip = lanes(), clip_of(vs.YUV420P8)
    clips = [upscale(clip, "tiny", **SETTINGS) for _ in range(3)]  # type: ignore[arg-type]
    one = lanes() - before
    assert one >= 1
    clips += [upscale(clip, "tiny", planes=0, **SETTINGS), upscale(clip_of(vs.GRAY16), "tiny", **SETTINGS)]  # type: ignore[arg-type]
    assert lanes() == before + one
    expected = planes_of(clips[0].get_frame(0))
    del clips[1:]
    assert lanes() == before + one
    assert all(np.array_equal(a, b) for a, b in zip(planes_of(clips[0].get_frame(0)), expected, strict=True))
    clips.clear()
    assert lanes() == before
    again = upscale(clip, "tiny", **SETTINGS).get_frame(0)  # type: ignore[arg-type]
    assert all(np.array_equal(a, b) for a, b in zip(planes_of(again), expected, strict=True))


@pytest.mark.parametrize("other", [{"scale": 3}, {"tile": 32}, {"batch": 2}, {"self_ensemble": True}, {"width": 60}])
def test_other_settings_have_an_engine_of_their_own(other: dict[str, Any]) -> None:
    before = lanes()
    first = upscale(clip_of(vs.YUV420P8), "tiny", **SETTINGS)  # type: ignore[arg-type]
    one = lanes() - before
    second = upscale(clip_of(vs.YUV420P8), "tiny", **SETTINGS, **other)
    assert lanes() == before + 2 * one
    first.get_frame(0)
    second.get_frame(0)


def test_opened_models_share_if_they_are_one() -> None:
    before, model = lanes(), blur()
    kept = [upscale(clip_of(vs.GRAY8), m, **SETTINGS) for m in (model, model, blur())]  # type: ignore[arg-type]
    one = lanes() - before
    assert len(kept) == 3
    kept.pop()
    assert lanes() - before == one // 2


def test_a_file_that_was_written_anew_is_another_model(tmp_path: Path) -> None:
    path, (tiny, restore) = tmp_path / "mine.safetensors", (pretrained("tiny", 2), pretrained("restore", 2))
    assert tiny is not None
    assert restore is not None
    shutil.copy(tiny, path)
    clip = clip_of(vs.YUV420P8)
    first = upscale(clip, path, **SETTINGS)  # type: ignore[arg-type]
    shutil.copy(restore, path)
    os.utime(path, ns=(1, 1))
    second = upscale(clip, str(path), **SETTINGS)  # type: ignore[arg-type]
    expected = planes_of(upscale(clip, "restore", **SETTINGS).get_frame(0))  # type: ignore[arg-type]
    assert all(np.array_equal(a, b) for a, b in zip(planes_of(second.get_frame(0)), expected, strict=True))
    assert not np.array_equal(planes_of(first.get_frame(0))[0], expected[0])


def test_a_call_that_fails_holds_nothing() -> None:
    before = lanes()
    kept = upscale(clip_of(vs.YUV420P8), nearest(), device="cpu")
    one = lanes() - before
    model = blur()
    for _ in range(2):
        with pytest.raises(vs.Error):
            upscale(clip_of(vs.YUV420P8), model, device="cpu", width=39)
    assert lanes() == before + one
    del kept
    assert lanes() == before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc, which is Linux's")
def test_a_second_clip_costs_at_most_its_frames() -> None:
    """20 MB for a further clip of 640x360; an engine of its own would take 35 by torch, 110 by OpenVINO."""

    def resident() -> float:
        line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    kept, seen = [], []
    for _ in range(4):
        larger = upscale(clip_of(vs.YUV420P8, 640, 360, 4), "tiny", **SETTINGS)  # type: ignore[arg-type]
        for frame in larger.frames(close=True):
            del frame
        kept.append(larger)
        seen.append(resident())
    # the core's own caches grow by leaps at times, and an engine would be in each
    assert sorted(b - a for a, b in pairwise(seen))[1] <= 20, seen


def test_a_clip_is_let_go_while_another_thread_makes_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a clip is collected by a thread that whoever makes the engine waits for: that would wait for ever."""
    before = lanes()
    clip = upscale(clip_of(vs.YUV420P8), "tiny", **SETTINGS)  # type: ignore[arg-type]
    making, go_on = threading.Event(), threading.Event()

    class Slow(Upscaler):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            making.set()
            go_on.wait()
            super().__init__(*arguments, **settings)

    monkeypatch.setattr(shared_upscalers, "Upscaler", Slow)
    made: list[vs.VideoNode] = []
    other = threading.Thread(target=lambda: made.append(upscale(clip_of(vs.GRAY8), "tiny", scale=3, **SETTINGS)))  # type: ignore[arg-type]
    other.start()
    making.wait()
    del clip
    gc.collect()  # returns, though the other thread is not done
    go_on.set()
    other.join()
    made.clear()
    assert lanes() == before
