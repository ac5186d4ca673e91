"""Numbered pictures: read as one film, and written as one."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner
from fakes import nearest
from PIL import Image
from video_clips import both_ffmpegs, ffmpeg_run, moving, times, tone

from sr_plugins import Upscaler
from sr_plugins.cli.films import films_of
from sr_plugins.cli.main import srp
from sr_plugins.errors import PipeError
from sr_plugins.video import transcode
from sr_plugins.video.transcode import upscale_video

FFV1 = ["-c:v", "ffv1"]


@pytest.fixture(scope="module")
def doubled() -> Iterator[Upscaler]:
    with Upscaler(nearest(channels="rgb"), device="cpu") as upscaler:
        yield upscaler


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    """Twelve pictures, numbered from 7 on: their pattern."""
    (tmp_path / "seq").mkdir()
    pattern = tmp_path / "seq" / "f_%04d.png"
    ffmpeg_run(*moving(seconds=1.2, rate="10"), "-pix_fmt", "rgb24", "-start_number", "7", pattern)
    return pattern


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@both_ffmpegs
def test_pictures_become_a_film(ffmpeg: str, frames: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target, said = tmp_path / "out.mkv", list[str]()
    options = ["-c:v", "libx264rgb", "-crf", "0", "-preset", "ultrafast"]
    result = upscale_video(frames, target, doubled, ffmpeg=ffmpeg, options=options, chunk_frames=5, notice=said.append)
    assert (result.frames, said) == (12, ["f_%04d.png: 12 pictures, 25 a second"])
    upscale_video(frames, target, doubled, options=options, rate=Fraction(24000, 1001), overwrite=True)
    assert [round(float(t), 3) for t in times(target)] == [round(n * 1001 / 24000, 3) for n in range(12)]
    shown = tmp_path / "shown.png"
    ffmpeg_run("-i", target, "-vf", "select=eq(n\\,11)", "-frames:v", "1", shown)
    want = _pixels(frames.parent / "f_0018.png").repeat(2, 0).repeat(2, 1)
    assert np.array_equal(_pixels(shown), want)


def test_a_film_becomes_pictures(tmp_path: Path, doubled: Upscaler) -> None:
    source, out, said = tmp_path / "in.mkv", tmp_path / "out", list[str]()
    out.mkdir()
    ffmpeg_run(*moving(seconds=0.5, rate="10"), *tone(0.5), "-pix_fmt", "gbrp", "-c:v", "ffv1", source)
    upscale_video(source, out / "f_%03d.png", doubled, chunk_frames=2, notice=said.append)
    assert [p.name for p in sorted(out.iterdir())] == [f"f_{n:03d}.png" for n in range(1, 6)]
    assert ["stream 1 (audio, vorbis) is left out: .png cannot hold it; .mkv can" in line for line in said] == [True]
    with av.open(str(source)) as container:
        for number, frame in enumerate(container.decode(video=0), 1):
            want = frame.to_ndarray(format="rgb24").repeat(2, 0).repeat(2, 1)
            assert np.array_equal(_pixels(out / f"f_{number:03d}.png"), want)
    with pytest.raises(PipeError, match=r"f_001\.png exists already: --overwrite replaces such pictures"):
        upscale_video(source, out / "f_%03d.png", doubled)


def test_pictures_into_pictures_keep_their_numbers(frames: Path, tmp_path: Path, doubled: Upscaler) -> None:
    upscale_video(frames, tmp_path / "g%d.tif", doubled, notice=lambda _: None)
    assert sorted(p.name for p in tmp_path.glob("*.tif")) == sorted(f"g{n}.tif" for n in range(7, 19))
    assert np.array_equal(_pixels(tmp_path / "g9.tif")[::2, ::2], _pixels(frames.parent / "f_0009.png"))


def test_an_interrupted_writing_of_pictures_goes_on(
    tmp_path: Path, doubled: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "f_%03d.png"
    ffmpeg_run(*moving(seconds=0.5, rate="10"), "-c:v", "ffv1", source)
    real = transcode.write_pictures

    def torn(pattern: Path, chunks: list[Path], first: int) -> None:
        real(pattern, chunks[:1], first)
        raise KeyboardInterrupt

    monkeypatch.setattr(transcode, "write_pictures", torn)
    with pytest.raises(KeyboardInterrupt):
        upscale_video(source, target, doubled, chunk_frames=2)
    assert len(list(tmp_path.glob("*.png"))) == 2
    monkeypatch.setattr(transcode, "write_pictures", real)
    assert upscale_video(source, target, doubled, chunk_frames=2).resumed == 5
    assert sorted(p.name for p in tmp_path.iterdir()) == [*(f"f_{n:03d}.png" for n in range(1, 6)), "in.mkv"]


def test_what_is_no_film_of_pictures_is_said(frames: Path, tmp_path: Path, doubled: Upscaler) -> None:
    (frames.parent / "f_0010.png").rename(frames.parent / "other.png")
    with pytest.raises(PipeError, match=r"f_0010\.png is missing among 11 pictures"):
        upscale_video(frames, tmp_path / "out.mkv", doubled)
    with pytest.raises(PipeError, match=r"x_%d\.png: there is no such picture"):
        upscale_video(tmp_path / "x_%d.png", tmp_path / "out.mkv", doubled)
    with pytest.raises(PipeError, match=r"such pictures are not written here: use \.png"):
        upscale_video(frames.with_name("other.png"), tmp_path / "o_%d.webp", doubled)
    film = tmp_path / "in.mkv"
    ffmpeg_run(*moving(seconds=0.2), film)
    with pytest.raises(PipeError, match="a film has its own rate: only numbered pictures"):
        upscale_video(film, tmp_path / "out.mkv", doubled, rate=24)


def test_a_folder_and_a_pattern_of_the_shell_are_one_film(frames: Path, tmp_path: Path) -> None:
    folder = frames.parent
    assert films_of((str(folder),), str(tmp_path / "o.mkv"), [], []) == [(frames, tmp_path / "o.mkv")]
    assert films_of((str(folder / "*.png"),), str(tmp_path / "o.mkv"), [], []) == [(frames, tmp_path / "o.mkv")]
    assert films_of((str(folder),), f"{tmp_path}/new/", [], []) == [(frames, tmp_path / "new" / "f.mkv")]
    named = tuple(map(str, sorted(folder.iterdir())))
    assert films_of(named, f"{tmp_path}/new/", [], []) == [(frames, tmp_path / "new" / "f.mkv")]
    with pytest.raises(PipeError, match="more pictures are numbered so"):
        films_of((str(folder / "f_001*.png"),), str(tmp_path / "o.mkv"), [], [])
    (folder / "g_1.png").write_bytes(b"")
    with pytest.raises(PipeError, match="are not numbered alike"):
        films_of((str(folder),), str(tmp_path / "o.mkv"), [], [])


def test_as_a_person_runs_it(frames: Path, tmp_path: Path) -> None:
    words = ["video", str(frames), "-o", str(tmp_path / "o.mkv"), "--fps", "12", "--model", "tiny", "--device", "cpu"]
    done = CliRunner().invoke(srp, words, standalone_mode=False)
    assert done.exception is None, done.output
    assert (
        times(tmp_path / "o.mkv")[-1] == Fraction(11, 12).limit_denominator(1000)
        or len(times(tmp_path / "o.mkv")) == 12
    )


@both_ffmpegs
@pytest.mark.parametrize(("folder", "stem"), [("50%", "f_"), ("a%03d%%", "f_"), ("plain", "100% [a]*_")])
def test_percent_signs_in_names_of_folders_and_pictures(
    ffmpeg: str, folder: str, stem: str, frames: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    """In the name a pattern says it twice, as ffmpeg asks; a folder is written as it is called."""
    place, target, out = tmp_path / folder, tmp_path / "out.mkv", tmp_path / f"to {folder}"
    place.mkdir()
    out.mkdir()
    for number, picture in enumerate(sorted(frames.parent.iterdir())[:3]):
        picture.rename(place / f"{stem}{number:03d}.png")
    pattern = place / f"{stem.replace('%', '%%')}%03d.png"
    assert films_of((str(place),), str(target), [], []) == [(pattern, target)]
    assert films_of((str(place),), f"{tmp_path}/new/", [], [])[0][1].name == f"{stem.rstrip('_')}.mkv"
    upscale_video(pattern, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "ffv1"])
    assert len(times(target)) == 3
    upscale_video(pattern, out / f"{stem.replace('%', '%%')}%d.png", doubled, ffmpeg=ffmpeg)
    for number in range(3):
        want = _pixels(place / f"{stem}{number:03d}.png").repeat(2, 0).repeat(2, 1)
        assert np.array_equal(_pixels(out / f"{stem}{number}.png"), want)


@both_ffmpegs
@pytest.mark.parametrize(("suffix", "pix_fmt", "told"), [("exr", "gbrpf32le", True), ("png", "rgb48be", False)])
def test_what_floating_point_loses_is_told(
    ffmpeg: str, suffix: str, pix_fmt: str, told: bool, tmp_path: Path, doubled: Upscaler
) -> None:
    """Light of a scene has no largest value; films have."""
    pattern, said = tmp_path / f"f%d.{suffix}", list[str]()
    ffmpeg_run(*moving(seconds=0.2, rate="10"), "-pix_fmt", pix_fmt, pattern)
    upscale_video(pattern, tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, notice=said.append)
    assert any("is floating point: what lies below 0 or above 1 is cut off" in line for line in said) == told
