"""Work that is stopped leaves what is finished as a film, on request, and goes on all the same."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from video_clips import ffmpeg_run, moving, packets, picture_hash, pictures, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.transcode import FilmProgress, upscale_video

FAST = ["-preset", "ultrafast"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("so-far")
    lines = [f"{n + 1}\n00:00:0{n},000 --> 00:00:0{n},500\nline {n}\n" for n in range(3)]
    (folder / "in.srt").write_text("\n".join(lines))
    streams = ["-i", folder / "in.srt", "-map", "0", "-map", "1", "-map", "2", "-c:v", "ffv1", "-c:a", "mp2"]
    ffmpeg_run(*moving(seconds=3, rate="10"), *tone(3), *streams, "-c:s", "srt", folder / "in.mkv")
    return folder / "in.mkv"


def _stopped(clip: Path, target: Path, upscaler: Upscaler, after: int, **settings: Any) -> list[str]:
    """What is said where Ctrl-C comes when so many frames are written."""
    said: list[str] = []

    def stop(progress: FilmProgress) -> None:
        if progress.done >= after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_video(
            clip, target, upscaler, options=FAST, chunk_frames=6, progress=stop, notice=said.append, **settings
        )
    return said


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_the_film_so_far_and_the_whole_one(suffix: str, clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target = tmp_path / f"out.{suffix}"
    film = tmp_path / f"out-to-0h00m01s.{suffix}"
    said = _stopped(clip, target, doubled, 15, keep_playable=True)
    assert said[-1] == f"{film} is the film so far"
    assert sorted(path.name for path in tmp_path.iterdir()) == [film.name, f"out.{suffix}.parts"]
    assert [float(time) for time in times(film)] == pytest.approx([n / 10 for n in range(12)], abs=0.001)
    assert len(pictures(film)) == 12
    sound, whole = times(film, 1), times(clip, 1)
    assert Fraction(11, 10) < sound[-1] < Fraction(6, 5)
    assert len(sound) < len(whole)
    lines = [words.decode(errors="replace") for _, words in packets(film, 2)]
    assert [n for n in range(3) if any(f"line {n}" in line for line in lines)] == [0, 1]
    assert _stopped(clip, target, doubled, 15, keep_playable=True)[-1] == f"{film} is there already"
    result = upscale_video(clip, target, doubled, options=FAST, chunk_frames=6, notice=lambda _: None)
    assert (result.frames, result.resumed) == (30, 12)
    straight = tmp_path / f"straight.{suffix}"
    upscale_video(clip, straight, doubled, options=FAST, chunk_frames=6, notice=lambda _: None)
    assert picture_hash(target) == picture_hash(straight)
    assert film.exists()  # it is the person's


def test_a_cut_film_so_far(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target = tmp_path / "out.mkv"
    said = _stopped(clip, target, doubled, 8, keep_playable=True, start=0.5, end=2.5)
    assert said[-1] == f"{tmp_path / 'out-to-0h00m00s.mkv'} is the film so far"
    assert len(pictures(tmp_path / "out-to-0h00m00s.mkv")) == 6


def test_nothing_to_leave(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    assert _stopped(clip, tmp_path / "out.mkv", doubled, 2, keep_playable=True)[-1].startswith("no chunk is finished")
    before = _stopped(clip, tmp_path / "other.mkv", doubled, 15)
    assert not any("so far" in line for line in before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.mkv.parts"]
    with pytest.raises(PipeError, match="numbered pictures are written at the end"):
        upscale_video(clip, tmp_path / "f_%03d.png", doubled, keep_playable=True)
