"""What goes wrong in real life: one clear line, finished chunks kept, no process left behind."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
from fakes import nearest
from video_clips import BUNDLED, both_ffmpegs, ffmpeg_run, living_children, moving, packets, picture_hash, times, tone

from sr_plugins import Upscaler
from sr_plugins.errors import PipeError
from sr_plugins.video import ffmpeg_process as executable
from sr_plugins.video.ffmpeg_process import find_ffmpeg
from sr_plugins.video.probe import probe
from sr_plugins.video.transcode import upscale_video

FAST = ["-preset", "ultrafast"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("errors") / "in.mkv"
    ffmpeg_run(*moving(seconds=2), *tone(2), "-c:v", "ffv1", path)
    return path


@pytest.fixture(autouse=True)
def _no_child_left() -> Iterator[None]:
    before = living_children()
    yield
    assert living_children() <= before


def _fails(source: Path, target: Path, upscaler: Upscaler, match: str, **options: object) -> PipeError:
    with pytest.raises(PipeError, match=match) as caught:
        upscale_video(source, target, upscaler, **{"options": FAST, **options})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not re.search(r"(joined|rehearsal)\.\w|\d{6}\.\w", str(caught.value))  # those are no files of a person's
    assert not target.exists()
    return caught.value


def test_sources_that_are_no_video(tmp_path: Path, doubled: Upscaler) -> None:
    target = tmp_path / "out.mkv"
    sound, empty, text = tmp_path / "sound.m4a", tmp_path / "empty.mp4", tmp_path / "text.mp4"
    ffmpeg_run(*tone(), sound)
    empty.touch()
    text.write_text("I am no film.\n" * 100)
    _fails(sound, target, doubled, "holds no video, only audio")
    _fails(empty, target, doubled, "is empty")
    _fails(text, target, doubled, "cannot be read as video")
    _fails(tmp_path / "absent.mkv", target, doubled, "there is no such file")
    _fails(tmp_path, target, doubled, "is a folder")
    for ending, kind in (
        ("mpd", "a list of DASH.* -c copy"),
        ("avs", "a script of AviSynth"),
        ("vpy", "vspipe .* srp pipe"),
        ("iso", "image"),
    ):
        _fails(text.rename(tmp_path / f"other.{ending}"), target, doubled, rf"other\.{ending} is .*{kind}")
        text = tmp_path / f"other.{ending}"
    assert not target.with_name("out.mkv.parts").exists()


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_truncated_source(container: str, tmp_path: Path, doubled: Upscaler) -> None:
    whole, source = tmp_path / f"whole.{container}", tmp_path / f"in.{container}"
    ffmpeg_run(*moving(seconds=4), *tone(4), "-c:a", "aac", "-movflags", "+faststart", whole)
    source.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    missing = whole.stat().st_size - source.stat().st_size
    said = rf"truncated: {missing} bytes or more are missing at its end, [12]\.\d+ s of 4.* s are there.*-c copy"
    _fails(source, tmp_path / "out.mkv", doubled, said)


def test_no_index_at_the_end(tmp_path: Path, doubled: Upscaler) -> None:
    """An interrupted recording: MP4 keeps its index at the end."""
    whole, source = tmp_path / "whole.mp4", tmp_path / "in.mp4"
    ffmpeg_run(*moving(), whole)
    source.write_bytes(whole.read_bytes()[:-1000])
    _fails(source, tmp_path / "out.mkv", doubled, "holds no video|cannot be read as video, it is damaged")


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The same ten frames in a broadcast's container, twice: recorded at once, and 500 s later."""
    folder = tmp_path_factory.mktemp("recordings")
    codecs = ["-c:v", "mpeg2video", "-bf", "2", "-c:a", "mp2"]
    for name, offset in (("early", "0"), ("late", "500")):
        clip = [*moving("64x48", 0.4), *tone(0.4), *codecs, "-output_ts_offset", offset]
        ffmpeg_run(*clip, folder / f"{name}.ts")
        ffmpeg_run(*clip, "-f", "vob", folder / f"{name}.vob")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@both_ffmpegs
@pytest.mark.parametrize("order", ["early late ts", "late early ts", "early early ts", "early early vob"])
def test_joined_recordings(
    order: str, ffmpeg: str, recordings: dict[str, bytes], tmp_path: Path, doubled: Upscaler
) -> None:
    first, second, suffix = order.split()
    source, target, repaired = tmp_path / f"in.{suffix}", tmp_path / "out.mkv", tmp_path / "repaired.mkv"
    source.write_bytes(recordings[f"{first}.{suffix}"] + recordings[f"{second}.{suffix}"])
    cure = ["-fflags", "+genpts", "-i", "IN", "-c", "copy", "OUT.mkv"]
    said = re.escape(f"repair it first: ffmpeg {' '.join(cure)}")
    _fails(source, target, doubled, rf"its clock jumps at 0\.[34]\d s; {said}")
    files = {"IN": source, "OUT.mkv": repaired}
    subprocess.run([ffmpeg, "-loglevel", "error", *(files.get(w, w) for w in cure)], check=True, timeout=60)
    result = upscale_video(repaired, target, doubled, options=FAST)
    shown = times(target)
    assert result.frames == len(shown) >= 16
    assert shown[-1] < 2


