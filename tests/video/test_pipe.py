"""srp pipe: the same planes as the Upscaler gives, and nothing else, on stdout."""

import io
import signal
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import av
import numpy as np
import pytest
from fakes import blur, nearest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from video_clips import BUNDLED, UNEVEN, both_ffmpegs, ffmpeg_run, moving, pictures, times

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import ChromaLocation, Frame, FrameFormat, empty_frame
from sr_plugins.video.frame_writer import FrameWriter
from sr_plugins.video.pipe import upscale_pipe
from sr_plugins.video.probe import probe
from sr_plugins.video.y4m import Y4mHeader, Y4mReader, Y4mWriter


@pytest.fixture(scope="module")
def blurred() -> Iterator[Upscaler]:
    with Upscaler(blur(), device="cpu") as upscaler:
        yield upscaler


FORMATS = ("gray", "gray10le", "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p16le", "yuv411p", "yuva444p")


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_y4m_made_by_ffmpeg_and_read_by_ffmpeg(pix_fmt: str, tmp_path: Path, blurred: Upscaler) -> None:
    source, target = tmp_path / "in.y4m", tmp_path / "out.y4m"
    ffmpeg_run(*moving(seconds=0.2), "-vf", "scale=21:13", "-pix_fmt", pix_fmt, "-strict", "-1", source)
    with source.open("rb") as stdin, target.open("wb") as stdout:
        assert upscale_pipe(stdin, stdout, blurred) == 5
    with source.open("rb") as stdin:
        expected = [blurred.upscale(frame) for frame in Y4mReader(stdin)]
    shown = pictures(target)
    assert len(shown) == 5
    for planes, frame in zip(shown, expected, strict=True):
        assert planes[0].shape == (26, 42)
        wanted = [*frame.planes, *([] if frame.alpha is None else [frame.alpha])]
        assert all(np.array_equal(a, b) for a, b in zip(planes, wanted, strict=True))
    was, now = (path.read_bytes().split(b"\n", 1)[0].split() for path in (source, target))
    assert [w for w in now if w[:1] not in b"WH"] == [w for w in was if w[:1] not in b"WH"]


def test_nut_keeps_uneven_times(tmp_path: Path, blurred: Upscaler) -> None:
    source, target = tmp_path / "in.nut", tmp_path / "out.nut"
    ffmpeg_run(*moving(), *UNEVEN, "-enc_time_base", "1/90000", "-c:v", "rawvideo", "-pix_fmt", "yuv420p10le", source)
    with source.open("rb") as stdin, target.open("wb") as stdout:
        count = upscale_pipe(stdin, stdout, blurred, "nut")
    assert times(target) == times(source)
    assert count == len(times(source))
    with av.open(str(target)) as container:
        assert next(container.decode(video=0)).format.name == "yuv420p10le"


def _nut(source: Path, target: Path, upscaler: Upscaler) -> None:
    with source.open("rb") as stdin, target.open("wb") as stdout:
        upscale_pipe(stdin, stdout, upscaler, "nut")


# A picture every now and then, as a screen recorder gives them, counted in 1/90000 s.
VARYING = ["-vf", "settb=1/90000,setpts='2999*N*N+17*N'", "-fps_mode", "passthrough", "-enc_time_base", "1/90000"]


@both_ffmpegs
@pytest.mark.parametrize("rate", ["24", "25", "30", "50", "60", "24000/1001", "varying"])
def test_the_next_ffmpeg_keeps_every_frame_at_its_time(
    rate: str, ffmpeg: str, tmp_path: Path, blurred: Upscaler
) -> None:
    source, larger, film = tmp_path / "in.nut", tmp_path / "out.nut", tmp_path / "film.mkv"
    how = VARYING if rate == "varying" else []
    clip = moving("16x16", 0.4, "25" if rate == "varying" else rate)
    ffmpeg_run(*clip, *how, "-c:v", "rawvideo", source)
    _nut(source, larger, blurred)
    read = [ffmpeg, "-nostdin", "-loglevel", "error", "-f", "nut", "-i", larger, "-c:v", "mpeg4", film]
    subprocess.run(read, check=True, timeout=60)
    was, now = times(source), times(film)
    assert len(was) == len(now) >= 9
    assert max(abs(a - b) for a, b in zip(was, now, strict=True)) < Fraction(
        1, 500
    )  # the clocks of MPEG-4 and Matroska
    if rate != "varying":
        with av.open(str(film)) as container:
            assert container.streams.video[0].average_rate == Fraction(rate)


