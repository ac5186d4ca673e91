"""What is finished, on disk: survives kill -9 and power loss at any moment."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Self

from sr_plugins.errors import PipeError
from sr_plugins.video.journal_lines import FILES, WHOLE, ChunkRecord, Lines, Listed, difference, written

_FILE = "journal.jsonl"
_VERSION = 3
_LONGEST = 255  # bytes of a name, on most disks


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
    folder = list_path(target).parent
    try:
        with (folder / _FILE).open("rb") as file:
            _lock(file, target)
            lines = Lines.parse(file.read())
            # A film that is still in the folder is not yet the one that has the name.
            if lines is None or lines.identity is None or lines.whole != target.stat().st_size:
                return None
            if any(file.name in lines.listed for file in folder.glob("joined*")):
                return None
            _remove(folder, lines.listed)
    except (OSError, PipeError):  # no journal, one at work
        return None
    records = lines.records
    return Finished(lines.identity, sum(len(r.times) for r in records), sum(r.reused for r in records))


def being_written(target: Path) -> bool:
    """Whether an interrupted job had begun to write its numbered pictures: those that are there are its own."""
    try:
        lines = Lines.parse(list_path(target).read_bytes())
    except OSError:
        return False
    return lines is not None and lines.whole is not None


def list_path(target: Path) -> Path:
    """Where the list of a target's finished chunks is, if there is one: in ``<target>.parts``, or, where that would be
    too long a name, in one that its beginning and a hash make."""
    name, ending = target.name, ".parts"
    if len(os.fsencode(name + ending)) > _LONGEST:
        ending = f"~{hashlib.blake2b(os.fsencode(name), digest_size=4).hexdigest()}{ending}"
        while len(os.fsencode(name + ending)) > _LONGEST:
            name = name[:-1]
    return target.with_name(name + ending) / _FILE


def content(path: Path) -> str:
    """A hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]


def _remove(folder: Path, ours: Listed) -> None:
    """What is ours, and the list last: as long as there is anything, it tells what. Nothing else is touched."""
    for file in list(folder.iterdir()):
        if file.name in ours and not file.is_dir():
            file.unlink()
    (folder / _FILE).unlink()
    with contextlib.suppress(OSError):  # somebody else's files are in it
        folder.rmdir()


