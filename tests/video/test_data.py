"""Streams that are neither seen nor heard: what a camera's sensors say, a disc's navigation, time codes, chapters."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest
from video_clips import both_ffmpegs, ffmpeg_run, moving, packets

from sr_plugins import Upscaler
from sr_plugins.video.probe import probe
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]


def _with_data(folder: Path, suffix: str) -> Path:
    """A film with packets of data, first in a broadcast, then, with GoPro's tag, in the QuickTime family."""
    plain, broadcast, film = folder / "plain.ts", folder / "data.ts", folder / f"in.{suffix}"
    ffmpeg_run(*moving("64x48", 0.4), plain)
    with av.open(str(plain)) as source, av.open(str(broadcast), "w") as out:
        video = out.add_stream_from_template(source.streams.video[0])
        data = out.add_data_stream("bin_data")
        start = 0
        for number, packet in enumerate(source.demux(video=0)):
            if packet.pts is None:
                continue
            start = start or packet.pts
            packet.stream = video
            out.mux(packet)
            if number < 4:  # the last is not finished in a broadcast
                told = av.Packet(bytes([number]) * 40)
                told.stream, told.time_base = data, Fraction(1, 90_000)
                told.pts = told.dts = start + number * 9000
                out.mux(told)
    if suffix == "ts":
        return broadcast
    ffmpeg_run("-i", broadcast, "-map", "0", "-c", "copy", "-tag:d", "gpmd", film)
    return film


@both_ffmpegs
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_what_a_cameras_sensors_say_is_kept(ffmpeg: str, suffix: str, tmp_path: Path, doubled: Upscaler) -> None:
    """GoPro's place and motion (gpmd), which ffmpeg writes with its own tag."""
    source, target, said = _with_data(tmp_path, "mp4"), tmp_path / f"out.{suffix}", list[str]()
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    was, now = packets(source, 1), packets(target, 1)
    assert [told for _, told in now] == [told for _, told in was] == [bytes([number]) * 40 for number in range(3)]
    assert [float(time) for time, _ in now] == pytest.approx([float(time) for time, _ in was], abs=0.001)
    assert target.read_bytes().count(b"gpmd") == source.read_bytes().count(b"gpmd") > 0
    assert not said


