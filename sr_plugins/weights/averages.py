"""Averages over the whole picture, handed to parts of it: networks that are global through them alone become local.

Squeeze-and-excitation (J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018) weighs channels by their
averages over the picture. A tile that is given the whole picture's averages equals the whole; they are gathered in
passes, one average after the other, each with those before it given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

MOST = 8  # averages: each costs a pass
UNIT = float(1 << 24)  # sums are made of whole numbers of it, which no order of additions changes
CHUNK = 1 << 22  # values that are summed at once

Run = Callable[[Tensor], Tensor]
Part = tuple[int, int, int, int, int]  # along one axis: start and stop of the inner part and of the outer one, length


class _Reached(Exception):
    """Ends a run: the map of which the average is wanted is there."""


class Averages(TorchFunctionMode):
    """Within it, averages of (N, C, H, W) over H and W are counted, and those that are ``given`` (N, C) are taken.

    ``stop``: end the run at this one. ``seen``: (H, W) and the average of each. ``reached``: the map of ``stop``,
    whatever the network and who calls it make of the exception that ends the run.
    """

    def __init__(self, given: Sequence[Tensor] = (), stop: int | None = None) -> None:
        super().__init__()
        self._given, self._stop = given, stop
        self.seen: list[tuple[tuple[int, int], Tensor]] = []
        self.reached: Tensor | None = None

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        asked = _asked(function, args, kwargs)
        if asked is None:
            return function(*args, **kwargs)
        x, keeps = asked
        index = len(self.seen)
        if index == self._stop and self.reached is None:
            self.reached = x
            raise _Reached
        given = self._given[index] if index < len(self._given) else None
        mean = average_of(total_of(x), x.shape[2] * x.shape[3]) if given is None else given.to(x.device)
        self.seen.append(((x.shape[2], x.shape[3]), mean))
        mean = mean.to(x.dtype)
        return mean[..., None, None] if keeps else mean


def _asked(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, bool] | None:
    """The map, and whether its axes stay, where a call averages over height and width; else ``None``."""
    x = args[0] if args else kwargs.get("input")
    if not isinstance(x, Tensor) or x.dim() != 4:
        return None
    if function in (torch.mean, Tensor.mean):
        dim = args[1] if len(args) > 1 else kwargs.get("dim")
        if not isinstance(dim, tuple | list) or sorted(int(d) % 4 for d in dim) != [2, 3]:
            return None
        return x, bool(args[2] if len(args) > 2 else kwargs.get("keepdim", False))
    if function in (F.adaptive_avg_pool2d, torch._C._nn.adaptive_avg_pool2d):
        size = args[1] if len(args) > 1 else kwargs.get("output_size")
        return (x, True) if size in (1, (1, 1), [1, 1]) else None
    return None


def total_of(x: Tensor) -> Tensor:
    """The sum over height and width (N, C) in whole units: the same in whatever parts it is made."""
    rows = max(1, CHUNK // max(1, x.shape[0] * x.shape[1] * x.shape[3]))
    parts = [(part.double() * UNIT).round_().to(torch.int64).sum(dim=(2, 3)) for part in torch.split(x, rows, dim=2)]
    return torch.stack(parts).sum(dim=0)


def average_of(total: Tensor, count: int) -> Tensor:
    """(N, C) float32 of :func:`total_of` over ``count`` pixels."""
    return (total.double() / (UNIT * count)).float()


def map_of(run: Run, x: Tensor, given: Sequence[Tensor]) -> Tensor:
    """The map (N, C, h, w) of the average that comes after those that are ``given``."""
    averages = Averages(given, stop=len(given))
    try:
        with averages:
            run(x)
    except Exception:
        if averages.reached is None:
            raise
    if averages.reached is None:
        raise ValueError("the network takes fewer averages than it did")
    return averages.reached


def inner_part(of: Tensor, parts: tuple[Part, Part], ratio: tuple[int, int]) -> Tensor:
    """What of a tile's map belongs to it alone: every pixel of the whole map is in the inner part of one tile.

    ``ratio``: pixels of the map per pixel of the picture, as a fraction.
    """
    up, down = ratio
    for axis, (start, stop, outer, _, length) in enumerate(parts, 2):
        first = (start - outer) * up // down
        last = of.shape[axis] if stop >= length else (stop - outer) * up // down
        of = of.narrow(axis, first, last - first)
    return of


# -- found out --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """``run`` with averages that are given, whatever picture it is shown."""

    run: Run
    given: tuple[Tensor, ...]

    def __call__(self, x: Tensor) -> Tensor:
        with Averages(self.given):
            return self.run(x)


def averages_of(run: Run, x: Tensor) -> list[tuple[tuple[int, int], Tensor]]:
    """(height, width) of the map of each average that ``run`` takes of ``x``, and the average."""
    averages = Averages()
    with averages:
        run(x)
    return averages.seen


def ratio_of(near: tuple[int, int], far: tuple[int, int], grown: int) -> tuple[int, int] | None:
    """Pixels of a map per pixel of a picture, as a fraction, seen where it is ``grown`` pixels wider and higher."""
    up, across = far[0] - near[0], far[1] - near[1]
    if up != across or up <= 0:
        return None
    return Fraction(up, grown).as_integer_ratio()
