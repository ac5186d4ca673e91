"""Image file directories (TIFF 6.0; EXIF 2.32, 4.5) as bytes: read with a bound, changed in place, put together anew.

Nothing that stays is decoded and encoded again: letters outside ASCII, types, the byte order, and offsets in maker
notes, which count from the block's beginning, remain what they were.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Iterable, Mapping
from fractions import Fraction
from typing import NamedTuple

HEAD = b"Exif\0\0"
EXIF, GPS, INTEROP, MAKER_NOTE = 0x8769, 0x8825, 0xA005, 0x927C
SUB_DIRECTORIES = (EXIF, GPS, INTEROP)
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SLONG, SRATIONAL = 1, 2, 3, 4, 5, 7, 9, 10
LONG8, SLONG8, IFD8 = 16, 17, 18  # BigTIFF's
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_RATIOS = {RATIONAL: "I", SRATIONAL: "i"}
_FLOATS = {11: "f", 12: "d"}
_MOST_ENTRIES = 4096  # of a directory; real ones have less than 200
_LARGEST_VALUE = 1 << 26
_HIGHEST_NOTE = 60_000  # further up, a note is moved rather than the block blown up

ReadAt = Callable[[int, int], bytes]


class Field(NamedTuple):
    """A directory's entry: ``value`` as stored, ``at`` where its record lies and ``value_at`` where the value does."""

    tag: int
    kind: int
    amount: int
    value: bytes
    at: int = 0
    value_at: int = 0


def read_directory(
    read: ReadAt, at: int, order: str, *, big: bool = False, skipped: Collection[int] = ()
) -> tuple[dict[int, Field], int]:
    """The entries of the directory at ``at``, and where the next one lies (0: nowhere); ``ValueError`` if it is none.

    Entries whose value lies outside of the file are left out, those of ``skipped`` tags have an empty value.
    """
    number, record, inline = ("Q", 20, 8) if big else ("H", 12, 4)
    head = struct.calcsize(number)
    (count,) = _unpack(order + number, read(at, head))
    if count > _MOST_ENTRIES:
        raise ValueError(f"a directory of {count} entries")
    raw = read(at + head, count * record)
    offset = "Q" if big else "I"
    found: dict[int, Field] = {}
    for place in range(0, len(raw) - record + 1, record):
        tag, kind, length = struct.unpack_from(order + "HH" + offset, raw, place)
        size = _SIZES.get(kind, 0) * length
        start = at + head + place + record - inline
        if size > inline:
            (start,) = struct.unpack_from(order + offset, raw, place + record - inline)
        if not size or size > _LARGEST_VALUE or tag in found:
            continue
        value = b"" if tag in skipped else read(start, size)
        if len(value) == size or tag in skipped:
            found[tag] = Field(tag, kind, length, value, at + head + place, start)
    link = read(at + head + count * record, inline)
    return found, _unpack(order + offset, link)[0] if len(link) == inline else 0


def numbers(field: Field, order: str) -> tuple[Fraction, ...]:
    """The field's values as exact numbers; empty where it holds none."""
    if field.kind in _INTEGERS:
        return tuple(map(Fraction, _unpack(f"{order}{field.amount}{_INTEGERS[field.kind]}", field.value)))
    if field.kind in _RATIOS:
        parts = _unpack(f"{order}{2 * field.amount}{_RATIOS[field.kind]}", field.value)
        return tuple(Fraction(n, d) for n, d in zip(parts[::2], parts[1::2], strict=True) if d)
    if field.kind in _FLOATS:
        values = _unpack(f"{order}{field.amount}{_FLOATS[field.kind]}", field.value)
        return tuple(Fraction(v) for v in values if abs(v) < float("inf"))
    return ()


def packed(kind: int, values: Iterable[float | Fraction], order: str) -> bytes:
    """Numbers as a field of this kind stores them; ``OverflowError`` where they do not fit."""
    try:
        if kind in _FLOATS:
            return b"".join(struct.pack(order + _FLOATS[kind], float(v)) for v in values)
        if kind in _RATIOS:
            return b"".join(struct.pack(order + 2 * _RATIOS[kind], *_ratio(Fraction(v), kind)) for v in values)
        return b"".join(struct.pack(order + _INTEGERS[kind], round(v)) for v in values)
    except (struct.error, KeyError) as error:
        raise OverflowError(f"{error}") from error


