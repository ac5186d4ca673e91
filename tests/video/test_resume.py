"""Pull the plug at any moment: what was finished stays, and the film comes out as if nothing had happened."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from click.testing import CliRunner
from fakes import blur, nearest
from video_clips import ffmpeg_run, moving, open_groups, picture_hash, pictures, times

from sr_plugins import Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import FrameError, PipeError
from sr_plugins.video.decode import Decoder
from sr_plugins.video.journal import Journal
from sr_plugins.video.journal_lines import written
from sr_plugins.video.transcode import FilmProgress, upscale_video

CHUNK = 5
KILLS = 3
FAST = ["-preset", "ultrafast", "-bf", "2"]


@pytest.fixture(scope="module")
def blurred() -> Iterator[Upscaler]:
    with Upscaler(blur(), device="cpu") as upscaler:
        yield upscaler


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 45 frames in open groups of pictures of 8: decoding cannot begin just anywhere."""
    return open_groups(tmp_path_factory.mktemp("resume") / "in.mkv", 2.4)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The like with some 30 frames."""
    return open_groups(tmp_path_factory.mktemp("short") / "in.mkv", 1.6)


def _work(source: Path, target: Path, told: Connection) -> None:
    """What the killed process does: tells every frame it has written."""
    with Upscaler(blur(), device="cpu") as upscaler:
        upscale_video(
            source,
            target,
            upscaler,
            options=FAST,
            chunk_frames=CHUNK,
            progress=lambda p: told.send((p.done, p.resumed)),
        )


def test_killed_again_and_again(clip: Path, tmp_path: Path, blurred: Upscaler) -> None:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "av", "sr_plugins.video.transcode", "fakes"])
    chance = random.Random(4)
    target, straight = tmp_path / "out.mkv", tmp_path / "straight.mkv"
    lost = 0
    for _ in range(KILLS):
        listen, tell = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(clip, target, tell))
        process.start()
        tell.close()
        _, resumed = _heard(listen)
        assert resumed % CHUNK == 0
        done = resumed + 1
        # Somewhere in the first two chunks of this run: while decoding, encoding, verifying or writing the journal.
        for _ in range(chance.randrange(2 * CHUNK)):
            done, _ = _heard(listen)
        time.sleep(chance.random() * 0.05)
        process.kill()
        process.join()
        while listen.poll():
            try:
                done, _ = listen.recv()
            except EOFError:
                break
        kept = _kept(target)
        assert kept >= resumed
        assert done - kept <= CHUNK
        lost += done - kept
    assert lost > 0
    before = _kept(target)
    result = upscale_video(clip, target, blurred, options=FAST, chunk_frames=CHUNK)
    assert result.resumed == before
    upscale_video(clip, straight, blurred, options=FAST, chunk_frames=CHUNK)
    assert picture_hash(target) == picture_hash(straight)
    assert times(target) == times(straight) == times(clip)
    assert not target.with_name("out.mkv.parts").exists()


def _work_to_the_last_step(source: Path, target: Path) -> None:
    """Killed when the film has its name and the folder is still there."""
    Journal.remove = lambda journal: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]
    with Upscaler(blur(), device="cpu") as upscaler:
        upscale_video(source, target, upscaler, options=FAST, end=0.8, chunk_frames=CHUNK)


def test_killed_at_the_very_end(short: Path, tmp_path: Path, blurred: Upscaler) -> None:
    target, parts, copy = tmp_path / "out.mkv", tmp_path / "out.mkv.parts", tmp_path / "parts"
    process = multiprocessing.get_context("forkserver").Process(target=_work_to_the_last_step, args=(short, target))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    film = target.read_bytes()
    shown = picture_hash(target)
    shutil.copytree(parts, copy)
    again = {"options": FAST, "chunk_frames": CHUNK}
    result = upscale_video(short, target, blurred, end=0.8, **again)  # type: ignore[arg-type]
    assert result.frames == result.resumed == len(times(target)) > CHUNK
    assert not parts.exists()
    # Another job clears the folder too, and goes no further: the film is not its own.
    shutil.copytree(copy, parts)
    with pytest.raises(PipeError, match="exists already"):
        upscale_video(short, target, blurred, end=0.4, **again)  # type: ignore[arg-type]
    assert not parts.exists()
    # A batch that goes on, too.
    shutil.copytree(copy, parts)
    command = ["video", str(short), "-o", str(target), "--resume"]
    said = CliRunner().invoke(srp, command, standalone_mode=False)
    assert said.exception is None
    assert said.stderr == f"srp: {target} is there already\n"
    assert not parts.exists()
    assert target.read_bytes() == film
    # A film that somebody put there since is none of the job's.
    shutil.copytree(copy, parts)
    target.write_bytes(b"another")
    with pytest.raises(PipeError, match="exists already"):
        upscale_video(short, target, blurred, end=0.8, **again)  # type: ignore[arg-type]
    target.unlink()
    assert upscale_video(short, target, blurred, end=0.8, **again).resumed == result.frames  # type: ignore[arg-type]
    assert picture_hash(target) == shown


def _heard(listen: Connection) -> tuple[int, int]:
    return listen.recv()  # type: ignore[no-any-return]


def _kept(target: Path) -> int:
    lines = (target.with_name(target.name + ".parts") / "journal.jsonl").read_bytes().split(b"\n")
    return CHUNK * max(0, len(lines) - 2)


class _Stop(Exception):
    pass


def _stop_after(frames: int) -> object:
    def progress(p: FilmProgress) -> None:
        if p.done >= frames:
            raise _Stop

    return progress


def _half(source: Path, target: Path, upscaler: Upscaler, **options: object) -> None:
    with pytest.raises(_Stop):
        upscale_video(
            source, target, upscaler, chunk_frames=CHUNK, progress=_stop_after(18), **{"options": FAST, **options}
        )  # type: ignore[arg-type]


def test_continuing_decodes_from_near_the_place(
    short: Path, tmp_path: Path, blurred: Upscaler, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.mkv"
    _half(short, target, blurred)
    begun: list[int | None] = []
    real = Decoder.__init__

    def noted(self: Decoder, *args: object, **kwargs: object) -> None:
        begun.append(kwargs["since"])  # type: ignore[arg-type]
        real(self, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(Decoder, "__init__", noted)
    result = upscale_video(short, target, blurred, options=FAST, chunk_frames=CHUNK)
    assert result.resumed == 15
    assert len(begun) == 1  # the frame before was the one remembered: no second start from the beginning
    assert begun[0] is not None


def test_decoder_that_lands_elsewhere_starts_at_the_beginning(short: Path, tmp_path: Path, blurred: Upscaler) -> None:
    """A remembered hash that does not fit means that seeking gave another picture."""
    target, straight = tmp_path / "out.mkv", tmp_path / "straight.mkv"
    _half(short, target, blurred)
    journal = target.with_name("out.mkv.parts") / "journal.jsonl"
    *lines, last = journal.read_bytes().splitlines(keepends=True)
    entry = json.loads(last)
    del entry["check"]
    journal.write_bytes(b"".join(lines) + written(entry | {"last_frame": "0" * 32}))
    assert len(lines) == _kept(target) // CHUNK
    upscale_video(short, target, blurred, options=FAST, chunk_frames=CHUNK)
    upscale_video(short, straight, blurred, options=FAST, chunk_frames=CHUNK)
    assert picture_hash(target) == picture_hash(straight)


def test_changes_are_noticed_and_said(short: Path, tmp_path: Path, blurred: Upscaler) -> None:
    target, copy = tmp_path / "out.mkv", tmp_path / "in.mkv"
    copy.write_bytes(short.read_bytes())
    _half(copy, target, blurred)
    again = {"options": FAST, "chunk_frames": CHUNK}
    with pytest.raises(PipeError, match=r"encoder was .* --restart"):
        upscale_video(copy, target, blurred, **{**again, "options": ["-crf", "30"]})  # type: ignore[arg-type]
    with pytest.raises(PipeError, match="chunk frames was 5, is 6"):
        upscale_video(copy, target, blurred, **{**again, "chunk_frames": 6})  # type: ignore[arg-type]
    with Upscaler(nearest(), device="cpu") as other, pytest.raises(PipeError, match=r"model was .*blur.*nearest"):
        upscale_video(copy, target, other, **again)  # type: ignore[arg-type]
    copy.write_bytes(short.read_bytes() + b"\0")
    with pytest.raises(PipeError, match="input was"):
        upscale_video(copy, target, blurred, **again)  # type: ignore[arg-type]
    assert upscale_video(copy, target, blurred, restart=True, **again).resumed == 0  # type: ignore[arg-type]


def test_files_of_a_list_that_change_are_noticed(tmp_path: Path, blurred: Upscaler) -> None:
    """The list itself, of HLS or of concat, stays as it is."""
    parts, whole, target = tmp_path / "part%d.ts", tmp_path / "list.m3u8", tmp_path / "out.mkv"
    made = [*moving("48x32", 1.6), "-c:v", "mpeg2video", "-g", "5"]
    ffmpeg_run(*made, "-hls_time", "0.4", "-hls_list_size", "0", "-hls_segment_filename", parts, whole)
    _half(whole, target, blurred)
    last = max(tmp_path.glob("part*.ts"))
    last.write_bytes(last.read_bytes()[:-188])
    with pytest.raises(PipeError, match="input was"):
        upscale_video(whole, target, blurred, options=FAST, chunk_frames=CHUNK)


def test_damaged_chunk_is_made_again(short: Path, tmp_path: Path, blurred: Upscaler) -> None:
    target = tmp_path / "out.mkv"
    _half(short, target, blurred)
    (target.with_name("out.mkv.parts") / "000001.nut").write_bytes(b"half a ch")
    assert upscale_video(short, target, blurred, options=FAST, chunk_frames=CHUNK).resumed == 5
    assert len(pictures(target)) == len(pictures(short))


def test_two_at_once_are_refused(short: Path, tmp_path: Path, blurred: Upscaler) -> None:
    target = tmp_path / "out.mkv"
    with Journal(target, {}), pytest.raises(PipeError, match="another process"):
        upscale_video(short, target, blurred)


def test_failing_frame_keeps_finished_chunks(short: Path, tmp_path: Path, blurred: Upscaler) -> None:
    target = tmp_path / "out.mkv"
    real, count = blurred.submit, 0

    def broken(frame: object, *neighbours: object, **options: object) -> object:
        nonlocal count
        count += 1
        if count > 8:
            raise FrameError("no more")
        return real(frame, *neighbours, **options)  # type: ignore[arg-type]

    blurred.submit = broken  # type: ignore[assignment,method-assign]
    try:
        with pytest.raises(FrameError):
            upscale_video(short, target, blurred, options=FAST, chunk_frames=CHUNK)
    finally:
        del blurred.submit
    kept = _kept(target)
    assert kept >= 5
    assert upscale_video(short, target, blurred, options=FAST, chunk_frames=CHUNK).resumed == kept
