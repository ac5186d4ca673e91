"""The shape of pixels: exact in every container that can tell it, told where not."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from video_clips import both_ffmpegs, by_turns, ffmpeg_run, moving

from sr_plugins import Upscaler
from sr_plugins.video.timeline import fraction
from sr_plugins.video.transcode import upscale_video

_WIDE = Fraction(3200, 2997)


def _shape(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        return fraction(container.streams.video[0].sample_aspect_ratio)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shapes") / "in.mp4"
    ffmpeg_run(*moving("64x48", 0.3), "-vf", f"setsar={_WIDE}:max=10000", "-c:v", "libx264", path)
    assert _shape(path) == _WIDE
    return path


@by_turns(
    made=[
        *(("mkv", "libx264"), ("mp4", "libx264"), ("ts", "libx264"), ("avi", "libx264"), ("h264", "libx264")),
        *(("mkv", "libsvtav1"), ("mp4", "libx265"), ("mkv", "ffv1"), ("mov", "prores_ks"), ("nut", "libx265")),
    ]
)
def test_ratios_of_large_numbers_are_exact(
    ffmpeg: str, made: tuple[str, str], wide: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    """ffmpeg's setsar rounds to numbers up to 100 by itself, its -aspect to 255."""
    target = tmp_path / f"out.{made[0]}"
    upscale_video(wide, target, doubled, ffmpeg=ffmpeg, options=["-c:v", made[1]])
    assert _shape(target) == _WIDE


@both_ffmpegs
@pytest.mark.parametrize(("suffix", "comes"), [("mpg", "1: mpeg2video in mpeg"), ("webp", "1: webp"), ("webm", None)])
def test_a_shape_that_comes_out_as_another_is_told(
    ffmpeg: str, suffix: str, comes: str | None, wide: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    """MPEG-2 has four shapes, WebM counts pixels: of 128 here 137, a part of a pixel away."""
    said: list[str] = []
    upscale_video(wide, tmp_path / f"out.{suffix}", doubled, ffmpeg=ffmpeg, notice=said.append)
    line = f"in.mp4: the shape of a pixel, 3200/2997, comes out as {comes} cannot tell it; .mkv can"
    assert [word for word in said if "shape" in word] == ([line] if comes else [])


@both_ffmpegs
@pytest.mark.parametrize(("suffix", "encoder"), [("mp4", "libx264rgb"), ("avi", "ffv1"), ("mkv", "ffv1")])
def test_square_pixels_stay_square_at_any_size(
    ffmpeg: str, suffix: str, encoder: str, tmp_path: Path, doubled: Upscaler
) -> None:
    """433:257 has large numbers, of which ffmpeg's -aspect would make other pixels."""
    source, target = tmp_path / "in.mkv", tmp_path / f"out.{suffix}"
    cut = ["-vf", "crop=433:257:0:0:exact=1,setsar=1", "-pix_fmt", "gbrp"]
    ffmpeg_run(*moving("434x258", 0.2), *cut, "-c:v", "ffv1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", encoder])
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (866, 514)
        assert stream.sample_aspect_ratio in (None, 0, 1)
