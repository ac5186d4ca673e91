"""Sound, covers, subtitles and further films beside the picture, where containers, cuts and edit lists make it hard."""

import struct
import subprocess
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from video_clips import BUNDLED, both_ffmpegs, by_turns, ffmpeg_run, moving, packets, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.probe import probe
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]


# -- sound -------------------------------------------------------------------------------------------------------------

_FLASH = (
    "color=black:s=64x48:r=25:d=6,drawbox=w=64:h=48:c=white:t=fill:"
    "enable=between(n\\,20\\,24)+between(n\\,70\\,74)+between(n\\,120\\,124),noise=alls=6:allf=t"
)
_BEEP = "aevalsrc='0.8*sin(2*PI*1000*t)*(between(t,{0},{0}+0.1)+between(t,2.8,2.9)+between(t,4.8,4.9))':s=48000:d=6"


def _beeps(path: Path) -> list[float]:
    """When the sound begins to be loud, on the film's clock."""
    whole = "aresample=48000:async=1:min_hard_comp=0.001:first_pts=0"
    # of one thread: ffmpeg 9.0.2 loses packets of ALAC behind those that an edit list hides
    command = [
        BUNDLED,
        "-v",
        "error",
        "-threads",
        "1",
        "-i",
        path,
        "-map",
        "0:a:0",
        "-af",
        whole,
        "-ac",
        "1",
        "-f",
        "s16le",
        "-",
    ]
    heard = subprocess.run(command, capture_output=True, check=True).stdout
    loud = np.flatnonzero(np.abs(np.frombuffer(heard, "<i2").astype(int)) > 8000)
    return [float(a) / 48000 for a, gap in zip(loud, np.diff(loud, prepend=-48000), strict=True) if gap > 4800]


def _distance(path: Path) -> float:
    """Seconds from the first flash to the first beep, both decoded, on the file's clock."""
    with av.open(str(path)) as container:
        flash = next(p.time for p in container.decode(video=0) if p.to_ndarray(format="gray").mean() > 128)
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(float)).reshape(-1, frame.samples).max(0)
            level = 0.25 if frame.format.name.startswith("flt") else 8000
            if (loud := np.flatnonzero(samples > level)).size:
                return float(frame.time + loud[0] / frame.sample_rate - flash)
    raise AssertionError("no beep")


