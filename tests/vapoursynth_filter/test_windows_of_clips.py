"""Models that see neighbouring frames: whichever frame is asked for, and in whatever order, it is the same one."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from fakes import mixing
from shots import LIMITED, film, shots_of
from vapoursynth_clips import clip_of, planes_of

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.interface.words import Cuts
from vapoursynth_filter import upscale

LENGTHS = [4, 1, 5, 2]
WIDE, HIGH = 72, 40


def clip_with(frames: list[Frame], props: Callable[[int], dict[str, Any]] = lambda n: {}) -> vs.VideoNode:
    """A gray clip of these frames."""
    content = lambda n, plane, shape: frames[n].planes[0]  # noqa: E731
    return clip_of(vs.GRAY8, WIDE, HIGH, len(frames), plane_of=content, props=props)


def luma(clip: vs.VideoNode, n: int) -> np.ndarray[Any, Any]:
    with clip.get_frame(n) as frame:
        return planes_of(frame)[0]


@pytest.mark.parametrize("window", [(1, 1), (2, 0), (0, 2), (3, 1), (20, 20)])
def test_any_order_gives_what_the_stream_gives(window: tuple[int, int]) -> None:
    frames = film(LENGTHS, format=LIMITED)
    loaded = mixing(window)
    with Upscaler(loaded, backend="torch") as upscaler:
        expected = [frame.planes[0] for frame in upscaler.stream(frames)]
    numbers = range(len(frames))
    for order in (numbers, reversed(numbers), random.Random(1).sample(numbers, len(frames))):
        clip = upscale(clip_with(frames), loaded, backend="torch")
        for n in order:
            assert np.array_equal(luma(clip, n), expected[n]), n
    trimmed = upscale(clip_with(frames), loaded, backend="torch")[3:9]
    assert np.array_equal(luma(trimmed, 0), expected[3])


def test_all_frames_of_a_window_are_asked_for_at_once_and_no_others() -> None:
    asked: list[int] = []
    source = clip_with(film([9]))

    def noted(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        asked.append(n)
        return f

    clip = upscale(source.std.ModifyFrame(source, noted), mixing((2, 1)), backend="torch")
    del asked[:]
    clip.get_frame(5).close()
    assert set(asked) == {3, 4, 5, 6}


def test_the_last_frame_of_ten_hours_costs_one_window() -> None:
    asked: list[int] = []
    source = vs.core.std.BlankClip(width=WIDE, height=HIGH, format=vs.GRAY8, length=10 * 3600 * 25)

    def noted(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        asked.append(n)
        return f

    clip = upscale(source.std.ModifyFrame(source, noted), mixing((2, 2)), backend="torch")
    last = clip.num_frames - 1
    clip.get_frame(last).close()
    assert set(asked) <= {0, last - 2, last - 1, last}  # 0: looked at when the filter is built


@pytest.mark.parametrize("length", [1, 2, 3])
def test_clips_shorter_than_a_window(length: int) -> None:
    frames = film([length], format=LIMITED)
    with Upscaler(mixing((3, 3)), backend="torch") as upscaler:
        expected = list(upscaler.stream(frames))
    clip = upscale(clip_with(frames), mixing((3, 3)), backend="torch")
    assert [np.array_equal(luma(clip, n), expected[n].planes[0]) for n in range(length)] == [True] * length


def test_properties_overrule_only_where_the_user_says_so() -> None:
    """One shot whose properties speak of a cut before frame 3, and two shots whose properties deny the cut."""
    one, two = film([6], format=LIMITED), film([3, 3], format=LIMITED)

    def at_three(n: int) -> dict[str, Any]:
        return {"_SceneChangePrev": int(n == 3), "_SceneChangeNext": int(n == 2)}

    def nowhere(n: int) -> dict[str, Any]:
        return {"_SceneChangePrev": 0}

    with Upscaler(mixing(), backend="torch") as found, Upscaler(mixing(), backend="torch", cuts="none") as none:
        joined = [frame.planes[0] for frame in found.stream(one)]
        apart = [frame.planes[0] for part in (one[:3], one[3:]) for frame in found.stream(part)]
        across = [frame.planes[0] for frame in none.stream(two)]
        cut = [frame.planes[0] for frame in found.stream(two)]
    told: list[tuple[list[Frame], Callable[[int], dict[str, Any]], Cuts, list[Any]]] = [
        (one, at_three, "auto", joined),
        (one, at_three, "properties", apart),
        (one, lambda n: {"_SceneChangeNext": int(n == 2)}, "properties", apart),
        (one, at_three, "none", joined),
        (two, nowhere, "auto", cut),
        (two, nowhere, "properties", across),
        (two, lambda n: {}, "properties", cut),
    ]
    for frames, props, cuts, expected in told:
        clip = upscale(clip_with(frames, props), mixing(), backend="torch", cuts=cuts)
        assert [np.array_equal(luma(clip, n), expected[n]) for n in range(6)] == [True] * 6, (cuts, props(3))


def test_a_sample_that_is_no_number_stays_with_its_frame() -> None:
    """Whichever frame is asked for first; the others see the nearest frame that they may."""
    gray = FrameFormat(family="gray", bits=32, is_float=True)
    frames = [Frame([f.planes[0].astype(np.float32) / 255], gray) for f in film([7])]
    frames[3].planes[0][9, 9] = np.nan
    with Upscaler(mixing(), backend="torch") as upscaler:
        expected = [*upscaler.stream(frames[:3]), None, *upscaler.stream(frames[4:])]
    for order in (range(7), range(6, -1, -1), (3, 4, 2, 0, 1, 5, 6)):
        source = clip_of(vs.GRAYS, WIDE, HIGH, 7, plane_of=lambda n, plane, shape: frames[n].planes[0])
        clip = upscale(source, mixing(), backend="torch", on_error="copy")
        for n in order:
            with clip.get_frame(n) as frame:
                wanted = expected[n]
                assert ("sr_plugins_error" in frame.props) == (wanted is None), (n, order)
                assert wanted is None or np.array_equal(planes_of(frame)[0], wanted.planes[0]), (n, order)


def test_a_clip_as_long_as_a_clip_can_be() -> None:
    """As players hand it over, who do not know where a film ends."""
    longest = vs.core.std.BlankClip(format=vs.GRAY8, width=16, height=16, length=(1 << 31) - 1, keep=True)
    clip = upscale(longest, mixing((2, 2)), backend="torch")
    assert len(clip) == len(longest)
    assert [clip.get_frame(n).width for n in (0, 1000, len(clip) - 1)] == [32] * 3


def test_what_cannot_be_upscaled_is_nobodys_neighbour() -> None:
    """An interlaced frame fails alone, and those beside it see the nearest frame that they may."""
    frames = film([5], format=LIMITED)
    clip = upscale(
        clip_with(frames, lambda n: {"_FieldBased": 2 if n == 2 else 0}), mixing(), backend="torch", on_error="copy"
    )
    with Upscaler(mixing(), backend="torch") as upscaler:
        expected = [*upscaler.stream(frames[:2]), None, *upscaler.stream(frames[3:])]
    for n, wanted in enumerate(expected):
        with clip.get_frame(n) as frame:
            assert ("sr_plugins_error" in frame.props) == (wanted is None)
        assert wanted is None or np.array_equal(luma(clip, n), wanted.planes[0])


BODY = """
import numpy as np
import vapoursynth as vs
from fakes import mixing
from shots import film
from vapoursynth_filter import upscale

frames = film({lengths!r}, ({width}, {height}))

def shown(n, f):
    g = f.copy()
    np.asarray(g[0])[:] = frames[n].planes[0]
    return g

blank = vs.core.std.BlankClip(format=vs.GRAY8, width={width}, height={height}, length={count})
clip = blank.std.ModifyFrame(blank, shown)
upscale(clip, mixing((2, 1)), device="cpu", backend="torch").set_output()
"""


def test_parts_of_a_clip_by_vspipe_are_the_whole_ones(vspipe: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "script.vpy"
    path.write_text(BODY.format(count=sum(LENGTHS), lengths=LENGTHS, width=WIDE, height=HIGH))

    def made(*options: str) -> bytes:
        command = [str(Path(sys.executable).parent / "vspipe"), *options, str(path), "-"]
        done = subprocess.run(command, env=vspipe, capture_output=True, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    with Upscaler(mixing((2, 1)), device="cpu", backend="torch") as upscaler:
        whole = [frame.planes[0].tobytes() for frame in upscaler.stream(film(LENGTHS, (WIDE, HIGH), format=LIMITED))]
    assert len(whole) == len(shots_of(LENGTHS))
    assert made("-s", "3", "-e", "6") == b"".join(whole[3:7])