def test_nut_keeps_the_shape_that_is_shown(tmp_path: Path, blurred: Upscaler) -> None:
    """Also where the stream header comes again, after each megabyte at first."""
    source, larger = tmp_path / "in.nut", tmp_path / "out.nut"
    ffmpeg_run(*moving("160x96"), "-vf", "setsar=64/45", "-pix_fmt", "yuv444p", "-c:v", "rawvideo", source)
    _nut(source, larger, blurred)
    shown = _aspect(larger)
    assert shown == Fraction(64, 45)
    assert larger.stat().st_size > 2 << 20
    ffmpeg_run("-xerror", "-err_detect", "crccheck+explode", "-i", larger, "-f", "null", "-")
    with Upscaler(blur(), size=(320, 240), device="cpu") as higher:
        _nut(source, larger, higher)
    assert _aspect(larger) == Fraction(64, 45) * Fraction(240, 192)


def _aspect(path: Path) -> Fraction:
    with av.open(str(path)) as container:
        aspect = container.streams.video[0].sample_aspect_ratio
        return Fraction(aspect.numerator, aspect.denominator) if aspect else Fraction(0)


@given(aspect=st.fractions(Fraction(1, 5000), 5000, max_denominator=5000))
@example(aspect=Fraction(3200, 2997))
def test_aspects_in_nut_are_exact(aspect: Fraction) -> None:
    file = io.BytesIO()
    with FrameWriter(file, _gray_frame(), Fraction(1, 25), Fraction(25), aspect=aspect) as writer:
        for time in range(3):
            writer.write(_gray_frame(), time)
    with av.open(io.BytesIO(file.getvalue()), "r") as container:
        stream = container.streams.video[0]
        assert stream.sample_aspect_ratio == aspect
        assert len(list(container.decode(stream))) == 3


def _gray_frame() -> Frame:
    frame = empty_frame(FrameFormat(family="gray"), 16, 16)
    frame.planes[0][:] = 128
    return frame


@pytest.mark.parametrize(("word", "shown"), [("A2:1", "A6:5"), ("A1:1", "A3:5"), ("A0:0", "A0:0"), ("A?", "A?")])
def test_y4m_keeps_the_shape_that_is_shown(word: str, shown: str) -> None:
    header = Y4mHeader.parse(f"YUV4MPEG2 W16 H16 F25:1 {word} C420\n".encode())
    assert header.resized(40, 24).line() == f"YUV4MPEG2 W40 H24 F25:1 {shown} C420\n".encode()
    assert header.resized(32, 32).line() == f"YUV4MPEG2 W32 H32 F25:1 {word} C420\n".encode()


