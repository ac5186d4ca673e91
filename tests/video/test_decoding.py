"""What lies beside the picture: transparency, a crop, marks of the container."""

from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import BUNDLED, both_ffmpegs, ffmpeg_run, moving, pictures

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.ffmpeg_process import version_number
from sr_plugins.video.probe import probe
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast", "-crf", "1"]


def _half_seen(path: Path, encoder: str) -> Path:
    half = ["-vf", "format=yuva420p,colorchannelmixer=aa=0.5", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"]
    ffmpeg_run(*moving(seconds=0.2), *half, "-c:v", encoder, path)
    return path


@both_ffmpegs
@pytest.mark.parametrize("encoder", ["libvpx", "libvpx-vp9"])
def test_transparency_beside_the_picture(encoder: str, ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = _half_seen(tmp_path / "in.webm", encoder), tmp_path / "out.mkv"
    said: list[str] = []
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, notice=said.append)
    assert said == []
    assert probe(target).pix_fmt == "yuva420p"
    shown = pictures(target)
    assert len(shown) == 5
    assert all(planes[3].shape == (64, 96) and np.abs(planes[3] - 127.0).max() <= 3 for planes in shown)


@both_ffmpegs
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("out.mkv", ["-c:v", "libvpx-vp9"]),  # it would write it beside the picture
        ("out.mov", ["-c:v", "prores_ks", "-profile:v", "hq"]),  # it takes transparency, and has no place for it
        ("out.mov", ["-c:v", "prores_ks", "-profile:v", "4444"]),
        ("out.mov", ["-c:v", "prores_ks", "-profile:v", "4444", "-alpha_bits", "0"]),
        ("out.mov", ["-c:v", "hap", "-format", "hap"]),
        ("out.mov", ["-c:v", "hap", "-format", "hap_alpha"]),
    ],
)
def test_transparency_that_an_encoder_would_lose(
    target: str, words: list[str], ffmpeg: str, tmp_path: Path, doubled: Upscaler
) -> None:
    source = _half_seen(tmp_path / "in.webm", "libvpx-vp9")
    said: list[str] = []
    upscale_video(source, tmp_path / target, doubled, ffmpeg=ffmpeg, options=words, notice=said.append)
    lost = f"transparency is left out: {words[1]} does not write it so; ffv1 and prores_ks -profile:v 4444 do"
    kept = any(c.is_alpha for c in av.VideoFormat(probe(tmp_path / target).pix_fmt).components)
    assert kept == (words[-1] in ("4444", "hap_alpha"))
    assert (f"in.webm: {lost}" in said) == (not kept)


@both_ffmpegs
def test_transparency_that_an_older_decoder_leaves_out(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """H.265 holds it in a layer of its own, which ffmpeg 5.1 does not know."""
    source, target = tmp_path / "in.mov", tmp_path / "out.mkv"
    half = ["-vf", "format=yuva420p,colorchannelmixer=aa=0.5", "-pix_fmt", "yuva420p"]
    ffmpeg_run(*moving("64x48", 0.2), *half, "-c:v", "libx265", "-x265-params", "log-level=none", source)
    said: list[str] = []
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, notice=said.append)
    lost = "decodes it as yuv420p, which loses transparency: a newer one (--ffmpeg) may not"
    assert [line for line in said if line.startswith("in.mov: ffmpeg ") and line.endswith(lost)] == said
    assert bool(said) == (probe(target).pix_fmt == "yuv420p") == (version_number(ffmpeg) < (8, 0))


def test_bits_that_are_lost_are_those_that_were_there(tmp_path: Path, doubled: Upscaler) -> None:
    """Of ProRes 4444 two: transparency of twelve bits travels as sixteen."""
    source, target = tmp_path / "in.mov", tmp_path / "out.mov"
    codec = ["-c:v", "prores_ks", "-profile:v", "4444"]
    ffmpeg_run(*moving("64x48", 0.2), "-pix_fmt", "yuva444p10le", *codec, "-alpha_bits", "16", source)
    said: list[str] = []
    upscale_video(source, target, doubled, options=codec, notice=said.append)
    assert probe(source).pix_fmt == "yuva444p12le"
    (line,) = said
    assert line.endswith("encoding as yuva444p10le, which loses 2 bits")


