"""What any host may set, once: names, meanings, defaults, and what is refused.

Every host (Python, VapourSynth, Pillow, the commands, GIMP's worker, a cluster) takes these by these names and hands
them on through :func:`checked`, so that each accepts and refuses the same, in the same words.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, SupportsIndex, TypedDict, cast, get_args

import numpy as np

from sr_plugins.errors import ArgumentError, offered
from sr_plugins.interface.words import Cuts, Precision

Size = tuple[int | None, int | None]


class OtherSettings(TypedDict, total=False):
    """All but the scale, which most hosts take by position."""

    size: Size | None
    device: str | Sequence[str]
    backend: str
    precision: str
    tile: int | str
    batch: int | str
    self_ensemble: bool
    reuse: bool
    strength: float
    overlap: int | str
    cuts: Cuts


class Settings(OtherSettings, total=False):
    """What may be set beside the model; :data:`HELP` says what each means, :data:`DEFAULTS` what it is otherwise."""

    scale: float | None


HELP = {
    "scale": "Times larger, 1 to 16. [default: the model's own]",
    "size": "Reach this width x height instead; one side alone keeps the aspect ratio.",
    "device": "auto, cpu, cuda, cuda:1, vulkan (for ncnn pairs), or several, separated by commas.",
    "backend": "How the network runs; srp doctor lists the ways.",
    "precision": "What the network's layers compute in.",
    "tile": "Largest side of a tile in input pixels: changes memory, not pixels.",
    "batch": "Waiting frames that may go through the network at once.",
    "self_ensemble": "Mean of the eight mirrored and turned positions (TTA): up to 8 times slower.",
    "reuse": "Take the parts of a frame that rest from the frame before, where that is exact.",
    "strength": "How much of what the network adds to the interpolated picture is kept, 0 to 1.",
    "overlap": "Input pixels that tiles read beyond themselves, for networks whose tiles are not exact.",
    "cuts": "Where models that see time look no further: at cuts found in frames (auto), nowhere (none), where "
    "VapourSynth's _SceneChangePrev and _SceneChangeNext say (properties).",
}

DEFAULTS: Settings = {
    "scale": None,
    "size": None,
    "device": "auto",
    "backend": "auto",
    "precision": "auto",
    "tile": "auto",
    "batch": "auto",
    "self_ensemble": False,
    "reuse": True,
    "strength": 1.0,
    "overlap": "auto",
    "cuts": "auto",
}

PRECISIONS = ("auto", *get_args(Precision))
CUTS = get_args(Cuts)


def checked(settings: Mapping[str, object] | Settings, beside: Iterable[str] = ("model",)) -> Settings:
    """All settings: those given, in one form each, and the defaults for the others. Every value is hashable.

    Scripts pass numbers of numpy, lists for tuples, and ``None`` for no scale; what cannot be meant is refused. Where a
    name is mistyped, ``beside`` are what else the host takes: it may be meant.

    Raises:
        ArgumentError: no setting has this name, a value is of another kind or out of its range, or scale and size are
            both given.
    """
    for name in settings:
        if name not in DEFAULTS:
            raise ArgumentError(f"no setting called {name!r}: {offered(name, [*DEFAULTS, *beside])}")
    found: dict[str, Any] = {name: _CHECKS[name](name, value) for name, value in settings.items()}
    if found.get("scale") is not None and found.get("size") is not None:
        raise ArgumentError("scale and size exclude each other: give one of them")
    return cast(Settings, {**DEFAULTS, **found})


def none_given(settings: Mapping[str, object] | Settings, to: str) -> None:
    """``ArgumentError`` if any setting is given beside an upscaler that has its own."""
    if given := [name for name, value in checked(settings).items() if value != DEFAULTS.get(name)]:
        raise ArgumentError(f"{to} brings its own settings: leave {', '.join(given)} out")


def output_size(
    settings: Settings, native_scale: int, width: int, height: int, subsampling: tuple[int, int] = (0, 0)
) -> tuple[int, int]:
    """(width, height) of what a picture of this size becomes; ``native_scale`` is the model's own.

    Where chroma is subsampled (shifts across and down), a side that was a whole number of chroma samples stays one
    unless another was asked for, because most encoders and hosts hold no other.
    """
    across, down = subsampling

    def derived(exact: float, side: int, shift: int) -> int:
        step = math.gcd(side, 1 << shift)
        return max(1, round(exact / step)) * step

    size, asked = settings.get("size"), settings.get("scale")
    if size is None:
        scale = native_scale if asked is None else asked
        return derived(width * scale, width, across), derived(height * scale, height, down)
    w, h = size
    if w is None:
        assert h is not None
        return derived(width * h / height, width, across), h
    return w, derived(height * w / width, height, down) if h is None else h


def whole_pixels(name: str, value: object) -> int | None:
    """``value`` as an int, also where it is a float without a fraction; ``ArgumentError`` names the side otherwise."""
    if value is None:
        return None
    if isinstance(value, SupportsIndex) and not isinstance(value, bool):
        return int(value)
    number = _number(value)
    if number is not None and number.is_integer():
        return int(number)
    told = repr(value) if number is None else number
    raise ArgumentError(f"{name} {told} is not a whole number of pixels{_cure(value, 'int')}")


def _scale(name: str, value: object) -> object:
    if value is None:
        return None
    number = _number(value)
    if number is None:
        raise ArgumentError(f"scale {value!r} is not a number{_cure(value, 'float')}")
    if not 1 <= number <= 16:
        raise ArgumentError(f"scale {value} is not between 1 and 16")
    return value


def _size(name: str, value: object) -> Size | None:
    if value is None:
        return None
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ArgumentError(f"size {value!r} is not (width, height)")
    width, height = whole_pixels("width", value[0]), whole_pixels("height", value[1])
    if (width, height) == (None, None) or any(s is not None and s < 1 for s in (width, height)):
        raise ArgumentError(f"size {width} x {height} is not a picture: give a width, a height or both, in pixels")
    return width, height


def _devices(name: str, value: object) -> str | tuple[str, ...]:
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    names = [_device(one) for one in (value if several else [value])]  # type: ignore[attr-defined]
    if not names:
        raise ArgumentError("no device was named: use 'auto', 'cpu' or 'cuda'")
    return tuple(names) if several else names[0]


def _device(value: object) -> str:
    if (type(value).__module__, type(value).__name__) == ("torch", "device"):
        return str(value)
    if not isinstance(value, str):  # torch would take a number for a CUDA device
        raise ArgumentError(f"device {value!r} is not a name: use 'auto', 'cpu' or 'cuda'")
    return value


def _name(name: str, value: object) -> str:
    if not isinstance(value, str):
        examples = ", ".join(PRECISIONS) if name == "precision" else "'auto' or one that srp doctor lists"
        raise ArgumentError(f"{name} {value!r} is not a name: use {examples}")
    return value


def _auto_or_count(name: str, value: object) -> int | str:
    if isinstance(value, str) and value == "auto":
        return value
    number = _number(value)
    if number is None or not number.is_integer() or number < 1:
        raise ArgumentError(f"{name} {value!r} is neither 'auto' nor a whole number of at least 1{_cure(value, 'int')}")
    return int(number)


def _yes_or_no(name: str, value: object) -> bool:
    if not isinstance(value, bool | np.bool):
        raise ArgumentError(f"{name} {value!r} is neither True nor False")
    return bool(value)


def _share(name: str, value: object) -> float:
    number = _number(value)
    if number is None:
        raise ArgumentError(f"{name} {value!r} is not a number{_cure(value, 'float')}")
    if not 0 <= number <= 1:
        raise ArgumentError(f"{name} {value} is not between 0 and 1")
    return number


def _cuts(name: str, value: object) -> str:
    if not isinstance(value, str) or value not in CUTS:
        raise ArgumentError(f"cuts {value!r} is none of {', '.join(CUTS)}")
    return value


_CHECKS: dict[str, Callable[[str, object], object]] = {
    "scale": _scale,
    "size": _size,
    "device": _devices,
    "backend": _name,
    "precision": _name,
    "tile": _auto_or_count,
    "batch": _auto_or_count,
    "self_ensemble": _yes_or_no,
    "reuse": _yes_or_no,
    "strength": _share,
    "overlap": _auto_or_count,
    "cuts": _cuts,
}


def _number(value: object) -> float | None:
    if isinstance(value, bool | np.bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _cure(value: object, kind: str) -> str:
    return f": it is text, convert it with {kind}(...)" if isinstance(value, str | bytes) else ""