@pytest.mark.parametrize(("suffix", "kept"), [("ts", True), ("mp4", False)])
def test_data_in_a_broadcast_stays_one_that_can_be_read(
    suffix: str, kept: bool, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target, said = _with_data(tmp_path, suffix), tmp_path / "out.ts", list[str]()
    upscale_video(source, target, doubled, options=FAST, notice=said.append)
    with av.open(str(target)) as container:
        assert len(container.streams) == 1 + kept
    assert [("stream 1 (data, bin_data" in line, ".ts cannot hold it" in line) for line in said] == [(True, True)] * (
        not kept
    )


def _checked(section: bytes) -> bytes:
    """A section with its length and its CRC-32/MPEG-2."""
    whole = section[:1] + struct.pack(">H", (section[1] << 8 & 0xF000) | len(section) + 1) + section[3:]
    state = 0xFFFFFFFF
    for byte in whole:
        state ^= byte << 24
        for _ in range(8):
            state = (state << 1 ^ (0x04C11DB7 if state >> 31 else 0)) & 0xFFFFFFFF
    return whole + struct.pack(">I", state)


def _with_cues(plain: Path, target: Path) -> Path:
    """A broadcast with SCTE-35's splice_null in a stream of sections, which its map of the programme names."""
    cue = _checked(b"\xfc\x30\0" + bytes(7) + b"\xff\xf0" + bytes(4))
    data = b""
    for at in range(0, plain.stat().st_size, 188):
        packet = plain.read_bytes()[at : at + 188]
        if packet[1:3] == b"\x50\0":  # ffmpeg's PID of the map
            length = (packet[6] & 15) << 8 | packet[7]
            section = packet[5 : 5 + 3 + length - 4]
            named = section[:10] + b"\xf0\x06\x05\x04CUEI" + section[12:] + b"\x86\xe1\xf0\xf0\0"
            packet = (packet[:5] + _checked(named)).ljust(188, b"\xff")
        data += packet
        if at % (188 * 8) == 188 * 7:
            data += (b"\x47\x41\xf0" + bytes([0x10 | at // (188 * 8) % 16, 0]) + cue).ljust(188, b"\xff")
    target.write_bytes(data)
    return target


@both_ffmpegs
def test_cues_that_no_ffmpeg_writes_as_such_are_said(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Copied they would be data of no kind."""
    ffmpeg_run(*moving("64x48", 0.6), "-c:v", "mpeg2video", tmp_path / "plain.ts")
    source, target, said = _with_cues(tmp_path / "plain.ts", tmp_path / "in.ts"), tmp_path / "out.ts", list[str]()
    with av.open(str(source)) as container:
        assert [(stream.type, stream.name) for stream in container.streams][1:] == [("data", "scte_35")]
        assert any(packet.size == 20 for packet in container.demux(container.streams[1]))
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert said == ["in.ts: stream 1 (data, scte_35) is left out: .ts cannot hold it"]
    with av.open(str(target)) as container:
        assert len(container.streams) == 1


def test_the_navigation_of_a_disc_is_not_copied_into_a_broadcast(tmp_path: Path, doubled: Upscaler) -> None:
    plain, source, target, said = tmp_path / "plain.vob", tmp_path / "in.vob", tmp_path / "out.ts", list[str]()
    ffmpeg_run(*moving("64x48", 0.6), "-c:v", "mpeg2video", plain)
    film = plain.read_bytes()
    # Two packets of private stream 2, of the length and with the beginning that a DVD's have (PCI and DSI).
    times = bytes(12) + struct.pack(">II", 1000, 50000)
    navigation = (
        b"\0\0\1\xbf\x03\xd4\0" + times + bytes(0x3D4 - 1 - len(times)) + b"\0\0\1\xbf\x03\xfa\1" + bytes(0x3F9)
    )
    source.write_bytes(film[:14] + navigation + film)
    assert [s.codec for s in probe(source).streams if s.kind == "data"] == ["dvd_nav_packet"]
    upscale_video(source, target, doubled, options=FAST, notice=said.append)
    with av.open(str(target)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
    assert said == ["in.vob: stream 0 (data, dvd_nav_packet) is left out: .ts cannot hold it"]


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
def test_a_time_code_is_kept_without_a_word(suffix: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target, said = tmp_path / "in.mov", tmp_path / f"out.{suffix}", list[str]()
    ffmpeg_run(*moving("64x48", 0.4), "-timecode", "01:02:03:04", source)
    upscale_video(source, target, doubled, options=FAST, notice=said.append)
    with av.open(str(target)) as container:
        tags = {key.lower(): value for key, value in container.streams.video[0].metadata.items()}
    assert (tags["timecode"], said) == ("01:02:03:04", [])


@both_ffmpegs
def test_chapters_with_a_gap_and_odd_names(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """QuickTime's track of them is made anew, and no stream of data that is left out."""
    told, source, target, said = tmp_path / "told.txt", tmp_path / "in.mp4", tmp_path / "out.mov", list[str]()
    names = ["Quote \\\" ' \\= \\; \\# \\\\ end", "日本語 🎬", ""]
    places = zip([(0, 1), (1, 2), (3, 4)], names, strict=True)
    parts = [f"[CHAPTER]\nTIMEBASE=1/10\nSTART={a}\nEND={b}\ntitle={name}\n" for (a, b), name in places]
    told.write_text(";FFMETADATA1\n" + "".join(parts), "utf-8")
    ffmpeg_run(*moving("64x48", 0.4), "-i", told, "-map", "0", "-map_chapters", "1", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    with av.open(str(source)) as was, av.open(str(target)) as now:
        titles = [[c["metadata"].get("title", "") for c in f.chapters()] for f in (was, now)]
        starts = [[float(c["start"] * c["time_base"]) for c in f.chapters()] for f in (was, now)]
    assert titles[1] == titles[0]
    assert titles[0][1:] == names[1:]
    assert starts[0] == pytest.approx(starts[1])
    assert not said


@pytest.mark.parametrize(("suffix", "lost"), [("mp4", "director, law_rating"), ("wmv", ""), ("mkv", "")])
def test_tags_of_a_film_that_have_no_place_are_said(suffix: str, lost: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Tried and read back, for muxers have names of their own: WMV's description comes back as a comment."""
    source, target, said = tmp_path / "in.mkv", tmp_path / f"out.{suffix}", list[str]()
    tags = {"DIRECTOR": "Ann", "LAW_RATING": "12", "artist": "Bob", "description": "What it is"}
    ffmpeg_run(*moving("64x48", 0.2), *(w for pair in tags.items() for w in ("-metadata", "=".join(pair))), source)
    upscale_video(source, target, doubled, notice=said.append)
    assert said == [f"in.mkv: tags of the film are left out ({lost}): {suffix} cannot hold them; .mkv can"] * bool(lost)
    with av.open(str(target)) as container:
        kept = set(container.metadata.values())
    assert kept & {*tags.values()} == {value for key, value in tags.items() if key.lower() not in lost}
    said.clear()
    upscale_video(source, tmp_path / f"bare.{suffix}", doubled, options=["-map_metadata", "-1"], notice=said.append)
    assert said == []


def test_tags_that_tell_of_the_old_file_alone_are_not_missed(tmp_path: Path, doubled: Upscaler) -> None:
    source, said = tmp_path / "in.mxf", list[str]()
    ffmpeg_run(*moving("64x48", 0.2), "-c:v", "mpeg2video", "-timecode", "01:02:03:04", source)
    upscale_video(source, tmp_path / "out.mov", doubled, notice=said.append)
    assert said == []
