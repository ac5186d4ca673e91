"""What the list of finished chunks says, as far as it is whole: a power cut or a full disk may have damaged it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

WHOLE = "whole"  # the key of the last line of all: the size of the finished film
FILES = "files"  # the key in the first line that tells which files of the folder are ours
_CHECK = "check"  # the key of a line's own hash
_SHOWN = 60  # characters of a value that a message shows
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# Names of ours, where the list does not tell them.
_OURS = re.compile(r"\d{6}(\.partial)?\.(nut|mov)|(joined|rehearsal)(\.\w+)?|(cover|subtitles)\d+\.\w+")


@dataclass(frozen=True)
class Listed:
    """Which files are ours: those of ``chunks`` chunks with the ending ``suffix``, and ``names``; with ``chunks`` of
    ``None`` all whose names could be."""

    chunks: int | None = None
    suffix: str = "nut"
    names: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        if self.chunks is None or name in self.names:
            return name in self.names or _OURS.fullmatch(name) is not None
        index, _, ending = name.partition(".")
        mine = ending in (self.suffix, f"partial.{self.suffix}") and index.isascii() and index.isdigit()
        return mine and len(index) >= _DIGITS and int(index) < self.chunks

    @classmethod
    def of(cls, told: Any) -> Listed:
        """From the first line; what cannot be read tells nothing."""
        try:
            return cls(int(told["chunks"]), str(told["suffix"]), tuple(map(str, told["names"])))
        except (KeyError, TypeError, ValueError):
            return cls()


_DIGITS = 6  # of a chunk's name, at least


@dataclass(frozen=True)
class ChunkRecord:
    """One finished chunk: its file, the source times of its frames, and what a later run needs to trust it.

    ``size`` is the file's length in bytes and ``content`` a hash of it; ``header`` a hash of the encoder's parameter
    sets, equal for all chunks; ``last_frame`` a hash of the last decoded frame, by which a run that continues knows
    that it decodes the same; ``reused`` counts frames that were equal to the one before; ``complaint`` is what the
    decoder said where it gave fewer frames than the chunk has; ``backward`` counts frames at times that the source does
    not tell, for its own ran backward there.
    """

    index: int
    file: str
    size: int
    times: tuple[int, ...]
    header: str
    last_frame: str
    reused: int
    content: str
    complaint: str = ""
    backward: int = 0

    def line(self) -> dict[str, Any]:
        """As it stands in the list."""
        return asdict(self)

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> ChunkRecord | None:
        """From a line of the list; ``None``: it is none."""
        known = {f.name for f in fields(cls)}
        if not known - {"complaint", "backward"} <= line.keys() <= known:
            return None
        numbers, texts = ("index", "size", "reused", "backward"), ("file", "header", "last_frame", "content")
        times = line["times"]
        if not all(type(line.get(key, 0)) is int for key in numbers):
            return None
        if not all(isinstance(line[key], str) for key in texts):
            return None
        if not isinstance(times, list) or not times or not all(type(time) is int for time in times):
            return None
        return cls(**{**line, "times": tuple(times)})


@dataclass
class Lines:
    """The list: ``identity`` of the job (``None``: lost), its ``records``, which files are ``listed`` as ours, the size
    of the finished film, and the number of the first line that is ``damaged``."""

    identity: dict[str, Any] | None = None
    records: list[ChunkRecord] = field(default_factory=list)
    listed: Listed = Listed()
    whole: int | None = None
    damaged: int | None = None

    @classmethod
    def parse(cls, text: bytes) -> Lines | None:
        """Read the list. Lines up to the first that is damaged count; a last one without its end was being written.

        ``None``: this is a file of somebody else.
        """
        found = cls()
        text = text.removeprefix(_BYTE_ORDER_MARK)
        ours = not text.strip(b"\0\r\n ") or text.startswith(b'{"version"')
        for number, line in enumerate(text.splitlines(keepends=True), 1):
            entry = _entry(line)
            ours |= ChunkRecord.of(entry) is not None or WHOLE in entry
            whole = line.endswith(b"\n") and found.damaged is None
            if whole and not found._accept(entry, number):
                found.damaged = number
        return found if ours else None

    def _accept(self, entry: dict[str, Any], number: int) -> bool:
        if number == 1:
            if "version" not in entry:
                return False
            self.listed = Listed.of(entry.pop(FILES, None))
            self.identity = entry
            return True
        if WHOLE in entry:
            self.whole = entry[WHOLE] if isinstance(entry[WHOLE], int) else None
            return True
        record = ChunkRecord.of(entry)
        if record is None or record.index != len(self.records) or record.file not in self.listed:
            return False
        self.records.append(record)
        return True


def written(entry: Mapping[str, Any]) -> bytes:
    """An entry as a line, with a hash of itself: a number that was damaged is a number."""
    return _text({**entry, _CHECK: _check(entry)}) + b"\n"


def _entry(line: bytes) -> dict[str, Any]:
    """The object of a line, empty where there is none, or another than was written."""
    try:
        value = json.loads(line.decode())
    except (ValueError, RecursionError):
        return {}
    if not isinstance(value, dict) or value.pop(_CHECK, None) != _check(value):
        return {}
    return value


def _check(entry: Mapping[str, Any]) -> str:
    return hashlib.blake2b(_text(entry), digest_size=8).hexdigest()


def _text(entry: Mapping[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode()


def difference(was: Any, now: Any) -> str:
    """What differs, from the first place on where two lists do."""
    if isinstance(was, list) and isinstance(now, list):
        same = next((i for i, (a, b) in enumerate(zip(was, now, strict=False)) if a != b), min(len(was), len(now)))
        was, now = was[same:], now[same:]
    return f"was {_short(was)}, is {_short(now)}"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