def test_an_ffmpeg_without_that_decoder(tmp_path: Path, doubled: Upscaler) -> None:
    source, target, script = _half_seen(tmp_path / "in.webm", "libvpx-vp9"), tmp_path / "out.mkv", tmp_path / "ffmpeg"
    script.write_text(f'#!/bin/sh\ncase "$*" in *decoder=libvpx*) exit 0;; esac\nexec {BUNDLED} "$@"\n')
    script.chmod(0o755)
    said: list[str] = []
    upscale_video(source, target, doubled, options=FAST, ffmpeg=script, notice=said.append)
    assert said == ["in.webm: transparency is left out: this ffmpeg has no decoder libvpx-vp9"]
    assert probe(target).pix_fmt == "yuv420p"


@both_ffmpegs
@pytest.mark.parametrize("deinterlace", [False, True])
def test_crop_of_the_container(deinterlace: bool, ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    plain, source, target = tmp_path / "plain.mkv", tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48", 0.2), "-vf", "setsar=2", "-c:v", "ffv1", plain)
    data = plain.read_bytes()
    # Matroska's DisplayWidth, DisplayHeight and DisplayUnit become PixelCropBottom, PixelCropLeft and PixelCropTop.
    display, crop = (bytes.fromhex(ids) for ids in ("54b08108 54ba8103 54b28103", "54aa8110 54cc8108 54bb8102"))
    assert data.count(display) == 1
    data = data.replace(display, crop)
    source.write_bytes(data)
    said: list[str] = []
    upscale_video(
        source, target, doubled, options=["-c:v", "ffv1"], ffmpeg=ffmpeg, deinterlace=deinterlace, notice=said.append
    )
    assert said == []
    for before, after in zip(pictures(plain), pictures(target), strict=True):
        assert after[0].shape == (60, 112)
        if not deinterlace:
            assert np.array_equal(after[0][::2, ::2], before[0][2:32, 8:])


def test_marks_that_are_left_out(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving(seconds=0.1), "-metadata:s:v", "stereo_mode=left_right", source)
    said: list[str] = []
    upscale_video(source, target, doubled, options=FAST, notice=said.append)
    assert said == []
    assert probe(target).streams[0].metadata["stereo_mode"] == "left_right"
    film = tmp_path / "in.mp4"
    ffmpeg_run("-i", source, "-c", "copy", "-strict", "unofficial", film)
    upscale_video(film, target, doubled, options=FAST, overwrite=True, notice=said.append)
    assert said == ["in.mp4: the mark of a stereo film is left out: set it again with a tool for such films"]


@pytest.mark.parametrize("status", [0, 1])
def test_what_an_ffmpeg_cannot_decode_is_said_with_its_cure(status: int, tmp_path: Path, doubled: Upscaler) -> None:
    """As 5.1 does with FFV1 of 4:4:4 with alpha in 12 bits."""
    source, script = tmp_path / "in.mkv", tmp_path / "ffmpeg"
    ffmpeg_run(*moving(seconds=0.2), "-c:v", "ffv1", source)
    refuse = f"case \"$*\" in *pipe:1) echo '[error] no valid keyframe' >&2; exit {status};; esac"
    script.write_text(f'#!/bin/sh\n{refuse}\nexec {BUNDLED} "$@"\n')
    script.chmod(0o755)
    said = r"decoding .*in\.mkv: .*no valid keyframe.*a newer ffmpeg than \S+ \(--ffmpeg\) may read it"
    with pytest.raises(PipeError, match=said):
        upscale_video(source, tmp_path / "out.mkv", doubled, ffmpeg=script)
