"""What sequences a recipe asks for: its table ``[sequences]``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_plugins.errors import RecipeError
from sr_plugins.training.sequences.coding import CLEAN, CODECS
from sr_plugins.training.tables import call_with, check_range


@dataclass(frozen=True)
class SequenceSettings:
    """A recipe's table ``[sequences]``.

    Attributes:
        scenes: how many are made.
        codings: how often each of them is coded.
        codec: ``h264``, ``h265``, ``mpeg2``, or ``none`` for frames that are not coded; drawn from a list.
        quality: CRF of H.264 and H.265, a number or a pair to draw from; MPEG-2's quantiser is half of it.
        side: of the low-resolution frames, a multiple of 2 and at least 32.
        frames: how many are coded.
        targets: how many of them, in the middle, are learnt from.
        motion: pixels of the low-resolution frame by which a layer moves from frame to frame, at most.
        layers: share of the scenes that have two of them.
        films: share of the scenes that come from the films in the folder, if there are any.
        flat: share of the others that are of one colour, every second one black: what stands beside many a picture.
    """

    scenes: int = 1000
    codings: int = 3
    codec: tuple[str, ...] = ("none", "h264", "h264", "h264", "h265", "mpeg2")
    quality: Any = (18, 32)
    side: int = 96
    frames: int = 12
    targets: int = 4
    motion: float = 4.0
    layers: float = 0.6
    films: float = 0.1
    flat: float = 0.0

    def __post_init__(self) -> None:
        whole = {"scenes": 1, "codings": 1, "side": 32, "frames": 1, "targets": 1}
        for name, least in whole.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"{name} = {value!r} is not a whole number of at least {least}")
        if self.side % 2:
            raise ValueError(f"side = {self.side} is odd: codecs of 4:2:0 need an even one")
        for name in self.codec:
            if name != CLEAN and name not in CODECS:
                raise ValueError(f"codec = {name!r} is none of {', '.join((CLEAN, *CODECS))}")
        check_range("quality", self.quality, 0, 51)
        check_range("motion", self.motion, 0, 64)
        check_range("layers", self.layers, 0, 1)
        check_range("films", self.films, 0, 1)
        check_range("flat", self.flat, 0, 1)


def read_settings(table: Any, path: Path) -> SequenceSettings:
    """The table ``[sequences]`` of a recipe; ``RecipeError`` names what is wrong."""
    if not isinstance(table, dict):
        raise RecipeError(f"{path}: sequences is a table [sequences]")
    lists = {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
    if isinstance(codec := lists.get("codec"), str):
        lists["codec"] = (codec,)
    for name in ("motion", "layers", "films", "flat"):
        if isinstance(value := lists.get(name), int) and not isinstance(value, bool):
            lists[name] = float(value)
    try:
        settings: SequenceSettings = call_with(SequenceSettings, f"{path}: sequences", {}, lists)
    except ValueError as error:
        raise RecipeError(f"{path}: sequences: {error}") from error
    return settings
