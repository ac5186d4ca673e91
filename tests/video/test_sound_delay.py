"""Sound that is encoded anew is in step, whatever its encoder puts first, also where the container counts samples."""

from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import both_ffmpegs, by_turns, ffmpeg_run, moving, times

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.transcode import upscale_video

_BURST = "0.8*sin(2*PI*1000*(t-0.5))*(0.5-0.5*cos(2*PI*(t-0.5)/0.1))*between(t,0.5,0.6)"


def _film(path: Path, late: float = 0, sound: str = "flac") -> Path:
    """A picture from zero on, and a burst of sound half a second after the sound begins."""
    burst = ["-itsoffset", str(late), "-f", "lavfi", "-i", f"aevalsrc='{_BURST}':s=48000:d=1"]
    ffmpeg_run(*moving("64x48", 1.6), *burst, "-c:v", "libx264", "-c:a", sound, path)
    return path


def _burst(path: Path, place: int = 0) -> float:
    """When the burst begins, counted in samples from the beginning as AVI's players do: by correlation."""
    with av.open(str(path)) as container:
        rate = container.streams.audio[place].rate
        heard = [f.to_ndarray().reshape(-1, f.samples)[0].astype(float) for f in container.decode(audio=place)]
    length = round(rate / 10)
    wanted = np.sin(2 * np.pi * 1000 * np.arange(length) / rate) * np.hanning(length)
    return float(np.argmax(np.correlate(np.concatenate(heard), wanted, "valid"))) / rate


@both_ffmpegs
@pytest.mark.parametrize(
    "encoder", ["libmp3lame", "aac", "ac3", "mp2", "pcm_s16le", "wmav2", "wmav1", "libvorbis", "dca -strict -2"]
)
def test_encoded_sound_is_in_step_in_avi(ffmpeg: str, encoder: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = _film(tmp_path / "in.mkv"), tmp_path / "out.avi"
    said: list[str] = []
    options = ["-c:v", "mpeg4", "-c:a", *encoder.split()]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, notice=said.append)
    assert said == []
    assert times(target)[0] == 0
    assert _burst(target) == pytest.approx(0.5, abs=0.001)


@both_ffmpegs
@pytest.mark.parametrize(
    ("suffix", "encoder"),
    [
        *(("mkv", "dca"), ("mp4", "dca"), ("ts", "dca"), ("mkv", "libopus"), ("mp4", "libopus"), ("webm", "libopus")),
        *(("mkv", "aac"), ("ts", "ac3"), ("mov", "alac")),
    ],
)
@pytest.mark.parametrize("late", [0, 0.7])
def test_encoded_sound_is_in_step_where_times_are_told(
    ffmpeg: str, suffix: str, encoder: str, late: float, tmp_path: Path, doubled: Upscaler
) -> None:
    """ffmpeg's encoder of DTS does not say that it begins with 512 samples of silence; 5.1 lets Opus in Matroska come
    as much early as it begins with. The film begins where it did."""
    source, target = _film(tmp_path / "in.mkv", late), tmp_path / f"out.{suffix}"
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:a", encoder, "-strict", "-2"])
    with av.open(str(target)) as container:
        first = next(container.decode(audio=0)).time
        begins = float(times(target)[0])
    assert first is not None
    assert first + _burst(target) - begins == pytest.approx(0.5 + late, abs=0.0015)  # Matroska counts milliseconds
    assert begins == 0 or suffix == "ts"


@by_turns(
    case=[
        (0.37, None, "flac", [], 0.87),
        (0.37, 0.4, "aac", [], 0.47),
        (-0.2, None, "aac", [], 0.3),
        (0, None, "ac3", ["-ar", "22050", "-ac", "2"], 0.5),
    ]
)
def test_wherever_it_begins_and_at_any_rate(
    ffmpeg: str, case: tuple[float, float | None, str, list[str], float], tmp_path: Path, doubled: Upscaler
) -> None:
    """Silence stands before sound that begins after the picture."""
    late, start, sound, more, burst = case
    source, target = _film(tmp_path / "in.mp4", late, sound), tmp_path / "out.avi"
    options = ["-c:v", "mpeg4", "-c:a", "libmp3lame", *more]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, start=start, notice=lambda _: None)
    assert _burst(target) == pytest.approx(burst, abs=0.001)


