"""The command lines of docs/vapoursynth.md as they stand there: colours, tags and streams of what they make."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg
import numpy as np
import pytest
import vapoursynth as vs

from vapoursynth_filter import encoder_options

TESTS = Path(__file__).parent.parent
DOCS = TESTS.parent / "docs" / "vapoursynth.md"
COLOUR = 81, 90, 240  # red by BT.709, limited range
SCRIPT = """
import vapoursynth as vs
{imports}
deep = "hdr" in str(globals().get("source", ""))
colour = [value << (2 if deep else 0) for value in (81, 90, 240)]
clip = vs.core.std.BlankClip(
    format=vs.YUV420P10 if deep else vs.YUV420P8, width=80, height=64, length=24, fpsnum=24, color=colour
)
clip = clip.std.FrameEval(lambda n: vs.core.std.BlankClip(clip, length=1, color=[colour[0] + n, *colour[1:]]))
{larger}.set_output()
"""
OURS = {
    "imports": "from fakes import nearest\nfrom vapoursynth_filter import upscale",
    "larger": 'upscale(clip, nearest(), device="cpu", precision="float32")',
}
STANDS_IN = {"imports": "", "larger": "clip.resize.Point(160, 128)"}  # the same frames, where only the line is asked
FFMPEGS = {"the system's": shutil.which("ffmpeg"), "the bundled": imageio_ffmpeg.get_ffmpeg_exe()}


def recipes(of: str) -> list[str]:
    """The lines of the docs that pipe into this program."""
    return [line for line in DOCS.read_text().splitlines() if re.match(rf"vspipe -c \w+ .*\| {of} ", line)]


Run = Callable[..., None]


@pytest.fixture
def run(vspipe: dict[str, str]) -> Run:
    """``run(line, folder, script, name=program, ...)``: the line in a shell that finds these programs by name."""
    return partial(run_in, vspipe)


def run_in(
    vspipe: dict[str, str], line: str, folder: Path, script: dict[str, str] = STANDS_IN, **programs: str | None
) -> None:
    shelf = folder / "bin"
    shelf.mkdir()
    (shelf / "vspipe").symlink_to(Path(sys.executable).parent / "vspipe")
    for name, program in programs.items():
        if program is None:
            pytest.skip(f"there is no {name} here")
        (shelf / name).symlink_to(program)
    (folder / "upscale.vpy").write_text(SCRIPT.format(**script))
    environment = {**vspipe, "PATH": f"{shelf}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr


def source(path: Path, *options: str) -> None:
    """A film with sound, a chapter and a title, of another colour than what the script makes."""
    metadata = path.with_suffix(".txt")
    metadata.write_text(";FFMETADATA1\ntitle=the film\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=one\n")
    subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "color=blue:s=80x48:r=24:d=1",
         "-f", "lavfi", "-i", "sine=d=1", "-i", metadata, "-map_metadata", "2", "-c:v", "libx264", "-c:a", "aac",
         *options, path],
        check=True,
        timeout=120,
    )  # fmt: skip


def seen(path: Path) -> tuple[tuple[int, ...], int, tuple[int, ...], int]:
    """Colour (mean of each plane), number of frames, (range, primaries, transfer, matrix) by H.273, bits."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        context = stream.codec_context
        tags = context.color_range, context.color_primaries, context.color_trc, context.colorspace
        planes = frames[0].to_ndarray(format="yuv420p10le" if "10" in frames[0].format.name else "yuv420p")
        height = frames[0].height
        chroma = planes[height:].reshape(2, -1)
        colour = tuple(round(float(p.mean())) for p in (planes[:height], *chroma))
        return colour, len(frames), tuple(int(t) for t in tags), 10 if "10" in frames[0].format.name else 8


def near(colour: tuple[int, ...], shift: int = 0) -> bool:
    """To what a lossy encoder does to a flat colour."""
    return bool(np.abs(np.array(colour) - (np.array(COLOUR) << shift)).max() <= (1 << shift) + 1)


