"""Everything beside the picture: sound, subtitles, chapters, attachments, names, covers."""

from pathlib import Path

import av
import pytest
from video_clips import both_ffmpegs, by_turns, ffmpeg_run, moving, packets, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video.probe import probe
from sr_plugins.video.source import StreamInfo
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]
_OWN_TAGS = {"encoder", "duration", "handler_name", "vendor_id"}  # written anew by every muxer


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Matroska file with one of everything."""
    folder = tmp_path_factory.mktemp("film")
    (folder / "s.srt").write_text("1\n00:00:00,100 --> 00:00:00,700\n<i>h\u00e9llo</i>\n")
    (folder / "font.ttf").write_bytes(bytes(range(256)) * 20)
    (folder / "meta.txt").write_text(
        ";FFMETADATA1\ntitle=A \\= B: 100% \u2018film\u2019\nartist=S\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=400\n"
        "title=One\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=400\nEND=1000\ntitle=Two\n"
    )
    ffmpeg_run("-i", folder / "s.srt", folder / "s.ass")
    ffmpeg_run("-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", "1", folder / "cover.png")
    path = folder / "film.mkv"
    inputs = ["-i", folder / "s.srt", "-i", folder / "s.ass", "-i", folder / "meta.txt"]
    maps = [part for i in range(5) for part in ("-map", str(i))]
    ffmpeg_run(
        *(*moving(), *tone(), *tone(frequency=880), *inputs, *maps, "-map_metadata", "5", "-map_chapters", "5"),
        *("-c:a:0", "aac", "-c:a:1", "libopus", "-c:s:0", "srt", "-c:s:1", "ass"),
        *("-metadata:s:v:0", "title=The picture", "-metadata:s:v:0", "language=jpn"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:0", "title=Main: 'best' 100%"),
        *("-metadata:s:a:1", "language=deu", "-metadata:s:s:0", "language=fra"),
        *("-disposition:v:0", "default", "-disposition:a:0", "default", "-disposition:a:1", "comment"),
        *("-disposition:s:1", "forced+default"),
        *("-attach", folder / "font.ttf", "-metadata:s:t:0", "mimetype=application/x-truetype-font"),
        *("-attach", folder / "cover.png", "-metadata:s:t:1", "mimetype=image/png"),
        path,
    )
    return path


def _told(stream: StreamInfo) -> tuple[object, ...]:
    tags = {k.lower(): v for k, v in stream.metadata.items() if k.lower() not in _OWN_TAGS}
    return stream.kind, stream.codec, stream.disposition, tags


def _globals(path: Path) -> tuple[dict[str, str], list[object]]:
    with av.open(str(path)) as container:
        tags = {k.lower(): v for k, v in container.metadata.items() if k.lower() not in _OWN_TAGS}
        chapters = [(c["start"], c["end"], c["time_base"], c["metadata"]) for c in container.chapters()]
        return tags, chapters


def _attachments(path: Path) -> list[tuple[str, bytes]]:
    with av.open(str(path)) as container:
        return sorted((s.name, bytes(s.data)) for s in container.streams.attachments)


@both_ffmpegs
def test_matroska_with_everything(ffmpeg: str, film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target, said = tmp_path / "out.mkv", list[str]()
    upscale_video(film, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert said == []
    was, now = probe(film), probe(target)
    assert len(now.streams) == len(was.streams) == 7
    assert sorted(map(_told, now.streams), key=str) == sorted(map(_told, was.streams), key=str)
    assert [s.kind for s in now.streams[:5]] == ["video", "audio", "audio", "subtitle", "subtitle"]
    assert _globals(target) == _globals(film)
    assert len(_globals(film)[1]) == 2
    assert _attachments(target) == _attachments(film)
    for index in range(1, 5):
        source, result = packets(film, index), packets(target, index)
        assert [data for _, data in result] == [data for _, data in source]
    offsets = [[times(f, i)[0] - times(f, 0)[0] for i in range(1, 5)] for f in (film, target)]
    assert all(abs(a - b) <= 0.001 for a, b in zip(*offsets, strict=True))
    cover = next(s for s in now.streams if s.is_cover)
    assert [d for _, d in packets(target, cover.index)] == [d for _, d in packets(film, 6)]  # not upscaled


@both_ffmpegs
def test_ass_film(ffmpeg: str, tmp_path: Path, doubled: Upscaler, shared_data: Path) -> None:
    source, target = shared_data / "video" / "sample_with_ssa_subtitles.mkv", tmp_path / "out.mkv"
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, end=0.3)
    assert [s.codec for s in probe(target).streams] == ["h264", "ac3", "ass"]
    assert packets(target, 2) == packets(source, 2)


@both_ffmpegs
def test_mp4_says_first_what_it_cannot_hold(ffmpeg: str, film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target, said = tmp_path / "out.mp4", list[str]()
    upscale_video(film, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert len(said) == 3
    assert all(".mkv" in line for line in said)
    assert sum("font.ttf" in line and "left out" in line for line in said) == 1
    assert sum("mov_text" in line for line in said) == 2
    now = probe(target)
    assert [s.codec for s in now.streams if s.kind == "subtitle"] == ["mov_text"] * 2
    assert [s.metadata["language"] for s in now.streams[:4]] == ["jpn", "eng", "deu", "fra"]
    assert now.streams[1].metadata.get("name", now.streams[1].metadata.get("title")) == "Main: 'best' 100%"
    assert sum(s.is_cover for s in now.streams) == 1
    assert now.chapters == 2
    assert _globals(target)[0]["title"] == _globals(film)[0]["title"]


@both_ffmpegs
def test_mp4_cover_becomes_a_matroska_attachment(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    plain, source, target = tmp_path / "plain.mp4", tmp_path / "in.mp4", tmp_path / "out.mkv"
    ffmpeg_run(*moving(), plain)
    ffmpeg_run("-f", "lavfi", "-i", "color=red:s=16x16", "-frames:v", "1", tmp_path / "c.jpg")
    ffmpeg_run(
        "-i",
        plain,
        "-i",
        tmp_path / "c.jpg",
        "-map",
        "0",
        "-map",
        "1",
        "-c",
        "copy",
        "-disposition:v:1",
        "attached_pic",
        source,
    )
    upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST)
    cover = probe(target).streams[1]
    assert (cover.codec, cover.disposition) == ("mjpeg", ("attached_pic",))
    assert packets(target, 1)[0][1] == packets(source, 1)[0][1]


@both_ffmpegs
def test_options_after_dashes_win(ffmpeg: str, film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target = tmp_path / "out.mkv"
    own = [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-crf",
        "40",
        "-map",
        "0:a:1",
        "-c:a",
        "flac",
        "-metadata",
        "title=Mine",
    ]
    upscale_video(film, target, doubled, ffmpeg=ffmpeg, options=own)
    now = probe(target)
    assert [s.codec for s in now.streams] == ["hevc", "flac"]
    assert now.streams[1].metadata["language"] == "deu"
    assert _globals(target)[0]["title"] == "Mine"
    negative = tmp_path / "fewer.mkv"
    upscale_video(film, negative, doubled, ffmpeg=ffmpeg, options=[*FAST, "-map", "-0:s"])
    assert not any(s.kind == "subtitle" for s in probe(negative).streams)


@by_turns(
    suffix=("mkv", "mp4"),
    chosen=(
        ("-map 0", "0123456"),
        ("-map 0 -map -0:s", "01256"),
        ("-map -0:m:language:fra -map -0:t", "01246"),
        ("-map 0:s:1 -map 0:a:1 -an", "04"),
        ("-map 0:a:1 -map 0:v:0 -map 0:a:0", "201"),
        ("-map 0:a:0 -map 0:a:0", "011"),
        ("-map 0:d?", "0"),
        ("-map -0:v", "012345"),
    ),
)
def test_what_is_mapped_is_treated_as_what_is_not(
    ffmpeg: str, suffix: str, chosen: tuple[str, str], film: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    """In the order of the maps, however they say it; covers are covers, fonts that MP4 cannot hold are named."""
    (maps, places), target, said = chosen, tmp_path / f"out.{suffix}", list[str]()
    upscale_video(film, target, doubled, ffmpeg=ffmpeg, options=[*FAST, *maps.split()], notice=said.append)
    was, now = probe(film).streams, [s for s in probe(target).streams if s.kind != "data"]  # MP4's chapters
    wanted = [was[int(place)] for place in places if suffix == "mkv" or was[int(place)].kind != "attachment"]
    beside = [stream for stream in wanted if stream.kind == "attachment" or stream.is_cover]  # at the end, in any order
    wanted = [stream for stream in wanted if stream not in beside]
    assert [stream.kind for stream in now[: len(wanted)]] == [stream.kind for stream in wanted]
    languages = [[s.tags.get("language", "und") for s in streams] for streams in (now[: len(wanted)], wanted)]
    assert languages[0] == languages[1]
    assert {(s.kind, s.disposition) for s in now[len(wanted) :]} == {(s.kind, s.disposition) for s in beside}
    assert len(now) == len(wanted) + len(beside)
    named = [int(line.split("stream ")[1].split()[0]) for line in said if "left out" in line]
    assert named == [int(p) for p in places if suffix == "mp4" and was[int(p)].kind == "attachment"]


def test_a_map_that_matches_nothing_names_what_is_there(film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    said = r"-map 0:a:5: matches no streams; .*film.mkv has the streams 0 \(video, h264, jpn\), 1 \(audio, aac, eng\), "
    with pytest.raises(PipeError, match=said):
        upscale_video(film, tmp_path / "out.mkv", doubled, options=["-map", "0:a:5"])


@both_ffmpegs
def test_all_of_the_source_is_not_the_picture_that_is_replaced(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """``-map 0``, as people type it for ffmpeg."""
    film = tmp_path / "in.mkv"
    ffmpeg_run(*moving(), *tone(), *tone(frequency=880), "-map", "0", "-map", "1", "-map", "2", film)
    for name, maps in (("all.mkv", ["-map", "0"]), ("some.mkv", ["-map", "0:v", "-map", "0:a"])):
        upscale_video(film, tmp_path / name, doubled, ffmpeg=ffmpeg, options=[*FAST, *maps], notice=lambda _: None)
        now = probe(tmp_path / name)
        assert [s.kind for s in now.streams] == ["video", "audio", "audio"]
        assert (now.width, now.height) == (96, 64)


@both_ffmpegs
def test_another_film_that_is_mapped_is_the_one_to_enlarge(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Alone, or before the default one; with that one among the maps it stays as it is."""
    film = tmp_path / "in.mkv"
    ffmpeg_run(*moving(), *moving(size="32x48"), *tone(), "-map", "0", "-map", "1", "-map", "2", film)
    second, sound = (32, 48), ("audio", None)
    for number, (maps, wanted) in enumerate(
        {
            "-map 0:v:1": [(64, 96)],
            "-map 0:a -map 0:v:1": [sound, (64, 96)],
            "-map 0:a": [(96, 64), sound],
            "-map 0:v:1 -map 0:v:0": [second, (96, 64)],
        }.items()
    ):
        target = tmp_path / f"{number}.mkv"
        upscale_video(film, target, doubled, ffmpeg=ffmpeg, options=[*FAST, *maps.split()], notice=lambda _: None)
        with av.open(str(target)) as container:
            found = [(s.width, s.height) if s.type == "video" else (s.type, None) for s in container.streams]
        assert found == wanted


