"""The commands as a person runs them: real processes, real pipes, real signals."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import warm_python
from click.testing import CliRunner
from video_clips import BUNDLED, ffmpeg_run, moving, pictures, times, tone

from sr_plugins.cli.main import srp
from sr_plugins.video import transcode
from sr_plugins.video.journal import Journal

FAST = ["--", "-preset", "ultrafast"]
MODEL = ["--model", "fast", "--scale", "2", "--device", "cpu"]
SRP = ["-m", "sr_plugins.cli"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("commands") / "in.mkv"
    ffmpeg_run(*moving(seconds=2), *tone(2), "-c:v", "ffv1", path)
    return path


def _srp(*arguments: str | Path) -> tuple[int, str]:
    """(status, what it said): the command in this process; errors as ``main`` shows them."""
    result = CliRunner().invoke(srp, [str(a) for a in arguments], standalone_mode=False)
    if result.exception is not None:
        return 1, f"{result.stderr}{result.exception}"
    return result.return_value or 0, result.stderr


def test_folder_goes_on_after_a_failure(clip: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "a.mkv").write_bytes(clip.read_bytes())
    (folder / "b broken.mp4").write_text("nothing")
    ffmpeg_run(*moving(seconds=0.2), folder / "c.avi")
    (folder / "notes.txt").write_text("not a film")
    (folder / "._a.mkv").write_bytes(b"\0\5\x16\7")  # what macOS keeps of a file where its disk is a foreign one
    status, said = _srp("video", folder, "-o", out, *MODEL, "--end", "0.2", *FAST)
    assert status == 1
    assert sorted(p.name for p in out.iterdir()) == ["a.mkv", "c.mkv"]
    assert "2 done, 0 there already, 1 failed" in said
    assert said.strip().splitlines()[-1].startswith(f"srp:   {folder / 'b broken.mp4'}: ")
    (folder / "b broken.mp4").write_bytes(b"")
    status, said = _srp("video", folder, "-o", tmp_path / "no", *MODEL, "--end", "0.2", "--", "-preset", "warp")
    assert "0 done, 0 there already, 3 failed" in said
    assert said.count("b broken.mp4") == 2  # when it fails and at the end: once in each line
    assert said.count(str(folder / "a.mkv")) == 2
    (folder / "b broken.mp4").unlink()
    status, said = _srp("video", folder / "*", "-o", out, *MODEL, "--resume", "--end", "0.2", *FAST)
    assert "0 done, 2 there already" in said


def test_folders_are_walked_as_those_of_pictures(clip: Path, tmp_path: Path) -> None:
    """Deep, keeping the tree; no hidden files, no links to folders, no results and no unfinished films."""
    folder = tmp_path / "in"
    places = ["a.mkv", "extras/b.mkv", "extras/.hidden/c.mkv", ".d.mkv", "out/e.mkv", "f.mkv.parts/joined.mkv"]
    for place in places:
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_bytes(clip.read_bytes())
    (folder / "f.mkv.parts" / "journal.jsonl").touch()
    (folder / "link").symlink_to(clip.parent)
    (folder / "gone.mkv").symlink_to(tmp_path / "nothing.mkv")
    status, said = _srp("video", folder, "-o", folder / "out", *MODEL, "--end", "0.1", *FAST)
    assert status == 1
    found = sorted(str(p.relative_to(folder / "out")) for p in (folder / "out").rglob("*.mkv"))
    assert found == ["a.mkv", "e.mkv", "extras/b.mkv"]
    assert f"{folder / 'link'} is a link to a folder and not followed" in said
    assert f"srp:   {folder / 'gone.mkv'}: is no file" in said
    assert "2 done, 0 there already, 1 failed" in said


def test_folders_that_are_to_be_made(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "afile").touch()
    for output in ("afile", "afile/x", "/proc/nope/x"):
        status, said = _srp("video", clip, clip, "-o", tmp_path / output, *MODEL)
        assert status == 1
        assert said.startswith(f"{tmp_path / output}: this folder cannot be made (")
        assert "\n" not in said
    status, said = _srp("video", clip, "-o", f"{tmp_path}/new.folder/", *MODEL, "--end", "0.1", *FAST)
    assert status == 0, said
    assert [p.name for p in (tmp_path / "new.folder").iterdir()] == ["in.mkv"]


def test_patterns_and_usage(clip: Path, tmp_path: Path) -> None:
    status, said = _srp("video", clip.parent / "i*.mkv", "-o", tmp_path / "out", *MODEL, "--end", "0:00:00.1", *FAST)
    assert status == 0, said
    assert len(times(tmp_path / "out" / "in.mkv")) == 3
    assert "is no folder" in _srp("video", clip, clip, "-o", tmp_path / "out.mkv")[1]
    assert "no video in" in _srp("video", tmp_path / "*.xyz", "-o", tmp_path)[1]
    assert "neither seconds" in _srp("video", clip, "-o", tmp_path / "o.mkv", "--start", "soon")[1]
    assert (
        "-ss cannot be given here: use --start"
        in _srp("video", clip, "-o", tmp_path / "o.mkv", *MODEL, "--", "-ss", "3")[1]
    )


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals_leave_journal_and_no_process(number: signal.Signals, status: int, clip: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.mkv"
    keep = ["--keep-playable"] if number == signal.SIGINT else []
    command = [*SRP, "video", clip, "-o", target, *MODEL, "--chunk", "4", *keep, *FAST]
    journal = tmp_path / "out.mkv.parts" / "journal.jsonl"
    with warm_python.in_foreground(*command) as (process, told):
        while not journal.exists() or len(journal.read_bytes().splitlines()) < 3:  # the suite's limit ends what hangs
            assert process.poll() is None
            time.sleep(0.02)
        children = _children(process.pid)
        assert children
        os.kill(process.pid, number)
        said = told.read()
        assert process.wait() == status
    assert f"interrupted: the same command continues {target}" in said
    assert "Traceback" not in said
    while any(Path(f"/proc/{child}").exists() for child in children):  # whoever inherits them has to notice
        time.sleep(0.02)
    records = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert records
    kept = [path for path in tmp_path.iterdir() if path.suffix == ".mkv"]
    assert len(kept) == len(keep)
    assert all(len(pictures(path)) // 4 - len(records) in (0, 1) for path in kept)  # one may not be noted yet
    code, said = _srp(*map(str, command[2:]))
    assert code == 0, said
    assert "of them from before" in said
    assert len(pictures(target)) == 50


def _children(pid: int) -> set[int]:
    children: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ended meanwhile
            children |= {int(child) for child in (task / "children").read_text().split()}
    return children


def test_pipe_between_two_ffmpegs(clip: Path, tmp_path: Path) -> None:
    """ffmpeg | srp pipe | ffmpeg, as with vspipe and x265: nothing but frames on stdout."""
    piped, direct = tmp_path / "piped.mkv", tmp_path / "direct.mkv"
    first, middle, made, told = _pipe(clip)
    encode = [BUNDLED, "-v", "error", "-f", "yuv4mpegpipe", "-i", "-", "-c:v", "ffv1", piped]
    last = subprocess.Popen(encode, stdin=made)
    made.close()
    with told:
        assert told.read().endswith(b"srp: 50 frames\n")
    assert [p.wait() for p in (first, middle, last)] == [0, 0, 0]
    yuv = tmp_path / "yuv.mkv"
    ffmpeg_run("-i", clip, "-pix_fmt", "yuv420p", "-c:v", "ffv1", yuv)
    assert _srp("video", yuv, "-o", direct, *MODEL, "--", "-c:v", "ffv1")[0] == 0
    # Luma: ffmpeg writes untagged chroma into YUV4MPEG2 as centred, so that chroma is sited another way.
    for ours, theirs in zip(pictures(piped), pictures(direct), strict=True):
        assert np.array_equal(ours[0], theirs[0])


def _pipe(clip: Path) -> tuple["subprocess.Popen[bytes]", warm_python.Started, BinaryIO, BinaryIO]:
    """Two processes, and what the second makes and says."""
    decode = [BUNDLED, "-v", "quiet", "-i", clip, "-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"]
    first = subprocess.Popen(decode, stdout=subprocess.PIPE)
    assert first.stdout is not None
    made, told = os.pipe(), os.pipe()
    with first.stdout as frames:
        middle = warm_python.start(*SRP, "pipe", *MODEL, stdin=frames.fileno(), stdout=made[1], stderr=told[1])
    for writing in (made[1], told[1]):
        os.close(writing)
    return first, middle, os.fdopen(made[0], "rb"), os.fdopen(told[0], "rb")


def test_reader_that_leaves(clip: Path) -> None:
    first, middle, made, told = _pipe(clip)
    with made:
        made.read(100)
    assert middle.wait() == 1
    with told:
        assert b"Traceback" not in told.read()
    first.wait()


def test_a_name_that_is_no_text_and_an_exception_end_no_batch(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in (b"a.mkv", b"b_\xe9.mkv", b"c.mkv", b"d.mkv"):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(clip.read_bytes())
    real = transcode.upscale_video

    def broken(source: Path, *rest: object, **options: object) -> object:
        if source.name == "c.mkv":
            raise StopIteration("nothing left")
        return real(source, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(transcode, "upscale_video", broken)
    status, said = _srp("video", folder, "-o", out, *MODEL, "--end", "0.2", *FAST)
    assert status == 1
    assert [os.fsencode(p.name) for p in sorted(out.iterdir())] == [b"a.mkv", b"b_\xe9.mkv", b"d.mkv"]
    assert "3 done, 0 there already, 1 failed" in said
    assert f"{folder / 'c.mkv'}: a bug, please report it: StopIteration: nothing left" in said


def test_two_processes_share_a_folder(clip: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    out.mkdir()
    for name in ("a.mkv", "b.mkv"):
        (folder / name).write_bytes(clip.read_bytes())
    with Journal(out / "a.mkv", {}):  # as the other process holds it
        status, said = _srp("video", folder, "-o", out, *MODEL, "--resume", "--end", "0.2", *FAST)
    assert status == 0
    assert "1 done, 0 there already, 1 by another process, 0 failed" in said


def test_a_film_that_another_process_made_in_the_meantime_is_no_failure(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for name in ("a.mkv", "b.mkv", "c\n\x1b[2J.mkv"):
        (folder / name).write_bytes(clip.read_bytes())
    real = transcode.upscale_video

    def later(source: Path, target: Path, *rest: object, **options: object) -> object:
        if source.name == "b.mkv":
            target.write_bytes(b"the other's")
        return real(source, target, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(transcode, "upscale_video", later)
    status, said = _srp("video", folder, "-o", out, *MODEL, "--end", "0.2", *FAST)
    assert status == 0, said
    assert f"{out / 'b.mkv'}: another process made it in the meantime" in said
    assert "2 done, 0 there already, 1 by another process, 0 failed" in said
    assert (out / "b.mkv").read_bytes() == b"the other's"
    # No name breaks a line or moves the cursor.
    assert "\x1b" not in said
    assert all(line.startswith("srp: ") for line in said.splitlines())
    assert f"srp: {out}/c\\n\\x1b[2J.mkv: 5 frames in " in said
    status, said = _srp("video", folder, "-o", out, *MODEL, "--end", "0.2", *FAST)
    assert (status, said.count("exists: --overwrite")) == (1, 6), said  # what was there before is one, told twice