def field_of(tag: int, kind: int, values: Iterable[float | Fraction] | bytes, order: str) -> Field:
    """A new field; bytes for kinds ASCII and UNDEFINED."""
    value = values if isinstance(values, bytes) else packed(kind, values, order)
    return Field(tag, kind, len(value) // _SIZES[kind], value)


def in_order(field: Field, old: str, new: str) -> Field:
    """The same field in another byte order; what is of type UNDEFINED stays as it is."""
    size = _SIZES[field.kind] // (2 if field.kind in _RATIOS else 1)
    if old == new or size == 1:
        return field
    swapped = b"".join(field.value[i : i + size][::-1] for i in range(0, len(field.value), size))
    return Field(field.tag, field.kind, field.amount, swapped, field.at, field.value_at)


class ExifBlock:
    """An EXIF block whose directories can be changed; ``ValueError`` for what does not begin as a TIFF file does."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data.removeprefix(HEAD))
        order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(self.data[:4]))
        if order is None or len(self.data) < 10:
            raise ValueError("no TIFF header")
        self.order: str = order

    def __bytes__(self) -> bytes:
        return HEAD + bytes(self.data)

    @property
    def first_at(self) -> int:
        return int(_unpack(self.order + "I", self.data[4:8])[0])

    def read(self, at: int, size: int) -> bytes:
        return bytes(self.data[at : at + size])

    def directory(self, at: int) -> dict[int, Field]:
        """The entries of a directory; empty where there is none."""
        try:
            return read_directory(self.read, at, self.order)[0]
        except ValueError:
            return {}

    def first(self) -> dict[int, Field]:
        return self.directory(self.first_at)

    def place_of(self, *path: int) -> int:
        """Where the directory lies that these tags lead to, from the first one on; 0 where there is none."""
        at = self.first_at
        for tag in path:
            link = self.directory(at).get(tag)
            if link is None or link.kind not in (LONG, 13):
                return 0
            at = int(_unpack(self.order + "I", link.value[:4])[0])
        return at

    def set_numbers(self, field: Field, values: Iterable[float | Fraction]) -> None:
        """Overwrite as many values as the field has; ``OverflowError`` where they do not fit its type."""
        values = list(values)
        if field.kind == SHORT and len(values) == 1 and values[0] > 0xFFFF:  # a LONG has room in the same place
            struct.pack_into(self.order + "H", self.data, field.at + 2, LONG)
            field = Field(field.tag, LONG, 1, bytes(4), field.at, field.value_at)
        value = packed(field.kind, values, self.order)
        if len(value) != len(field.value):
            raise OverflowError(f"{len(values)} values instead of {field.amount}")
        self.data[field.value_at : field.value_at + len(value)] = value

    def remove(self, at: int, tags: Collection[int]) -> None:
        """Take entries out of the directory at ``at``; nothing else moves."""
        (count,) = _unpack(self.order + "H", self.data[at : at + 2])
        end = at + 2 + 12 * count
        records = [bytes(self.data[place : place + 12]) for place in range(at + 2, end, 12)]
        kept = [r for r in records if _unpack(self.order + "H", r[:2])[0] not in tags]
        self._write(at, kept, bytes(self.data[end : end + 4]))
        self.data[at + 2 + 12 * len(kept) + 4 : end + 4] = bytes(12 * (count - len(kept)))

    def add(self, fields: Iterable[Field]) -> None:
        """Put further entries, in this block's byte order, into a copy of the first directory at the end."""
        new = {field.tag: field for field in fields}
        at = self.first_at
        (count,) = _unpack(self.order + "H", self.data[at : at + 2])
        records = [bytes(self.data[place : place + 12]) for place in range(at + 2, at + 2 + 12 * count, 12)]
        kept = [r for r in records if len(r) == 12 and _unpack(self.order + "H", r[:2])[0] not in new]
        for field in new.values():
            value = field.value.ljust(4, b"\0")
            if len(field.value) > 4:
                value = struct.pack(self.order + "I", self._append(field.value))
            kept.append(struct.pack(self.order + "HHI", field.tag, field.kind, field.amount) + value)
        kept.sort(key=lambda record: int(_unpack(self.order + "H", record[:2])[0]))
        place = self._append(bytes(2 + 12 * len(kept) + 4))
        self._write(place, kept, bytes(4))
        struct.pack_into(self.order + "I", self.data, 4, place)

    def without_thumbnail(self) -> None:
        """Unlink the second directory and, where nothing follows it, cut off what only it used."""
        at = self.first_at
        try:
            entries, second = read_directory(self.read, at, self.order)
        except ValueError:
            return
        if not second:
            return
        (count,) = _unpack(self.order + "H", self.data[at : at + 2])
        link = at + 2 + 12 * count
        self.data[link : link + 4] = bytes(4)
        used = [link + 4, *_ends(entries)]
        for path in ((EXIF,), (GPS,), (EXIF, INTEROP)):
            if place := self.place_of(*path):
                below = self.directory(place)
                used += [place + 2 + 12 * len(below) + 4, *_ends(below)]
        if second >= max(used):
            del self.data[second:]

    def _append(self, data: bytes) -> int:
        self.data += bytes(len(self.data) % 2)  # directories and values lie at even offsets
        place = len(self.data)
        self.data += data
        return place

    def _write(self, at: int, records: list[bytes], link: bytes) -> None:
        whole = struct.pack(self.order + "H", len(records)) + b"".join(records) + link
        self.data[at : at + len(whole)] = whole


def compiled(
    directories: Mapping[tuple[int, ...], Iterable[Field]],
    order: str,
    at: int = 0,
    *,
    note_at: int = 0,
    linked: bool = False,
) -> tuple[bytes, int]:
    """Directories as bytes that are to lie at ``at`` of a file, and where in the file the first one then is.

    Args:
        directories: by the tags that lead there; ``()`` is the first.
        order: ``<`` or ``>``; the fields are in this order already, and of no type of BigTIFF.
        at: 0 makes a block, with its header.
        note_at: where the maker note should lie, because offsets in it count on that; 0: anywhere.
        linked: links to EXIF and GPS directories are among the fields, and lead to where these are already.
    """
    body = bytearray()
    notes = [f for f in directories.get((EXIF,), ()) if f.tag == MAKER_NOTE]
    hole = (note_at, note_at + len(notes[0].value)) if notes and 8 <= note_at < _HIGHEST_NOTE and at == 0 else (0, 0)
    if at == 0:
        body += bytes(8)

    def place(data: bytes) -> int:
        begin = at + len(body) + (at + len(body)) % 2
        if begin < hole[1] and begin + len(data) > hole[0]:
            begin = hole[1] + hole[1] % 2
        end = begin + len(data) - at
        if end > len(body):
            body.extend(bytes(end - len(body)))
        body[begin - at : end] = data
        return begin

    def write(path: tuple[int, ...]) -> int:
        fields = {f.tag: f for f in directories[path] if linked or f.tag not in SUB_DIRECTORIES}
        for tag in SUB_DIRECTORIES:
            if directories.get((*path, tag)):
                fields[tag] = Field(tag, LONG, 1, struct.pack(order + "I", write((*path, tag))))
        records = []
        for _, field in sorted(fields.items()):
            value = field.value.ljust(4, b"\0")
            if field.tag == MAKER_NOTE and hole[1]:
                end = hole[1] - at
                body.extend(bytes(max(0, end - len(body))))
                body[hole[0] - at : end] = field.value
                value = struct.pack(order + "I", hole[0])
            elif len(field.value) > 4:
                value = struct.pack(order + "I", place(field.value))
            records.append(struct.pack(order + "HHI", field.tag, field.kind, field.amount) + value)
        return place(struct.pack(order + "H", len(records)) + b"".join(records) + bytes(4))

    first = write(())
    if at == 0:
        body[:8] = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", first)
    return bytes(body), first


def _ends(entries: Mapping[int, Field]) -> list[int]:
    return [field.value_at + len(field.value) for field in entries.values()]


def _ratio(value: Fraction, kind: int) -> tuple[int, int]:
    low, high = (0, 0xFFFFFFFF) if kind == RATIONAL else (-(1 << 31), 0x7FFFFFFF)
    for most in (high, 1_000_000, 1000, 1):
        ratio = value.limit_denominator(most)
        if low <= ratio.numerator <= high:
            return ratio.numerator, ratio.denominator
    raise OverflowError(f"{value} is no ratio of 32 bits")


def _unpack(format: str, data: bytes | bytearray) -> tuple[int, ...]:
    try:
        return struct.unpack(format, data)
    except struct.error as error:
        raise ValueError(f"cut off: {error}") from error