def test_impossible_container_fails_before_the_work(film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    frames: list[object] = []
    words = ["-c:v", "libx264", *FAST]
    with pytest.raises(PipeError, match=r"^writing /\S+/out\.webm: "):
        upscale_video(film, tmp_path / "out.webm", doubled, options=words, progress=frames.append)
    assert frames == []
    with pytest.raises(PipeError, match="no video container is called 'txt'"):
        upscale_video(film, tmp_path / "out.txt", doubled)


def _with_box(film: Path, kind: bytes, body: bytes) -> Path:
    """The film with one more box in what its first track says of its codec."""
    data, places, low, high = film.read_bytes(), list[int](), 0, film.stat().st_size
    for name, head in zip(
        (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"hvc1"), (8, 8, 8, 8, 8, 16, 86), strict=True
    ):
        while data[low + 4 : low + 8] != name:
            low += int.from_bytes(data[low : low + 4], "big")
        places.append(low)
        low, high = low + head, low + int.from_bytes(data[low : low + 4], "big")
    box = (8 + len(body)).to_bytes(4, "big") + kind + body
    grown = bytearray(data)
    for at in places:
        grown[at : at + 4] = (int.from_bytes(data[at : at + 4], "big") + len(box)).to_bytes(4, "big")
    made = film.with_name(f"{kind.decode()}{body[2] if body else 0}.mp4")
    made.write_bytes(bytes(grown[:high]) + box + bytes(grown[high:]))
    return made


def test_what_belongs_to_the_old_pixels_is_said(tmp_path: Path, doubled: Upscaler) -> None:
    """Dolby Vision by the record of its container, the light around the screen; and what is nothing without either."""
    film, target = tmp_path / "in.mp4", tmp_path / "out.mkv"
    codec = ["-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=error", "-tag:v", "hvc1"]
    ffmpeg_run(*moving("32x24", 0.2), *codec, film)
    record = {profile: bytes([1, 0, profile << 1, 0x0D, base << 4]) + bytes(19) for profile, base in ((8, 1), (5, 0))}
    light = bytes.fromhex("002fe9e03d134042")
    said: list[str] = []
    for source in (_with_box(film, b"dvvC", record[8]), _with_box(film, b"amve", light)):
        upscale_video(source, target, doubled, options=FAST, notice=said.append, overwrite=True)
    assert said == [
        "dvvC16.mp4: Dolby Vision is dropped: it belongs to the old pixels",
        "amve233.mp4: the light around the screen that it was made for is left out: no encoder here writes it",
    ]
    with pytest.raises(PipeError, match="is Dolby Vision of profile 5, whose colours are right only with metadata"):
        upscale_video(_with_box(film, b"dvcC", record[5]), target, doubled, overwrite=True)


@both_ffmpegs
def test_titles_go_from_container_to_container(ffmpeg: str, film: Path, tmp_path: Path, doubled: Upscaler) -> None:
    """QuickTime's family has a place of its own for them, which libavformat calls by another name when it reads."""
    wanted = ["The picture", "Main: 'best' 100%"]
    source = film
    for name in ("a.mp4", "b.mp4", "c.mov", "d.mkv"):
        target = tmp_path / name
        upscale_video(source, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=lambda _: None)
        with av.open(str(target)) as container:
            tags = [{k.lower(): v for k, v in stream.metadata.items()} for stream in container.streams]
        assert [tag.get("title" if name == "d.mkv" else "name") for tag in tags[:2]] == wanted
        source = target
    assert not any("name" in tag for tag in tags)
