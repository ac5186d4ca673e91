"""srp pipe: the same planes as the Upscaler gives, and nothing else, on stdout."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from fakes import blur, nearest
from hypothesis import given, settings
from hypothesis import strategies as st
from video_clips import BUNDLED, UNEVEN, ffmpeg_run, moving, pictures, times

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.ffmpeg_pipe.pipe import upscale_pipe
from sr_plugins.ffmpeg_pipe.y4m import Y4mHeader, Y4mReader, Y4mWriter
from sr_plugins.frame import ChromaLocation


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


def test_nut_refusals(tmp_path: Path, blurred: Upscaler) -> None:
    source = tmp_path / "in.nut"
    ffmpeg_run(*moving(), "-c:v", "rawvideo", "-pix_fmt", "nv12", source)
    with source.open("rb") as stdin, pytest.raises(PipeError, match="-pix_fmt yuv420p"):
        upscale_pipe(stdin, io.BytesIO(), blurred, "nut")
    with pytest.raises(PipeError, match="no NUT stream"):
        upscale_pipe(io.BytesIO(b"YUV4MPEG2 W1 H1\n"), io.BytesIO(), blurred, "nut")


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
        (b"YUV4MPEG2 W4 H4 It\n", "deinterlace"),
        (b"YUV4MPEG2 W4 H4 C999\n", "'999' is not known"),
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