@both_ffmpegs
@pytest.mark.parametrize(("range_", "code"), [("pc", 2), ("tv", 1)])
def test_the_recipe_keeps_range_and_matrix(ffmpeg: str, range_: str, code: int, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    tags = f"scale=out_range={range_},format=yuv420p,setparams=range={range_}:colorspace=bt709"
    ffmpeg_run(*moving("64x48", 0.2), "-vf", tags, "-c:v", "ffv1", source)
    command = [ffmpeg, "-v", "error", "-i", source, "-f", "nut", "-c:v", "rawvideo", "-"]
    raw = subprocess.run(command, capture_output=True, check=True).stdout
    larger = io.BytesIO()
    with Upscaler(nearest(), device="cpu") as doubled:
        upscale_pipe(io.BytesIO(raw), larger, doubled, "nut", full_range=range_ == "pc")
    told = ["-color_range", range_, "-colorspace", "bt709", "-f", "nut", "-i", "-", "-qp", "0", target]
    subprocess.run([ffmpeg, "-v", "error", *told], input=larger.getvalue(), check=True)
    colors = probe(target).colors
    assert (colors.range, colors.matrix) == (code, 1)
    assert np.array_equal(pictures(target)[0][0][::2, ::2], pictures(source)[0][0])


@both_ffmpegs
@pytest.mark.parametrize("location", [None, "left"])
def test_the_recipe_of_y4m_keeps_matrix_range_and_chroma(ffmpeg: str, location: str | None, tmp_path: Path) -> None:
    """ffmpeg writes full range as centred chroma, whatever the film says."""
    source, target, said = tmp_path / "in.mkv", tmp_path / "out.mkv", list[str]()
    tags = "scale=out_range=pc,format=yuv420p,setparams=range=pc:colorspace=bt709"
    ffmpeg_run(*moving("64x48", 0.2), "-vf", tags, "-chroma_sample_location", "left", "-c:v", "libx264", source)
    raw = subprocess.run([ffmpeg, "-v", "error", "-i", source, "-f", "yuv4mpegpipe", "-"], capture_output=True).stdout
    assert b"C420jpeg" in raw.partition(b"\n")[0]
    larger = io.BytesIO()
    place = ChromaLocation.LEFT if location else None
    with Upscaler(nearest(), device="cpu") as doubled:
        upscale_pipe(io.BytesIO(raw), larger, doubled, matrix=1, chroma_location=place, notice=said.append)
    head = larger.getvalue().partition(b"\n")[0]
    assert (b"C420mpeg2" in head) == (location is not None)
    assert b"XCOLORRANGE=FULL" in head
    assert ("--chroma-location left" in said[-1]) == (location is None)
    told = said[0].partition("ffmpeg ")[2].partition(" before")[0].split()
    assert told == ["-colorspace", "bt709"]
    encode = [*told, "-f", "yuv4mpegpipe", "-i", "-", "-c:v", "libx264", "-qp", "0", target]
    subprocess.run([ffmpeg, "-v", "error", *encode], input=larger.getvalue(), check=True)
    colors = probe(target).colors
    assert (colors.range, colors.matrix) == (2, 1)
    assert colors.chroma_location == (1 if location else 2)


def test_nut_says_what_the_next_program_must_be_told(tmp_path: Path) -> None:
    source, said = tmp_path / "in.nut", list[str]()
    for pix_fmt, line in (("yuv420p", "ffmpeg -color_range pc -colorspace MATRIX before its"), ("gbrp", "")):
        ffmpeg_run(*moving(seconds=0.1), "-pix_fmt", pix_fmt, "-c:v", "rawvideo", source)
        said.clear()
        with Upscaler(nearest(), device="cpu") as doubled, source.open("rb") as stdin:
            upscale_pipe(stdin, io.BytesIO(), doubled, "nut", full_range=True, notice=said.append)
        assert len(said) == bool(line)
        assert line in "".join(said)


@pytest.mark.parametrize(
    ("pix_fmt", "cure"),
    [("nv12", "yuv420p"), ("yuyv422", "yuv422p"), ("rgb24", "gbrp"), ("bgr0", "gbrp"), ("ya8", "rgba")],
)
def test_packed_formats_are_refused_with_a_cure_that_cures(
    pix_fmt: str, cure: str, tmp_path: Path, blurred: Upscaler
) -> None:
    source = tmp_path / "in.nut"
    ffmpeg_run(*moving(seconds=0.2), "-c:v", "rawvideo", "-pix_fmt", pix_fmt, source)
    with source.open("rb") as stdin, pytest.raises(PipeError, match=f"NUT frames of {pix_fmt}.*use -pix_fmt {cure}$"):
        upscale_pipe(stdin, io.BytesIO(), blurred, "nut")
    ffmpeg_run(*moving(seconds=0.2), "-c:v", "rawvideo", "-pix_fmt", cure, source)
    with source.open("rb") as stdin:
        assert upscale_pipe(stdin, io.BytesIO(), blurred, "nut") == 5


@pytest.mark.parametrize("color", ["testsrc2=s=48x32", "color=black:s=48x32"])
def test_nv16_in_nut_is_no_rgb(color: str, tmp_path: Path, blurred: Upscaler) -> None:
    source = tmp_path / "in.nut"
    ffmpeg_run("-f", "lavfi", "-i", f"{color}:r=25:d=0.1", "-pix_fmt", "nv16", "-c:v", "rawvideo", source)
    with (
        source.open("rb") as stdin,
        pytest.raises(PipeError, match=r"^NUT has no name for these frames \(nv16\): use -pix_fmt yuv422p$"),
    ):
        upscale_pipe(stdin, io.BytesIO(), blurred, "nut")


@both_ffmpegs
@pytest.mark.parametrize(("pix_fmt", "planes"), [("p010le", 420), ("p012le", 420), ("p210le", 444)])
def test_formats_that_nut_mislabels(ffmpeg: str, pix_fmt: str, planes: int, blurred: Upscaler) -> None:
    command = [ffmpeg, "-v", "error", *moving(seconds=0.2), "-pix_fmt", pix_fmt, "-c:v", "rawvideo", "-f", "nut", "-"]
    made = subprocess.run(command, capture_output=True)
    if made.returncode:
        pytest.skip(f"this ffmpeg knows no {pix_fmt}")
    with pytest.raises(PipeError, match=rf"use -pix_fmt yuv{planes}p10le, or yuv{planes}p12le or .* so many bits"):
        upscale_pipe(io.BytesIO(made.stdout), io.BytesIO(), blurred, "nut")


def test_nut_refusals(tmp_path: Path, blurred: Upscaler) -> None:
    source = tmp_path / "in.nut"
    ffmpeg_run(*moving(), "-c:v", "rawvideo", "-pix_fmt", "nv12", source)
    with source.open("rb") as stdin, pytest.raises(PipeError, match="-pix_fmt yuv420p"):
        upscale_pipe(stdin, io.BytesIO(), blurred, "nut")
    ffmpeg_run("-f", "lavfi", "-i", "sine=d=0.1", source)
    with source.open("rb") as stdin, pytest.raises(PipeError, match="no video"):
        upscale_pipe(stdin, io.BytesIO(), blurred, "nut")
    with pytest.raises(PipeError, match="no NUT stream"):
        upscale_pipe(io.BytesIO(b"YUV4MPEG2 W1 H1\n"), io.BytesIO(), blurred, "nut")


@pytest.mark.parametrize("format", ["y4m", "nut"])
def test_sides_fit_the_chroma(format: Literal["y4m", "nut"], tmp_path: Path) -> None:
    source, target = tmp_path / f"in.{format}", tmp_path / f"out.{format}"
    ffmpeg_run(*moving("22x14", 0.1), "-c:v", "rawvideo" if format == "nut" else "wrapped_avframe", source)
    with Upscaler(nearest(), 1.5, device="cpu") as upscaler, source.open("rb") as stdin, target.open("wb") as stdout:
        upscale_pipe(stdin, stdout, upscaler, format)
    assert pictures(target)[0][0].shape == (20, 32)
    refused = pytest.raises(PipeError, match=r"33x20 has an odd side.*--size 34x20")
    with Upscaler(nearest(), size=(33, 20), device="cpu") as upscaler, source.open("rb") as stdin, refused:
        upscale_pipe(stdin, io.BytesIO(), upscaler, format)


def test_y4m_full_range_reaches_the_model(blurred: Upscaler) -> None:
    """A luma model clamps to the codes of its range: full range holds code 255, limited does not."""
    stream = b"YUV4MPEG2 W4 H4 F25:1 Cmono%s\nFRAME\n" + b"\xff" * 16
    with Upscaler(nearest(), device="cpu") as doubled:
        outs = []
        for word in (b" XCOLORRANGE=FULL", b""):
            out = io.BytesIO()
            upscale_pipe(io.BytesIO(stream % word), out, doubled, full_range=None)
            outs.append(out.getvalue().split(b"FRAME\n")[1])
    assert outs[0] == b"\xff" * 64
    assert len(outs[1]) == 64


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"", "no YUV4MPEG2 stream"),
        (b"RIFF....", "no YUV4MPEG2 stream"),
        (b"YUV4MPEG2 H4 F25:1\n", "no size"),
        (b"YUV4MPEG2 W0 H4\n", "no picture"),
        (b"YUV4MPEG2 W99999999 H99999999\n", "99999999x99999999, which is no picture"),
        (b"YUV4MPEG2 W4 H4 It\n", "deinterlace"),
        (b"YUV4MPEG2 W4 H4 C999\n", "'999' is not known"),
        (b"YUV4MPEG2 W4 H4 Cmono9x\n", "'mono9x' is not known"),
        (b"YUV4MPEG2 W4 H4 C420p99\n", "'420p99' is not known"),
        (b"YUV4MPEG2 W4 H4\nFRAME\n1234", "ends in the middle of frame 0"),
        (b"YUV4MPEG2 W2 H2\nFRAME\n123456XX", "damaged after frame 1"),
    ],
)
def test_bad_y4m(header: bytes, said: str, blurred: Upscaler) -> None:
    with pytest.raises(PipeError, match=said):
        upscale_pipe(io.BytesIO(header), io.BytesIO(), blurred)


