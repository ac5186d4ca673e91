"""The folder of finished chunks: what is trusted, what is made again, and that nothing of others' is ever deleted."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from video_clips import ffmpeg_run, moving, pictures

from sr_plugins import Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import PipeError
from sr_plugins.video.journal import Journal, clear_finished, content, list_path
from sr_plugins.video.journal_lines import ChunkRecord, written
from sr_plugins.video.transcode import FilmProgress, upscale_video

FAST = ["-preset", "ultrafast"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("journal") / "in.mkv"
    ffmpeg_run(*moving(seconds=0.8), "-c:v", "ffv1", path)
    return path


def _add(journal: Journal, index: int) -> None:
    partial = journal.partial(index)
    partial.write_bytes(b"abc")
    times = (index, index + 1)
    journal.add(ChunkRecord(index, f"{index:06d}.nut", 3, times, "h", "d", 0, content(partial)), partial)


def _begun(target: Path, chunks: int = 3) -> bytes:
    """A journal with some chunks, closed; returns its list."""
    with Journal(target, {"a": 1}) as journal:
        for index in range(chunks):
            _add(journal, index)
    return (journal.folder / "journal.jsonl").read_bytes()


def _indices(target: Path, identity: dict[str, int] | None = None) -> list[int]:
    with Journal(target, identity or {"a": 1}) as journal:
        return [record.index for record in journal.records]


def test_a_torn_line_and_what_was_half_made(tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    whole = _begun(target)
    folder = tmp_path / "film.mkv.parts"
    for cut in range(len(whole) - 60, len(whole)):
        (folder / "journal.jsonl").write_bytes(whole[:cut])
        for name in ("000002.nut", "000002.partial.nut"):
            (folder / name).write_bytes(b"abc")
        assert _indices(target) == [0, 1]
        assert sorted(p.name for p in folder.iterdir()) == ["000000.nut", "000001.nut", "journal.jsonl"]
    with Journal(target, {"a": 1}) as last:
        _add(last, 2)
        last.remove()
    assert list(tmp_path.iterdir()) == []


def test_nothing_finished_is_no_other_job(tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    _begun(target, 0)
    assert _indices(target, {"a": 2}) == []
    with Journal(target, {"a": 2}) as journal:
        _add(journal, 0)
    with pytest.raises(PipeError, match=r"a was 2, is 3.*--restart"):
        Journal(target, {"a": 3})
    with Journal(target, {"a": 3}, restart=True) as fresh:
        assert fresh.records == []
    assert [p.name for p in (tmp_path / "film.mkv.parts").iterdir()] == ["journal.jsonl"]


def test_only_what_differs_is_shown(tmp_path: Path) -> None:
    target, words = tmp_path / "film.mkv", ["libx264", "yuv420p", "-preset", "medium", "-crf", "16", "-tune"]
    with Journal(target, {"encoder": [*words, "film"]}) as journal:
        _add(journal, 0)
    with pytest.raises(PipeError, match=r'encoder was \["film"\], is \["grain"\]'):
        Journal(target, {"encoder": [*words, "grain"]})


def _changed(line: int, change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    def apply(text: bytes) -> bytes:
        lines = text.splitlines(keepends=True)
        lines[line] = change(lines[line])
        return b"".join(lines)

    return apply


def _edited(edit: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    def apply(line: bytes) -> bytes:
        entry = json.loads(line)
        edit(entry)
        return json.dumps(entry).encode() + b"\n"

    return apply


# Lines: the identity, then for each chunk its record.
DAMAGE = {
    "other text in the middle": (_changed(2, lambda _: b"no list\n"), [0]),
    "zeros at the end": (lambda text: text + bytes(500), [0, 1, 2]),
    "zeros and lines at the end": (lambda text: text + bytes(50) + b"\n" + bytes(9) + b"\n", [0, 1, 2]),
    "zeros in the place of the first line": (_changed(0, lambda line: bytes(len(line) - 1) + b"\n"), []),
    "half a first line": (_changed(0, lambda _: b'{"version":2,\n'), []),
    "a byte order mark": (lambda text: b"\xef\xbb\xbf" + text, [0, 1, 2]),
    "not text": (_changed(1, lambda _: b"\xff\xfe{}\n"), []),
    "a key is missing": (_changed(2, _edited(lambda entry: entry.pop("times"))), [0]),
    "a key more": (_changed(2, _edited(lambda entry: entry.update(mood="good"))), [0]),
    "a key of another type": (_changed(2, _edited(lambda entry: entry.update(times="12"))), [0]),
    "another time": (_changed(2, lambda line: line.replace(b'"times":[1,2]', b'"times":[7,2]')), [0]),
    "a number of six thousand digits": (
        _changed(2, lambda line: line.replace(b'"size":3', b'"size":' + b"3" * 6000)),
        [0],
    ),
    "another file": (_changed(2, lambda line: line.replace(b"000001.nut", b"../film.nut")), [0]),
    "another identity": (_changed(0, lambda line: line.replace(b'"a":1', b'"a":2')), []),
    "no times": (_changed(2, _edited(lambda entry: entry.update(times=[]))), [0]),
    "a list": (_changed(2, lambda _: b"[1,2]\n"), [0]),
    "a number": (_changed(3, lambda _: b"7\n"), [0, 1]),
    "a chunk is missing in the list": (_changed(2, lambda _: b""), [0]),
}


@pytest.mark.parametrize(("damage", "kept"), DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_list_counts_up_to_the_damage(
    damage: Callable[[bytes], bytes], kept: list[int], tmp_path: Path
) -> None:
    target = tmp_path / "film.mkv"
    text = damage(_begun(target))
    (tmp_path / "film.mkv.parts" / "journal.jsonl").write_bytes(text)
    with Journal(target, {"a": 1}) as journal:
        assert [record.index for record in journal.records] == kept
        if journal.notice is not None:
            assert "\n" not in journal.notice
            assert "journal.jsonl is damaged from line" in journal.notice
        assert (journal.notice is None) == (text.startswith(b"\xef") or text.endswith(bytes(500)))
        for index in range(len(kept), 3):
            _add(journal, index)
        journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_made_again_is_said(tmp_path: Path) -> None:
    target, folder = tmp_path / "film.mkv", tmp_path / "film.mkv.parts"
    _begun(target)
    (folder / "000001.nut").unlink()
    with Journal(target, {"a": 1}) as journal:
        assert journal.notice is not None
        assert "000001.nut is damaged or missing: 1 finished chunks before it are kept" in journal.notice
    (folder / "journal.jsonl").write_bytes(b"")
    with Journal(target, {"a": 1}) as journal:
        assert journal.notice is not None
        assert "journal.jsonl is empty: all chunks are made again" in journal.notice
    with Journal(target, {"a": 1}) as journal:
        assert journal.notice is None


def test_a_line_with_its_hash_names_a_file_of_the_folder(tmp_path: Path) -> None:
    """Whoever writes lists by hand opens nothing else."""
    target, other = tmp_path / "film.mkv", tmp_path / "000000.nut"
    first, *_ = _begun(target, 1).splitlines(keepends=True)
    other.write_bytes(b"abc")
    record = ChunkRecord(0, "../000000.nut", 3, (0, 1), "h", "d", 0, content(other))
    (tmp_path / "film.mkv.parts" / "journal.jsonl").write_bytes(first + written(record.line()))
    assert _indices(target) == []


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_bytes_in_the_list_end_in_a_journal_or_one_line(data: st.DataObject, tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    file = tmp_path / "film.mkv.parts" / "journal.jsonl"
    shutil.rmtree(file.parent, ignore_errors=True)
    whole = _begun(target)
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    damaged = whole[:begin] + data.draw(st.binary(max_size=30)) + whole[end:]
    file.write_bytes(damaged)
    clear_finished(target)
    try:
        kept = _indices(target)
    except PipeError as error:  # not known as ours any more, or of another job
        kept, said = [], str(error)
        file.write_bytes(whole)
        assert ("\n" in said, _indices(target)) == (False, [0, 1, 2])
    assert kept == list(range(len(kept)))


@pytest.mark.parametrize("restart", [False, True])
def test_a_folder_of_somebody_else_is_refused_and_left_alone(
    restart: bool, clip: Path, tmp_path: Path, doubled: Upscaler
) -> None:
    parts = tmp_path / "out.mkv.parts"
    (parts / "sub").mkdir(parents=True)
    (parts / "my notes.txt").write_text("precious")
    with pytest.raises(PipeError, match=r"out\.mkv\.parts is not ours, it holds .*: move it away"):
        upscale_video(clip, tmp_path / "out.mkv", doubled, options=FAST, restart=restart)
    (parts / "journal.jsonl").write_text('{"day": "monday"}\n')
    with pytest.raises(PipeError, match=r"journal\.jsonl is not ours"):
        upscale_video(clip, tmp_path / "out.mkv", doubled, options=FAST, restart=restart)
    assert sorted(p.name for p in parts.iterdir()) == ["journal.jsonl", "my notes.txt", "sub"]
    assert (parts / "my notes.txt").read_text() == "precious"


def test_a_file_of_that_name_is_refused(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    (tmp_path / "out.mkv.parts").write_text("precious")
    with pytest.raises(PipeError, match=r"out\.mkv\.parts: File exists.*: move it away"):
        upscale_video(clip, tmp_path / "out.mkv", doubled, options=FAST)
    assert (tmp_path / "out.mkv.parts").read_text() == "precious"


def test_foreign_files_among_ours_stay(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target, parts = tmp_path / "out.mkv", tmp_path / "out.mkv.parts"

    def stop(progress: FilmProgress) -> None:
        if progress.done == 8:
            (parts / "sub").mkdir()
            for name in ("my notes.txt", "sub/000009.nut", "000007.nut"):
                (parts / name).write_text("precious")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_video(clip, target, doubled, options=FAST, chunk_frames=5, progress=stop)
    result = upscale_video(clip, target, doubled, options=FAST, chunk_frames=5)
    assert (result.resumed, len(pictures(target))) == (5, 20)
    left = sorted(str(p.relative_to(parts)) for p in parts.rglob("*"))
    assert left == ["000007.nut", "my notes.txt", "sub", "sub/000009.nut"]
    assert {p.read_text() for p in parts.rglob("*") if p.is_file()} == {"precious"}
    # A name that we need is not taken from its owner either.
    with Journal(tmp_path / "film.mkv", {}, chunks=0) as journal:
        (journal.folder / "000000.nut").write_text("precious")
    with Journal(tmp_path / "film.mkv", {}, chunks=1) as journal, pytest.raises(PipeError, match="is not ours"):
        journal.partial(0)


def test_a_corrected_command_after_a_failed_rehearsal_works(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target = tmp_path / "out.mkv"
    with pytest.raises(PipeError):
        upscale_video(clip, target, doubled, options=["-preset", "ultra"])
    assert list(tmp_path.iterdir()) == []
    upscale_video(clip, target, doubled, options=FAST)
    assert len(pictures(target)) == 20


def test_a_chunk_with_a_changed_byte_is_made_again(clip: Path, tmp_path: Path, doubled: Upscaler) -> None:
    target = tmp_path / "out.mkv"

    def stop(progress: FilmProgress) -> None:
        if progress.done == 18:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upscale_video(clip, target, doubled, options=FAST, chunk_frames=5, progress=stop)
    chunk = tmp_path / "out.mkv.parts" / "000001.nut"
    data = bytearray(chunk.read_bytes())
    data[len(data) // 2] ^= 1
    chunk.write_bytes(data)
    assert upscale_video(clip, target, doubled, options=FAST, chunk_frames=5).resumed == 5


def test_names_as_long_as_a_disk_takes_them(clip: Path, tmp_path: Path) -> None:
    """The folder beside such a film is called otherwise, and an interrupted film is found by it."""
    source = tmp_path / f"{'n' * 251}.mkv"
    shutil.copy(clip, source)
    words = ["video", str(source), "-o", f"{tmp_path}/larger/", "--model", "nearest", "--device", "cpu", "--chunk", "8"]
    target = tmp_path / "larger" / source.name
    target.parent.mkdir()
    with pytest.raises(KeyboardInterrupt), Upscaler("nearest", 2, device="cpu") as upscaler:
        upscale_video(source, target, upscaler, chunk_frames=8, progress=_stop_in_the_second_chunk)
    left = list(target.parent.iterdir())
    assert len(left) == 1
    assert left[0].name.endswith(".parts")
    done = CliRunner().invoke(srp, words, standalone_mode=False)
    assert done.return_value == 0, done.output
    assert "8 of them from before" in done.output
    assert list(target.parent.iterdir()) == [target]
    # Two long names that begin alike have folders of their own.
    assert len({list_path(tmp_path / f"{'n' * 250}{end}.mkv").parent.name for end in "ab"}) == 2


def _stop_in_the_second_chunk(progress: FilmProgress) -> None:
    if progress.chunk == 1:
        raise KeyboardInterrupt
