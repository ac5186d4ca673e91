"""From one container into another: matrices, clocks, and what each of them can hold."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import BUNDLED, both_ffmpegs, ffmpeg_run, moving, pictures, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.decode import DecodeOptions, Decoder
from sr_plugins.video.ffmpeg_process import version_number
from sr_plugins.video.join_plan import Join
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.probe import probe
from sr_plugins.video.streams import plan_streams
from sr_plugins.video.transcode import upscale_video
from sr_plugins.video.verify import verify_target

FAST = ["-preset", "ultrafast"]


def _matrix(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        stored = container.streams.video[0].codec_context.coded_side_data.get("display_matrix", b"")
    return np.frombuffer(bytes(stored), "<i4").tolist()


@both_ffmpegs
@pytest.mark.parametrize("turn", [("0", "h"), ("0", "v"), ("90", "h"), ("-90", "h")])
def test_mirrored_films_stay_mirrored(ffmpeg: str, turn: tuple[str, str], tmp_path: Path, doubled: Upscaler) -> None:
    plain, source, target = (tmp_path / name for name in ("plain.mp4", "in.mp4", "out.mp4"))
    ffmpeg_run(*moving(seconds=0.08), plain)
    ffmpeg_run("-display_rotation", turn[0], f"-display_{turn[1]}flip", "-i", plain, "-c", "copy", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    if probe(target).turned:
        # The last row but the scale moves the picture back into view; it grows with the picture.
        assert _matrix(target)[:6] == _matrix(source)[:6]
        assert pictures(target)[0][0].shape == (64, 96)
    else:  # this ffmpeg cannot write such a matrix: the pixels are turned, as a player would
        shown = tmp_path / "shown.mkv"
        ffmpeg_run("-i", source, "-vf", "scale=iw*2:ih*2:flags=neighbor", "-c:v", "ffv1", shown)
        error = pictures(target)[0][0].astype(float) - pictures(shown)[0][0]
        assert np.abs(error).mean() < 8


@both_ffmpegs
def test_sound_and_picture_begin_together(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """A tick of AVI is a frame, and a minute is not a whole number of frames of 1001/24000 s."""
    source, target = tmp_path / "in.avi", tmp_path / "out.mkv"
    ffmpeg_run(*moving(seconds=0.5, rate="24000/1001"), *tone(0.5), "-c:v", "mpeg4", "-c:a", "mp3", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    for index in (0, 1):
        for was, now in zip(times(source, index), times(target, index), strict=True):
            assert abs(was - now) <= Fraction(1, 1000)


def test_drift_is_found_and_a_shifted_clock_is_not_drift(tmp_path: Path) -> None:
    path, plain, late, both = (tmp_path / name for name in ("in.avi", "plain.mkv", "late.mkv", "both.mkv"))
    ffmpeg_run(*moving(seconds=0.5, rate="24000/1001"), *tone(0.5), "-c:v", "mpeg4", "-c:a", "mp3", path)
    ffmpeg_run("-i", path, "-c", "copy", plain)
    shifted = ["-itsoffset", "0.02", "-i", plain]
    ffmpeg_run(*shifted, "-i", plain, "-map", "0:v", "-map", "1:a", "-c", "copy", late)
    ffmpeg_run(*shifted, "-c", "copy", "-avoid_negative_ts", "disabled", both)
    source, options = probe(path), OutputOptions()
    join = Join(BUNDLED, source, plan_streams(source, late, options, BUNDLED), options, late)
    with pytest.raises(PipeError, match=r"late\.mkv: its sound would be -0\.0\d+ s late"):
        verify_target(join, late, source.timeline)
    verify_target(join, both, source.timeline)


def test_cut_between_two_ticks(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.avi", tmp_path / "out.mkv"
    ffmpeg_run(*moving(seconds=0.5, rate="24000/1001"), "-c:v", "mpeg4", source)
    upscale_video(source, target, doubled, options=FAST, start=0.1)
    wanted = [t - Fraction(1, 10) for t in times(source) if t >= Fraction(1, 10)]
    assert all(abs(a - b) <= Fraction(1, 1000) for a, b in zip(times(target), wanted, strict=True))
    film, options = replace(probe(source), time_base=Fraction(333_667, 10**7)), OutputOptions()
    join = Join(BUNDLED, film, plan_streams(film, target, options, BUNDLED), options, target, start=Fraction(1, 10))
    assert join.clock.denominator < 2**31
    assert (film.time_base / join.clock).denominator == (join.lift / join.clock).denominator == 1


@both_ffmpegs
def test_times_below_zero_are_decoded_to_the_tick(ffmpeg: str, tmp_path: Path) -> None:
    path = tmp_path / "in.avi"
    ffmpeg_run(*moving(seconds=0.5, rate="24000/1001"), "-c:v", "mpeg4", path)
    source = probe(path)
    assert source.time_base.numerator == 1001
    decoder = Decoder(ffmpeg, replace(source, timeline=(-13, *source.timeline)), DecodeOptions())
    assert tuple(time for time, _ in decoder) == source.timeline


# -- what a container can hold -----------------------------------------------------------------------------------------


def _plan(source: Path, target: str, options: str = "", ffmpeg: str = BUNDLED) -> tuple[list[str], tuple[str, ...]]:
    """How each stream is written, and what is said."""
    plan = plan_streams(probe(source), Path(target), OutputOptions.parse(options.split()), ffmpeg)
    return [kept.codec for kept in plan.kept], plan.notices


def _codecs(path: Path) -> list[str]:
    """Of all streams; the sound can be decoded."""
    with av.open(str(path)) as container:
        found = [s.codec_context.codec.canonical_name for s in container.streams if s.codec_context]
        assert len(list(container.decode(audio=0))) > 3
    return found


@pytest.fixture(scope="module")
def sounding(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounding") / "in.mkv"
    maps = ["-map", "0", "-map", "1", "-map", "2"]
    ffmpeg_run(*moving(seconds=0.2), *tone(0.2), *tone(0.2), *maps, "-c:a:0", "flac", "-c:a:1", "aac", path)
    return path


@both_ffmpegs
def test_sound_with_a_named_encoder_is_kept(ffmpeg: str, sounding: Path, tmp_path: Path, doubled: Upscaler) -> None:
    _, said = _plan(sounding, "o.webm")
    assert (
        said[0] == "stream 1 (audio, flac) is left out: .webm cannot hold it; .mkv can and -- -c:a libopus rewrites it"
    )
    assert _plan(sounding, "o.webm", "-c:a:1 libopus") == (["copy"], said)  # there is no second one yet
    assert _plan(sounding, "o.webm", "-acodec libopus") == (["copy", "libopus", "libopus"], ())
    target, notices = tmp_path / "out.webm", list[str]()
    options = ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-c:a", "libopus"]
    upscale_video(sounding, target, doubled, ffmpeg=ffmpeg, options=options, notice=notices.append)
    assert (_codecs(target), notices) == (["vp9", "opus", "opus"], [])
    assert times(target) == times(sounding)


def test_subtitles_are_written_by_a_possible_encoder_only(tmp_path: Path) -> None:
    (tmp_path / "s.srt").write_text("1\n00:00:00,000 --> 00:00:00,100\nhello\n")
    path = tmp_path / "in.mkv"
    inputs = [*moving(seconds=0.2), "-i", tmp_path / "s.srt"]
    ffmpeg_run(*inputs, "-c:s", "srt", path)
    assert _plan(path, "o.mkv", "-c:s ass") == (["copy", "ass"], ())
    assert _plan(path, "o.mkv", "-c:s dvdsub") == (["copy", "copy"], ())
    assert _plan(path, "o.mp4", "-c:s mov_text") == (["copy", "mov_text"], ())
    assert len(_plan(path, "o.mp4")[1]) == 1


@both_ffmpegs
def test_transport_stream_takes_only_what_can_be_played(
    ffmpeg: str, sounding: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    target, said = tmp_path / "out.ts", list[str]()
    upscale_video(sounding, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert _codecs(target) == ["h264", "aac"]
    assert [line.partition(": ")[2] for line in said] == [
        "stream 1 (audio, flac) is left out: .ts cannot hold it; .mkv can and -- -c:a aac rewrites it"
    ]
    assert _plan(sounding, "o.ts", "-c:a:0 aac") == (["copy", "aac", "copy"], ())


@both_ffmpegs
def test_quicktime_pcm_into_mp4(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mov", tmp_path / "out.mp4"
    ffmpeg_run(*moving(seconds=0.2), *tone(0.2), "-c:v", "mpeg4", "-c:a", "pcm_s16le", source)
    holds = version_number(ffmpeg) >= (6, 0)
    assert _plan(source, "o.mp4", ffmpeg=ffmpeg)[0] == (["copy", "copy"] if holds else ["copy"])
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST if holds else [*FAST, "-c:a", "aac"])
    assert _codecs(target) == ["h264", "pcm_s16le" if holds else "aac"]


@pytest.mark.parametrize(("kind", "pcm"), [("s16", "pcm_s16le"), ("s32", "pcm_s24le")])
def test_sound_of_a_blu_ray(kind: str, pcm: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.m2ts", tmp_path / "out.mkv"
    stereo = ["-af", f"aformat={kind}:48000:stereo", "-c:a", "pcm_bluray"]
    ffmpeg_run(*moving(seconds=0.2), *tone(0.2), *stereo, source)
    upscale_video(source, target, doubled, options=FAST)
    assert _codecs(target) == ["h264", pcm]
    assert _plan(source, "o.m2ts") == (["copy", "copy"], ())
    assert "-- -c:a aac" in _plan(source, "o.ts")[1][0]


@both_ffmpegs
@pytest.mark.parametrize(
    ("name", "options", "codecs"),
    [
        ("out.mpg", "-c:v mpeg2video -c:a mp2", ["mpeg2video", "mp2"]),
        ("out.vob", "-c:a ac3", ["mpeg2video", "ac3"]),
        ("out.wmv", "", ["wmv2", "aac"]),
        ("out.mts", "-preset ultrafast", ["h264", "aac"]),
    ],
)
def test_containers_by_other_names(
    ffmpeg: str, name: str, options: str, codecs: list[str], sounding: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    target = tmp_path / name
    upscale_video(sounding, target, doubled, ffmpeg=ffmpeg, options=[*options.split(), "-map", "-0:1"])
    assert _codecs(target) == codecs
    steps = np.diff([float(t) for t in times(target)])
    assert np.allclose(steps, 0.04, atol=0.002)


@pytest.mark.parametrize(("name", "cure"), [("o.mpeg", "mpeg2video"), ("o.vob", "mpeg2video"), ("o.wmv", "wmv2")])
def test_containers_without_times_are_said(name: str, cure: str, sounding: Path) -> None:
    with pytest.raises(PipeError, match=rf"{name}: this container keeps the time of every frame only with -c:v {cure}"):
        _plan(sounding, name, "-c:v libx264")
    _plan(sounding, name)


# -- tags and options --------------------------------------------------------------------------------------------------


@both_ffmpegs
@pytest.mark.parametrize("container", ["mov", "mp4"])
def test_what_a_phone_writes_into_its_films(ffmpeg: str, container: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / f"in.{container}", tmp_path / f"out.{container}"
    tags = {
        "com.apple.quicktime.make": "Apple",
        "com.apple.quicktime.location.ISO6709": "+48.1+011.5/",
        "title": "Film",
        "date": "2020",
        "creation_time": "2020-01-02T03:04:05.000000Z",
    }
    words = [word for key, value in tags.items() for word in ("-metadata", f"{key}={value}")]
    ffmpeg_run(*moving(seconds=0.08), *words, "-movflags", "use_metadata_tags", source)
    # A phone has the time in the header alone.
    source.write_bytes(source.read_bytes().replace(b"mdtacreation_time", b"mdtasome_other_ke"))
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=[*FAST, "-movflags", "faststart"])
    with av.open(str(target)) as result:
        found = dict(result.metadata)
    assert {key: found.get(key) for key in tags} == tags
    assert ";" not in found["major_brand"]
    whole = target.read_bytes()
    assert whole.index(b"moov") < whole.index(b"mdat")  # what the person asked for as well


@both_ffmpegs
def test_no_false_notice_of_chapters_and_time_code(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    meta, source, target = tmp_path / "meta.txt", tmp_path / "in.mov", tmp_path / "out.mov"
    chapters = [f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={n}00\nEND={n + 1}00\ntitle={n}\n" for n in range(2)]
    meta.write_text(";FFMETADATA1\n" + "".join(chapters))
    ffmpeg_run(*moving(seconds=0.2), "-i", meta, "-map_chapters", "1", "-timecode", "01:02:03:04", source)
    assert [s.kind for s in probe(source).streams] == ["video", "data", "data"]
    said: list[str] = []
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert said == []
    now = probe(target)
    assert now.chapters == 2
    assert sum(s.metadata.get("timecode") == "01:02:03:04" for s in now.streams if s.kind == "data") == 1
    assert _plan(source, "o.mkv")[1] == ()
    upscale_video(source, tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert said == []
    (film,) = probe(tmp_path / "out.mkv").streams
    assert {key.lower(): value for key, value in film.metadata.items()}["timecode"] == "01:02:03:04"


@pytest.mark.parametrize(
    ("options", "size", "aspect", "tag"),
    [
        ("-c:v libx265 -preset ultrafast -vtag hvc1 -aspect 2:1", (96, 64), Fraction(4, 3), b"hvc1"),
        ("-c:v libx264 -preset ultrafast -vf scale=100:100", (100, 100), Fraction(3, 2), b"avc1"),
        ("-c:v libx264 -preset ultrafast -aspect:v 3:1", (96, 64), Fraction(2), b"avc1"),
    ],
)
def test_shape_and_tag_that_were_asked_for(
    options: str, size: tuple[int, int], aspect: Fraction, tag: bytes, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg_run(*moving(seconds=0.08), "-vf", "setsar=1", source)
    upscale_video(source, target, doubled, options=options.split())
    out = probe(target)
    assert ((out.width, out.height), out.aspect) == (size, aspect)
    assert tag in target.read_bytes()


def test_gif_is_in_colour(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.gif"
    ffmpeg_run("-f", "lavfi", "-i", "color=red:s=16x16:r=10:d=0.2", source)
    upscale_video(source, target, doubled, options=["-c:v", "gif"])
    with av.open(str(target)) as container:
        red, green, _ = next(container.decode(video=0)).to_ndarray(format="rgb24").mean((0, 1))
    assert (red > 200, green < 50) == (True, True)


def test_the_mark_of_transparency_beside_the_picture_goes(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.webm", tmp_path / "out.mkv"
    ffmpeg_run(*moving(seconds=0.08), "-vf", "format=yuva420p", "-c:v", "libvpx-vp9", "-auto-alt-ref", "0", source)
    assert any(key.lower() == "alpha_mode" for key in probe(source).streams[0].metadata)
    upscale_video(source, target, doubled, options=["-c:v", "libx264", *FAST])
    assert not any(key.lower() == "alpha_mode" for key in probe(target).streams[0].metadata)
