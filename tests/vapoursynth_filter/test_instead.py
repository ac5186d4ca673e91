"""``on_error="copy"``: a night's job goes on, and says which frames were not upscaled."""

import gc
import logging
import time
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from fakes import Nearest, model_of, nearest
from torch import Tensor
from vapoursynth_clips import clip_of, planes_of

from sr_plugins import LoadedModel
from vapoursynth_filter import upscale

LENGTH, BAD = 8, 5
SIZE = 64, 48


class Crash(Nearest):
    """Fails on a frame that begins with 77."""

    def forward(self, x: Tensor) -> Tensor:
        if bool((x[:, 0, 0, 0] * 255).round().eq(77).any()):
            raise ZeroDivisionError("the model has a bug")
        return super().forward(x)


def spoilt(clip: vs.VideoNode, value: float, plane: int = 0) -> vs.VideoNode:
    def spoil(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        g = f.copy()
        if n == BAD:
            np.asarray(g[plane])[0, 0] = value
        return g

    return clip.std.ModifyFrame(clip, spoil)


def with_alpha(alpha: int) -> vs.VideoNode:
    clip, mask = clip_of(vs.RGB24, *SIZE, LENGTH), clip_of(alpha, *SIZE, LENGTH)
    return clip[:BAD] + clip[BAD].std.ClipToProp(mask[BAD], prop="_Alpha") + clip[BAD + 1 :]


def with_props(**props: Any) -> vs.VideoNode:
    return clip_of(vs.YUV420P8, *SIZE, LENGTH, props=lambda n: props if n == BAD else {"_Matrix": 1})


CASES: list[tuple[Any, LoadedModel, str]] = [
    (lambda: spoilt(clip_of(vs.GRAYS, *SIZE, LENGTH), np.nan), nearest(), "not a number or infinite"),
    (lambda: spoilt(clip_of(vs.YUV444PS, *SIZE, LENGTH), np.inf, 2), nearest(), "not a number or infinite"),
    (lambda: spoilt(clip_of(vs.YUV420PH, *SIZE, LENGTH), np.nan, 1), nearest(), "not a number or infinite"),
    (lambda: with_props(_FieldBased=2), nearest(), "interlaced"),
    (lambda: with_props(_Matrix=3), nearest(channels="rgb"), "matrix 3 is not supported"),
    (lambda: with_props(_Range=7), nearest(), "_Range property is 7"),
    (lambda: with_alpha(vs.GRAY16), nearest(), "its _Alpha frame is Gray16"),
    (
        lambda: spoilt(clip_of(vs.GRAY8, *SIZE, LENGTH, props=lambda n: {"_Range": vs.RANGE_FULL}), 77),
        model_of(Crash),
        "ZeroDivisionError: the model has a bug",
    ),
]


def told_at_the_end(caplog: pytest.LogCaptureFixture) -> list[str]:
    """All that was said, with the last line, which comes when the core has let go of the clip."""
    for _ in range(600):
        gc.collect()
        messages = [record.message for record in caplog.records]
        if any("instead of upscaled" in m for m in messages):
            return messages
        time.sleep(0.05)
    raise AssertionError(messages)


@pytest.mark.parametrize(("make", "model", "says"), CASES, ids=[says for _, _, says in CASES])
def test_a_frame_that_cannot_be_done_is_enlarged_said_and_marked(
    make: Any, model: LoadedModel, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    clip = make()
    with caplog.at_level(logging.WARNING, "sr_plugins"):
        larger = upscale(clip, model, device="cpu", on_error="copy")
        frames = list(larger.frames())
        del larger
        messages = told_at_the_end(caplog)
    assert [n for n, f in enumerate(frames) if "sr_plugins_error" in f.props] == [BAD]
    frame, source = frames[BAD], clip.get_frame(BAD)
    told = frame.props["sr_plugins_error"]
    assert says in (told.decode() if isinstance(told, bytes) else str(told))
    kept = {name: value for name, value in source.props.items() if name != "_Alpha"}
    assert kept.items() <= dict(frame.props).items()
    assert (frame.width, frame.height, frame.format.id) == (128, 96, clip.format.id)
    if "_Alpha" in source.props:
        alpha = frame.props["_Alpha"]
        assert isinstance(alpha, vs.VideoFrame)
        assert (alpha.width, alpha.height) == (128, 96)
    for small, large in zip(planes_of(source), planes_of(frame), strict=True):
        assert np.isfinite(large.astype(np.float32)).all()
        # the same picture: made small again it is near the source, where that was whole
        again = large.astype(np.float32).reshape(small.shape[0], 2, small.shape[1], 2).mean((1, 3))
        inner = np.s_[4:-4, 4:-4]
        assert np.corrcoef(again[inner].ravel(), small.astype(np.float32)[inner].ravel())[0, 1] > 0.9
    assert sum(f"frame {BAD} is enlarged by bicubic instead: " in m for m in messages) == 1
    assert sum(m.startswith(f"1 frame was enlarged by bicubic instead of upscaled: {BAD} ") for m in messages) == 1


@pytest.mark.parametrize(
    "props",
    [{"_Range": 7}, {"_ChromaLocation": 9}, {"_FieldBased": 3}, {"_FieldBased": 1}, {"_Range": 2**40}],
    ids=str,
)
@pytest.mark.parametrize("planes", [0, [1, 2], [0, 1]], ids=str)
def test_planes_that_the_model_is_not_for_stop_no_job(props: dict[str, Any], planes: Any) -> None:
    """VapourSynth's resizer, which enlarges them, refuses what the filter passes over."""
    clip, good = with_props(**props), with_props(_Matrix=1)
    settings: dict[str, Any] = {"device": "cpu", "on_error": "copy", "planes": planes}
    frames = list(upscale(clip, nearest(), **settings).frames())
    assert [n for n, f in enumerate(frames) if "sr_plugins_error" in f.props] == [BAD]
    assert props.items() <= dict(frames[BAD].props).items()
    expected = planes_of(good.resize.Bicubic(128, 96).get_frame(BAD))
    beside = set(range(3)) - ({planes} if isinstance(planes, int) else set(planes))
    assert all(np.array_equal(planes_of(frames[BAD])[i], expected[i]) for i in beside)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("planes", "bad"), [(0, 1), (0, 2), ([0, 1], 2), (2, 0)], ids=str)
def test_a_sample_that_is_no_number_does_not_spread_in_planes_that_are_resized(
    value: float, planes: Any, bad: int
) -> None:
    clip = spoilt(clip_of(vs.YUV444PS, *SIZE, LENGTH), value, bad)
    frames = list(upscale(clip, nearest(), device="cpu", on_error="copy", planes=planes).frames())
    assert [n for n, f in enumerate(frames) if "sr_plugins_error" in f.props] == [BAD]
    assert all(np.isfinite(plane).all() for frame in frames for plane in planes_of(frame))
    with pytest.raises(vs.Error, match=f"frame {BAD}: the frame holds samples that are not a number or infinite"):
        upscale(clip, nearest(), device="cpu", planes=planes).get_frame(BAD)


def test_every_reason_is_said_once_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    clip = clip_of(vs.YUV420P8, length=30, props=lambda n: {"_FieldBased": 2} if n % 2 else {"_Range": n % 3})
    with caplog.at_level(logging.WARNING, "sr_plugins"):
        larger = upscale(clip, nearest(), device="cpu", on_error="copy")
        bad = [n for n, f in enumerate(larger.frames()) if "sr_plugins_error" in f.props]
        del larger
        messages = told_at_the_end(caplog)
    assert bad == [n for n in range(30) if n % 2 or n % 3 == 2]
    assert sum("interlaced" in m for m in messages) == 1
    assert sum("_Range property is 2" in m for m in messages) == 1
    assert (
        f"{len(bad)} frames were enlarged by bicubic instead of upscaled: 1, 2, 3, 5, 7, 8, 9, 11, ..." in messages[-1]
    )


def test_a_good_clip_is_the_same_either_way() -> None:
    clip = clip_of(vs.YUV420P8, length=3)
    for a, b in zip(upscale(clip, nearest()).frames(), upscale(clip, nearest(), on_error="copy").frames(), strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(planes_of(a), planes_of(b), strict=True))
        assert dict(a.props) == dict(b.props)


def test_another_word_is_refused() -> None:
    with pytest.raises(vs.Error, match=r"^sr_plugins: on_error 'skip' is neither 'raise' nor 'copy'$"):
        upscale(clip_of(vs.GRAY8), nearest(), on_error="skip")  # type: ignore[arg-type]


def test_the_model_that_suits_is_chosen_by_the_frames_that_can_be_done() -> None:
    """One bad frame among those that are looked at ends no job that asked for copies; otherwise it is named."""
    good = clip_of(vs.YUV420P8, length=5)
    clip = clip_of(vs.YUV420P8, length=5, props=lambda n: {"_FieldBased": 2} if n == 3 else {})
    copied = upscale(clip, "auto", backend="torch", device="cpu", on_error="copy")
    assert [n for n, f in enumerate(copied.frames()) if "sr_plugins_error" in f.props] == [3]
    chosen = upscale(good, "auto", backend="torch", device="cpu")
    assert all(
        np.array_equal(*pair) for pair in zip(*(planes_of(c.get_frame(0)) for c in (copied, chosen)), strict=True)
    )
    with pytest.raises(vs.Error, match=r"^sr_plugins: frame 3: the frame is interlaced"):
        upscale(clip, "auto", backend="torch", device="cpu")
    with pytest.raises(vs.Error, match=r"^sr_plugins: frame 4: the frame is interlaced"):
        upscale(good.std.SetFrameProps(_FieldBased=1), "auto", backend="torch", device="cpu", on_error="copy")
