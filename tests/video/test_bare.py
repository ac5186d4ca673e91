"""Codecs' own streams, in no container: they tell no times, and hold nothing but frames."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from click.testing import CliRunner
from video_clips import both_ffmpegs, ffmpeg_run, moving, picture_hash, pictures, times, tone

from sr_plugins import Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import PipeError
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]
FILM = Fraction(24000, 1001)


SOURCES = {
    "h264": ["-c:v", "libx264", "-bf", "3"],
    "265": ["-c:v", "libx265", "-x265-params", "log-level=error"],
    "m2v": ["-c:v", "mpeg2video", "-bf", "2"],
    "m1v": ["-c:v", "mpeg1video", "-bf", "2"],
    "mjpeg": ["-c:v", "mjpeg"],
}


@both_ffmpegs
@pytest.mark.parametrize("suffix", SOURCES)
def test_a_bare_stream_becomes_a_film(ffmpeg: str, suffix: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Every frame, in order, at the stream's own rate or at the one that is named."""
    source, target, said = tmp_path / f"in.{suffix}", tmp_path / "out.mkv", list[str]()
    ffmpeg_run(*moving("64x48", 0.6, "24000/1001"), "-pix_fmt", "yuv420p", *SOURCES[suffix], source)
    count = len(pictures(source))
    rate = None if suffix != "mjpeg" else FILM
    result = upscale_video(
        source, target, doubled, ffmpeg=ffmpeg, rate=rate, chunk_frames=6, options=["-c:v", "ffv1"], notice=said.append
    )
    assert result.frames == count >= 14
    assert [float(time) for time in times(target)] == pytest.approx(
        [float(number / FILM) for number in range(count)], abs=0.001
    )
    told = f"in.{suffix}: a stream without times: 23.976 frames a second are taken; --fps names another rate"
    assert said == ([] if rate else [told])
    small, large = pictures(source), pictures(target)
    assert all((a[0] == b[0][::2, ::2]).all() for a, b in zip(small, large, strict=True))


def test_the_rate_that_is_named_and_a_cut(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.h264", tmp_path / "out.mkv"
    ffmpeg_run(*moving(), source)
    cut = {"start": 0.5, "end": 1.0, "rate": 10, "options": FAST}
    assert upscale_video(source, target, doubled, **cut).frames == 5
    assert times(target) == [Fraction(number, 10) for number in range(5)]


TARGETS = {
    "h264": ("h264", []),
    "264": ("h264", ["-c:v", "libx264", "-preset", "ultrafast"]),
    "hevc": ("hevc", FAST),
    "265": ("hevc", FAST),
    "m2v": ("mpeg2video", []),
    "obu": ("av1", ["-preset", "12"]),
    "mjpg": ("mjpeg", []),
}


@both_ffmpegs
@pytest.mark.parametrize("suffix", TARGETS)
def test_a_film_becomes_a_bare_stream(ffmpeg: str, suffix: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target, said = tmp_path / "in.mkv", tmp_path / f"out.{suffix}", list[str]()
    ffmpeg_run(*moving("64x48", seconds=0.48), *tone(0.48), "-pix_fmt", "yuv420p", "-c:v", "ffv1", source)
    codec, options = TARGETS[suffix]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, chunk_frames=5, notice=said.append)
    with av.open(str(target)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == codec
        assert len(container.streams) == 1
        if codec in ("h264", "hevc"):
            assert container.streams.video[0].guessed_rate == 25
    assert len(pictures(target)) == 12
    assert any("stream 1 (audio, vorbis) is left out" in line for line in said), said


def test_what_a_bare_stream_is_not(tmp_path: Path, doubled: Upscaler) -> None:
    uneven, said = tmp_path / "uneven.mkv", list[str]()
    ffmpeg_run(*moving(seconds=0.8), "-vf", "select='not(eq(n,3))'", "-fps_mode", "passthrough", uneven)
    with pytest.raises(PipeError, match=r"out\.h264: such a stream is h264, libx265 makes hevc"):
        upscale_video(uneven, tmp_path / "out.h264", doubled, options=["-c:v", "libx265"])
    upscale_video(uneven, tmp_path / "out.h264", doubled, options=FAST, notice=said.append)
    assert any("uneven times, which streams without a container do not tell; .mkv does" in line for line in said)
    with pytest.raises(PipeError, match="a film has its own rate: only numbered pictures and bare streams"):
        upscale_video(uneven, tmp_path / "out.mkv", doubled, rate=30)


def test_as_a_person_runs_it(tmp_path: Path) -> None:
    source, target = tmp_path / "in.h264", tmp_path / "out.264"
    ffmpeg_run(*moving(seconds=0.4), source)
    words = ["video", str(source), "-o", str(target), "--fps", "30", "--device", "cpu", "--", *FAST]
    done = CliRunner().invoke(srp, words, standalone_mode=False)
    assert done.exception is None, done.output
    assert len(pictures(target)) == 10


@both_ffmpegs
def test_mpeg4_in_a_transport_stream_can_be_decoded(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Its headers travel apart from the packets, and a transport stream has no other place for them."""
    source, target, other = (tmp_path / name for name in ("in.mkv", "out.ts", "out.mkv"))
    ffmpeg_run(*moving(), *tone(), "-c:v", "ffv1", "-c:a", "mp2", source)
    mpeg4 = ["-c:v", "mpeg4", "-q:v", "2", "-g", "5"]
    for place in (target, other):
        upscale_video(source, place, doubled, ffmpeg=ffmpeg, options=mpeg4, chunk_frames=10)
    assert picture_hash(target) == picture_hash(other)
    assert len(pictures(target)) == 25