def test_frames_far_apart_are_no_jump(tmp_path: Path) -> None:
    source = tmp_path / "in.ts"
    ffmpeg_run(*moving("64x48", 300, "1/30"), "-c:v", "libx264", "-bf", "2", source)
    assert (len(probe(source).timeline), probe(source).rate) == (10, Fraction(1, 30))


@both_ffmpegs
def test_frames_that_cannot_be_decoded_are_counted(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48", 1.6), "-c:v", "libx264", "-bf", "2", source)
    data = source.read_bytes()
    for _, packet in packets(source, 0)[9:15]:
        data = data.replace(packet, bytes(len(packet)))
    source.write_bytes(data)
    said: list[str] = []
    again = {"options": FAST, "chunk_frames": 20, "ffmpeg": ffmpeg, "notice": said.append}
    result = upscale_video(source, target, doubled, **again)  # type: ignore[arg-type]
    missing = 40 - result.frames
    assert missing >= 6
    assert len(said) == 1
    assert re.fullmatch(rf"in\.mkv: {missing} of 40 frames could not be decoded \(\S.*\)", said[0])
    assert len(times(target)) == result.frames


@both_ffmpegs
def test_a_recording_that_begins_amid_frames(ffmpeg: str, tmp_path: Path, doubled: Upscaler) -> None:
    """No frame before the first key frame can be decoded: a chunk that ends before it holds none, a longer one does."""
    whole, source, target = tmp_path / "whole.ts", tmp_path / "in.ts", tmp_path / "out.mkv"
    ffmpeg_run(*moving("64x48", 1.6), "-c:v", "mpeg2video", "-g", "20", "-bf", "2", "-qmax", "2", whole)
    cells = whole.read_bytes()
    source.write_bytes(cells[len(cells) // 188 // 8 * 188 :])
    with pytest.raises(PipeError) as error:
        upscale_video(source, target, doubled, options=FAST, chunk_frames=3, ffmpeg=ffmpeg)
    said = re.search(
        r"in\.ts: none of 3 frames from (\d+\.\d+) s on can be decoded.*: --restart --chunk 12$", str(error.value)
    )
    assert said is not None
    assert float(said[1]) == pytest.approx(times(source)[0], abs=0.001)
    upscale_video(source, target, doubled, options=FAST, chunk_frames=40, ffmpeg=ffmpeg, restart=True)
    shown = times(target)
    assert (len(shown), shown[-1] - shown[0]) == (19, pytest.approx(18 / 25, abs=0.001))  # none is missing in between


def test_hidden_frames_are_not_missed(tmp_path: Path, doubled: Upscaler) -> None:
    """VP8's alternate reference frames are packets of their own; some programs give them a time of their own, too."""
    whole, source, target = tmp_path / "whole.webm", tmp_path / "in.webm", tmp_path / "out.mkv"
    lag = ["-auto-alt-ref", "1", "-lag-in-frames", "16", "-arnr-maxframes", "7", "-passlogfile", tmp_path / "log"]
    clip = [*moving("64x48", 2), "-c:v", "libvpx", "-b:v", "100k", *lag]
    ffmpeg_run(*clip, "-pass", "1", "-f", "null", "-")
    ffmpeg_run(*clip, "-pass", "2", whole)
    with av.open(str(whole)) as read, av.open(str(source), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0], opaque=True)
        for packet in read.demux(video=0):
            if packet.size:
                packet.stream = stream
                if not bytes(packet)[0] & 0x10:
                    packet.pts = packet.dts = (packet.pts or 0) - 20
                written.mux(packet)
    assert len(times(source)) > 50
    said: list[str] = []
    assert upscale_video(source, target, doubled, options=FAST, notice=said.append).frames == 50
    assert said == []


def test_sides_fit_the_chroma(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving("86x48", 0.1), source)
    with Upscaler(nearest(), size=(191, 107), device="cpu") as upscaler:
        _fails(source, target, upscaler, "191x107 has an odd side.*--size 192x108")
        upscale_video(source, target, upscaler, options=["-pix_fmt", "yuv444p", *FAST], end=0.04)
        assert (probe(target).width, probe(target).height) == (191, 107)
        for name in ("-vf", "-filter:v"):
            upscale_video(source, target, upscaler, options=[name, "crop=190:106", *FAST], overwrite=True)
            assert (probe(target).width, probe(target).height) == (190, 106)
    with Upscaler(nearest(), size=(192, None), device="cpu") as upscaler:  # 107.2
        upscale_video(source, target, upscaler, options=FAST, overwrite=True)
    assert (probe(target).width, probe(target).height) == (192, 108)


def test_missing_encoder(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    _fails(clip, tmp_path / "out.mkv", doubled, "has no encoder 'libnone'", options=["-c:v", "libnone"])
    said = rf"^encoding {re.escape(str(clip))}: ffmpeg failed"
    error = _fails(clip, tmp_path / "out.mkv", doubled, said, options=["-preset", "warp"])
    assert error.exit_code
    assert error.last_lines


def test_unwritable_target(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    _fails(clip, tmp_path / "no" / "such" / "out.mkv", doubled, "there is no such folder")
    (tmp_path / "file.parts").write_text("")
    _fails(clip, tmp_path / "file", doubled, "no video container")
    (tmp_path / "out.mkv.parts").write_text("in the way")
    _fails(clip, tmp_path / "out.mkv", doubled, "out.mkv.parts: File exists")
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        _fails(clip, tmp_path / "locked" / "out.mkv", doubled, "Permission denied")


def test_existing_target(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target = tmp_path / "out.mkv"
    target.write_text("mine")
    with pytest.raises(PipeError, match="--overwrite"):
        upscale_video(clip, target, doubled)
    assert target.read_text() == "mine"
    with pytest.raises(PipeError, match="is the source itself"):
        upscale_video(clip, clip, doubled, overwrite=True)
    upscale_video(clip, target, doubled, options=FAST, overwrite=True)
    assert times(target) == times(clip)


def test_encoder_that_dies_in_the_middle(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    """An ffmpeg that is killed once while it encodes the fourth chunk."""
    target, script, count = tmp_path / "out.mkv", tmp_path / "ffmpeg", tmp_path / "count"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *partial.nut) echo x >> {count}; [ $(wc -l < {count}) = 4 ] && '
        f"{{ head -c 9000 >/dev/null; echo 'Cannot allocate memory' >&2; exit 187; }};; esac\nexec {BUNDLED} \"$@\"\n"
    )
    script.chmod(0o755)
    error = _fails(clip, target, doubled, "status 187: Cannot allocate memory", ffmpeg=script, chunk_frames=10)
    assert error.exit_code == 187
    result = upscale_video(clip, target, doubled, options=FAST, ffmpeg=script, chunk_frames=10)
    assert result.resumed == 30
    assert times(target) == times(clip)


def test_decoder_that_dies_in_the_middle(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target, script = tmp_path / "out.mkv", tmp_path / "ffmpeg"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *pipe:1) {BUNDLED} "$@" 2>/dev/null|head -c 60000;echo \'broken\'>&2;exit 5;;esac\n'
        f'exec {BUNDLED} "$@"\n'
    )
    script.chmod(0o755)
    _fails(
        clip,
        target,
        doubled,
        "decoding .*in.mkv: ffmpeg failed with status 5: broken",
        ffmpeg=script,
        chunk_frames=5,
    )
    assert list((tmp_path / "out.mkv.parts").glob("*.nut"))


def test_option_that_changes_the_number_of_frames(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    _fails(clip, tmp_path / "out.mkv", doubled, "looks across frames", options=[*FAST, "-vf", "select='mod(n,2)'"])


def test_full_disk(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        shutil.which("mount") is None
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=120k", "tmpfs", disk], capture_output=True).returncode
    ):
        pytest.skip("a small tmpfs cannot be mounted here")
    target = disk / "out.mkv"
    try:
        (disk / "filler").write_bytes(bytes(29 * 4096))  # not even the rehearsal has room
        _fails(clip, target, doubled, "No space left on device", options=["-c:v", "ffv1"])
        (disk / "filler").unlink()
        _fails(clip, target, doubled, "No space left", options=["-c:v", "ffv1"], chunk_frames=5)
        kept = sorted(file.name for file in (disk / "out.mkv.parts").glob("00000?.nut"))
        assert kept
        subprocess.run(["mount", "-o", "remount,size=20m", disk], check=True)
        result = upscale_video(clip, target, doubled, options=["-c:v", "ffv1"], chunk_frames=5)
        assert result.resumed >= 5 * len(kept) - 5
        straight = tmp_path / "straight.mkv"
        upscale_video(clip, straight, doubled, options=["-c:v", "ffv1"])
        assert picture_hash(target) == picture_hash(straight)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_no_ffmpeg_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SR_PLUGINS_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == BUNDLED
    monkeypatch.setattr(executable, "bundled_ffmpeg", lambda: None)
    with pytest.raises(PipeError, match=r"no ffmpeg found.*pip install imageio-ffmpeg"):
        find_ffmpeg()
    with pytest.raises(PipeError, match="does not run as ffmpeg"):
        find_ffmpeg(tmp_path / "nothing")


def test_old_system_ffmpeg_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "ffmpeg"
    old.write_text("#!/bin/sh\necho 'ffmpeg version 4.4.2 Copyright'\n")
    old.chmod(0o755)
    monkeypatch.delenv("SR_PLUGINS_FFMPEG", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_ffmpeg() == BUNDLED
    with pytest.raises(PipeError, match=r"4\.4\.2, too old"):
        find_ffmpeg(old)


NAMES = [
    "a b.mkv",
    'it\'s "quoted".mkv',
    "-i.mkv",
    "100%d %s.mkv",
    "http:a:b.mkv",
    "d\u00e9j\u00e0 \u65e5\u672c \U0001f3ac.mkv",
    "$(touch x); `y`.mkv",
]


@pytest.mark.parametrize("name", NAMES)
def test_any_name(name: str, clip: Path, tmp_path: Path, doubled: Upscaler, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    source = tmp_path / "in" / name
    source.write_bytes(clip.read_bytes())
    monkeypatch.chdir(tmp_path)
    upscale_video(Path("in") / name, name, doubled, options=FAST, end=0.2)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["in", name])
    assert len(packets(tmp_path / name, 0)) == 5


def test_only_local_files_are_opened(tmp_path: Path, doubled: Upscaler) -> None:
    for name in ("http://127.0.0.1:9/x.mkv", "concat:a.mkv|b.mkv", "pipe:0", "-"):
        _fails(Path(name), tmp_path / "out.mkv", doubled, "there is no such file")
    playlist = tmp_path / "list.m3u8"
    playlist.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    _fails(playlist, tmp_path / "out.mkv", doubled, "cannot be read as video|no time stamps|holds no video")


@both_ffmpegs
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("-preset ultra", "invalid preset 'ultra'"),
        ("-x264opts nosuch=1", "bad option 'nosuch'"),
        ("-x264-params nosuch=1", "libx264: Error parsing option 'nosuch = 1'"),
        ("-c:v libx265 -x265-params nosuch=1", "libx265: Unknown option: nosuch"),
        ("-c:v libsvtav1 -svtav1-params nosuch=1", "libsvtav1: Error parsing option nosuch"),
    ],
)
def test_the_reason_is_said_and_not_what_follows_from_it(
    options: str, said: str, ffmpeg: str, clip: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    error = _fails(clip, tmp_path / "out.mkv", doubled, said, ffmpeg=ffmpeg, options=options.split())
    assert "Task finished" not in str(error)
    assert not (tmp_path / "out.mkv.parts").exists()


def test_options_that_do_nothing_are_said(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    said: list[str] = []
    options = [*FAST, "-cq", "19", "-stats", "-hide_banner"]
    upscale_video(clip, tmp_path / "out.mkv", doubled, options=options, end=0.2, notice=said.append)
    assert said == [f"{clip.name}: the option -cq does nothing with libx264"]


def test_what_is_no_film_is_called_what_it_is(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    pipe, music, cover = (tmp_path / name for name in ("pipe.mkv", "in.mp3", "c.png"))
    os.mkfifo(pipe)
    _fails(pipe, tmp_path / "out.mkv", doubled, "pipe.mkv is a pipe or a device.*write it to a file first")
    ffmpeg_run(*moving(seconds=0.04), "-frames:v", "1", cover)
    inputs = ["-i", cover, "-map", "0", "-map", "1", "-disposition:v", "attached_pic"]
    ffmpeg_run("-f", "lavfi", "-i", "sine=d=0.3", *inputs, "-c:v", "copy", music)
    _fails(music, tmp_path / "out.mkv", doubled, "in.mp3 holds no video, only a cover and audio")
    old = tmp_path / "ffmpeg"
    old.write_text(f'#!/bin/sh\n[ "$5" = -codecs ] && exit\nexec "{BUNDLED}" "$@"\n')
    old.chmod(0o755)
    _fails(clip, tmp_path / "out.mkv", doubled, r"has no decoder for \w+: a newer one \(--ffmpeg\) may", ffmpeg=old)


def test_a_film_that_begins_late_is_whole(tmp_path: Path, doubled: Upscaler) -> None:
    source, target = tmp_path / "in.mkv", tmp_path / "out.mkv"
    ffmpeg_run(*moving(seconds=1), "-output_ts_offset", "5", source)
    assert times(source)[0] >= 5
    upscale_video(source, target, doubled, options=FAST)
    assert times(target) == times(source)
