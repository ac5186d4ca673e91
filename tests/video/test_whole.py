"""Films that are not whole, by their own containers' word, and films that are, however they begin and lie."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from fakes import nearest
from video_clips import both_ffmpegs, ffmpeg_run, moving, pictures, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.probe import probe
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]
WRITTEN = {
    "mkv": [],
    "webm": ["-c:v", "libvpx-vp9", "-c:a", "libopus"],
    "mp4": ["-movflags", "+faststart"],
    "3gp": ["-movflags", "frag_keyframe+empty_moov+default_base_moof", "-f", "mp4"],
    "mov": ["-movflags", "+faststart"],
    "avi": ["-c:v", "mpeg4", "-c:a", "mp2"],
}


@pytest.mark.parametrize("suffix", WRITTEN)
def test_a_short_film_that_is_cut_off_is_refused(suffix: str, tmp_path: Path) -> None:
    """However few seconds are missing: the container says how many bytes there should be."""
    whole, part = tmp_path / f"whole.{suffix}", tmp_path / f"part.{suffix}"
    ffmpeg_run(*moving("64x48", 0.8), *tone(0.8), "-g", "5", *WRITTEN[suffix], whole)
    size = whole.stat().st_size
    assert len(probe(whole).timeline) == len(pictures(whole)) == 20
    for left in (size // 2, size - 200):
        part.write_bytes(whole.read_bytes()[:left])
        lacking = r"\d+" if suffix == "3gp" else size - left  # nobody knows of fragments that are not there
        with pytest.raises(PipeError, match=rf"part.{suffix} is truncated: {lacking} bytes or more are missing"):
            probe(part)


def test_what_stands_behind_a_film_does_not_matter(tmp_path: Path) -> None:
    film = tmp_path / "in.mp4"
    ffmpeg_run(*moving("64x48", 0.4), film)
    film.write_bytes(film.read_bytes() + bytes(100) + b"\xff\xff\xff\xffmore than a box")
    assert len(probe(film).timeline) == 10


def test_a_recording_without_its_index_is_called_so(tmp_path: Path) -> None:
    film = tmp_path / "in.mp4"
    ffmpeg_run(*moving("64x48", 0.4), film)
    whole = film.read_bytes()
    film.write_bytes(whole[: whole.rindex(b"moov") - 4])
    with pytest.raises(PipeError, match=r"in.mp4 is truncated: its index \(moov\), .* is missing; take a whole copy"):
        probe(film)


def test_a_broadcast_of_one_frame_begins_at_zero(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.ts", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48"), "-frames:v", "1", "-c:v", "mpeg2video", source)
    assert times(source)[0] > 1
    upscale_video(source, target, doubled, options=FAST)
    assert times(target) == [0]


def test_a_film_that_begins_too_late_for_a_container_that_counts(tmp_path: Path, doubled: Upscaler) -> None:
    """Told before a model is made, and the cure is one."""
    source, target = tmp_path / "in.mkv", tmp_path / "out.avi"
    ffmpeg_run(*moving("64x48", 0.4), "-output_ts_offset", "36000", source)

    def model() -> Upscaler:
        return doubled

    with pytest.raises(PipeError, match=r"out.avi: the film begins at 36000 s, .*: --start 0 lets it begin at zero"):
        upscale_video(source, target, model, options=FAST)
    upscale_video(source, target, model, options=["-c:v", "mpeg4"], start=0)
    assert times(target) == [Fraction(number, 25) for number in range(10)]


@both_ffmpegs
@pytest.mark.parametrize("size", [(150, None), (None, 150), (120, 200)])
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi"])
def test_the_size_of_a_phone_film_is_that_which_people_see(
    suffix: str, size: tuple[int | None, int | None], ffmpeg: str, tmp_path: Path
) -> None:
    """Whether the pixels are turned or a display matrix says that players should."""
    flat, source, target = tmp_path / "flat.mp4", tmp_path / "in.mp4", tmp_path / f"out.{suffix}"
    ffmpeg_run(*moving("64x48", 0.2), "-c:v", "libx264", "-pix_fmt", "yuv420p", flat)
    ffmpeg_run("-display_rotation", "90", "-i", flat, "-c", "copy", source)
    with Upscaler(nearest(), device="cpu", size=size) as upscaler:
        upscale_video(source, target, upscaler, ffmpeg=ffmpeg, options=[*FAST, "-bf", "0"])
    with av.open(str(target)) as container:
        picture = next(container.decode(video=0))
    shown = (picture.height, picture.width) if picture.rotation % 180 else (picture.width, picture.height)
    assert shown == (size[0] or 112, size[1] or 200)


@pytest.mark.parametrize("suffix", ["ts", "mkv"])
def test_a_film_that_grows_while_it_is_read_is_called_so(suffix: str, tmp_path: Path, doubled: Upscaler) -> None:
    """It is still being recorded; when it is whole, the cure makes all of it."""
    whole, source, target = tmp_path / f"whole.{suffix}", tmp_path / f"in.{suffix}", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48", 1.6), *tone(1.6), "-g", "5", *(["-live", "1"] if suffix == "mkv" else []), whole)
    data = whole.read_bytes()
    half = len(data) // 2 // 188 * 188
    source.write_bytes(data[:half])

    def grow(_: object) -> None:
        if source.stat().st_size == half:
            source.write_bytes(data)

    with pytest.raises(PipeError, match=rf"in.{suffix} changed while it was read: is it still being recorded"):
        upscale_video(source, target, doubled, options=FAST, chunk_frames=5, progress=grow)
    assert not target.exists()
    assert upscale_video(source, target, doubled, options=FAST, restart=True).frames == 40