@both_ffmpegs
@pytest.mark.parametrize(("was", "now"), [(1, 2), (6, 2), (2, 1)])
def test_with_another_number_of_channels(ffmpeg: str, was: int, now: int, tmp_path: Path, doubled: Upscaler) -> None:
    source, there, target = tmp_path / "one.mkv", tmp_path / "in.mkv", tmp_path / "out.avi"
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[was]
    same = f"pan={layout}|" + "|".join(f"c{number}=c0" for number in range(was))
    ffmpeg_run("-i", _film(source), "-c:v", "copy", "-c:a", "flac", "-af", same, there)
    options = ["-c:v", "mpeg4", "-c:a", "ac3", "-ac", str(now)]
    upscale_video(there, target, doubled, ffmpeg=ffmpeg, options=options)
    with av.open(str(target)) as container:
        assert container.streams.audio[0].channels == now
    assert _burst(target) == pytest.approx(0.5, abs=0.001)


@by_turns(
    case=[
        ("libmp3lame", ["-af", "volume=0.5"], 0.5),
        ("aac", ["-filter:a:0", "asplit[a][b];[a][b]amix"], 0.5),
        ("wmav2", ["-filter:a", "adelay=200:all=1"], 0.7),
        ("mp2", ["-af", "asetpts=PTS+0.2/TB,aresample=32000"], 0.7),
    ]
)
def test_with_a_filter_of_the_persons_own(
    ffmpeg: str, case: tuple[str, list[str], float], tmp_path: Path, doubled: Upscaler
) -> None:
    encoder, own, burst = case
    source, target = _film(tmp_path / "in.mkv"), tmp_path / "out.avi"
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "mpeg4", "-c:a", encoder, *own])
    assert _burst(target) == pytest.approx(burst, abs=0.001)


@both_ffmpegs
def test_each_stream_of_sound_by_its_own_encoder(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """A filter is of the stream that it names, and a stream that is copied stands between."""
    source, target, two = _film(tmp_path / "one.mkv", sound="pcm_s16le"), tmp_path / "out.avi", tmp_path / "in.mkv"
    ffmpeg_run("-i", source, *["-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "0:a", "-c", "copy"], two)
    options = ["-c:v", "mpeg4", "-c:a:0", "wmav2", "-c:a:2", "libmp3lame", "-filter:a:2", "adelay=100:all=1"]
    upscale_video(two, target, doubled, ffmpeg=ffmpeg, options=options)
    assert [_burst(target, place) for place in range(3)] == pytest.approx([0.5, 0.5, 0.6], abs=0.001)


@both_ffmpegs
def test_a_filter_of_the_persons_own_hears_no_pauses(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Encoders count samples: of sound that lost packets what follows would come early."""
    whole, source, target = _film(tmp_path / "whole.mkv"), tmp_path / "in.mkv", tmp_path / "out.mkv"
    lost = ["-bsf:a", "noise=drop='between(pts*tb,0.2,0.4)'"]
    ffmpeg_run("-i", whole, "-c:v", "copy", "-c:a", "pcm_s16le", *lost, source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:a", "flac", "-af", "volume=0.5"])
    assert _burst(target) == pytest.approx(0.5, abs=0.001)


@by_turns(case=[("aac", "mkv"), ("libmp3lame", "mp4"), ("pcm_s16le", "mov"), ("wmav2", "mkv")])
def test_a_filter_needs_no_encoder_named(ffmpeg: str, case: tuple[str, str], tmp_path: Path, doubled: Upscaler) -> None:
    encoder, suffix = case
    source, target = _film(tmp_path / f"in.{suffix}", sound=encoder), tmp_path / f"out.{suffix}"
    said: list[str] = []
    options = ["-c:v", "mpeg4", "-af", "volume=0"]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, notice=said.append)
    assert [line for line in said if ": a filter changes it" in line] == said != []
    with av.open(str(target)) as container:
        name = "aac" if encoder == "wmav2" else encoder.removeprefix("lib").removesuffix("lame")
        assert container.streams.audio[0].codec_context.codec.canonical_name == name
        assert all(not frame.to_ndarray().any() for frame in container.decode(audio=0))


@by_turns(
    case=[(["-c:a", "libmp3lame", "-af", "nosuch=3"], "nosuch"), (["-c:a", "nosuch"], "Unknown encoder 'nosuch'")]
)
def test_what_cannot_be_measured_says_why(
    ffmpeg: str, case: tuple[list[str], str], tmp_path: Path, doubled: Upscaler
) -> None:
    """ffmpeg's last line tells consequences, the cause stands before."""
    words, cause = case
    source, target = _film(tmp_path / "in.mkv"), tmp_path / "out.avi"
    with pytest.raises(PipeError, match=cause):
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "mpeg4", *words])
