"""upscale_video on real files: every frame at its time, every pixel as the Upscaler gives it, every tag as it was."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from fakes import blur, nearest
from video_clips import UNEVEN, both_ffmpegs, by_turns, ffmpeg_run, moving, packets, picture_hash, pictures, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.video.pixel_formats import Colors, frame_format, to_frame
from sr_plugins.video.probe import probe
from sr_plugins.video.transcode import FilmProgress, upscale_video

FFV1 = ["-c:v", "ffv1"]
FAST = ["-preset", "ultrafast"]


@pytest.fixture(scope="module")
def blurred() -> Iterator[Upscaler]:
    with Upscaler(blur(), device="cpu") as upscaler:
        yield upscaler


# -- time --------------------------------------------------------------------------------------------------------------


@both_ffmpegs
@pytest.mark.parametrize("container", ["mkv", "mp4", "mov"])
def test_uneven_times_survive_to_the_tick(ffmpeg: str, container: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / f"in.{container}", tmp_path / f"out.{container}"
    ffmpeg_run(*moving(seconds=2), *tone(2), *UNEVEN, "-bf", "3", "-c:a", "aac", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-bf", "3"], chunk_frames=9)
    assert len(set(np.diff([float(t) for t in times(source)]).round(4))) > 2  # it is uneven indeed
    assert times(target) == times(source)
    offset = [times(f, 1)[0] - times(f, 0)[0] for f in (source, target)]
    assert abs(offset[1] - offset[0]) <= Fraction(1, 1000)


@both_ffmpegs
def test_phone_slow_motion(ffmpeg: str, tmp_path: Path, doubled: Upscaler, shared_data: Path) -> None:
    source, target = shared_data / "video" / "sample_android_slow_motion.mp4", tmp_path / "out.mp4"
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    assert times(target) == times(source)
    assert probe(target).colors == probe(source).colors


@both_ffmpegs
def test_edit_list_and_negative_times(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """A stream copy that begins in the middle leaves an edit list, and sound from before the first picture."""
    whole, source, target = tmp_path / "whole.mp4", tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg_run(*moving(seconds=2), *tone(2), "-g", "10", "-bf", "2", "-c:a", "aac", whole)
    ffmpeg_run("-ss", "0.5", "-i", whole, "-c", "copy", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    shown = _shown(source)
    assert [t for t in times(target) if t >= 0] == shown
    assert len(pictures(target)) == len(shown)
    sound = [times(f, 1)[0] for f in (source, target)]
    assert abs(sound[0] - sound[1]) <= Fraction(1, 1000)


def _shown(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        return [f.pts * Fraction(base.numerator, base.denominator) for f in container.decode(video=0)]


@both_ffmpegs
def test_broadcast_clock_begins_at_zero(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.ts", tmp_path / "out.mkv"
    ffmpeg_run(*moving(), *tone(), "-c:a", "aac", "-output_ts_offset", "3600", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    begin = min(times(source, 0)[0], times(source, 1)[0])
    assert begin > 3600
    for index in (0, 1):
        for was, now in zip(times(source, index), times(target, index), strict=True):
            assert abs((was - begin) - now) <= Fraction(1, 1000)


@both_ffmpegs
@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_start_and_end(ffmpeg: str, container: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / f"in.{container}", tmp_path / f"out.{container}"
    ffmpeg_run(
        *moving(seconds=3),
        *tone(3),
        "-c:a",
        "aac",
        "-g",
        "25",
        "-c:v",
        "ffv1" if container == "mkv" else "h264",
        source,
    )
    result = upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, start=0.52, end=1.6)
    wanted = [t - Fraction(52, 100) for t in times(source) if Fraction(52, 100) <= t < Fraction(16, 10)]
    assert result.frames == len(wanted)
    assert [round(t, 3) for t in times(target)] == [round(t, 3) for t in wanted]
    sound = times(target, 1)
    # Sound is cut at packets (1024 samples at 44100 Hz); it may reach over the cut by one of them.
    assert abs(sound[0]) < Fraction(1024, 44100) + Fraction(1, 100)
    assert abs(sound[-1] - Fraction(108, 100)) < Fraction(1, 10)
    was = {data: time for time, data in packets(source, 1)}
    assert all(abs(was[data] - Fraction(52, 100) - time) <= Fraction(1, 1000) for time, data in packets(target, 1))


def test_cut_with_no_frame_is_said(tmp_path: Path, doubled: Upscaler) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg_run(*moving(), source)
    with pytest.raises(PipeError, match="no frame lies between"):
        upscale_video(source, tmp_path / "out.mkv", doubled, start=7, end=9)


# -- pixels ------------------------------------------------------------------------------------------------------------

FORMATS = [
    *("gray", "gray10le", "gray16le", "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv420p10le", "yuv422p10le"),
    *(
        "yuv444p12le",
        "yuv420p16le",
        "gbrp",
        "gbrp10le",
        "gbrp16le",
        "bgra",
        "rgba64le",
        "rgb48le",
        "yuva420p",
        "yuva444p10le",
    ),
]


@both_ffmpegs
@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_pixels_are_the_upscalers_byte_for_byte(ffmpeg: str, pix_fmt: str, tmp_path: Path, blurred: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    noise = "format=rgba,geq=r='random(1)*255':g='random(2)*255':b='random(3)*255':a='random(4)*255'"
    ffmpeg_run("-f", "lavfi", "-i", f"color=s=21x14:r=25:d=0.2,{noise}", "-c:v", "ffv1", "-pix_fmt", pix_fmt, source)
    upscale_video(source, target, blurred, ffmpeg=ffmpeg, options=FFV1)
    stored = probe(target).pix_fmt
    assert stored == probe(source).pix_fmt
    shown = pictures(target)
    with av.open(str(source)) as container:
        decoded = list(container.decode(video=0))
    assert len(shown) == len(decoded) == 5
    for picture, planes in zip(decoded, shown, strict=True):
        frame = blurred.upscale(_frame(picture))
        expected = [*frame.planes, *([] if frame.alpha is None else [frame.alpha])]
        if len(planes) == 1 < len(expected):  # packed: by the order of its letters
            order = ["bgra", "rgba"]["rgba" in stored]
            planes = [planes[0][:, order.index(c) :: 4] for c in "rgba"][: len(expected)]
        elif stored.startswith("gbr"):
            planes = [planes[2], planes[0], planes[1], *planes[3:]]
        for plane, want in zip(planes, expected, strict=True):
            assert np.array_equal(plane, want)


def _frame(picture: av.VideoFrame) -> Frame:
    """The core's frame of a decoded picture; packed pixels are taken apart here, not by ffmpeg."""
    if picture.format.name not in ("bgra", "bgr0"):
        return to_frame(picture, frame_format(picture.format.name, Colors.of(picture)))
    samples = picture.to_ndarray(format="bgra").reshape(picture.height, picture.width, 4)
    alpha = samples[..., 3] if picture.format.name == "bgra" else None
    return Frame([samples[..., c] for c in (2, 1, 0)], FrameFormat(family="rgb"), alpha)


