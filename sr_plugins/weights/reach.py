"""How far a network reads: found by what is not a number, or a change, spreading in a strip of a picture."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from sr_plugins.weights.averages import MOST, Held, averages_of, ratio_of

Run = Callable[[Tensor], Tensor]

PERIODS = (1, 2, 4, 8, 16, 32, 64)
WIDEST = 2048  # of the strips in which the reach is looked for
SECONDS = 240.0  # of processor time, for the reach: deep networks on slow machines need most of it
ALIKE = 5e-6  # of values 0..1: rounding in another order


def picture(channels: int, height: int, width: int, seed: int = 1) -> Tensor:
    """(1, C, H, W): shapes with hard edges, a ramp, fine texture and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(
        *(torch.arange(side, dtype=torch.float32) for side in (height, width)), indexing="ij"
    )
    base = 0.2 + 0.5 * columns / max(1, width - 1)
    for _ in range(6 + height * width // 500):
        y, x = (int(torch.randint(0, n, (1,), generator=generator)) for n in (height, width))
        r = int(torch.randint(2, 12, (1,), generator=generator))
        inside = (rows - y).abs() + (columns - x).abs() < r if r % 2 else (rows - y) ** 2 + (columns - x) ** 2 < r * r
        base = torch.where(inside, torch.rand(1, dtype=torch.float32, generator=generator), base)
    stripes = 0.1 * torch.sin(rows * 1.9 + columns * 0.7)
    colors = torch.stack([base, 1 - 0.6 * base, base.flip(-1)][:channels])
    noise = 0.03 * torch.randn(channels, height, width, dtype=torch.float32, generator=generator)
    return (colors + stripes + noise).clamp(0, 1)[None]


def side_of(multiple: int, minimum: int, at_least: int) -> int:
    return -(-max(minimum, at_least) // multiple) * multiple


def reach_of(
    run: Run, channels: int, scale: int, multiple: int, minimum: int, swallows: bool
) -> tuple[int | None, int]:
    """How far an output pixel reads, and the period with which tiles must start; (``None``, 1): the whole picture."""
    began, thin = time.process_time(), side_of(multiple, minimum, 1)
    width, radius = side_of(multiple, minimum, 64), None
    while radius is None and width <= WIDEST and time.process_time() - began < SECONDS / 2:
        radius = _radius(run, channels, scale, thin, width, swallows=swallows)
        if radius is not None:  # rows may be read further than columns
            down = _radius(run, channels, scale, thin, width, turned=True, swallows=swallows)
            radius = None if down is None else max(radius, down)
        width *= 4 if width < 1024 else 2
    if radius is None:
        return None, 1
    width = side_of(multiple, minimum, 2 * radius + 2 * PERIODS[-1])
    period = next(
        (p for p in PERIODS if p % multiple == 0 and _repeats(run, channels, scale, thin, width, radius, p)), 0
    )
    if not period or time.process_time() - began > SECONDS:
        return None, 1
    # in windows the reach depends on where in them a pixel lies
    places = range(0, period, max(1, period // 8)) if period > 1 else (0,)
    wide = side_of(multiple, minimum, 2 * radius + 4 * period + 2)
    found = [radius]
    for place in places:
        for turned in (False, True):
            reached = _radius(run, channels, scale, thin, wide, place, turned=turned, swallows=swallows)
            if reached is None or time.process_time() - began > SECONDS:
                return None, 1
            found.append(reached)
    return max(found), period


def _radius(
    run: Run, channels: int, scale: int, thin: int, width: int, place: int = 0, *, turned: bool = False, swallows: bool
) -> int | None:
    """How far a column that is not a number spreads in a strip; ``None`` where it reaches an end."""
    column = width // 2 + place
    x = picture(channels, thin, width)
    marked = x.clone()
    marked[..., column] = torch.nan
    y = turned_run(run, marked, turned)
    reached = (~torch.isfinite(y)).any(dim=(0, 1, 2))
    if bool(reached.any()) and not swallows:
        return _furthest(reached, scale, width, column)
    # some layers swallow what is not a number: see how far a change is noticed, too
    marked[..., column] = 1 - x[..., column]
    reached |= ((turned_run(run, marked, turned) - turned_run(run, x, turned)).abs() > 0).any(dim=(0, 1, 2))
    return _furthest(reached, scale, width, column)


def beside_averages(
    run: Run, channels: int, scale: int, multiple: int, minimum: int
) -> tuple[int | None, int, tuple[tuple[int, int], ...]]:
    """The reach and the period where all that is global are averages over the picture; else (``None``, 1, ())."""
    whole = None, 1, ()
    side = side_of(multiple, minimum, 64)
    seen = averages_of(run, picture(channels, side, side))
    if not 0 < len(seen) <= MOST:
        return whole
    step = math.lcm(64, multiple)  # whole windows, and whole pixels of what is averaged
    wider = averages_of(run, picture(channels, side + step, side + step))
    ratios = [ratio_of(a, b, step) for (a, _), (b, _) in zip(seen, wider, strict=True)]
    fitting = tuple(ratio for ratio in ratios if ratio is not None)
    if len(fitting) < len(ratios):
        return whole
    held = Held(run, tuple(average for _, average in seen))
    radius, period = reach_of(held, channels, scale, multiple, minimum, False)
    if radius is None:
        return whole
    # what is averaged may lie beside what it belongs to, by half of what a network adds or eats at its borders
    extra = (abs(h - side * up // down) * down // up for ((h, _), _), (up, down) in zip(seen, fitting, strict=True))
    beside = -(-max(extra) // 2)
    period = math.lcm(period, *(down for _, down in fitting))
    return radius + beside, period, fitting


def _furthest(reached: Tensor, scale: int, width: int, column: int) -> int | None:
    places = reached.nonzero().flatten() // scale
    if not len(places):
        return 0
    first, last = int(places.min()), int(places.max())
    return None if first == 0 or last == width - 1 else max(column - first, last - column)


def _repeats(run: Run, channels: int, scale: int, thin: int, width: int, radius: int, shift: int) -> bool:
    """Whether the picture ``shift`` pixels further gives the same pixels, on both axes, away from the borders."""
    whole = picture(channels, thin, width + shift)
    for turned in (False, True):
        first = turned_run(run, whole[..., :width].contiguous(), turned)[
            ..., (shift + radius) * scale : (width - radius) * scale
        ]
        other = turned_run(run, whole[..., shift:].contiguous(), turned)[
            ..., radius * scale : (width - radius - shift) * scale
        ]
        if float((first - other).abs().max()) > ALIKE:
            return False
    return True


def turned_run(run: Run, x: Tensor, turned: bool) -> Tensor:
    return run(x.mT.contiguous()).mT if turned else run(x)
