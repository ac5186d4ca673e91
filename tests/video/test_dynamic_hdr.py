"""Metadata that tell of each frame's light: HDR10+ as x265 writes it, HDR Vivid by hand. libavcodec reads them back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import av
import pytest
from video_clips import both_ffmpegs, by_turns, ffmpeg_run, moving

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.t35 import inserter, messages_in
from sr_plugins.video.transcode import upscale_video

PQ = ["-color_primaries", "bt2020", "-color_trc", "smpte2084", "-colorspace", "bt2020nc", "-pix_fmt", "yuv420p10le"]
FAST = {"libx265": ["-preset", "ultrafast", "-bf", "2"], "libsvtav1": ["-preset", "12"], "libx264": []}
COUNT = 15


def _told(path: Path) -> list[tuple[float, dict[str, bytes]]]:
    """The time of each frame, and what libavcodec says of its light."""
    found = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            said = {data.type.name: bytes(data) for data in frame.side_data.values()}
            found.append((float(frame.time or 0), {k: v for k, v in said.items() if k.startswith("DYNAMIC_HDR")}))
    return found


def _plus(folder: Path, suffix: str) -> Path:
    """Frames with HDR10+ of x265's own, another of each."""
    about, source = folder / "about.json", folder / f"in.{suffix}"
    scenes = [
        {
            "BezierCurveData": {"Anchors": [102 + number, *range(205, 923, 100)], "KneePointX": 17, "KneePointY": 64},
            "LuminanceParameters": {
                "AverageRGB": 1000 + number,
                "LuminanceDistributions": {
                    "DistributionIndex": [1, 5, 10, 25, 50, 75, 90, 95, 99],
                    "DistributionValues": [0] * 8 + [80 + number],
                },
                "MaxScl": [1000 + number, 0, 3000],
            },
            "NumberOfWindows": 1,
            "TargetedSystemDisplayMaximumLuminance": 400,
            "SceneFrameIndex": number,
            "SceneId": 0,
            "SequenceFrameIndex": number,
        }
        for number in range(COUNT)
    ]
    summary = {"SceneFirstFrameIndex": [0], "SceneFrameNumbers": [COUNT]}
    about.write_text(
        json.dumps(
            {
                "JSONInfo": {"HDR10plusProfile": "B", "Version": "1.0"},
                "SceneInfo": scenes,
                "SceneInfoSummary": summary,
                "ToolInfo": {"Tool": "test", "Version": "1"},
            }
        )
    )
    params = f"log-level=error:bframes=2:pools=none:dhdr10-info={about.relative_to(Path.cwd(), walk_up=True)}"
    ffmpeg_run(*moving("64x48", COUNT / 25), *PQ, "-c:v", "libx265", "-x265-params", params, source)
    return source


def _vivid(folder: Path, suffix: str) -> Path:
    """Frames with HDR Vivid: least, mean, variance and most of the light, 12 bits each, without a curve."""
    plain, raw, source = folder / "plain.hevc", folder / "raw.hevc", folder / f"in.{suffix}"
    ffmpeg_run(*moving("64x48", COUNT / 25), *PQ, "-c:v", "libx265", "-bf", "0", plain)
    made, number = b"", 0
    for unit in plain.read_bytes().split(b"\0\0\0\1")[1:]:
        if unit[0] >> 1 & 63 < 32:  # a picture
            light = 100 << 36 | (200 + number) << 24 | 300 << 12 | 400
            message = b"\x26\0\4\0\5\1" + (light << 8).to_bytes(7, "big")
            made += b"\0\0\0\1\x4e\1\4" + bytes([len(message)]) + message + b"\x80"
            number += 1
        made += b"\0\0\0\1" + unit
    raw.write_bytes(made)
    ffmpeg_run("-fflags", "+genpts", "-r", "25", "-i", raw, "-c", "copy", source)
    return source


