"""Subtitles that are pictures: of a Blu-ray (PGS), written by hand, and of a broadcast (DVB), by ffmpeg's encoder."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import pytest
from video_clips import by_turns, ffmpeg_run

from sr_plugins import Upscaler
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]
_WIDTH, _HEIGHT = 720, 576  # DVB's encoder places its pictures by them
_KEPT = {
    "pgs": ("hdmv_pgs_subtitle", {"mkv", "m2ts"}),
    "dvb": ("dvb_subtitle", {"mkv", "ts"}),
}


def _segment(when: int, kind: int, body: bytes) -> bytes:
    return b"PG" + struct.pack(">IIBH", when, 0, kind, len(body)) + body


def _pgs(path: Path) -> Path:
    """A bar of 16x8 pixels, shown twice."""
    data, bar = b"", (b"\0\x90\1" + b"\0\0") * 8  # 16 pixels of colour 1, the end of the line
    window = bytes([1, 0]) + struct.pack(">HHHH", 100, 400, 16, 8)
    for number, (start, end) in enumerate([(18000, 81000), (108000, 153000)]):
        head = struct.pack(">HHB", _WIDTH, _HEIGHT, 0x10)
        shown = head + struct.pack(">HBBBB", 2 * number, 0x80, 0, 0, 1) + struct.pack(">HBBHH", 0, 0, 0, 100, 400)
        colours = bytes([0, 0, 0, 16, 128, 128, 0, 1, 235, 128, 128, 255])
        picture = b"\0\0\0\xc0" + (len(bar) + 4).to_bytes(3, "big") + struct.pack(">HH", 16, 8) + bar
        parts = [(0x16, shown), (0x17, window), (0x14, colours), (0x15, picture), (0x80, b"")]
        data += b"".join(_segment(start, *part) for part in parts)
        empty = head + struct.pack(">HBBBB", 2 * number + 1, 0, 0, 0, 0)
        data += b"".join(_segment(end, *part) for part in [(0x16, empty), (0x17, window), (0x80, b"")])
    path.write_bytes(data)
    return path


def _times(path: Path) -> list[float]:
    """When subtitles appear and vanish beside the first frame, in hundredths of a second."""
    with av.open(str(path)) as container:
        first = min(p.pts * p.time_base for p in container.demux(video=0) if p.pts is not None)
    with av.open(str(path)) as container:
        times = [p.pts * p.time_base - first for p in container.demux(subtitles=0) if p.pts is not None]
    return sorted({round(float(time), 2) for time in times})  # parts of one lie some ticks apart


@pytest.fixture(scope="module", params=["pgs", "dvb"])
def film(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    path = folder / {"pgs": "pgs.m2ts", "dvb": "dvb.ts"}[request.param]
    codec = {"pgs": "copy", "dvb": "dvbsub"}[request.param]
    picture = ["-f", "lavfi", "-i", f"testsrc2=s={_WIDTH}x{_HEIGHT}:r=5:d=2"]
    inputs = [*picture, "-i", _pgs(folder / "s.sup"), "-map", "0", "-map", "1", "-c:v", "mpeg2video", "-q:v", "20"]
    ffmpeg_run(*inputs, "-c:s", codec, "-metadata:s:s:0", "language=ger", path)
    return path


@by_turns(suffix=("mkv", "ts", "m2ts", "mp4"))
def test_subtitles_of_pictures_are_kept_or_named(
    ffmpeg: str, suffix: str, film: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    target, said = tmp_path / f"out.{suffix}", list[str]()
    codec, kept = _KEPT[film.stem]
    upscale_video(film, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    told = f" (subtitle, {codec}" + ", ger" * (film.suffix == ".ts") + ")"
    assert [line for line in said if "subtitle" in line] == [
        f"{film.name}: stream 1{told} is left out: .{suffix} cannot hold it; .mkv can"
    ] * (suffix not in kept)
    with av.open(str(target)) as container:
        assert len(container.streams.subtitles) == (suffix in kept)
    if suffix in kept:
        was = _times(film)
        assert len(was) > 1
        assert _times(target) == was
