"""What the directories of a TIFF file say: which page is a picture, what it carries, where its samples lie on a map."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import IO

from PIL import Image, ImageFile

from sr_plugins.errors import ImageError
from sr_plugins.images.big_tiff import small_fields
from sr_plugins.images.exif_block import (
    ASCII,
    EXIF,
    GPS,
    INTEROP,
    LONG,
    MAKER_NOTE,
    RATIONAL,
    Field,
    ReadAt,
    compiled,
    field_of,
    numbers,
    read_directory,
)
from sr_plugins.images.file_parts import kept_with
from sr_plugins.images.tiff_tags import DESCRIPTION, kept_fields, told_of_tags

RPC = 50844
_BULK = {273, 279, 324, 325, 288, 289, 519, 520, 521, 320}  # offsets and tables: never needed here
WIDTH, HEIGHT, ORIENTATION, XMP, IPTC, PHOTOSHOP = 256, 257, 274, 700, 33723, 34377
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT, SAMPLES, PHOTOMETRIC, EXTRA_SAMPLES = 282, 283, 296, 277, 262, 338
X_POSITION, Y_POSITION, _CENTIMETRE = 286, 287, 3
NO_DATA, PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, GEO_KEYS = 42113, 33550, 33922, 34264, 34735
_OLD_SUBFILE = 255
_BITS, _SUBFILE, _SUB_DIRECTORIES, _DNG_VERSION, _SAMPLE_FORMAT = 258, 254, 330, 50706, 339
_RAW_SENSOR = (32803, 34892)  # colour filter array, linear raw
_MOST_PAGES = 100_000
_PLACES = frozenset((EXIF, GPS))


@dataclass(frozen=True)
class Page:
    """A directory: ``order`` of its bytes, ``first`` its entries, ``below`` the EXIF, GPS and Interop directories.

    ``largest`` is (width, height) of the largest picture in the directories that hang below it.
    """

    order: str
    first: Mapping[int, Field]
    below: Mapping[tuple[int, ...], Mapping[int, Field]]
    largest: tuple[int, int] = (0, 0)

    def values(self, tag: int) -> tuple[Fraction, ...]:
        return numbers(self.first[tag], self.order) if tag in self.first else ()

    def value(self, tag: int, otherwise: int = 0) -> int:
        """The first of a tag's numbers."""
        found = self.values(tag)
        return int(found[0]) if found else otherwise

    def text(self, tag: int) -> str:
        field = self.first.get(tag)
        return field.value.split(b"\0")[0].decode("utf-8", "replace") if field and field.kind == ASCII else ""

    def bytes_of(self, tag: int) -> bytes | None:
        """A tag's bytes; ``None`` for a tag of numbers, which programs write by mistake and nobody can use."""
        field = self.first.get(tag)
        return field.value if field and field.kind in (1, ASCII, 6, 7) else None

    @property
    def size(self) -> tuple[int, int]:
        return self.value(WIDTH), self.value(HEIGHT)

    @property
    def is_overview(self) -> bool:
        """A smaller version of another page."""
        return bool(self.value(_SUBFILE) & 1) or self.value(_OLD_SUBFILE) == 2

    @property
    def is_mask(self) -> bool:
        """Which pixels of another page count."""
        return bool(self.value(_SUBFILE) & 4) or self.value(PHOTOMETRIC, 1) == 4

    @property
    def further_bands(self) -> int:
        """Bands of an RGB or CMYK picture that are neither colours nor alpha; Photoshop stores selections so."""
        colours = {2: 3, 5: 4}.get(self.value(PHOTOMETRIC, 1))
        alpha = any(int(kind) in (1, 2) for kind in self.values(EXTRA_SAMPLES))
        return max(0, self.value(SAMPLES, 1) - colours - alpha) if colours else 0

    @property
    def sub_directories(self) -> int:
        """How many directories hang below it: smaller versions, as a pyramid has them, or further pictures."""
        return len(self.values(_SUB_DIRECTORIES))

    def block(self) -> bytes | None:
        """What it carries beside its pixels, as an EXIF block of the same byte order."""
        kept = [self._in_inches(field) for field in kept_fields(self.first, _PLACES, self.order)]
        below = {path: small_fields(fields.values(), self.order) for path, fields in self.below.items()}
        if not kept and not any(below.values()):
            return None
        note = self.below.get((EXIF,), {}).get(MAKER_NOTE)
        return compiled({(): kept, **below}, self.order, note_at=note.value_at if note else 0)[0]

    def _in_inches(self, field: Field) -> Field:
        """A position on the page in the unit in which resolutions are written."""
        values = numbers(field, self.order) if field.tag in (X_POSITION, Y_POSITION) else ()
        if len(values) != 1 or self.value(RESOLUTION_UNIT, 2) != _CENTIMETRE:
            return field
        return field_of(field.tag, RATIONAL, [values[0] * 50 / 127], self.order)

    def told(self) -> list[str]:
        """What of its tags is left out or no longer holds, in words."""
        found = told_of_tags(self.first, _PLACES, self.order)
        if self.value(PHOTOMETRIC, 1) == 0 and self.value(_SAMPLE_FORMAT, 1) > 1 and NO_DATA not in self.first:
            found.append(
                "its 0 is white: its numbers are exchanged, the least with the greatest (0 and 1 within those)"
            )
        return found


def pages_of(source: Image.Image) -> tuple[Page, ...]:
    """The directories of a TIFF file that follow each other; none for other formats. Ends where a circle begins."""
    return kept_with(source, "pages", _pages, ()) if source.format == "TIFF" else ()