@both_ffmpegs
def test_default_encoding_is_close_to_the_picture(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, lossless, lossy = (tmp_path / f"{name}.mkv" for name in ("in", "lossless", "lossy"))
    ffmpeg_run(*moving("64x48"), "-c:v", "ffv1", source)
    upscale_video(source, lossless, doubled, ffmpeg=ffmpeg, options=FFV1)
    upscale_video(source, lossy, doubled, ffmpeg=ffmpeg)
    assert probe(lossy).streams[0].codec == "h264"
    for a, b in zip(pictures(lossless), pictures(lossy), strict=True):
        error = np.mean((a[0].astype(float) - b[0]) ** 2)
        assert 10 * np.log10(255**2 / error) > 40


def test_repeated_frames_are_reused_and_counted(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving(rate="5"), "-vf", "fps=25", "-c:v", "ffv1", source)
    result = upscale_video(source, target, doubled, options=FFV1)
    assert (result.frames, result.reused) == (25, 20)
    shown = pictures(target)
    assert all(
        np.array_equal(np.repeat(np.repeat(a[0], 2, 0), 2, 1), b[0])
        for a, b in zip(pictures(source), shown, strict=True)
    )


def test_result_does_not_depend_on_chunks(tmp_path: Path, blurred: Upscaler) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg_run(*moving(), "-bf", "3", "-g", "9", source)
    hashes = set()
    for length in (1, 7, 1000):
        target = tmp_path / f"out{length}.mkv"
        upscale_video(source, target, blurred, options=FFV1, chunk_frames=length)
        hashes.add(picture_hash(target))
    assert len(hashes) == 1


def test_progress_counts_every_frame(tmp_path: Path, doubled: Upscaler) -> None:
    source = tmp_path / "in.mkv"
    ffmpeg_run(*moving(), source)
    seen: list[FilmProgress] = []
    upscale_video(source, tmp_path / "out.mkv", doubled, options=FAST, chunk_frames=10, progress=seen.append)
    assert [p.done for p in seen] == list(range(1, 26))
    assert {p.total for p in seen} == {25}
    assert [p.chunk for p in seen] == [0] * 10 + [1] * 10 + [2] * 5
    assert seen[-1].eta == 0
    assert seen[-1].fps > 0


# -- colour ------------------------------------------------------------------------------------------------------------

TAGS = {
    "bt709 limited": ["range=tv", "colorspace=bt709", "color_trc=bt709", "color_primaries=bt709"],
    "bt601 full": ["range=pc", "colorspace=smpte170m", "color_trc=smpte170m", "color_primaries=smpte170m"],
    "bt2020 hlg": ["range=tv", "colorspace=bt2020nc", "color_trc=arib-std-b67", "color_primaries=bt2020"],
    "untagged": [],
}


@by_turns(container=["mkv", "mp4"], kind=list(TAGS))
def test_colour_tags(ffmpeg: str, container: str, kind: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target, tags = tmp_path / f"in.{container}", tmp_path / f"out.{container}", TAGS[kind]
    tagged = ["-vf", "format=yuv420p,setparams=" + ":".join(tags)] if tags else []
    ffmpeg_run(*moving(seconds=0.2), *tagged, "-pix_fmt", "yuv420p", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    assert probe(target).colors == probe(source).colors
    untagged = Colors(range=probe(source).colors.range, chroma_location=1)
    assert (probe(source).colors == untagged) == (not tags)


@both_ffmpegs
@pytest.mark.parametrize("encoder", ["libx264", "libx265", "ffv1"])
def test_full_range_is_not_squeezed(ffmpeg: str, encoder: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ramp = "color=s=64x32:r=25:d=0.1,format=gray,geq=lum='X*4',format=yuv420p,setparams=range=pc"
    ffmpeg_run("-f", "lavfi", "-i", ramp, "-c:v", "libx264", "-qp", "0", "-color_range", "pc", source)
    lossless = {"libx264": ["-qp", "0"], "libx265": ["-x265-params", "lossless=1"], "ffv1": []}[encoder]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", encoder, *lossless])
    assert probe(target).colors.range == 2
    assert np.array_equal(pictures(target)[0][0], np.repeat(np.repeat(pictures(source)[0][0], 2, 0), 2, 1))


@both_ffmpegs
@pytest.mark.parametrize("location", ["topleft", "center"])
def test_chroma_location(ffmpeg: str, location: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg_run(
        *moving(seconds=0.1),
        "-pix_fmt",
        "yuv420p",
        "-x264-params",
        "chromaloc=" + {"topleft": "2", "center": "1"}[location],
        source,
    )
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    assert probe(source).colors.chroma_location == {"topleft": 3, "center": 2}[location]
    assert probe(target).colors.chroma_location == probe(source).colors.chroma_location


@both_ffmpegs
@pytest.mark.parametrize("encoder", ["libx264", "libsvtav1"])
def test_sample_aspect_ratio(ffmpeg: str, encoder: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving("96x64", seconds=0.1), "-vf", "setsar=32/27", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", encoder])
    assert probe(target).aspect == probe(source).aspect == Fraction(32, 27)


def test_changed_shape_keeps_the_display_aspect(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving("48x32", seconds=0.1), "-vf", "setsar=1", source)
    with Upscaler(nearest(), size=(96, 48), device="cpu") as upscaler:
        upscale_video(source, target, upscaler, options=FAST)
    out = probe(target)
    assert (out.width, out.height) == (96, 48)
    assert out.aspect * Fraction(96, 48) == Fraction(48, 32)


def test_square_pixels_stay_square_where_a_side_is_rounded(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48", seconds=0.1), "-vf", "setsar=1", source)
    with Upscaler(nearest(), size=(None, 100), device="cpu") as upscaler:
        upscale_video(source, target, upscaler, options=FAST)
    out = probe(target)
    assert ((out.width, out.height), out.aspect) == ((134, 100), 1)


@by_turns(container=["mkv", "mp4"], turn=[90, -90, 180])
def test_rotation_stays_in_the_display_matrix(
    ffmpeg: str, container: str, turn: int, tmp_path: Path, doubled: Upscaler
) -> None:
    plain, source, target = tmp_path / "plain.mp4", tmp_path / "in.mp4", tmp_path / f"out.{container}"
    ffmpeg_run(*moving(seconds=0.1), plain)
    ffmpeg_run("-display_rotation", turn, "-i", plain, "-c", "copy", source)
    assert probe(source).rotation == turn or turn == 180
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    out = probe(target)
    if out.turned:
        assert (out.width, out.height, out.rotation) == (96, 64, probe(source).rotation)
        assert pictures(target)[0][0].shape == (64, 96)
    else:  # this ffmpeg cannot write a matrix into this container: then the pixels turn, by the same angle
        assert container == "mkv"
        want = np.rot90(pictures(source)[0][0], turn // 90)
        shown = pictures(target)[0][0].astype(float)
        assert np.abs(shown - np.repeat(np.repeat(want, 2, 0), 2, 1)).mean() < 8


# -- depth and HDR -----------------------------------------------------------------------------------------------------


@both_ffmpegs
def test_ten_bits_stay_ten_bits(ffmpeg: str, tmp_path: Path, doubled: Upscaler, shared_data: Path) -> None:
    source, target = shared_data / "video" / "h264_10bits.mp4", tmp_path / "out.mp4"
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, end=0.2)
    assert probe(target).pix_fmt == "yuv420p10le"
    assert probe(target).streams[0].codec == "hevc"


@both_ffmpegs
def test_full_range_clip(ffmpeg: str, tmp_path: Path, doubled: Upscaler, shared_data: Path) -> None:
    source, target = shared_data / "video" / "bt709_full_range.mp4", tmp_path / "out.mp4"
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, end=0.1)
    assert probe(target).colors == probe(source).colors
    assert probe(target).colors.range == 2


@both_ffmpegs
@pytest.mark.parametrize("encoder", ["libx265", "libsvtav1"])
def test_hdr10_metadata(ffmpeg: str, encoder: str, tmp_path: Path, doubled: Upscaler, shared_data: Path) -> None:
    original, source, target = (
        shared_data / "video" / "sample_with_colr_mdcv_and_clli.mp4",
        *(tmp_path / name for name in ("in.mp4", "out.mp4")),
    )
    ffmpeg_run("-i", original, "-t", "0.05", "-c", "copy", source)
    with Upscaler(nearest(), size=(128, 72), device="cpu") as small:
        upscale_video(source, target, small, ffmpeg=ffmpeg, options=["-c:v", encoder])
    was, now = probe(source), probe(target)
    assert (now.colors.matrix, now.colors.transfer, now.colors.primaries, now.colors.range) == (9, 16, 9, 1)
    assert now.pix_fmt == was.pix_fmt == "yuv420p10le"
    assert now.light.content == was.light.content == (1100, 180)
    # The bit streams hold primaries in steps of 1/50000 (SEI) and 1/65536 (AV1).
    assert was.light.mastering is not None
    assert now.light.mastering is not None
    for a, b in zip(was.light.mastering, now.light.mastering, strict=True):
        assert abs(a - b) <= Fraction(1, 30000)
    assert times(target) == times(source)


def test_encoder_without_hdr10_is_said(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "video" / "sample_with_colr_mdcv_and_clli.mp4"
    said: list[str] = []
    with Upscaler(nearest(), size=(32, 18), device="cpu") as small:
        upscale_video(source, tmp_path / "o.mkv", small, options=FFV1, end=0.05, notice=said.append)
    assert any("HDR10" in line and "libx265" in line for line in said)


# -- interlaced --------------------------------------------------------------------------------------------------------


def test_interlaced_is_refused_with_the_cure(tmp_path: Path, doubled: Upscaler) -> None:
    source = _interlaced(tmp_path)
    with pytest.raises(PipeError, match="--deinterlace"):
        upscale_video(source, tmp_path / "out.mkv", doubled)
    assert not (tmp_path / "out.mkv.parts").exists()


@both_ffmpegs
def test_deinterlaced_by_bwdif(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = _interlaced(tmp_path), tmp_path / "out.mkv"
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FFV1, deinterlace=True, chunk_frames=4)
    reference = tmp_path / "reference.mkv"
    ffmpeg_run("-i", source, "-vf", "bwdif=send_frame,scale=iw*2:ih*2:flags=neighbor", "-c:v", "ffv1", reference)
    assert times(target) == times(source)
    for ours, theirs in zip(pictures(target), pictures(reference), strict=True):
        assert np.array_equal(ours[0], theirs[0])


def _interlaced(folder: Path) -> Path:
    source = folder / "interlaced.mkv"
    ffmpeg_run(
        *moving("96x64", rate="50", seconds=0.4),
        "-vf",
        "tinterlace=interleave_top",
        "-flags",
        "+ildct+ilme",
        "-c:v",
        "mpeg2video",
        "-q:v",
        "2",
        source,
    )
    return source