@by_turns(kind=("plus", "vivid"), suffix=("mkv", "ts", "mp4"), encoder=("libx265", "libsvtav1"))
def test_each_frame_keeps_its_dynamic_metadata(
    ffmpeg: str, kind: str, suffix: str, encoder: str, tmp_path: Path, doubled: Upscaler
) -> None:
    """Through chunks, and from H.265 into AV1 and back."""
    source, target, said = {"plus": _plus, "vivid": _vivid}[kind](tmp_path, suffix), tmp_path / "out.mkv", list[str]()
    options = ["-c:v", encoder, *FAST[encoder]]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, chunk_frames=4, notice=said.append)
    was, now = (_told(path) for path in (source, target))
    assert [told for _, told in now] == [told for _, told in was]
    assert len({str(told) for _, told in was}) == COUNT
    again = tmp_path / "again.mp4"
    upscale_video(target, again, doubled, ffmpeg=ffmpeg, start=0.21, end=0.5, options=["-preset", "ultrafast"])
    assert [told for _, told in _told(again)] == [told for _, told in was[6:13]]
    ffmpeg_run("-xerror", "-i", again, "-f", "null", "-")
    assert not said


@both_ffmpegs
@pytest.mark.parametrize(("target", "encoder"), [("out.mkv", "ffv1"), ("out.webm", "libvpx-vp9")])
def test_dynamic_metadata_that_have_no_place_are_said(
    ffmpeg: str, target: str, encoder: str, tmp_path: Path, doubled: Upscaler
) -> None:
    source, said = _plus(tmp_path, "mkv"), list[str]()
    options = ["-c:v", encoder]
    upscale_video(source, tmp_path / target, doubled, ffmpeg=ffmpeg, options=options, end=0.2, notice=said.append)
    assert said == [f"in.mkv: HDR10+ dynamic metadata is dropped: {encoder} has no place for it; libx265 has"]


@pytest.mark.parametrize("codec", ["hevc", "av1"])
@pytest.mark.parametrize("size", [3, 63, 125, 126, 127, 253, 254, 255, 256, 511, 700])
def test_messages_of_any_length_and_content_come_back(codec: str, size: int) -> None:
    """Zeros, which H.265 has to write otherwise, and lengths at the borders of what a byte says."""
    packet = {"hevc": b"\0\0\0\1\x26\1\xaf", "av1": b"\x12\0\x0a\1\x7f\x32\2\1\2"}[codec]
    insert = inserter(codec)
    assert insert is not None
    messages = [b"\xb5\0\x3c" + bytes(size) + bytes([last]) for last in (0, 1, 3, 0x80)]
    made = insert(packet, messages)
    assert messages_in(codec, made, [b"\xb5\0\x3c"]) == messages
    assert messages_in(codec, made, [b"\xb5\0\x3d"]) == []


