"""Which tags of a TIFF page go along with its enlargement, and which would be wrong there: those are told."""

from __future__ import annotations

from collections.abc import Mapping

from sr_plugins.images.big_tiff import fits, small_fields
from sr_plugins.images.exif_block import ASCII, Field, numbers

# Tags that say how the pixels are stored (TIFF 6.0; EXIF 2.32, 4.6.4 A), or hold what is carried otherwise. They would
# be wrong in the new file.
_STORAGE = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284),
    *(288, 289, 290, 291, 292, 293, 296, 317, 320, 321, 322, 323, 324, 325, 330, 332, 333, 334),
    *(336, 338, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 700, 33723),
    *(34377, 34675, 50674),
}
# Tags of DNG 1.7: how a camera's sensor sees. They are of no use for a developed picture, and programs that find them
# take it for a raw one. The camera's name and number, its lens, and the name of the raw file are not among them.
_SENSOR = {
    *range(50706, 50708),
    *range(50710, 50735),
    *range(50737, 50742),
    *(50752, *range(50778, 50782)),
    *range(50828, 50835),
    *(50879, *range(50931, 50943)),
    *range(50964, 50976),
    *(50981, 50982, 51008, 51009, 51022, 51041, 51089, 51090, 51091, *range(51107, 51115), 51125),
    *range(51177, 51183),
    *range(52525, 52545),
    *range(52547, 52556),
}
_TOLD = {
    **dict.fromkeys(_SENSOR, "tags of a camera's sensor (DNG)"),
    37724: "Photoshop's layers",
    50784: "layers",
    **dict.fromkeys((50838, 50839), "ImageJ's labels and overlays"),
    50909: "GEO_METADATA",
    52545: "its content credentials (C2PA), which would not hold for the enlargement,",
    **dict.fromkeys((51159, 51160), "ZIF's notes"),
}
_DIRECTORIES = (13, 18)  # types of fields that lead to a directory
_EMPTY = (59932, 59933)  # filling, and where it moved values from
DESCRIPTION = 270
_BITS, _INK_NAMES, _DOT_RANGE = 258, 333, 336
_INKS = [b"cyan", b"magenta", b"yellow", b"black"]


def kept_fields(fields: Mapping[int, Field], places: frozenset[int], order: str) -> list[Field]:
    """Those that go along; ``places`` are the tags of directories that go along by other ways."""
    kept = (
        field
        for tag, field in fields.items()
        if tag not in _STORAGE | _TOLD.keys() | places and tag not in _EMPTY and field.kind not in _DIRECTORIES
    )
    # tifffile's note of the array's old shape
    return [
        f
        for f in small_fields(kept, order)
        if not (f.tag == DESCRIPTION and f.kind == ASCII and f.value.startswith(b'{"shape"'))
    ]


def told_of_tags(fields: Mapping[int, Field], places: frozenset[int], order: str) -> list[str]:
    """In words, what :func:`kept_fields` leaves out although it does not tell of the samples alone."""
    known = [_TOLD[tag] for tag in sorted(fields) if tag in _TOLD]
    below = [
        f"a directory below it (tag {tag})"
        for tag, field in sorted(fields.items())
        if field.kind in _DIRECTORIES and tag not in _STORAGE | places | _TOLD.keys()
    ]
    known += _told_of_inks(fields, order)
    known += [
        f"numbers of more than 32 bits (tag {tag})"
        for tag, field in sorted(fields.items())
        if tag not in _STORAGE | _TOLD.keys() | places and not fits(field, order)
    ]
    return [f"{what} are left out" for what in dict.fromkeys(known)] + [f"{what} is left out" for what in below]


def _told_of_inks(fields: Mapping[int, Field], order: str) -> list[str]:
    """What the colours of a separated picture are taken for, where it says otherwise (TIFF 6.0, section 16)."""
    found = []
    names = [name.strip().lower() for name in fields[_INK_NAMES].value.split(b"\0")] if _INK_NAMES in fields else []
    if any(names) and names[:4] != _INKS:
        found.append("the names of its inks (InkNames)")
    if _DOT_RANGE in fields:
        bits = max(numbers(fields[_BITS], order), default=8) if _BITS in fields else 8
        told = numbers(fields[_DOT_RANGE], order)
        if any(low != 0 or high != 2**bits - 1 for low, high in zip(told[::2], told[1::2], strict=False)):
            found.append("the samples that its inks begin and end at (DotRange)")
    return found
