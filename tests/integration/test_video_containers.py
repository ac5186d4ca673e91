"""From one container into another: matrices, clocks, and what each of them can hold."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from fakes import nearest
from video_clips import BUNDLED, both_ffmpegs, ffmpeg_run, moving, pictures, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.ffmpeg_pipe.decode import DecodeOptions, Decoder
from sr_plugins.ffmpeg_pipe.join import Join, verify_target
from sr_plugins.ffmpeg_pipe.output_options import OutputOptions
from sr_plugins.ffmpeg_pipe.probe import probe
from sr_plugins.ffmpeg_pipe.streams import plan_streams
from sr_plugins.ffmpeg_pipe.transcode import upscale_video

FAST = ["-preset", "ultrafast"]


@pytest.fixture(scope="module")
def doubled() -> Iterator[Upscaler]:
    with Upscaler(nearest(), device="cpu") as upscaler:
        yield upscaler


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
    join = Join(BUNDLED, source, plan_streams(source, late, options), options)
    with pytest.raises(PipeError, match=r"late\.mkv: its sound would be -0\.0\d+ s late"):
        verify_target(join, late, source.timeline)
    verify_target(join, both, source.timeline)


def test_cut_between_two_ticks(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.avi", tmp_path / "out.mkv"
    ffmpeg_run(*moving(seconds=0.5, rate="24000/1001"), "-c:v", "mpeg4", source)
    upscale_video(source, target, doubled, options=FAST, start=0.1)
    wanted = [t - Fraction(1, 10) for t in times(source) if t >= Fraction(1, 10)]
    assert all(abs(a - b) <= Fraction(1, 1000) for a, b in zip(times(target), wanted, strict=True))


@both_ffmpegs
def test_times_below_zero_are_decoded_to_the_tick(ffmpeg: str, tmp_path: Path) -> None:
    path = tmp_path / "in.avi"
    ffmpeg_run(*moving(seconds=0.5, rate="24000/1001"), "-c:v", "mpeg4", path)
    source = probe(path)
    assert source.time_base.numerator == 1001
    decoder = Decoder(ffmpeg, replace(source, timeline=(-13, *source.timeline)), DecodeOptions())
    assert tuple(time for time, _ in decoder) == source.timeline