@pytest.mark.parametrize(
    ("word", "location"),
    [("C420jpeg", ChromaLocation.CENTER), ("C420mpeg2", ChromaLocation.LEFT), ("C420paldv", ChromaLocation.TOP_LEFT)],
)
def test_y4m_siting(word: str, location: ChromaLocation) -> None:
    header = Y4mHeader.parse(f"YUV4MPEG2 W4 H4 F25:1 Ip A1:1 {word}\n".encode())
    assert header.format.chroma_location == location
    assert header.line() == f"YUV4MPEG2 W4 H4 F25:1 Ip A1:1 {word}\n".encode()


@pytest.mark.parametrize("space", ["mono", "mono16", "420", "444p10"])
@pytest.mark.parametrize(("word", "full"), [("", False), (" XCOLORRANGE=LIMITED", False), (" XCOLORRANGE=FULL", True)])
def test_range_in_y4m_is_limited_unless_it_says_otherwise(space: str, word: str, full: bool) -> None:
    """Gray too: it is the luma of a film, not a picture's gray."""
    assert Y4mHeader.parse(f"YUV4MPEG2 W4 H4 C{space}{word}\n".encode()).format.full_range is full


@pytest.mark.parametrize("space", ["420", "422", "444", "411", "410", "440"])
def test_chroma_in_y4m_is_as_large_as_ffmpegs(space: str) -> None:
    header = Y4mHeader.parse(f"YUV4MPEG2 W13 H11 C{space}\n".encode())
    theirs = av.VideoFormat(f"yuv{space}p", 13, 11).components[1]
    assert header.format.plane_size(1, 13, 11) == (theirs.width, theirs.height)


