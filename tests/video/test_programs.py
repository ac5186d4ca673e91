"""Programs of broadcasts, and the variants of a film that a playlist offers."""

from pathlib import Path

import av
import pytest
from video_clips import both_ffmpegs, ffmpeg_run, moving, pictures, tone

from sr_plugins import Upscaler, upscale_video

FAST = ["-preset", "ultrafast"]
PACKET = 188  # bytes, by ISO 13818-1


def _sections(path: Path, pid: int) -> list[bytes]:
    """The first section of each packet that begins one, without its pointer and up to its checksum."""
    data, found = path.read_bytes(), []
    for at in range(0, len(data), PACKET):
        packet = data[at : at + PACKET]
        if int.from_bytes(packet[1:3]) & 0x5FFF == 0x4000 | pid:
            begins = 5 + packet[4] + (1 + packet[4] if packet[3] & 0x20 else 0)
            length = int.from_bytes(packet[begins + 1 : begins + 3]) & 0xFFF
            found.append(packet[begins : begins + length - 1])
    return found


def _programs(path: Path) -> dict[int, tuple[str, str, list[int]]]:
    """Of every program its provider, its name and the kinds of its streams: by ISO 13818-1 (PAT, PMT) and EN 300 468
    (SDT with one service descriptor for each service)."""
    maps = {int.from_bytes(s[i : i + 2]): int.from_bytes(s[i + 2 : i + 4]) & 0x1FFF
            for s in _sections(path, 0) for i in range(8, len(s), 4)}  # fmt: skip
    names: dict[int, tuple[str, str]] = {}
    for table in _sections(path, 0x11):
        at = 11
        while at < len(table):
            text = table[at + 8 :]
            provider, rest = text[1 : 1 + text[0]], text[1 + text[0] :]
            names[int.from_bytes(table[at : at + 2])] = (provider.decode(), rest[1 : 1 + rest[0]].decode())
            at += 5 + (int.from_bytes(table[at + 3 : at + 5]) & 0xFFF)
    kinds: dict[int, list[int]] = {}
    for number, pid in maps.items():
        table = _sections(path, pid)[-1]
        at, kinds[number] = 12 + (int.from_bytes(table[10:12]) & 0xFFF), []
        while at < len(table):
            kinds[number].append(table[at])
            at += 5 + (int.from_bytes(table[at + 3 : at + 5]) & 0xFFF)
    return {number: (*names[number], sorted(kinds[number])) for number in maps}