def pictures_of(source: Image.Image) -> list[int]:
    """Numbers of the pages that are pictures of their own, and not overviews or masks of others."""
    pages = pages_of(source)
    whole = [number for number, page in enumerate(pages) if not page.is_overview and not page.is_mask]
    return whole or [number for number, page in enumerate(pages) if not page.is_mask] or [0]


def page_of(image: Image.Image) -> Page | None:
    """The directory of the page that an opened TIFF file is at; ``None`` for other formats."""
    pages = pages_of(image)
    return pages[image.tell()] if pages and image.tell() < len(pages) else None


def black_of(page: Page | None) -> int:
    """The number that stands for black where 0 is white (WhiteIsZero) and Pillow does not invert it; otherwise 0."""
    bits = page.value(_BITS, 1) if page is not None else 1
    return (1 << bits) - 1 if page is not None and page.value(PHOTOMETRIC, 1) == 0 and bits > 8 else 0


def no_data_of(page: Page | None) -> float | None:
    """The number that GDAL writes for a pixel without a value."""
    try:
        return float(page.text(NO_DATA)) if page is not None and NO_DATA in page.first else None
    except ValueError:
        return None


def no_data_shown(page: Page | None) -> float | None:
    """The same among the samples that Pillow gives: of 8 bits whose 0 is white it has inverted them."""
    number = no_data_of(page)
    if page is None or number is None or page.value(PHOTOMETRIC, 1) != 0 or page.value(_BITS, 1) != 8:
        return number
    return 255 - number


def check_readable(source: Image.Image) -> None:
    """``ImageError`` for what Pillow would open as something that it is not: sensors' data, stacks, unnamed bands."""
    if source.format == "PSD" and isinstance(source, ImageFile.ImageFile) and not source.tile and source._im is None:
        raise ImageError("its flat picture is compressed in a way that is not read (ZIP): save it as a TIFF")
    pages = pages_of(source)
    for page in pages[:64]:
        if _DNG_VERSION in page.first or page.value(PHOTOMETRIC, 1) in _RAW_SENSOR:
            raise ImageError("it is a camera's raw file: develop it first (darktable, RawTherapee), and save a TIFF")
    for number in pictures_of(source):
        if number >= len(pages):
            break
        page = pages[number]
        if page.largest[0] * page.largest[1] > page.size[0] * page.size[1]:
            raise ImageError(
                f"a picture of {page.largest[0]} x {page.largest[1]} lies in a directory below this one of "
                f"{page.size[0]} x {page.size[1]}: save it as a page of its own"
            )
        colours = {0: 1, 1: 1, 3: 1}.get(page.value(PHOTOMETRIC, 1))
        further = [int(v) for v in page.values(EXTRA_SAMPLES) if v not in (1, 2)]
        samples = page.value(SAMPLES, 1)
        named = (colours or 0) + len(page.values(EXTRA_SAMPLES)) - len(further)
        if colours and samples > max(named, 1):
            raise ImageError(f"it holds {samples} bands that are no colours: save each as a picture of its own")
    if pages and (count := _planes_told(pages[0])) > len(pages):
        raise ImageError(f"it holds a stack of {count} pictures in one directory: save them as pages")


def _planes_told(page: Page) -> int:
    """How many pictures the description of ImageJ or tifffile speaks of."""
    text = page.text(DESCRIPTION)
    if text.startswith("ImageJ=") and (found := re.search(r"^images=(\d+)", text, re.MULTILINE)):
        return int(found[1])
    try:
        shape = json.loads(text)["shape"] if text.startswith('{"shape"') else []
        width, height = page.size
        total = 1
        for length in shape:
            total *= int(length)
        return total // max(1, width * height * page.value(SAMPLES, 1))
    except (ValueError, TypeError, KeyError):
        return 1


def _pages(file: IO[bytes]) -> tuple[Page, ...]:
    def read(at: int, size: int) -> bytes:
        file.seek(at)
        return file.read(size)

    head = read(0, 16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        return ()
    big = head[2:4] in (b"+\0", b"\0+")
    (at,) = struct.unpack(
        order + ("Q" if big else "I"), (head[8:16] if big else head[4:8]).ljust(8 if big else 4, b"\0")
    )
    found: list[Page] = []
    seen: set[int] = set()
    while at and at not in seen and len(found) < _MOST_PAGES:
        seen.add(at)
        try:
            first, at = read_directory(read, at, order, big=big, skipped=_BULK)
        except ValueError:
            break
        below: dict[tuple[int, ...], Mapping[int, Field]] = {}
        for path, owner in (((EXIF,), first), ((GPS,), first), ((EXIF, INTEROP), None)):
            entries = below.get((EXIF,), {}) if owner is None else owner
            link = entries.get(path[-1])
            if link is None or link.kind not in (LONG, 13, 16, 18):
                continue
            try:
                below[path] = read_directory(read, int(numbers(link, order)[0]), order, big=big)[0]
            except ValueError:
                continue
        hanging: tuple[Page, ...] = ()
        if _SUB_DIRECTORIES in first:
            hanging = tuple(_sub_directories(read, first[_SUB_DIRECTORIES], order, big=big))
        if any(page.value(PHOTOMETRIC) in _RAW_SENSOR for page in hanging):  # the page is a preview of it
            first[_DNG_VERSION] = Field(_DNG_VERSION, 1, 4, b"\1\0\0\0")
        largest = max((page.size for page in hanging), key=lambda size: size[0] * size[1], default=(0, 0))
        found.append(Page(order, first, below, largest))
    return tuple(found)


def _sub_directories(read: ReadAt, links: Field, order: str, *, big: bool) -> Iterator[Page]:
    for at in numbers(links, order)[:16]:
        with suppress(ValueError):
            yield Page(order, read_directory(read, int(at), order, big=big, skipped=_BULK)[0], {})