@pytest.mark.parametrize("which", FFMPEGS)
def test_ffmpegs_recipe_keeps_colours_tags_and_streams(which: str, run: Run, tmp_path: Path) -> None:
    (line,) = recipes("ffmpeg")
    source(tmp_path / "input.mkv")
    run(line, tmp_path, OURS if which == "the bundled" else STANDS_IN, ffmpeg=FFMPEGS[which])
    colour, frames, tags, _ = seen(tmp_path / "output.mkv")
    assert near(colour), colour
    assert (frames, tags) == (24, (1, 1, 1, 1))
    with av.open(str(tmp_path / "output.mkv")) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]
        assert container.metadata["title"] == "the film"
        assert [c["metadata"]["title"] for c in container.chapters()] == ["one"]


@pytest.mark.parametrize("which", FFMPEGS)
def test_a_pixel_aspect_goes_where_the_docs_say(which: str, run: Run, tmp_path: Path) -> None:
    (line,) = recipes("ffmpeg")
    assert "`-vf setsar=64/45` (ffmpeg, before the output's name)" in DOCS.read_text()
    source(tmp_path / "input.mkv")
    run(line.replace(" output.mkv", " -vf setsar=64/45 output.mkv"), tmp_path, ffmpeg=FFMPEGS[which])
    with av.open(str(tmp_path / "output.mkv")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(64, 45)
    colour, _, tags, _ = seen(tmp_path / "output.mkv")
    assert near(colour)
    assert tags == (1, 1, 1, 1)


@pytest.mark.parametrize("which", FFMPEGS)
@pytest.mark.parametrize("codec", ["libx264", "libx265", "ffv1"])
def test_every_pixel_stays_with_other_encoders_of_ffmpegs(which: str, codec: str, run: Run, tmp_path: Path) -> None:
    (line,) = recipes("ffmpeg")
    lossless = {"libx264": "-qp 0", "libx265": "-x265-params lossless=1:log-level=error", "ffv1": ""}[codec]
    source(tmp_path / "input.mkv")
    run(re.sub(r"-c:v libx264 -crf \d+", f"-c:v {codec} {lossless}", line), tmp_path, ffmpeg=FFMPEGS[which])
    colour, frames, tags, _ = seen(tmp_path / "output.mkv")
    assert (colour, frames, tags) == (COLOUR, 24, (1, 1, 1, 1))


ENCODERS = {"x264": "output.mkv", "x265": "output.hevc", "SvtAv1EncApp": "output.ivf"}


@pytest.mark.parametrize(("program", "output"), ENCODERS.items())
def test_recipes_of_encoders(program: str, output: str, run: Run, tmp_path: Path) -> None:
    line = next(line for line in recipes(program) if "hdr" not in line)
    run(line, tmp_path, **{program: shutil.which(program)})
    colour, frames, tags, bits = seen(tmp_path / output)
    assert near(colour, bits - 8), colour
    assert (frames, tags[1:]) == (24, (1, 1, 1))
    assert tags[0] in (0, 1)  # limited, said or by default


def test_the_recipe_for_hdr10(run: Run, tmp_path: Path) -> None:
    line = next(line for line in recipes("x265") if "hdr" in line)
    run(line, tmp_path, x265=shutil.which("x265"))
    colour, frames, tags, bits = seen(tmp_path / "output.hevc")
    assert bits == 10
    assert near(colour, 2), colour
    assert (frames, tags[1:]) == (24, (9, 16, 9))


def test_matroska_by_vspipe_itself(run: Run, tmp_path: Path) -> None:
    run("vspipe -c mkv upscale.vpy output.mkv", tmp_path)
    colour, frames, _, _ = seen(tmp_path / "output.mkv")
    assert (colour, frames) == (COLOUR, 24)


def test_a_chunk_as_av1an_asks_for_it_is_that_of_the_whole_run(run: Run, tmp_path: Path) -> None:
    """Its own arguments; the whole is what the script's frames are without our filter, for its model changes none."""
    first, last = 11, 23
    run(f"vspipe -c y4m -s {first} -e {last} -a source=x upscale.vpy - > chunk.y4m", tmp_path, OURS)
    (tmp_path / "whole").mkdir()
    run("vspipe -c y4m upscale.vpy - > whole.y4m", tmp_path / "whole")

    def frames(path: Path) -> list[bytes]:
        data = path.read_bytes().partition(b"\n")[2]
        size = len(b"FRAME\n") + 160 * 128 * 3 // 2
        assert len(data) % size == 0
        return [data[i : i + size] for i in range(0, len(data), size)]

    assert frames(tmp_path / "chunk.y4m") == frames(tmp_path / "whole" / "whole.y4m")[first : last + 1]


# -- the options that a clip's first frame gives -----------------------------------------------------------------------


def clip_with(**props: object) -> vs.VideoNode:
    return vs.core.std.BlankClip(format=vs.YUV420P10, width=16, height=16, length=1).std.SetFrameProps(**props)


HDR = {
    "_Range": 0, "_Primaries": 9, "_Transfer": 16, "_Matrix": 9, "_SARNum": 64, "_SARDen": 45,
    "MasteringDisplayPrimariesX": [0.68, 0.265, 0.15], "MasteringDisplayPrimariesY": [0.32, 0.69, 0.06],
    "MasteringDisplayWhitePointX": 0.3127, "MasteringDisplayWhitePointY": 0.329,
    "MasteringDisplayMinLuminance": 0.0001, "MasteringDisplayMaxLuminance": 1000.0,
    "ContentLightLevelMax": 1000, "ContentLightLevelAverage": 400,
}  # fmt: skip


def test_options_for_each_encoder_are_those_of_the_recipes() -> None:
    sdr = clip_with(_Range=0, _Primaries=1, _Transfer=1, _Matrix=1)
    for encoder, of in (("x264", "x264"), ("x265", "x265"), ("svt-av1", "SvtAv1EncApp"), ("ffmpeg", "ffmpeg")):
        line = next(line for line in recipes(of) if "hdr" not in line).split()
        given = encoder_options(sdr, encoder).split()  # type: ignore[arg-type]
        for option, value in zip(given[::2], given[1::2], strict=True):
            if option == "--range" and encoder == "x264":
                continue  # its default; the recipe leaves it out
            assert line[line.index(option) + 1] == value, (option, value)
    hdr = encoder_options(clip_with(**HDR), "x265")
    line = next(line for line in recipes("x265") if "hdr" in line)
    display = re.search(r'--master-display "([^"]*)"', line)
    assert display is not None
    assert display[1] in hdr
    assert "--hdr10" in hdr
    assert "--max-cll 1000,400" in hdr
    assert "--sar 64:45" in hdr
    assert "--sar 64:45" in encoder_options(clip_with(**HDR), "x264")


def test_what_a_frame_does_not_say_is_left_out_and_nonsense_is_refused() -> None:
    assert encoder_options(clip_with(_Matrix=2, _Primaries=2, _Transfer=2), "x264") == ""
    assert encoder_options(clip_with(), "ffmpeg") == ""
    with pytest.raises(vs.Error, match=r"^sr_plugins: frame 0: its _Primaries property is 99"):
        encoder_options(clip_with(_Primaries=99), "x264")
    with pytest.raises(vs.Error, match=r"^sr_plugins: encoder 'x266' is not one of x264, x265"):
        encoder_options(clip_with(), "x266")  # type: ignore[arg-type]
    assert "--sar" not in encoder_options(clip_with(_SARNum=-4, _SARDen=3), "x264")


@pytest.mark.parametrize("encoder", ["x264", "x265", "svt-av1", "ffmpeg"])
@pytest.mark.parametrize(
    ("props", "says"),
    [
        ({"_Range": 2}, "its _Range property is 2, which is neither full nor limited"),
        ({"_Matrix": -1}, "its _Matrix property is -1, for which encoders have no name"),
        ({"_Primaries": 9.7}, "its _Primaries property is 9.7, which is no whole number"),
        ({"_Transfer": float("nan")}, "its _Transfer property is nan"),
    ],
)
def test_nonsense_is_refused_for_every_encoder(encoder: Any, props: dict[str, Any], says: str) -> None:
    with pytest.raises(vs.Error) as caught:
        encoder_options(clip_with(**props), encoder)
    assert str(caught.value).startswith(f"sr_plugins: frame 0: {says}")


@pytest.mark.parametrize("encoder", ["x264", "x265", "svt-av1", "ffmpeg"])
def test_what_y4m_does_not_hold_is_refused(encoder: Any) -> None:
    blank = vs.core.std.BlankClip
    split = vs.core.std.Splice([blank(width=32, length=1), blank(width=64, length=1)], mismatch=True)
    for clip, says in (
        (blank(format=vs.RGB24), "a y4m stream holds no RGB"),
        (blank(format=vs.YUV444PS), "a y4m stream holds no floating point"),
        (split, "the clip's size varies"),
        (vs.core.std.BlankAudio(length=9), r"encoder_options\(\) takes a clip, got AudioNode"),
        (None, r"encoder_options\(\) takes a clip, got NoneType"),
    ):
        with pytest.raises(vs.Error, match=f"^sr_plugins: {says}"):
            encoder_options(clip, encoder)  # type: ignore[arg-type]


def test_depths_that_x265_writes_and_all_matrices_of_h273() -> None:
    depths = {9: "10", 10: "10", 12: "12", 14: "12", 16: "12"}
    for bits, depth in depths.items():
        format = vs.core.query_video_format(vs.YUV, vs.INTEGER, bits, 1, 1)
        assert encoder_options(vs.core.std.BlankClip(format=format), "x265") == f"-D {depth}"
    for matrix, name in ((8, "ycgco"), (12, "chroma-derived-nc"), (14, "ictcp")):
        assert encoder_options(clip_with(_Matrix=matrix), "x264") == f"--colormatrix {name}"
        assert encoder_options(clip_with(_Matrix=matrix), "ffmpeg") == f"-colorspace {name}"
        assert encoder_options(clip_with(_Matrix=matrix), "svt-av1") == f"--matrix-coefficients {matrix}"


def test_an_output_is_taken_as_it_is() -> None:
    clip_with(_Matrix=1).set_output(7, alpha=vs.core.std.BlankClip(clip_with(), format=vs.GRAY10))
    try:
        assert encoder_options(vs.get_output(7), "ffmpeg") == "-colorspace bt709"  # type: ignore[arg-type]
    finally:
        vs.clear_output(7)


@pytest.mark.parametrize("program", ["x264", "x265", "SvtAv1EncApp"])
def test_encoders_take_the_options_and_write_them_down(program: str, run: Run, tmp_path: Path) -> None:
    """Read back from its stream."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"there is no {program} here")
    name = "svt-av1" if program == "SvtAv1EncApp" else program
    for number, (primaries, transfer, matrix) in enumerate(((5, 6, 5), (9, 18, 9))):
        clip = clip_with(_Range=0, _Primaries=primaries, _Transfer=transfer, _Matrix=matrix)
        options = encoder_options(clip, name)  # type: ignore[arg-type]
        folder = tmp_path / str(number)
        folder.mkdir()
        line = {
            "x264": f"x264 --demuxer y4m {options} -o out.mkv -",
            "x265": f"x265 --y4m {options} -o out.hevc -",
            "SvtAv1EncApp": f"SvtAv1EncApp -i stdin --preset 12 {options} -b out.ivf",
        }[program]
        run(f"vspipe -c y4m -a source=hdr upscale.vpy - | {line}", folder, **{program: found})
        assert seen(next(folder.glob("out.*")))[2][1:] == (primaries, transfer, matrix)
