"""Numbers of 8 bytes, which BigTIFF has and nothing that is written here, as those of 4."""

from __future__ import annotations

from collections.abc import Iterable

from sr_plugins.images.exif_block import IFD8, LONG, LONG8, SLONG, SLONG8, Field, field_of, numbers

_SMALL = {LONG8: (LONG, 0, 0xFFFFFFFF), SLONG8: (SLONG, -(1 << 31), 0x7FFFFFFF), IFD8: (LONG, 0, 0xFFFFFFFF)}


def fits(field: Field, order: str) -> bool:
    """Whether a field's numbers need no more than 4 bytes each."""
    if field.kind not in _SMALL:
        return True
    _, low, high = _SMALL[field.kind]
    return all(low <= number <= high for number in numbers(field, order))


def small_fields(fields: Iterable[Field], order: str) -> list[Field]:
    """Those that fit, of types of 4 bytes, in the same byte order."""
    return [
        field_of(field.tag, _SMALL[field.kind][0], numbers(field, order), order) if field.kind in _SMALL else field
        for field in fields
        if fits(field, order)
    ]
