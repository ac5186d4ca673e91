"""What is finished, on disk: survives kill -9 and power loss at any moment."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from sr_plugins.errors import PipeError

_FILE = "journal.jsonl"
_VERSION = 1
_WHOLE = "whole"  # the key of the last line of all: the size of the finished film


@dataclass(frozen=True)
class ChunkRecord:
    """One finished chunk: its file, the source times of its frames, and what a later run needs to trust it.

    ``size`` is the file's length in bytes; ``header`` a hash of the encoder's parameter sets, equal for all chunks;
    ``last_frame`` a hash of the last decoded frame, by which a run that continues knows that it decodes the same;
    ``reused`` counts frames that were equal to the one before; ``complaint`` is what the decoder said where it gave
    fewer frames than the chunk has.
    """

    index: int
    file: str
    size: int
    times: tuple[int, ...]
    header: str
    last_frame: str
    reused: int
    complaint: str = ""


def sync_folder(folder: Path) -> None:
    """Make a rename in this folder lasting; not needed, nor possible, on Windows."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@dataclass(frozen=True)
class Finished:
    """A job that was killed after its film had its name, and before its folder was gone."""

    identity: dict[str, Any]
    frames: int
    reused: int

    def is_of(self, identity: Mapping[str, Any]) -> bool:
        """Whether this was the job of this identity."""
        return self.identity == _written(identity)


def clear_finished(target: Path) -> Finished | None:
    """Remove the folder of such a job; ``None``: there is none."""
    folder = _folder(target)
    try:
        with (folder / _FILE).open("rb") as file:
            _lock(file, target)
            lines = [json.loads(line) for line in file.read().splitlines(keepends=True) if line.endswith(b"\n")]
            # A film that is still in the folder is not yet the one that has the name.
            if not lines or lines[-1].get(_WHOLE) != target.stat().st_size or any(folder.glob("joined*")):
                return None
            _remove(folder)
    except (OSError, PipeError, ValueError):  # no journal, one at work, a damaged one
        return None
    records = [line for line in lines[1:] if _WHOLE not in line]
    return Finished(lines[0], sum(len(r["times"]) for r in records), sum(r["reused"] for r in records))


def _folder(target: Path) -> Path:
    return target.with_name(target.name + ".parts")


def _remove(folder: Path) -> None:
    """The list goes last: as long as there is anything, it tells what."""
    for file in folder.iterdir():
        if file.name != _FILE:
            file.unlink()
    shutil.rmtree(folder)


def _written(identity: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from the list."""
    return dict(json.loads(json.dumps({"version": _VERSION, **identity})))


def _lock(file: IO[bytes], target: Path) -> None:
    with contextlib.suppress(ImportError):  # no fcntl on Windows: two runs at once are then not noticed
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PipeError(f"{target}: another process is working on it") from None


class Journal:
    """The folder ``<target>.parts`` with finished chunks and the list of them.

    The list is one JSON object a line: first the identity of the job, then one :class:`ChunkRecord` for each chunk,
    appended and fsynced after the chunk's file has its final name. A line cut short by a crash is ignored. Before the
    film gets its name, a last line tells its size; see :func:`clear_finished`.

    Args:
        target: the file that the job makes.
        identity: everything that the pixels depend on. A journal of another identity is refused.
        restart: throw away what another run left.

    Raises:
        PipeError: the folder belongs to another job, or another process is at work in it.
    """

    def __init__(self, target: Path, identity: Mapping[str, Any], *, restart: bool = False) -> None:
        self.folder = _folder(target)
        self._identity = _written(identity)
        self.folder.mkdir(exist_ok=True)
        self._file: IO[bytes] = (self.folder / _FILE).open("a+b")
        try:
            _lock(self._file, target)
            if restart:
                self._file.truncate(0)
            self.records = self._load()
        except BaseException:
            self._file.close()
            raise
        self._remove_strays()

    def _load(self) -> list[ChunkRecord]:
        self._file.seek(0)
        text = self._file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._file.truncate(len(whole))
        lines = [line for line in map(json.loads, whole.splitlines()) if _WHOLE not in line]
        if not lines:
            self._write(self._identity)
            sync_folder(self.folder)
            return []
        self._compare(lines[0])
        records: list[ChunkRecord] = []
        for line in lines[1:]:
            record = ChunkRecord(**{**line, "times": tuple(line["times"])})
            file = self.folder / record.file
            # Chunks count from the first on without a gap; a damaged one and all after it are made again.
            if record.index != len(records) or not file.is_file() or file.stat().st_size != record.size:
                break
            records.append(record)
        if len(records) != len(lines) - 1:
            self._file.truncate(0)
            for entry in (lines[0], *map(asdict, records)):
                self._write(entry)
        return records

    def _compare(self, before: dict[str, Any]) -> None:
        changed = [
            f"{key} was {_short(before.get(key))}, is {_short(self._identity.get(key))}"
            for key in {**before, **self._identity}
            if before.get(key) != self._identity.get(key)
        ]
        if changed:
            raise PipeError(
                f"{self.folder} holds the finished chunks of another job: {'; '.join(changed)}. Run that one to its "
                "end, or give --restart to begin anew"
            )

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def _remove_strays(self) -> None:
        known = {_FILE, *(record.file for record in self.records)}
        for file in self.folder.iterdir():
            if file.name not in known:
                file.unlink()

    def partial(self, index: int) -> Path:
        """Where the chunk of this index is written until it is whole."""
        return self.folder / f"{index:06d}.partial.nut"

    def path(self, record: ChunkRecord) -> Path:
        """The file of a finished chunk."""
        return self.folder / record.file

    def add(self, record: ChunkRecord, partial: Path) -> None:
        """Give the chunk its final name and note it, in an order that a crash cannot upset."""
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(self.folder / record.file)
        sync_folder(self.folder)
        self._write(asdict(record))
        self.records.append(record)

    def finish(self, joined: Path, target: Path) -> None:
        """Give the film its name, so that a crash leaves no doubt whether it has it; nothing else of the job stays."""
        with joined.open("rb") as file:
            os.fsync(file.fileno())
        self._write({_WHOLE: joined.stat().st_size})
        joined.replace(target)
        sync_folder(target.absolute().parent)
        self.remove()

    def remove(self) -> None:
        """Nothing of the job stays."""
        self.close()
        _remove(self.folder)

    def close(self) -> None:
        """Release the folder; what is noted stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
