"""The filter among others: clips on a GPU, graphs and times, what the first frame tells, other callers' habits."""

import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vapoursynth as vs
from fakes import blur, nearest
from vapoursynth_clips import clip_of, planes_of

from sr_plugins import Upscaler
from vapoursynth_filter import encoder_options, inference, upscale
from vapoursynth_filter.gpu_frames import in_memory

# -- what the first frame tells ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [1, 2])
def test_an_interlaced_clip_is_refused_when_the_filter_is_built(fields: int) -> None:
    clip = clip_of(vs.YUV420P8, length=5, props=lambda n: {"_FieldBased": fields})
    with pytest.raises(vs.Error, match=r"^sr_plugins: frame 0: the frame is interlaced \(_FieldBased\): deinterlace"):
        upscale(clip, nearest())
    upscale(clip.std.SetFieldBased(0), nearest()).get_frame(0)


def test_a_first_frame_that_the_source_cannot_give_is_told_with_the_frame() -> None:
    def broken(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        raise RuntimeError("the source is damaged")

    clip = clip_of(vs.YUV420P8)
    larger = upscale(clip.std.ModifyFrame(clip, broken), nearest())
    with pytest.raises(vs.Error, match="the source is damaged"):
        larger.get_frame(0)


def test_a_filter_made_in_a_callback_waits_for_no_frame() -> None:
    """As scripts do that treat scenes apart: asking a callback's thread for a frame can wait for ever."""
    clip = clip_of(vs.YUV420P8, length=6)
    model = nearest()
    larger = clip.std.BlankClip(width=48, height=32).std.FrameEval(lambda n: upscale(clip, model, device="cpu"))
    for n, frame in enumerate(larger.frames()):
        expected = planes_of(clip.get_frame(n))[0].repeat(2, 0).repeat(2, 1)
        assert np.array_equal(planes_of(frame)[0], expected)


def messages(caplog: pytest.LogCaptureFixture, of: str) -> int:
    return sum(of in record.message for record in caplog.records)


def test_a_guessed_matrix_is_said_once_where_it_matters(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "sr_plugins"):
        rgb = nearest(channels="rgb")
        for frame in upscale(clip_of(vs.YUV420P8, length=12), rgb).frames():
            assert frame.props["_Matrix"] == vs.MATRIX_ST170_M
        assert messages(caplog, "taken for SMPTE170M, as players do for 24x16, and named so") == 1
        later = clip_of(vs.YUV420P8, length=9, props=lambda n: {"_Matrix": 2 if n > 5 else 1})
        assert [f.props["_Matrix"] for f in upscale(later, rgb).frames()] == [1] * 6 + [6] * 3
        assert messages(caplog, "do not name their matrix") == 2
        for clip, model in (
            (clip_of(vs.YUV420P8, props=lambda n: {"_Matrix": 1}), rgb),
            (clip_of(vs.YUV420P8), nearest()),
            (clip_of(vs.RGB24), rgb),
            (clip_of(vs.GRAY8), rgb),
        ):
            before, after = clip.get_frame(0), upscale(clip, model).get_frame(0)
            assert after.props.get("_Matrix") == before.props.get("_Matrix")
        assert messages(caplog, "do not name their matrix") == 2


@pytest.mark.parametrize(
    ("size", "named"), [((24, 16), None), ((512, 16), None), ((514, 16), 6), ((24, 290), 6), ((1026, 16), None)]
)
def test_a_matrix_is_named_where_players_would_take_another_at_the_new_size(
    size: tuple[int, int], named: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Also by a model of luma, which needs none: the colours of an untagged DVD changed as it was enlarged."""
    broken = {"_FieldBased": 1}  # such a frame is enlarged by bicubic, of the same clip
    for props in ({}, {"_Matrix": 2}):
        clip = clip_of(vs.YUV420P8, *size, 2, props=lambda n, props=props: props | (broken if n else {}))  # type: ignore[misc]
        found = [frame.props.get("_Matrix") for frame in upscale(clip, nearest(), on_error="copy").frames()]
        assert found == [props.get("_Matrix") if named is None else named] * 2
    assert messages(caplog, "do not name their matrix") == (0 if named is None else 2)


# -- clips on a GPU ----------------------------------------------------------------------------------------------------


class OnGpu:
    """What is asked of a clip whose frames lie on a GPU; the core gives such ones where there is Vulkan 1.4."""

    gpu_resident = True

    def __init__(self, clip: vs.VideoNode) -> None:
        self._clip = clip
        self.std, self.downloads = self, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clip, name)

    def GPUDownload(self) -> vs.VideoNode:
        self.downloads += 1
        return self._clip


def test_a_clip_on_the_gpu_is_downloaded_once_and_one_in_memory_never() -> None:
    """On the property: by default no machine has the Vulkan 1.4 that the core asks for."""
    clip = clip_of(vs.YUV420P8)
    there = OnGpu(clip)
    assert in_memory(there) is clip  # type: ignore[arg-type]
    assert there.downloads == 1
    assert in_memory(clip) is clip


@pytest.fixture
def on_gpu() -> Callable[[vs.VideoNode], vs.VideoNode]:
    """Puts clips on a GPU; Mesa's lavapipe of 25.0 and newer is one."""
    try:
        clip_of(vs.GRAY8).std.GPUUpload().get_frame(0)
    except (AttributeError, vs.Error) as error:
        pytest.skip(f"no clips on a GPU here: {str(error)[:80]}")
    return lambda clip: clip.std.GPUUpload()


def same_frames(one: vs.VideoNode, other: vs.VideoNode) -> bool:
    """Whether pixels, alpha's too, and the names of properties are equal in all frames."""
    for a, b in zip(one.frames(), other.frames(), strict=True):
        pairs = [(a, b), *((f.props["_Alpha"] for f in (a, b)) for _ in range("_Alpha" in b.props))]
        if list(a.props) != list(b.props) or not all(
            np.array_equal(p, q) for x, y in pairs for p, q in zip(planes_of(x), planes_of(y), strict=True)
        ):
            return False
    return True


@pytest.mark.parametrize("arguments", [{}, {"planes": 0}, {"planes": [1, 2]}, {"on_error": "copy"}], ids=str)
def test_clips_and_masks_on_a_real_gpu_are_enlarged_as_those_in_memory(
    arguments: dict[str, Any], on_gpu: Callable[[vs.VideoNode], vs.VideoNode]
) -> None:
    clip, mask = clip_of(vs.YUV420P8, length=3), clip_of(vs.GRAY8, length=3)
    expected = upscale(clip.std.ClipToProp(mask, prop="_Alpha"), nearest(), **arguments)
    there, hidden = on_gpu(clip), on_gpu(mask)
    assert same_frames(upscale(there, nearest(), **arguments), upscale(clip, nearest(), **arguments))
    for one in (
        clip.std.ClipToProp(hidden, prop="_Alpha"),
        there.std.ClipToProp(hidden, prop="_Alpha"),
        there.std.ClipToProp(mask, prop="_Alpha"),
        clip.std.FrameEval(lambda n: clip.std.ClipToProp(hidden, prop="_Alpha")),
    ):
        assert same_frames(upscale(one, nearest(), **arguments), expected)
    there.set_output(7, alpha=hidden)
    assert same_frames(upscale(vs.get_output(7), nearest(), **arguments), expected)


def test_what_suits_a_clip_on_a_gpu_is_chosen(on_gpu: Callable[[vs.VideoNode], vs.VideoNode]) -> None:
    clip = clip_of(vs.YUV420P8, length=3)
    masked = clip.std.ClipToProp(on_gpu(clip_of(vs.GRAY8, length=3)), prop="_Alpha")
    assert upscale(on_gpu(masked), "auto").get_frame(1).width == 2 * clip.width
    assert encoder_options(on_gpu(masked), "x264") == encoder_options(clip, "x264")


# -- graphs and times --------------------------------------------------------------------------------------------------


def test_the_printed_graph_and_times_name_the_filter_and_what_comes_before(
    vspipe: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "named.vpy"
    script.write_text(
        "import vapoursynth as vs\nfrom fakes import nearest\nfrom vapoursynth_filter import upscale\n"
        "clip = vs.core.std.BlankClip(format=vs.YUV420P8, width=48, height=32, length=6).std.FlipVertical()\n"
        'upscale(clip, nearest(), device="cpu", precision="float32").set_output()\n'
    )

    def printed(*arguments: str, to: str) -> str:
        command = [str(Path(sys.executable).parent / "vspipe"), *arguments, str(script), to]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True, env=vspipe)
        return done.stdout + done.stderr

    graph = printed("-g", "simple", to="-")
    assert "sr_plugins=upscale by nearest x2 on torch, cpu, float32" in graph
    assert "std.ModifyFrame" in graph
    assert "std.FlipVertical" in graph
    times = printed("--filter-time", to="--")
    made = [line.split() for line in times.splitlines() if line.startswith("ModifyFrame")]
    assert made
    assert any(line.startswith("FlipVertical") for line in times.splitlines())
    assert sum(float(row[-2]) for row in made) > 0  # per cent: the time of our frames stands at our nodes


# -- others' habits ----------------------------------------------------------------------------------------------------


def test_scale_comes_by_position_too() -> None:
    assert upscale(clip_of(vs.GRAY8), nearest(), 3).width == 72
    with pytest.raises(vs.Error, match="brings its own settings: leave scale out"), Upscaler(nearest()) as upscaler:
        upscale(clip_of(vs.GRAY8), upscaler, 2)


def test_what_get_output_gives_is_taken_with_its_alpha() -> None:
    clip, mask = clip_of(vs.RGB24), clip_of(vs.GRAY8)
    clip.set_output(7, alpha=mask)
    try:
        frame = upscale(vs.get_output(7), nearest()).get_frame(0)  # type: ignore[arg-type]
    finally:
        vs.clear_output(7)
    alone = upscale(clip.std.ClipToProp(mask, prop="_Alpha"), nearest()).get_frame(0)
    assert all(np.array_equal(a, b) for a, b in zip(planes_of(frame), planes_of(alone), strict=True))
    assert np.array_equal(np.asarray(frame.props["_Alpha"][0]), np.asarray(alone.props["_Alpha"][0]))


@pytest.mark.parametrize("format", [vs.GRAYS, vs.YUV420P8])
def test_inference_runs_a_file_as_vs_mlrt_names_it(format: int, tmp_path: Path) -> None:
    from sr_plugins.weights.pretrained import pretrained

    path = pretrained("tiny", 2)
    assert path is not None
    clip = clip_of(format, 70, 50)
    expected = planes_of(upscale(clip, "tiny", backend="torch", precision="float32").get_frame(0))

    class OV_CPU:  # an object of it or, for its defaults, itself
        fp16, num_streams = True, 2

    for given in (
        inference(clip, path, backend="torch", precision="float32"),
        inference([clip], str(path), (8, 8), (40, 48), backend="torch", precision="float32", batch_size=2),
        inference(clips=[clip], network_path=path, overlap=16, tilesize=40, backend="torch", precision="float32"),
        inference(clip, path, (0, 0), None, "torch", "input", 1, False, precision="float32"),  # by position
    ):
        for a, b in zip(planes_of(given.get_frame(0)), expected, strict=True):  # of floats, tiles move the last bits
            assert np.abs(a.astype(float) - b).max() <= (1e-5 if format == vs.GRAYS else 0)
    for backend in (OV_CPU(), OV_CPU, "OV_CPU", None):
        by_object = planes_of(inference(clip, path, backend=backend, precision="float32").get_frame(0))
        assert all(
            np.abs(a.astype(float) - b).max() <= (1e-4 if format == vs.GRAYS else 1)
            for a, b in zip(by_object, expected, strict=True)
        )


def test_what_inference_cannot_do_is_told(tmp_path: Path) -> None:
    clip = clip_of(vs.GRAYS)

    class MIGX:
        device_id = 0

    for arguments, says in (
        (([clip, clip], "net.onnx"), r"takes one clip, got 2: networks of several are not supported"),
        ((clip, "net.onnx"), r"no network file at net.onnx"),
        ((clip, __file__, None, None, MIGX()), r"backend MIGX of vs-mlrt has no counterpart here"),
        ((clip, b"\x08", None, None, None, "input", 1, True), r"network_path is bytes: give the path"),
        ((clip, None), r"network_path is NoneType: give the path"),
        ((vs.core.std.BlankAudio(length=9), __file__), r"inference\(\) takes a clip, got AudioNode"),
    ):
        with pytest.raises(vs.Error, match=rf"^sr_plugins: .*{says}"):
            inference(*arguments)  # type: ignore[arg-type]
    with pytest.raises(vs.Error, match="leave model out"):
        inference(clip, __file__, model="tiny")


def test_both_sides_that_do_not_fit_are_named_at_once() -> None:
    with pytest.raises(vs.Error) as caught:
        upscale(clip_of(vs.YUV420P8), nearest(), width=75, height=57)
    assert "its width must be a multiple of 2 and its height must be a multiple of 2" in str(caught.value)
    (example,) = re.findall(r"for example width=(\d+), height=(\d+)", str(caught.value))
    upscale(clip_of(vs.YUV420P8), nearest(), width=int(example[0]), height=int(example[1])).get_frame(0)


# -- bad samples -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("format", [vs.GRAYS, vs.GRAYH, vs.YUV444PS, vs.YUV420PH, vs.RGBS, vs.RGBH])
@pytest.mark.parametrize("channels", ["luma", "rgb"])
def test_a_sample_that_is_no_number_is_refused_in_every_plane(value: float, format: int, channels: Any) -> None:
    model = blur(channels=channels)
    clip = clip_of(format)

    def spoil(plane: int) -> vs.VideoNode:
        def run(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
            g = f.copy()
            np.asarray(g[plane])[3, 3] = value
            return g

        return clip.std.ModifyFrame(clip, run)

    with Upscaler(model, device="cpu", backend="torch") as upscaler:
        for plane in range(clip.format.num_planes):
            with pytest.raises(vs.Error, match="samples that are not a number or infinite"):
                upscale(spoil(plane), upscaler).get_frame(0)
        mask = clip_of(vs.GRAYS if clip.format.bits_per_sample == 32 else vs.GRAYH)
        with_mask = clip.std.ClipToProp(
            mask.std.ModifyFrame(mask, lambda n, f: _spoilt(f, value)),
            prop="_Alpha",
        )
        with pytest.raises(vs.Error, match="samples that are not a number or infinite"):
            upscale(with_mask, upscaler).get_frame(0)


def _spoilt(frame: vs.VideoFrame, value: float) -> vs.VideoFrame:
    changed = frame.copy()
    np.asarray(changed[0])[2, 2] = value
    return changed