@pytest.fixture(scope="module")
def broadcast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two programs of picture and sound: the picture of the second is the larger one; the third sound is of both."""
    path = tmp_path_factory.mktemp("broadcast") / "in.ts"
    one, two = moving("48x32", 0.4), moving("64x48", 0.4)
    maps = [word for number in range(5) for word in ("-map", str(number))]
    ffmpeg_run(
        *(*one, *tone(0.4), *two, *tone(0.4, 880), *tone(0.4, 220), *maps, "-c:v", "mpeg2video", "-c:a", "mp2"),
        *("-program", "program_num=101:st=0:st=1:st=4", "-program", "program_num=2000:st=2:st=3:st=4"),
        *("-metadata:p:0", "service_name=Erstes: eins=1", "-metadata:p:0", "service_provider=Haus"),
        *("-metadata:p:1", "service_name=Zweites", path),
    )
    return path


def test_the_test_reads_programs(broadcast: Path) -> None:
    assert _programs(broadcast) == {
        101: ("Haus", "Erstes: eins=1", [2, 3, 3]),
        2000: ("FFmpeg", "Zweites", [2, 3, 3]),
    }


@both_ffmpegs
def test_programs_stay_what_they_are(ffmpeg: str, broadcast: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target, said = tmp_path / "out.ts", list[str]()
    upscale_video(broadcast, target, doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    assert _programs(target) == {
        101: ("Haus", "Erstes: eins=1", [2, 3, 3]),
        2000: ("FFmpeg", "Zweites", [3, 3, 0x1B]),  # H.264: the largest picture is the one that is upscaled
    }
    assert not any("program" in line for line in said)


def test_a_program_that_is_taken_away_is_gone(broadcast: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target = tmp_path / "out.ts"
    upscale_video(broadcast, target, doubled, options=[*FAST, "-map", "-0:0", "-map", "-0:1", "-map", "-0:2"])
    assert _programs(target) == {2000: ("FFmpeg", "Zweites", [3, 0x1B])}


@both_ffmpegs
@pytest.mark.parametrize(
    ("maps", "kinds"),
    [
        ("0", {101: [2, 3, 3], 2000: [3, 3, 0x1B]}),
        ("0:a:2", {2000: [3, 0x1B]}),
        ("0:a:1", {101: [3], 2000: [3, 0x1B]}),
        ("0:a:0", {101: [3], 2000: [0x1B]}),
    ],
)
def test_programs_of_what_is_mapped(
    ffmpeg: str, maps: str, kinds: dict[int, list[int]], broadcast: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    target, film, said = tmp_path / "out.ts", tmp_path / "out.mkv", list[str]()
    options = [*FAST, "-map", maps]
    upscale_video(broadcast, target, doubled, ffmpeg=ffmpeg, options=options, notice=lambda _: None)
    assert {number: told[2] for number, told in _programs(target).items()} == kinds
    upscale_video(broadcast, film, doubled, ffmpeg=ffmpeg, options=options, notice=said.append)
    assert any("its 2 programs" in line for line in said) == (len(kinds) == 2)


@pytest.mark.parametrize(("suffix", "count"), [("mkv", 2), ("mkv", 1), ("mp4", 1)])
def test_programs_that_are_lost_are_said(
    suffix: str, count: int, broadcast: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    source, target, again = tmp_path / "in.ts", tmp_path / f"out.{suffix}", tmp_path / "again.ts"
    ffmpeg_run("-i", broadcast, *("-map", "0:3", "-map", "0:4") * (count == 1), *("-map", "0") * (count == 2), "-c",
               "copy", "-program", f"program_num=7:st=0:st=1{':st=4' * (count - 1)}", "-metadata:p:0",
               "service_name=Zweites", *("-program", "program_num=8:st=2:st=3:st=4") * (count - 1), source)  # fmt: skip
    said: list[str] = []
    upscale_video(source, target, doubled, options=FAST, notice=said.append)
    told = [line for line in said if "program" in line]
    if count == 2:
        assert told == ["in.ts: its 2 programs (Zweites, Service02) become one: only .ts has programs"]
    elif suffix == "mp4":
        assert told == ["in.ts: the name of its program (Zweites) is left out: only .ts and .mkv hold it"]
    else:  # kept as a tag, of which .ts makes a name again
        assert told == []
        upscale_video(target, again, doubled, options=FAST)
        assert _programs(again)[1][1] == "Zweites"


@both_ffmpegs
def test_of_a_playlist_the_largest_variant_is_made(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """Not the first with all the others beside it; and it begins at zero, wherever the clock of its files does."""
    listed = "#EXTM3U\n"
    for number, size in enumerate(("32x24", "48x32")):
        cut = ["-hls_time", "0.4", "-hls_list_size", "0", "-g", "10"]
        ffmpeg_run(*moving(size, 1), *tone(1), "-c:v", "libx264", "-c:a", "aac", *cut, tmp_path / f"v{number}.m3u8")
        listed += f"#EXT-X-STREAM-INF:BANDWIDTH={number + 1}00000,RESOLUTION={size}\nv{number}.m3u8\n"
    (tmp_path / "all.m3u8").write_text(listed)
    said: list[str] = []
    upscale_video(tmp_path / "all.m3u8", tmp_path / "out.mkv", doubled, ffmpeg=ffmpeg, options=FAST, notice=said.append)
    upscale_video(tmp_path / "v1.m3u8", tmp_path / "alone.mkv", doubled, ffmpeg=ffmpeg, options=FAST)
    for name in ("out.mkv", "alone.mkv"):
        assert pictures(tmp_path / name)[0][0].shape == (64, 96)
    assert said == [
        "all.m3u8: the film is offered in 2 variants: the largest is taken, the others are left out",
    ]
    with av.open(str(tmp_path / "out.mkv")) as one, av.open(str(tmp_path / "alone.mkv")) as other:
        assert [s.type for s in one.streams] == [s.type for s in other.streams] == ["video", "audio"]
        assert "VARIANT_BITRATE" not in one.streams[0].metadata
        assert abs(one.start_time) <= av.time_base // 1000
        assert one.duration == other.duration
