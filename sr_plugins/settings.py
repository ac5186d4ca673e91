"""What a caller hands to :class:`~.upscaler.Upscaler`, checked: scripts pass text and ``None`` for numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import SupportsIndex, get_args

from sr_plugins.errors import FrameError, UnknownNameError
from sr_plugins.interface.words import Precision
from sr_plugins.weights.safetensors_files import SUFFIXES

Size = tuple[int | None, int | None]


def check_scale(scale: object) -> None:
    """``FrameError`` unless ``scale`` is ``None`` or a number from 1 to 16."""
    if scale is None:
        return
    number = _number(scale)
    if number is None:
        raise FrameError(f"scale {scale!r} is not a number{_cure(scale, 'float')}")
    if not 1 <= number <= 16:
        raise FrameError(f"scale {scale} is not between 1 and 16")


def whole_pixels(name: str, value: object) -> int | None:
    """``value`` as an int, also where it is a float without a fraction; ``FrameError`` names the side otherwise."""
    if value is None:
        return None
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        return int(value)
    number = _number(value)
    if number is not None and number.is_integer():
        return int(number)
    told = repr(value) if number is None else number
    raise FrameError(f"{name} {told} is not a whole number of pixels{_cure(value, 'int')}")


def whole_size(size: object) -> Size | None:
    """(width, height), each an int or ``None``, not both ``None``; ``FrameError`` if it is no picture's size."""
    if size is None:
        return None
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise FrameError(f"size {size!r} is not (width, height)")
    width, height = whole_pixels("width", size[0]), whole_pixels("height", size[1])
    if (width, height) == (None, None) or any(s is not None and s < 1 for s in (width, height)):
        raise FrameError(f"size {width} x {height} is not a picture: give a width, a height or both, in pixels")
    return width, height


def check_name(kind: str, name: object, known: Iterable[str]) -> None:
    """``UnknownNameError`` for what is no name at all; whether a name is known is asked elsewhere."""
    if not isinstance(name, str):
        raise UnknownNameError(kind, str(name), known)


def check_precision(precision: object) -> None:
    """As :func:`check_name`, for a precision."""
    check_name("precision", precision, ("auto", *get_args(Precision)))


def names_a_file(model: str) -> bool:
    """Whether ``model`` means a weights file rather than a registered name, whatever files there are."""
    path = Path(model)
    return path.suffix in SUFFIXES or len(path.parts) > 1


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _cure(value: object, kind: str) -> str:
    return f": it is text, convert it with {kind}(...)" if isinstance(value, str | bytes) else ""