def _dolby(film: Path, profile: int) -> Path:
    """The frames of a film, each with Dolby Vision metadata of profile 8 or 5, by ETSI GS CCM 001: curves that change
    nothing."""

    def ue(value: int) -> str:
        return f"{value + 1:b}".zfill(2 * (value + 1).bit_length() - 1)

    def number(value: int, bits: int) -> str:
        return f"{value:0{bits}b}"

    own = profile == 5
    said = number(2, 6) + number(18, 11) + number(not own, 4) + number(0, 4) + "1" + "0" + "00" + ue(23) + "01"
    said += number(own, 1) + ue(2) + ue(2) + ue(4) + "0" + "000" + "0" + "1"  # depths 10, 10, 12; no residual
    said += "0" + "0" + ue(0) + ue(0) + ue(0)
    said += 3 * (ue(0) + number(0, 10) + number(1023, 10)) + ue(0) + ue(0)
    said += 3 * (ue(0) + ue(0) + "0" + ue(0) + number(0, 23) + ue(1) + number(0, 23))
    said += "0" * (-len(said) % 8)
    body = int(said, 2).to_bytes(len(said) // 8, "big") + bytes(4)  # the check sum is not looked at
    unit = re.sub(b"\0\0(?=[\0-\3])", lambda found: found[0] + b"\3", b"\x19" + body + b"\x80")
    made = film.with_name(f"dolby{profile}{film.suffix}")
    with av.open(str(film)) as source, av.open(str(made), "w", options={"mpegts_copyts": "1"}) as target:
        (stream,) = source.streams
        copied = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.size:
                longer = av.Packet(bytes(packet) + b"\x00\x00\x00\x01\x7c\x01" + unit)
                longer.pts, longer.dts, longer.is_keyframe = packet.pts, packet.dts, packet.is_keyframe
                longer.stream, longer.time_base = copied, packet.time_base
                target.mux(longer)
    return made


@both_ffmpegs
@pytest.mark.parametrize("suffix", [".ts", ".hevc"])
def test_dolby_vision_that_no_container_tells_of(suffix: str, ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """The metadata of the frames alone: what is below them stays, as do its light and its colours; that of profile 5 is
    nothing without them."""
    film, target = tmp_path / f"in{suffix}", tmp_path / "out.mp4"
    light = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400"
    words = [f"log-level=none:bframes=0:repeat-headers=1:hdr10=1:{light}"]
    words[0] += ":colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc"
    ffmpeg_run(*moving("64x48", 0.2), *PQ, "-c:v", "libx265", "-x265-params", *words, film)
    said: list[str] = []
    upscale_video(_dolby(film, 8), target, doubled, ffmpeg=ffmpeg, notice=said.append)
    assert f"dolby8{suffix}: Dolby Vision is dropped: it belongs to the old pixels" in said
    with av.open(str(target)) as container:
        frames = list(container.decode(video=0))
        assert all((f.color_trc, f.color_primaries, f.colorspace) == (16, 9, 9) for f in frames)
        kinds = {data.type.name for data in frames[0].side_data.values()}
    assert {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"} <= kinds
    assert not any("DOVI" in kind for kind in kinds)
    assert not any(kind in target.read_bytes() for kind in (b"dvcC", b"dvvC", b"dvh1", b"dvhe"))
    with pytest.raises(PipeError, match="is Dolby Vision of profile 5, whose colours are right only with metadata"):
        upscale_video(_dolby(film, 5), target, doubled, ffmpeg=ffmpeg, overwrite=True)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_layer_of_dolby_vision_is_no_film_beside(suffix: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Profile 7 in two streams: the second tells in its configuration that it holds no base layer."""
    plain, film, target = tmp_path / "plain.mp4", tmp_path / "layers.mp4", tmp_path / "out.mkv"
    hevc = ["-map", "0", "-map", "1", *PQ, "-c:v", "libx265", "-x265-params", "log-level=none", "-tag:v", "hvc1"]
    ffmpeg_run(*moving("64x48", 0.2), *moving("64x48", 0.2), *hevc, plain)
    data, record = plain.read_bytes(), int(f"{1:08b}{0:08b}{7:07b}{6:06b}110{6:04b}0000", 2).to_bytes(5, "big")
    at = data.rfind(b"\0\0\0\x10pasp")  # with the bit rate behind it of the same size
    assert data[at + 20 : at + 24] == b"btrt"
    film.write_bytes(data[:at] + b"\0\0\0\x24dvcC" + record + bytes(23) + data[at + 36 :])
    source, said = film.with_suffix(suffix), list[str]()
    if source != film:
        ffmpeg_run("-i", film, "-map", "0", "-c", "copy", "-strict", "unofficial", source)
    upscale_video(source, target, doubled, options=["-preset", "ultrafast"], notice=said.append)
    assert any(
        re.search(r"stream 1 \(video, hevc.*\) is dropped: it is a layer of Dolby Vision", line) for line in said
    )
    with av.open(str(target)) as container:
        assert [stream.width for stream in container.streams.video] == [128]
