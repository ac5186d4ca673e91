"""The canvas of an animation: frames lie over each other, and each says what becomes of its place after it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray


class After(Enum):
    """What becomes of a frame's place before the next is drawn."""

    KEPT = 0
    CLEARED = 1
    RESTORED = 2


class Layer(Protocol):
    """One frame as the file holds it; ``box`` is left, top, width, height on the canvas."""

    @property
    def box(self) -> tuple[int, int, int, int]: ...

    @property
    def after(self) -> After: ...

    def draw(self, place: NDArray[Any], *, first: bool) -> None:
        """Into its place on the canvas, (height, width, 4), straight alpha last; ``first``: nothing was drawn yet."""


class Canvas:
    """The canvas of one file, drawn as far as was asked for."""

    def __init__(self, layers: Sequence[Layer], dtype: DTypeLike = np.uint8) -> None:
        self.layers, self._dtype = layers, dtype
        self._next, self._canvas = 0, np.zeros((0, 0, 4), dtype)
        self._before: NDArray[Any] | None = None

    def at(self, number: int, size: tuple[int, int]) -> NDArray[Any]:
        """Red, green, blue, alpha (height, width, 4) of a frame, on a canvas of ``size``; the next is the quickest."""
        if number < self._next - 1 or self._canvas.shape[1::-1] != size:
            self._next, self._canvas = 0, np.zeros((size[1], size[0], 4), self._dtype)
        while self._next <= number:
            self._draw(self._next)
            self._next += 1
        return self._canvas.copy()

    def _draw(self, number: int) -> None:
        if number:
            self._dispose(self.layers[number - 1])
        layer = self.layers[number]
        self._before = self._canvas.copy() if layer.after is After.RESTORED else None
        layer.draw(self._place(layer), first=number == 0)

    def _dispose(self, layer: Layer) -> None:
        if layer.after is After.CLEARED:
            self._place(layer)[..., 3] = 0
        elif self._before is not None:
            self._canvas = self._before

    def _place(self, layer: Layer) -> NDArray[Any]:
        left, top, width, height = layer.box
        place: NDArray[Any] = self._canvas[top : top + height, left : left + width]
        return place
