"""The last frame, codecs that NUT has no name for, and films that change on the way."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import BUNDLED, UNEVEN, both_ffmpegs, by_turns, ffmpeg_run, moving, pictures, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.probe import probe
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]


# -- how long the last frame is shown ----------------------------------------------------------------------------------


def _end(path: Path) -> float:
    """When the film ends, in seconds, by what its container says."""
    with av.open(str(path)) as container:
        return (container.duration or 0) / 10**6


@both_ffmpegs
@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.mov"])
def test_a_rest_at_the_end_lasts_as_long(ffmpeg: str, name: str, tmp_path: Path, doubled: Upscaler) -> None:
    gif, screen = tmp_path / "in.gif", tmp_path / "in.mp4"
    ffmpeg_run(*moving(rate="5"), "-final_delay", "500", gif)
    rest = "setts=pts=PTS:dts=DTS:duration=if(eq(N\\,9)\\,3/TB\\,DURATION)"
    ffmpeg_run(*moving(rate="10"), "-bf", "0", "-bsf:v", rest, screen)
    for source, ends in ((gif, 5.8), (screen, 3.9)):
        target = tmp_path / name
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=[*FAST, "-bf", "2"], overwrite=True)
        assert _end(target) == pytest.approx(ends, abs=0.03)
        assert len(pictures(target)) == len(pictures(source))


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_reordered_frames_at_uneven_times_end_where_their_track_does(
    name: str, tmp_path: Path, doubled: Upscaler
) -> None:
    """What a sample of MP4 says of itself is how long it is decoded."""
    source, target = tmp_path / "in.mp4", tmp_path / name
    some = ["-vf", "select='not(mod(n,3))+not(mod(n,7))'", "-fps_mode", "vfr", "-bf", "2", "-g", "10"]
    ffmpeg_run(*moving(seconds=1, rate="30"), *some, "-preset", "ultrafast", source)
    assert times(source)[-1] == Fraction(28, 30)
    upscale_video(source, target, doubled, ffmpeg=BUNDLED)
    for film in (source, target):
        assert float(probe(film).finish) == pytest.approx(29 / 30, abs=0.001)


@by_turns(encoder=["libsvtav1", "libvpx-vp9", "libx264", "mpeg4"], frames=[1, 2, 6])
def test_every_frame_is_shown(ffmpeg: str, encoder: str, frames: int, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mp4"
    uneven = ["-vf", "select='not(eq(n,3)+eq(n,5))'", "-fps_mode", "passthrough", "-frames:v", str(frames)]
    ffmpeg_run(*moving("64x48", 0.8, "10"), *uneven, "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", encoder])
    assert len(pictures(target)) == frames
    assert times(target) == times(source)


def test_frames_before_zero_in_matroska_are_refused_with_their_cure(tmp_path: Path, doubled: Upscaler) -> None:
    """Its times are never negative: such frames have none, and would be pressed in between others."""
    source, cured, target = tmp_path / "in.mkv", tmp_path / "cured.mp4", tmp_path / "out.mkv"
    early = ["-output_ts_offset", "-0.5", "-avoid_negative_ts", "disabled"]
    ffmpeg_run(*moving(seconds=1), "-bf", "0", *early, source)
    with pytest.raises(PipeError, match="frames of its video have no time: they lie before zero") as refused:
        upscale_video(source, target, doubled)
    assert "ffmpeg -i IN -c copy OUT.mp4" in str(refused.value)
    ffmpeg_run("-i", source, "-c", "copy", cured)
    assert len(probe(cured).timeline) == 25


# -- codecs whose tag says how pixels lie, or that NUT does not hold ---------------------------------------------------


def test_vvc_in_quicktime(tmp_path: Path, doubled: Upscaler) -> None:
    """It has no name in NUT, and its first packet is shown last: no frame may lie outside the edit list."""
    source, target = tmp_path / "in.mkv", tmp_path / "out.mp4"
    ffmpeg_run(*moving("64x48", 0.8, "10"), *tone(0.8), "-c:v", "ffv1", "-c:a", "aac", source)
    upscale_video(source, target, doubled, ffmpeg=BUNDLED, options=["-c:v", "libvvenc", "-preset", "faster"])
    with av.open(str(target)) as container:
        packets = [p for p in container.demux(container.streams[probe(target).main]) if p.pts is not None]
        assert packets[0].pts != min(p.pts or 0 for p in packets)
        assert not any(p.is_discard for p in packets)
    assert [float(t) for t in times(target)] == pytest.approx([n / 10 for n in range(8)], abs=1e-6)


@both_ffmpegs
@pytest.mark.parametrize(
    ("name", "encoding", "codec", "pix_fmt"),
    [
        ("out.avi", "utvideo", "utvideo", "yuv420p"),
        ("out.mov", "utvideo", "utvideo", "yuv420p"),
        ("out.mkv", "rawvideo", "rawvideo", "yuv420p"),
        ("out.mov", "prores_ks", "prores", "yuv422p10le"),
        ("out.mkv", "prores", "prores", "yuv422p10le"),
        ("out.mov", "dnxhd -profile:v dnxhr_hq -pix_fmt yuv422p -vf scale=256:120", "dnxhd", "yuv422p"),
    ],
)
def test_codecs_come_out_as_they_went_in(
    ffmpeg: str, name: str, encoding: str, codec: str, pix_fmt: str, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / name
    ffmpeg_run(*moving("64x48", 0.8, "10"), "-pix_fmt", "yuv420p", "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", *encoding.split()], chunk_frames=3)
    film = probe(target)
    assert (film.streams[0].codec, film.pix_fmt) == (codec, pix_fmt)
    assert [round(float(t), 3) for t in times(target)] == [round(float(t), 3) for t in times(source)]
    shown = pictures(target)
    assert len(shown) == 8
    if "scale" not in encoding:
        scale = 4 if pix_fmt.endswith("10le") else 1
        want = np.repeat(np.repeat(pictures(source)[-1][0].astype(float), 2, 0), 2, 1)
        assert np.abs(shown[-1][0] / scale - want).mean() < 3


@both_ffmpegs
def test_uneven_times_and_sound_through_quicktime(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mov"
    ffmpeg_run(*moving(seconds=2), *tone(2), *UNEVEN, "-c:a", "aac", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "prores"], chunk_frames=7)
    assert times(target) == times(source)
    offset = [times(f, 1)[0] - times(f, 0)[0] for f in (source, target)]
    assert abs(offset[1] - offset[0]) <= Fraction(1, 1000)


def test_what_a_container_cannot_hold_is_told_before_the_work(tmp_path: Path, doubled: Upscaler) -> None:
    source, done = tmp_path / "in.mkv", list[object]()
    ffmpeg_run(*moving("64x48", 0.8, "10"), "-c:v", "ffv1", source)
    with pytest.raises(PipeError, match="cannot hold what the encoder writes: choose another encoder"):
        upscale_video(source, tmp_path / "out.mkv", doubled, options=["-c:v", "gif"], progress=done.append)
    assert (done, [p.name for p in tmp_path.iterdir()]) == ([], ["in.mkv"])


@both_ffmpegs
def test_deep_440_is_read(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48", 0.4, "10"), "-pix_fmt", "yuv440p10le", "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "ffv1"])
    assert np.array_equal(pictures(target)[0][0][::2, ::2], pictures(source)[0][0])


@both_ffmpegs
@pytest.mark.parametrize(("codec", "pix_fmt"), [("sgi", "rgb24"), ("ffv1", "gray14le")])
def test_what_another_ffmpeg_decodes_into_another_format(
    ffmpeg: str, codec: str, pix_fmt: str, tmp_path: Path, doubled: Upscaler
) -> None:
    """5.1 gives packed RGB and gray of 16 bits, newer ones planar RGB and 14 bits."""
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    grays = ["-vf", f"format=gray,format={pix_fmt}"]  # of which every model here repeats the pixels as they are
    ffmpeg_run(*moving("64x48", 0.4, "10"), *grays, "-c:v", codec, "-strict", "-2", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "ffv1", "-strict", "-2"])
    with av.open(str(source)) as before, av.open(str(target)) as after:
        for was, now in zip(before.decode(video=0), after.decode(video=0), strict=True):
            kind = "rgb24" if codec == "sgi" else "gray16le"
            expected, found = (picture.to_ndarray(format=kind).astype(float) for picture in (was, now))
            assert np.abs(found[::2, ::2] - expected).max() <= (1 if codec == "sgi" else 16)


# -- films that change on the way --------------------------------------------------------------------------------------


def _joined(target: Path, *parts: list[str]) -> Path:
    data = b""
    for number, options in enumerate(parts):
        part = target.with_name(f"part{number}.ts")
        offset = ["-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(number)]
        ffmpeg_run(*options, *offset, part)
        data += part.read_bytes()
    target.write_bytes(data)
    return target


MPEG2 = ["-c:v", "mpeg2video", "-q:v", "3", "-pix_fmt", "yuv420p"]
X264 = ["-c:v", "libx264"]
CHANGES = {
    "size": ([*moving("64x48"), *X264], [*moving("96x64"), *X264], "picture changes from 64x48 to 96x64"),
    "chroma": (
        [*moving(), *X264, "-pix_fmt", "yuv420p"],
        [*moving(), *X264, "-pix_fmt", "yuv444p"],
        "pixels change from yuv420p",
    ),
    "matrix": (
        [*moving(), *X264, "-vf", "setparams=colorspace=bt709"],
        [*moving(), *X264, "-vf", "setparams=colorspace=smpte170m"],
        "colours change from bt709",
    ),
    "shape": ([*moving(), *MPEG2, "-aspect", "4:3"], [*moving(), *MPEG2, "-aspect", "16:9"], "shape of its pixels"),
    "shape of H.264": (
        [*moving(), *X264, "-aspect", "4:3"],
        [*moving(), *X264],
        "shape of its pixels changes from 8/9 to 1",
    ),
    "transfer": (
        [*moving(), *X264, "-vf", "setparams=color_trc=bt709"],
        [*moving(), *X264, "-vf", "setparams=color_trc=arib-std-b67"],
        "colours change from bt709 to arib-std-b67",
    ),
    "fields": (
        [*moving("64x48"), *MPEG2],
        [*moving("64x48", 1, "50"), "-vf", "tinterlace=4", *MPEG2, "-flags", "+ildct+ilme"],
        "interlaced.*--deinterlace, or --progressive",
    ),
}


@both_ffmpegs
@pytest.mark.parametrize(("first", "second", "said"), CHANGES.values(), ids=CHANGES)
def test_a_change_is_refused_with_its_cure(
    ffmpeg: str, first: list[str], second: list[str], said: str, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = _joined(tmp_path / "in.ts", first, second), tmp_path / "out.mkv"
    with pytest.raises(PipeError, match=said) as refused:
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, chunk_frames=10, notice=lambda _: None)
    assert "\n" not in str(refused.value)
    assert not target.exists()
    before = upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, end=0.8, restart=True)
    assert before.frames in (19, 20)


def test_marked_interlaced_by_mistake(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48"), "-flags", "+ildct", "-x264-params", "tff=1", source)
    with pytest.raises(PipeError, match="--progressive where it is only marked so"):
        upscale_video(source, target, doubled)
    upscale_video(source, target, doubled, options=["-c:v", "ffv1"], progressive=True)
    want = np.repeat(np.repeat(pictures(source)[3][0], 2, 0), 2, 1)
    assert np.array_equal(pictures(target)[3][0], want)


TWICE = "setts=pts='if({0},PREV_OUTPTS,PTS)':dts='if({0},PREV_OUTDTS,DTS)'"


@by_turns(codec=["libx264", "mjpeg", "ffv1"], length=[4, 500])
def test_equal_times_are_a_tick_apart(ffmpeg: str, codec: str, length: int, tmp_path: Path, doubled: Upscaler) -> None:
    source, target, said = tmp_path / "in.mkv", tmp_path / "out.mkv", list[str]()
    same = TWICE.format("between(N,3,4)+eq(N,12)")
    ffmpeg_run(*moving("64x48"), "-bf", "0", "-c:v", codec, "-bsf:v", same, source)
    was = times(source)
    assert len(was) - len(set(was)) == 3
    options = ["-c:v", "ffv1"]
    result = upscale_video(
        source, target, doubled, ffmpeg=ffmpeg, options=options, chunk_frames=length, notice=said.append
    )
    line = "in.mkv: 3 frames lie at the time of another, the first at 0.080 s: each is shown a tick later"
    assert (result.frames, said) == (25, [line])
    now = times(target)
    assert len(set(now)) == 25
    assert max(abs(a - b) for a, b in zip(was, now, strict=True)) == Fraction(2, 1000)
    assert len(pictures(target)) == 25


@both_ffmpegs
def test_equal_times_in_a_container_that_counts(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """However late they come: ten frames are tried before the work."""
    source, target = tmp_path / "in.mkv", tmp_path / "out.avi"
    ffmpeg_run(*moving("64x48"), "-c:v", "mjpeg", "-bsf:v", TWICE.format("eq(N,20)"), source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "mpeg4"], notice=lambda _: None)
    late = [now - was for was, now in zip(times(source), times(target), strict=True)]
    assert max(map(abs, late)) <= Fraction(2, 1000)


def test_equal_times_without_room_are_refused_with_a_cure_that_cures(tmp_path: Path, doubled: Upscaler) -> None:
    source, cured, target = (tmp_path / name for name in ("in.mkv", "cured.mkv", "out.mkv"))
    ffmpeg_run(*moving("64x48", 2), *tone(2), "-bf", "0", "-bsf:v", TWICE.format("gt(N,4)*lt(N,44)"), source)
    with pytest.raises(PipeError, match=r"39 frames lie at the time of another, the first at 0\.160 s") as refused:
        upscale_video(source, target, doubled)
    words = str(refused.value).partition("ffmpeg -i IN ")[2].removesuffix(" OUT.mkv").split()
    ffmpeg_run("-i", source, *words, cured)
    assert upscale_video(cured, target, doubled, options=FAST, notice=lambda _: None).frames == 50


@both_ffmpegs
@pytest.mark.parametrize("name", ["huffyuv.mov", "png.mkv"])
def test_fields_of_which_only_the_container_tells(ffmpeg: str, name: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target, lines = tmp_path / name, tmp_path / "out.mkv", tmp_path / "lines.mkv"
    woven = ["-vf", "tinterlace=4,format=yuv422p" if "huff" in name else "tinterlace=4,format=gray", "-c:v", name[:-4]]
    ffmpeg_run(*moving("64x48", 0.4, "50"), *woven, "-field_order", "tb", source)
    with pytest.raises(PipeError, match=r"is interlaced.*--deinterlace"):
        upscale_video(source, target, doubled, ffmpeg=ffmpeg)
    lossless = {"ffmpeg": ffmpeg, "options": ["-c:v", "ffv1"], "overwrite": True}
    upscale_video(source, target, doubled, deinterlace=True, **lossless)  # type: ignore[arg-type]
    ffmpeg_run("-i", source, "-vf", "setfield=tff,bwdif=mode=send_frame", "-c:v", "ffv1", lines)
    assert [p[0][::2, ::2].tolist() for p in pictures(target)] == [p[0].tolist() for p in pictures(lines)]
    upscale_video(source, target, doubled, progressive=True, **lossless)  # type: ignore[arg-type]
    assert [p[0][::2, ::2].tolist() for p in pictures(target)] == [p[0].tolist() for p in pictures(source)]
