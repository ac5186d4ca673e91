"""Films whose time stamps contradict the order in which their frames are shown: no frame gets a time silently."""

import re
import shlex
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from video_clips import both_ffmpegs, ffmpeg_run, moving, times

from sr_plugins import Upscaler
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]
_REORDERED = {
    "libx264": ["-c:v", "libx264", "-bf", "2", "-b_strategy", "0"],
    "libx265": ["-c:v", "libx265", "-x265-params", "bframes=3:b-adapt=0:log-level=error"],
}


def _film(path: Path, encoder: str, wrong: str) -> Path:
    """Frames that are said to be shown when they are decoded, from a packet on."""
    ffmpeg_run(*moving("64x48"), *_REORDERED[encoder], "-bsf:v", f"setts=pts='{wrong}':dts=DTS", path)
    return path


def _close(path: Path) -> int:
    """How many frames are shown right after another: such times are in no film of ours."""
    return sum(after - before < 0.01 for before, after in pairwise(times(path)))


@both_ffmpegs
@pytest.mark.parametrize(("encoder", "suffix"), [("libx264", "mkv"), ("libx265", "mkv"), ("libx265", "mp4")])
def test_frames_that_are_decoded_in_another_order_than_their_times(
    ffmpeg: str, encoder: str, suffix: str, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = _film(tmp_path / f"in.{suffix}", encoder, "DTS"), tmp_path / "out.mkv"
    said: list[str] = []
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, chunk_frames=9, notice=said.append)
    assert len(said) == 2
    assert re.match(
        rf"in\.{suffix}: its times contradict the order of its frames: that of 0\.\d+ s comes after", said[0]
    )
    frames = sum(time >= 0 for time in times(source))  # those before zero an edit list hides
    assert len(times(target)) == frames
    assert _close(target) >= 1
    told = f"{_close(target)} of {frames} frames came with a time before that of the frame before, and are shown a tick"
    assert said[1].startswith(f"in.{suffix}: {told} after it")


@both_ffmpegs
def test_the_command_that_is_told_gives_new_times(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, cured = _film(tmp_path / "in.mkv", "libx264", "DTS"), tmp_path / "cured.mkv"
    said: list[str] = []
    upscale_video(source, tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    command = re.search(r"(ffmpeg -i .* OUT\.mkv) gives", said[0])
    assert command is not None
    words = [{"ffmpeg": ffmpeg, "IN": str(source), "OUT.mkv": str(cured)}.get(w, w) for w in shlex.split(command[1])]
    subprocess.run([*words, "-v", "error", "-nostdin"], check=True, timeout=60)
    said.clear()
    upscale_video(cured, tmp_path / "new.mkv", doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert said == []
    assert times(tmp_path / "new.mkv") == pytest.approx([number / 25 for number in range(25)], abs=0.001)


@both_ffmpegs
def test_times_that_are_wrong_later_are_counted(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = _film(tmp_path / "in.mkv", "libx264", "if(gt(N,18),DTS+80,PTS)"), tmp_path / "out.mkv"
    said: list[str] = []
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert _close(target) >= 1
    assert len(said) == 1
    assert said[0].startswith(f"in.mkv: {_close(target)} of 25 frames came with a time before that of the frame before")


@both_ffmpegs
def test_a_container_that_tells_no_times_but_of_decoding_is_no_such_film(
    ffmpeg: str, tmp_path: Path, doubled: Upscaler
) -> None:
    """ffmpeg gives reordered frames of AVI a little later than it announces them: none is wrong, none is missing."""
    source, target = tmp_path / "in.avi", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48"), *_REORDERED["libx264"], source)
    said: list[str] = []
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, chunk_frames=7, notice=said.append)
    assert said == []
    assert len(times(target)) == 25