@settings(max_examples=30, deadline=None)
@given(
    width=st.integers(1, 9),
    height=st.integers(1, 9),
    seed=st.integers(0, 99),
    space=st.sampled_from(["420", "422p10", "444p12", "444alpha", "411", "mono", "mono16", "420p16"]),
)
def test_y4m_round_trip(width: int, height: int, seed: int, space: str) -> None:
    header = Y4mHeader.parse(f"YUV4MPEG2 W{width} H{height} F0:0 C{space} XLENGTH=2\n".encode())
    sizes = [header.format.plane_size(i, width, height) for i in range(header.format.planes)]
    sizes += [(width, height)] * header.alpha
    raw = np.random.default_rng(seed).bytes(sum(w * h for w, h in sizes) * header.format.dtype.itemsize)
    stream = header.line() + b"FRAME Ip\n" + raw
    out = io.BytesIO()
    reader = Y4mReader(io.BytesIO(stream))
    writer = Y4mWriter(out, reader.header, width, height)
    for frame in reader:
        writer.write(frame)
    assert out.getvalue() == stream.replace(b"FRAME Ip", b"FRAME")
    assert BUNDLED


@pytest.mark.skipif(sys.platform == "win32", reason="no such timer")
def test_no_interrupt_is_lost_while_frames_are_written() -> None:
    """PyAV drops what is raised within its call of a file's ``write``, and the samples with it."""
    frame = empty_frame(FrameFormat(family="gray"), 1024, 1024)
    frame.samples()[0][:] = 0
    raised = caught = 0
    armed = False

    def interrupt(number: int, at: FrameType | None) -> None:
        nonlocal raised
        if armed:
            raised += 1
            raise KeyboardInterrupt

    class Slow(io.BytesIO):
        def write(self, data: Any, /) -> int:
            return sum(len(data[at : at + 8192]) for at in range(0, len(data), 8192))

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with FrameWriter(Slow(), frame, Fraction(1, 25), Fraction(25)) as writer:
            count = 0
            while raised < 40:
                try:
                    try:
                        armed = True
                        signal.setitimer(signal.ITIMER_REAL, 0.0005 + 0.0001 * (count % 11))
                        for _ in range(4):
                            writer.write(frame, count := count + 1)
                    finally:
                        armed = False
                        signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert caught == raised