def _written(identity: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from the list."""
    return dict(json.loads(json.dumps({"version": _VERSION, **identity})))


def _lock(file: IO[bytes], target: Path) -> None:
    with contextlib.suppress(ImportError):  # no fcntl on Windows: two runs at once are then not noticed
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"{target}: another process is working on it") from None


class BusyError(PipeError):
    """Another process is at work on the same film."""


class Journal:
    """The folder ``<target>.parts`` with finished chunks and the list of them.

    The list is one JSON object a line: first the identity of the job and the names of its files, then one
    :class:`ChunkRecord` for each chunk, appended and fsynced after the chunk's file has its final name. Only files that
    it names are ever deleted. What is damaged, and all after it, is made again. Before the film gets its name, a last
    line tells its size; see :func:`clear_finished`.

    Args:
        target: the file that the job makes.
        identity: everything that the pixels depend on. Finished chunks of another identity are refused.
        restart: throw away what another run left.
        chunks: how many there will be; ``None``: any number.
        suffix: of chunks.
        names: of other files that will be made in the folder.

    Attributes:
        folder: ``<target>.parts``.
        records: the finished chunks.
        notice: a line for a person about what was damaged; ``None``: nothing.

    Raises:
        PipeError: the folder belongs to another job or to nobody we know, or another process is at work in it.
    """

    def __init__(
        self,
        target: Path,
        identity: Mapping[str, Any],
        *,
        restart: bool = False,
        chunks: int | None = None,
        suffix: str = "nut",
        names: Sequence[str] = (),
    ) -> None:
        self.folder = list_path(target).parent
        self.records: list[ChunkRecord] = []
        self.notice: str | None = None
        self._identity = _written(identity)
        self._suffix = suffix
        self._listed = Listed(chunks, suffix, tuple(names))
        self._target = target
        self._take_folder()
        self._file: IO[bytes] = (self.folder / _FILE).open("a+b")
        try:
            _lock(self._file, target)
            self._load(restart)
        except BaseException:
            self._file.close()
            raise

    def _take_folder(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise PipeError(f"{self.folder}: File exists, where the folder for finished chunks would be: move it away")
        self.folder.mkdir(exist_ok=True)
        if not (self.folder / _FILE).exists() and (strange := next(self.folder.iterdir(), None)) is not None:
            raise PipeError(f"{self.folder} is not ours, it holds {strange.name}: move it away, or name another target")

    def _load(self, restart: bool) -> None:
        self._file.seek(0)
        text = self._file.read()
        lines = Lines.parse(text)
        if lines is None:
            raise PipeError(f"{self.folder / _FILE} is not ours: move {self.folder} away, or name another target")
        kept = [] if restart or lines.identity is None else lines.records[: self._whole(lines.records)]
        if kept and lines.identity is not None:
            self._compare(lines.identity)
        self.records = kept
        known = {_FILE, *(record.file for record in kept)}
        useless = [file for file in self.folder.iterdir() if file.name in lines.listed and file.name not in known]
        for file in useless:
            if not file.is_dir():
                file.unlink()
        self._foreign = {file.name for file in self.folder.iterdir()} - known
        wanted = [{**self._identity, FILES: asdict(self._listed)}, *(record.line() for record in kept)]
        if text != (fresh := b"".join(map(written, wanted))):
            self._replace(fresh)
        again = f"{len(kept)} finished chunks before it are kept, the others are made again"
        if restart:
            return
        if lines.damaged is not None:
            self.notice = f"{self.folder / _FILE} is damaged from line {lines.damaged} on: {again}"
        elif len(kept) < len(lines.records):
            self.notice = f"{self.folder / lines.records[len(kept)].file} is damaged or missing: {again}"
        elif lines.identity is None and useless:
            self.notice = f"{self.folder / _FILE} is empty: all chunks are made again"

    def _replace(self, text: bytes) -> None:
        """Put another list in the place of this one, so that a crash leaves one of the two."""
        fresh = self.folder / f"{_FILE}.new"
        with fresh.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        after = fresh.open("a+b")
        _lock(after, self._target)
        fresh.replace(self.folder / _FILE)
        sync_folder(self.folder)
        self._file.close()
        self._file = after

    def _whole(self, records: list[ChunkRecord]) -> int:
        """How many chunks are what they were, from the first on; one that is damaged and all after it are not."""
        for number, record in enumerate(records):
            file = self.folder / record.file
            if not file.is_file() or file.stat().st_size != record.size or content(file) != record.content:
                return number
        return len(records)

    def _compare(self, before: dict[str, Any]) -> None:
        mine = self._identity
        differ = [key for key in {**before, **mine} if before.get(key) != mine.get(key)]
        changed = [f"{key} {difference(before.get(key), mine.get(key))}" for key in differ]
        if changed:
            raise PipeError(
                f"{self.folder} holds the finished chunks of another job: {'; '.join(changed)}. Run that one to its "
                "end, or give --restart to begin anew"
            )

    def _write(self, entry: Mapping[str, Any]) -> None:
        self._file.seek(0, os.SEEK_END)
        self._file.write(written(entry))
        self._file.flush()
        os.fsync(self._file.fileno())

    def own(self, name: str) -> Path:
        """A file of this name that is about to be made in the folder."""
        if name in self._foreign:
            raise PipeError(f"{self.folder / name} is not ours: move it away, or name another target")
        return self.folder / name

    def partial(self, index: int) -> Path:
        """Where the chunk of this index is written until it is whole."""
        self.own(f"{index:06d}.{self._suffix}")
        return self.own(f"{index:06d}.partial.{self._suffix}")

    def path(self, record: ChunkRecord) -> Path:
        """The file of a finished chunk."""
        return self.folder / record.file

    def add(self, record: ChunkRecord, partial: Path) -> None:
        """Give the chunk its final name and note it, in an order that a crash cannot upset."""
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(self.folder / record.file)
        self.records.append(record)  # first: Ctrl-C may come while the list is written
        sync_folder(self.folder)
        self._write(record.line())

    def finish(self, joined: Path, target: Path) -> None:
        """Give the film its name, so that a crash leaves no doubt whether it has it; nothing else of the job stays."""
        with joined.open("rb") as file:
            os.fsync(file.fileno())
        self._write({WHOLE: joined.stat().st_size})
        joined.replace(target)
        sync_folder(target.absolute().parent)
        self.remove()

    def write_out(self, pictures: int) -> None:
        """Note that numbered pictures are going to be written."""
        self._write({WHOLE: pictures})

    def remove(self) -> None:
        """Nothing of the job stays."""
        self.close()
        _remove(self.folder, self._listed)

    def close(self) -> None:
        """Release the folder; what is noted stays."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
