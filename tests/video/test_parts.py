"""The command that a film is refused with where it changes on the way: what it makes are films that can be made."""

import re
import shlex
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from video_clips import both_ffmpegs, ffmpeg_run, moving, pictures

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import Matrix
from sr_plugins.video.parts import moment
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast", "-qp", "0"]
NTSC = "24000/1001"  # so that frames lie between milliseconds
CHANGES = {
    "colours": (["-c:v", "libx264", "-g", "12", "-bf", "2"], ["-colorspace", "bt709"], ["-colorspace", "bt470bg"]),
    "shape": (
        ["-c:v", "mpeg2video", "-g", "12", "-bf", "2", "-pix_fmt", "yuv420p"],
        ["-aspect", "4:3"],
        ["-aspect", "16:9"],
    ),
}


@both_ffmpegs
@pytest.mark.parametrize(("how", "suffix"), [("colours", "mkv"), ("colours", "ts"), ("shape", "ts"), ("shape", "mkv")])
def test_the_two_films_can_be_made(ffmpeg: str, how: str, suffix: str, tmp_path: Path, doubled: Upscaler) -> None:
    coded, *parts = CHANGES[how]
    data = b""
    for number, options in enumerate(parts):
        part = tmp_path / f"part{number}.ts"
        begins = ["-muxdelay", "0", "-muxpreload", "0", "-output_ts_offset", str(1.6016 * number)]
        ffmpeg_run(*moving("96x80", 1.5, NTSC), *coded, *options, *begins, part)
        data += part.read_bytes()
    source, target = tmp_path / "in.ts", tmp_path / "out.mkv"
    source.write_bytes(data)
    if suffix == "mkv":
        ffmpeg_run("-i", source, "-c", "copy", tmp_path / "in.mkv")
        source = tmp_path / "in.mkv"
    with pytest.raises(PipeError, match="make two films of it first: ffmpeg ") as refused:
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    words = shlex.split(re.sub(r".*: ffmpeg ", "", str(refused.value)))
    names = {"IN": str(source)}
    command = [ffmpeg, "-v", "error", *(names.get(word, word.replace("PART", f"{tmp_path}/half")) for word in words)]
    subprocess.run(command, check=True)
    counted, shapes, matrices = 0, [], []
    for half in sorted(tmp_path.glob("half*")):
        counted += upscale_video(half, target, doubled, ffmpeg=ffmpeg, options=FAST, overwrite=True).frames
        with av.open(str(target)) as container:
            shown = next(container.decode(video=0))
            aspect = container.streams.video[0].sample_aspect_ratio
        shapes.append(aspect and aspect * Fraction(shown.width, shown.height))
        matrices.append(int(shown.colorspace))
    assert counted == len(pictures(source))
    if how == "shape":
        assert shapes == [Fraction(4, 3), Fraction(16, 9)]
    else:
        assert matrices == [Matrix.BT709, Matrix.BT470BG]


@given(at=st.fractions(min_value=0, max_value=10_000))
def test_a_moment_is_never_behind_its_frame(at: Fraction) -> None:
    assert at - Fraction(1, 1000) < Fraction(moment(at)) <= at