@by_turns(suffix=["ts", "vob"], name=["out.mkv", "out.mp4", "out.ts"])
def test_sound_that_begins_late_in_a_broadcast(
    ffmpeg: str, suffix: str, name: str, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = tmp_path / f"in.{suffix}", tmp_path / name
    codecs = ["-c:v", "mpeg2video", "-q:v", "3", "-c:a", "mp2"]
    later = ["-itsoffset", "0.37", "-f", "lavfi", "-i", _BEEP.format(0.8)]
    ffmpeg_run("-f", "lavfi", "-i", _FLASH, *later, *codecs, "-t", "3", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    assert _distance(source) == pytest.approx(0.37, abs=0.03)
    assert _distance(target) == pytest.approx(_distance(source), abs=0.0015)


@both_ffmpegs
@pytest.mark.parametrize(("suffix", "sound"), [("mp4", "aac"), ("mkv", "aac"), ("mkv", "libmp3lame")])
@pytest.mark.parametrize("asked", [[], ["-c:a", "libmp3lame"]])
def test_sound_before_zero_stays_where_it_was_in_avi(
    ffmpeg: str, suffix: str, sound: str, asked: list[str], tmp_path: Path, doubled: Upscaler
) -> None:
    """What an encoder gives first lies before zero, where AVI has no place; no frame moves for it."""
    source, target = tmp_path / f"in.{suffix}", tmp_path / "out.avi"
    beep = ["-f", "lavfi", "-i", _BEEP.format(0.8)]
    ffmpeg_run("-f", "lavfi", "-i", _FLASH, *beep, "-c:v", "libx264", "-c:a", sound, "-t", "1.5", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "mpeg4", *asked])
    assert [float(t) for t in times(target)] == pytest.approx([n / 25 for n in range(len(times(target)))], abs=1e-6)
    assert len(times(target)) == len(times(source))
    assert _distance(target) == pytest.approx(_distance(source), abs=0.0022)


@both_ffmpegs
def test_sound_that_avi_would_move_is_refused_before_work(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """The next packet of AC-3 lies 26 ms from zero: with the first or without, the sound would move."""
    source, made = tmp_path / "in.mkv", list[object]()
    ffmpeg_run(*moving("64x48", 1), *tone(1), "-c:v", "libx264", "-c:a", "ac3", source)
    late = tmp_path / "late.mp4"
    ffmpeg_run(*moving("64x48", 1.2), "-itsoffset", "0.7", *tone(0.5), "-c:v", "libx264", "-c:a", "aac", late)
    for film in source, late:
        with pytest.raises(PipeError, match=r"(begins before zero|sound would be).*\.mkv"):
            upscale_video(film, tmp_path / "out.avi", doubled, ffmpeg=ffmpeg, progress=made.append)
    assert not made


@by_turns(suffix=["mov", "avi", "mp4"], codec=["pcm_s16le", "mp3"])
def test_sound_that_pauses(ffmpeg: str, suffix: str, codec: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Where samples are counted the rest would come too early: refused before work, or silence where it is encoded."""
    source, target = tmp_path / "in.mkv", tmp_path / f"out.{suffix}"
    pause = ["-f", "lavfi", "-i", "sine=d=2,aselect='lt(t,0.4)+gt(t,1.4)'"]
    ffmpeg_run(*moving("64x48", 2), *pause, "-c:v", "libx264", "-c:a", codec, source)
    if suffix == "avi" or (suffix == "mov" and codec == "pcm_s16le"):
        made: list[object] = []
        with pytest.raises(PipeError, match=rf"pauses, for 1\.\d+ s in all, and \.{suffix} cannot say so: -- -c:a pcm"):
            upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, progress=made.append)
        assert not made
    elif suffix != "mp4":
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
        assert times(target, 1) == pytest.approx(times(source, 1), abs=0.002)
    kind = "aac" if suffix == "mp4" else "pcm_s16le"
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=[*FAST, "-c:a", kind], overwrite=True)
    assert _silence(target) == pytest.approx(_silence(source), abs=0.03)


@by_turns(suffix=["webm", "mkv"], late=[0.0, 0.37])
def test_opus_that_begins_late(ffmpeg: str, suffix: str, late: float, tmp_path: Path, doubled: Upscaler) -> None:
    """Before ffmpeg 9 Matroska's muxer takes the encoder's delay off its times."""
    source, target = tmp_path / "in.webm", tmp_path / f"out.{suffix}"
    sound = ["-itsoffset", str(late), *tone(1), "-c:v", "libvpx-vp9", "-c:a", "libopus"]
    ffmpeg_run(*moving("64x48", 1), *sound, source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=["-c:v", "libvpx-vp9", "-cpu-used", "8"])
    assert times(target, 1) == pytest.approx(times(source, 1), abs=0.001)


def test_sound_that_matroska_cannot_hold_is_told_with_a_cure(tmp_path: Path, doubled: Upscaler) -> None:
    source, target, said = tmp_path / "in.mov", tmp_path / "out.mkv", list[str]()
    ffmpeg_run(*moving("64x48", 1), *tone(1), "-c:v", "libx264", "-c:a", "adpcm_ima_qt", source)
    upscale_video(source, target, doubled, options=FAST, notice=said.append)
    assert [line.rpartition(": ")[2] for line in said] == ["Matroska cannot hold it; -- -c:a flac rewrites it"]
    upscale_video(source, target, doubled, options=[*FAST, "-c:a", "flac"], overwrite=True)
    assert len(packets(target, 1)) > 5


def _silence(film: Path) -> tuple[float, float]:
    """When the longest silence begins and ends, in seconds."""
    heard = []
    with av.open(str(film)) as container:
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(float)).reshape(-1)
            loud = np.flatnonzero(samples > samples.max() / 4) if samples.max() > 1e-3 else ()
            heard += [frame.time + place / frame.sample_rate for place in loud]
    place = int(np.argmax(np.diff(heard)))
    return heard[place], heard[place + 1]


def _edited(source: Path, target: Path, *parts: tuple[float, float]) -> Path:
    """The film with an edit list that shows these seconds of its media, as an editor writes it; -1 shows nothing until
    the second that follows."""

    def boxes(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
        at = 0
        while at < len(data):
            size, kind = struct.unpack(">I4s", data[at : at + 8])
            head = 8
            if size == 1:
                size, head = struct.unpack(">Q", data[at + 8 : at + 16])[0], 16
            yield kind, data[at + head : at + size], data[at : at + size]
            at += size

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", len(body) + 8, kind) + body

    data = source.read_bytes()
    movie = struct.unpack(">I", data[data.rfind(b"mvhd") + 16 :][:4])[0]

    def track(body: bytes) -> bytes:
        at = body.find(b"mdhd")
        scale = struct.unpack(">I", body[at + 16 : at + 20])[0]
        at = body.find(b"elst")
        first = max(0, struct.unpack(">i", body[at + 16 : at + 20])[0]) if at >= 0 else 0
        shown = [(e - max(b, 0), -1 if b < 0 else first + round(b * scale)) for b, e in parts]
        rows = [struct.pack(">Iii", round(lasting * movie), since, 0x10000) for lasting, since in shown]
        edits = box(b"edts", box(b"elst", struct.pack(">II", 0, len(parts)) + b"".join(rows)))
        inside = [edits * (kind == b"mdia") + whole for kind, _, whole in boxes(body) if kind != b"edts"]
        return b"".join(inside)

    def film(kind: bytes, body: bytes, whole: bytes) -> bytes:
        if kind != b"moov":
            return whole
        return box(b"moov", b"".join(box(k, track(b)) if k == b"trak" else w for k, b, w in boxes(body)))

    target.write_bytes(b"".join(film(*parts) for parts in boxes(data)))
    return target


@by_turns(name=["out.mkv", "out.mp4", "out.ts"], parts=[[(0.5, 1.5), (2.6, 5.2)], [(1.3, 4.0)]])
def test_what_an_edit_list_hides_stays_hidden(
    ffmpeg: str, name: str, parts: list[tuple[float, float]], tmp_path: Path, doubled: Upscaler
) -> None:
    whole, target, said = tmp_path / "whole.mov", tmp_path / name, list[str]()
    inputs = ["-f", "lavfi", "-i", _FLASH, "-f", "lavfi", "-i", _BEEP.format(1.8)]
    ffmpeg_run(*inputs, "-bf", "2", "-c:a", "aac", whole)
    source = _edited(whole, tmp_path / "in.mov", *parts)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    was, now = _beeps(source), _beeps(target)
    assert len(was) == 2
    late = 0.0 if name != "out.ts" else now[0] - was[0]  # a broadcast begins with the encoder's delay
    assert [round(t - late, 2) for t in now] == [round(t, 2) for t in was]
    if len(parts) > 1:
        assert any("is encoded anew as aac: an edit list hides parts of it" in line for line in said)


@by_turns(
    name=["out.mkv", "out.mov"],
    codec=["alac", "pcm_s16le"],
    parts=[((0.5, 1.5), (2.6, 5.2)), ((-1, 0.5), (1.3, 4.0))],
)
def test_sound_of_an_edited_film_is_in_step(
    ffmpeg: str, name: str, codec: str, parts: tuple[tuple[float, float], ...], tmp_path: Path, doubled: Upscaler
) -> None:
    """Cut within a packet, whose end is not heard; and hidden at its start where the film begins later."""
    whole, target = tmp_path / "whole.mov", tmp_path / name
    ffmpeg_run("-f", "lavfi", "-i", _FLASH, "-f", "lavfi", "-i", _BEEP.format(1.1), "-c:a", codec, whole)
    source = _edited(whole, tmp_path / "in.mov", *parts)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=lambda _: None)
    assert len(_beeps(source)) == (1 if parts[0][0] < 0 else 3)
    assert _beeps(target) == pytest.approx(_beeps(source), abs=0.0015)


@both_ffmpegs
@pytest.mark.parametrize(
    ("name", "codec", "kept"),
    [("out.mov", "flac", False), ("out.mov", "libopus", False), ("out.mp4", "flac", True), ("out.mkv", "s302m", False)],
)
def test_sound_that_this_ffmpeg_does_not_write_is_told(
    ffmpeg: str, name: str, codec: str, kept: bool, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target, said = tmp_path / ("in.ts" if codec == "s302m" else "in.mkv"), tmp_path / name, list[str]()
    ffmpeg_run(*moving(), *tone(), "-ar", "48000", "-ac", "2", "-c:a", codec, "-strict", "-2", source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert len(probe(target).streams) == 1 + kept
    assert sum("left out" in line for line in said) == (not kept)


# -- covers, and films beside the film ---------------------------------------------------------------------------------


@both_ffmpegs
def test_every_cover(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, names = tmp_path / "in.mkv", ["cover.jpg", "cover_land.png", "small_cover.jpg"]
    attached: list[str | Path] = []
    for number, (name, colour) in enumerate(zip(names, ("red", "green", "blue"), strict=True)):
        ffmpeg_run("-f", "lavfi", "-i", f"color={colour}:s=32x32", "-frames:v", "1", tmp_path / name)
        kind = "jpeg" if name.endswith("jpg") else "png"
        tags = [f"-metadata:s:t:{number}", f"mimetype=image/{kind}", f"-metadata:s:t:{number}", f"filename={name}"]
        attached += ["-attach", tmp_path / name, *tags]
    ffmpeg_run(*moving(seconds=0.2), *attached, source)
    for target, count in ((tmp_path / "o.mkv", 3), (tmp_path / "o.mp4", 3), (tmp_path / "o.mov", 0)):
        said: list[str] = []
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
        covers = [s for s in probe(target).streams if s.is_cover]
        assert [packets(target, s.index)[0][1] for s in covers] == [(tmp_path / n).read_bytes() for n in names][:count]
        assert sum("left out: .mov cannot hold it; .mkv can" in line for line in said) == 3 - count
        if target.suffix == ".mkv":
            assert [s.tags["filename"] for s in covers] == names


@both_ffmpegs
def test_what_a_person_attaches_stands_before_our_covers(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """As if ffmpeg copied the source, where covers are films: after its attachments, which are counted by ``t``."""
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run("-f", "lavfi", "-i", "color=red:s=32x32", "-frames:v", "1", tmp_path / "cover.png")
    (tmp_path / "old.ttf").write_bytes(b"old")
    (tmp_path / "new.ttf").write_bytes(b"new")
    attached: list[str | Path] = []
    for number, (name, kind) in enumerate((("cover.png", "image/png"), ("old.ttf", "font/ttf"))):
        tags = [f"-metadata:s:t:{number}", f"mimetype={kind}", f"-metadata:s:t:{number}", f"filename={name}"]
        attached += ["-attach", tmp_path / name, *tags]
    ffmpeg_run(*moving(seconds=0.2), *attached, source)
    mine = ["-attach", str(tmp_path / "new.ttf"), "-metadata:s:t:1", "mimetype=font/ttf"]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=[*FAST, *mine, "-metadata:s:t:1", "filename=new.ttf"])
    with av.open(str(target)) as container:
        assert [(s.name, bytes(s.data)) for s in container.streams.attachments] == [
            ("old.ttf", b"old"),
            ("new.ttf", b"new"),
        ]
    assert [s.tags["filename"] for s in probe(target).streams if s.is_cover] == ["cover.png"]


@by_turns(suffix=["mkv", "mp4"], main=[0, 1])
def test_another_film_in_the_file_stays_what_it_is(
    ffmpeg: str, suffix: str, main: int, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / f"out.{suffix}"
    marks = [
        f"-disposition:v:{n}" if word is None else word
        for n in (0, 1)
        for word in (None, "default" * (n == main) or "0")
    ]
    maps = ["-map", "0", "-map", "1", "-pix_fmt", "yuv420p", *marks]
    ffmpeg_run(*moving("64x48", 1, "5"), *moving("160x64", 1, "10"), *maps, source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    sizes = [(64, 48), (160, 64)]
    sizes[main] = (sizes[main][0] * 2, sizes[main][1] * 2)
    with av.open(str(target)) as container:
        films = container.streams.video
        assert [(s.width, s.height) for s in films] == sizes
        assert [Fraction(s.sample_aspect_ratio or 1) for s in films] == [1, 1]
    assert [len(times(target, n)) for n in (0, 1)] == [5, 10]


@both_ffmpegs
def test_another_film_that_a_broadcast_would_call_data_is_left_out(
    ffmpeg: str, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target, said = tmp_path / "in.mkv", tmp_path / "out.ts", list[str]()
    two = ["-map", "0", "-map", "1", "-map", "1", "-c:v:1", "mjpeg", "-c:v:2", "mpeg2video", "-pix_fmt", "yuv420p"]
    ffmpeg_run(*moving("64x48", 0.4), *moving("32x32", 0.4), *two, source)
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert "in.mkv: stream 1 (video, mjpeg) is left out: .ts cannot hold it; .mkv can" in said
    with av.open(str(target)) as container:
        codecs = [stream.codec_context and stream.codec_context.name for stream in container.streams]
    assert codecs == ["h264", "mpeg2video"]


# -- cuts --------------------------------------------------------------------------------------------------------------


@by_turns(way=["mkv to mp4", "mkv to mov", "mp4 to mkv"], cut=[(2.0, None), (1.5, 4.5), (5.52, None)])
def test_rewritten_subtitles_of_a_cut_film(
    ffmpeg: str, way: str, cut: tuple[float, float | None], tmp_path: Path, doubled: Upscaler
) -> None:
    suffix, _, ending = way.partition(" to ")
    name = f"out.{ending}"
    lines = [f"{i + 1}\n00:00:0{i},200 --> 00:00:0{i},900\nline {i}\n" for i in range(6)]
    (tmp_path / "s.srt").write_text("\n".join(lines))
    source, target = tmp_path / f"in.{suffix}", tmp_path / name
    inputs = [*moving(seconds=6), *tone(6), "-i", tmp_path / "s.srt", "-map", "0", "-map", "1", "-map", "2"]
    kind = "srt" if suffix == "mkv" else "mov_text"
    ffmpeg_run(*inputs, "-g", "50", "-c:a", "aac", "-c:s", kind, "-metadata:s:s:0", "language=fra", source)
    start, end = cut
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, start=start, end=end, notice=lambda _: None)
    begin = times(target)[0]
    assert 0 <= begin < 0.06
    shown = {}
    with av.open(str(target)) as container:
        for packet in container.demux(container.streams.subtitles[0]):
            text = bytes(packet).partition(b"line ")[2][:1]
            if text and packet.pts is not None and packet.time_base is not None:
                base = float(packet.time_base)
                shown[int(text)] = (round(packet.pts * base, 3), round((packet.duration or 0) * base, 3))
        assert container.streams.subtitles[0].metadata["language"] == "fra"
    wanted = {i: (round(i + 0.2 - start, 3), 0.7) for i in range(6) if start <= i + 0.2 < (end or 9)}
    assert shown == wanted


@both_ffmpegs
def test_sound_that_is_encoded_anew_keeps_its_distance_or_is_refused(
    ffmpeg: str, tmp_path: Path, doubled: Upscaler
) -> None:
    """Where picture and sound begin apart, and a container begins all streams at once."""
    early = tmp_path / "early.mp4"
    codecs = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac"]
    ffmpeg_run("-itsoffset", "0.8", *moving("64x48", 0.4), *tone(1.4), "-ar", "48000", *codecs, early)
    with pytest.raises(PipeError, match=r"its sound would be 0.8\d+ s late: .mkv as target keeps every time"):
        upscale_video(early, tmp_path / "out.mxf", doubled, ffmpeg=ffmpeg, options=["-c:a", "pcm_s16le"])
    target = tmp_path / "out.mkv"
    upscale_video(early, target, doubled, ffmpeg=ffmpeg, options=["-c:a", "flac"], notice=lambda _: None)
    assert float(times(target)[0] - times(target, 1)[0]) == pytest.approx(0.8, abs=0.03)


# -- captions ----------------------------------------------------------------------------------------------------------


def _captions(path: Path) -> list[bytes]:
    """The caption data of every frame, by libavcodec."""
    with av.open(str(path)) as container:
        return [
            next((bytes(data) for data in frame.side_data.values() if data.type.name == "A53_CC"), b"")
            for frame in container.decode(video=0)
        ]


_QUICK = {"ffv1": (), "libsvtav1": ("-preset", "10")}


@both_ffmpegs
@pytest.mark.parametrize("encoder", ["libx264", "libx265", "mpeg2video", "libsvtav1", "ffv1"])
def test_closed_captions_stay_with_their_frames(ffmpeg: str, encoder: str, tmp_path: Path, doubled: Upscaler) -> None:
    raw, source, target, said = tmp_path / "in.m2v", tmp_path / "in.ts", tmp_path / "out.mkv", list[str]()
    ffmpeg_run(*moving("64x48", 0.6), "-c:v", "mpeg2video", "-q:v", "3", "-pix_fmt", "yuv420p", raw)
    data = b""
    for number, picture in enumerate(raw.read_bytes().split(b"\0\0\1\0")):
        first = picture.find(b"\0\0\1\1")  # its first slice
        told = b"GA94\3" + bytes([0x42, 0xFF, 0xFC, 0x80, number, 0xFA, 0, 0, 0xFF])
        data += b"\0\0\1\0" * bool(number) + picture[: max(first, 0)]
        data += (b"\0\0\1\xb2" + told if first >= 0 else b"") + picture[max(first, 0) :]
    raw.write_bytes(data)
    ffmpeg_run("-fflags", "+genpts", "-r", "25", "-f", "mpegvideo", "-i", raw, "-c", "copy", source)
    was = _captions(source)
    assert len(set(was)) == len(was) == 15
    options = ["-c:v", encoder, *_QUICK.get(encoder, ("-bf", "2"))]
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=options, chunk_frames=6, notice=said.append)
    assert _captions(target) == (was if encoder != "ffv1" else [b""] * 15)
    line = "in.ts: closed captions inside the video are dropped: ffv1 has no place for them; libx264 has"
    assert said == [line] * (encoder == "ffv1")
    ffmpeg_run("-xerror", "-i", target, "-f", "null", "-")


_OF_DVDS = b"CC\x01\xf8"
_OF_ATSC = b"GA94\3"


def _told(picture: int) -> bytes:
    return bytes([0x94, 0x20 + picture])


def _dvd(number: int) -> bytes:
    """Closed captions of a DVD: those of four frames, with the first of them."""
    pairs = b"".join(b"\xff" + _told(number + n) + b"\xfe\x80\x80" for n in range(4))
    return _OF_DVDS + bytes([0x80 | 4 << 1]) + pairs


def _two_messages(number: int) -> bytes:
    """One for each field, as field pictures have them."""
    one = _OF_ATSC + bytes([0xC1, 0xFF, 0xFC, *_told(number), 0xFF])
    return one + b"\0\0\1\xb2" + _OF_ATSC + bytes([0xC1, 0xFF, 0xFD, *_told(number + 1), 0xFF])


@pytest.mark.parametrize(
    ("data", "pictures"),
    [(_dvd, (1, 9)), (_two_messages, (10, 11))],
    ids=["of a DVD", "of both fields, late"],
)
def test_closed_captions_of_every_kind_and_wherever_they_begin(
    data: Callable[[int], bytes], pictures: tuple[int, ...], tmp_path: Path, doubled: Upscaler
) -> None:
    """DVDs and field pictures: what libavcodec sees in the source it sees in the result, frame by frame."""
    raw, source, target, said = tmp_path / "in.m2v", tmp_path / "in.vob", tmp_path / "out.mkv", list[str]()
    ffmpeg_run(*moving("64x48", 0.6), "-c:v", "mpeg2video", "-bf", "2", "-q:v", "3", "-pix_fmt", "yuv420p", raw)
    made = b""
    for number, picture in enumerate(raw.read_bytes().split(b"\0\0\1\0")):
        first = picture.find(b"\0\0\1\1")  # its first slice
        told = b"\0\0\1\xb2" + data(number) if number - 1 in pictures else b""
        made += b"\0\0\1\0" * bool(number) + picture[: max(first, 0)] + told + picture[max(first, 0) :]
    raw.write_bytes(made)
    ffmpeg_run("-fflags", "+genpts", "-r", "25", "-f", "mpegvideo", "-i", raw, "-c", "copy", source)
    was = _captions(source)
    assert sum(map(bool, was)) == 2
    upscale_video(source, target, doubled, ffmpeg=BUNDLED, options=["-c:v", "libx264"], notice=said.append)
    assert _captions(target) == was
    assert not said
