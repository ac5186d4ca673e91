"""Find out what a network does that nobody described: scale, sizes, how far it reads, where half precision is right.

Everything is found by running it on small pictures, in float32 on the CPU; what a file says of itself is only a start.
Where the reach cannot be found within the time, the network counts as one that mixes the whole picture.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sr_plugins.errors import WeightsError, one_line
from sr_plugins.interface.words import Precision
from sr_plugins.weights.averages import MOST, Held, averages_of, ratio_of

Run = Callable[[Tensor], Tensor]

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)
MINIMA = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
PERIODS = (1, 2, 4, 8, 16, 32, 64)
WIDEST = 2048  # of the strips in which the reach is looked for
FAR = 64  # input pixels; beyond, tiles read less where no photograph shows the difference
SECONDS = 240.0  # of processor time, for the reach: deep networks on slow machines need most of it
TALL, WIDE = 12, 256  # of the strip on which the margin is measured
ALIKE = 5e-6  # of values 0..1: rounding in another order
CODE = 1 / 255
INVISIBLE = 0.1 * CODE
LARGEST_VALUE = 1000.0  # far beyond what noise makes of a network that works on 0..1


@dataclass(frozen=True)
class Found:
    """What was found; ``None`` for ``radius``: it mixes the whole picture.

    ``margin``: what tiles read where the radius is dearer than the difference is worth, below 0.1 of a code on the
    pictures tried. ``averages``: of those over the whole picture beside which it reads no further than ``radius``, how
    many pixels of what is averaged belong to a pixel of the picture, as fractions.
    """

    scale: int
    channels: int
    size_multiple: int
    minimum_size: int
    period: int
    radius: int | None
    margin: int | None
    averages: tuple[tuple[int, int], ...]
    precisions: tuple[Precision, ...]


def probe(
    run: Run,
    channels: int,
    path: Path,
    *,
    multiple: int = 1,
    minimum: int = 1,
    in_torch: bool = True,
    sides: tuple[int, ...] = (),
) -> Found:
    """What ``run``, float32 (N, ``channels``, H, W) in 0..1 to a larger one, does; deterministic in eval mode.

    ``multiple`` and ``minimum`` of its sides are the least to look for. Other runtimes than
    torch (``in_torch``) may swallow what is not a number, and are called right in float32 alone. ``sides``: further
    ones to try, where it may take no others.

    Raises:
        WeightsError: it fails, changes no size by a whole factor, gives other channels, other values each time, or
            works on another range than 0..1; the message names ``path``.
    """
    with torch.inference_mode():
        multiple, minimum, scale = _sizes(run, channels, path, multiple, minimum, sides)
        side = _side(multiple, minimum, 24)
        x = picture(channels, side, side)
        _check_answers(run, x, path)
        radius, period = _reach(run, channels, scale, multiple, minimum, not in_torch)
        averages: tuple[tuple[int, int], ...] = ()
        if radius is None and in_torch:
            radius, period, averages = _beside_averages(run, channels, scale, multiple, minimum)
        far = radius is not None and radius > FAR and not averages
        margin = _margin(run, channels, scale, radius, period, multiple) if far and radius is not None else None
        precisions = ("float32", *(_half(run, x) if in_torch else ()))
    return Found(scale, channels, multiple, minimum, period, radius, margin, averages, precisions)


def picture(channels: int, height: int, width: int, seed: int = 1) -> Tensor:
    """(1, C, H, W): shapes with hard edges, a ramp, fine texture and a little noise."""
    generator = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    base = 0.2 + 0.5 * columns / max(1, width - 1)
    for _ in range(6 + height * width // 500):
        y, x = (int(torch.randint(0, n, (1,), generator=generator)) for n in (height, width))
        r = int(torch.randint(2, 12, (1,), generator=generator))
        inside = (rows - y).abs() + (columns - x).abs() < r if r % 2 else (rows - y) ** 2 + (columns - x) ** 2 < r * r
        base = torch.where(inside, torch.rand(1, generator=generator), base)
    stripes = 0.1 * torch.sin(rows * 1.9 + columns * 0.7)
    colors = torch.stack([base, 1 - 0.6 * base, base.flip(-1)][:channels])
    noise = 0.03 * torch.randn(channels, height, width, generator=generator)
    return (colors + stripes + noise).clamp(0, 1)[None]


def _side(multiple: int, minimum: int, at_least: int) -> int:
    return -(-max(minimum, at_least) // multiple) * multiple


# -- sizes ------------------------------------------------------------------------------------------------------------


def _sizes(
    run: Run, channels: int, path: Path, multiple: int, minimum: int, more: tuple[int, ...]
) -> tuple[int, int, int]:
    """The multiple and the minimum of its sides, and the scale."""

    def scale_at(height: int, width: int) -> float:
        y = run(torch.full((1, channels, height, width), 0.5))
        if not isinstance(y, Tensor) or y.dim() != 4 or y.shape[:2] != (1, channels):
            shape = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise WeightsError(f"{path} makes {shape} of a picture (1, {channels}, {height}, {width}): not one of ours")
        if y.shape[2] * width != y.shape[3] * height or y.shape[2] % height:
            return 0
        return y.shape[2] // height

    def takes(height: int, width: int, scale: float) -> bool:
        try:
            return scale_at(height, width) == scale
        except WeightsError:
            raise
        except Exception:  # of any library
            return False

    side, reason, scale = 0, "", 0.0
    usual = {_side(multiple, minimum, 16), *(_side(m, minimum, 64) for m in (multiple, 128))}
    for candidate in (*sorted(usual), *more):
        try:
            scale = scale_at(candidate, candidate)
        except WeightsError:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {one_line(error)}"
            continue
        if scale:
            side = candidate
            break
        reason = "its output is no whole number of times larger"
    if not side:
        raise WeightsError(f"{path} does not run as a network that enlarges pictures ({reason})")
    found = next(
        (m for m in MULTIPLES if m % multiple == 0 and _fits(side, m) and takes(side + m, side + 3 * m, scale)), None
    )
    if found is None:
        raise WeightsError(
            f"{path} takes no pictures of free size (only {side}x{side} was accepted): export it with free height and "
            "width"
        )
    fitting = (n for n in MINIMA if minimum <= n < side and n % found == 0)
    return found, next((n for n in fitting if takes(n, n, scale)), side), int(scale)


def _fits(side: int, multiple: int) -> bool:
    return side % multiple == 0


def _check_answers(run: Run, x: Tensor, path: Path) -> None:
    """The same picture gives the same values, finite ones, of the range 0..1."""
    first, again = run(x), run(x)
    if not bool(torch.isfinite(first).all()):
        raise WeightsError(f"{path} gives values that are not finite: download it again")
    if not torch.equal(first, again) and float((first - again).abs().max()) > ALIKE:
        raise WeightsError(f"{path} gives another picture each time it runs: it is no network of this kind")
    if float(first.abs().max()) > LARGEST_VALUE:
        raise WeightsError(f"{path} works on another range of values than 0..1: up to {float(first.abs().max()):.3g}")


# -- reach ------------------------------------------------------------------------------------------------------------


def _reach(run: Run, channels: int, scale: int, multiple: int, minimum: int, swallows: bool) -> tuple[int | None, int]:
    """How far an output pixel reads, and the period with which tiles must start; (``None``, 1): the whole picture."""
    began, thin = time.process_time(), _side(multiple, minimum, 1)
    width, radius = _side(multiple, minimum, 64), None
    while radius is None and width <= WIDEST and time.process_time() - began < SECONDS / 2:
        radius = _radius(run, channels, scale, thin, width, swallows=swallows)
        width *= 4 if width < 1024 else 2
    if radius is None:
        return None, 1
    width = _side(multiple, minimum, 2 * radius + 2 * PERIODS[-1])
    period = next(
        (p for p in PERIODS if p % multiple == 0 and _repeats(run, channels, scale, thin, width, radius, p)), 0
    )
    if not period or time.process_time() - began > SECONDS:
        return None, 1
    # in windows the reach depends on where in them a pixel lies
    places = range(0, period, max(1, period // 8)) if period > 1 else (0,)
    wide = _side(multiple, minimum, 2 * radius + 4 * period + 2)
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
    y = _turned(run, marked, turned)
    reached = (~torch.isfinite(y)).any(dim=(0, 1, 2))
    if bool(reached.any()) and not swallows:
        return _furthest(reached, scale, width, column)
    # some layers swallow what is not a number: see how far a change is noticed, too
    marked[..., column] = 1 - x[..., column]
    reached |= ((_turned(run, marked, turned) - _turned(run, x, turned)).abs() > 0).any(dim=(0, 1, 2))
    return _furthest(reached, scale, width, column)


def _beside_averages(
    run: Run, channels: int, scale: int, multiple: int, minimum: int
) -> tuple[int | None, int, tuple[tuple[int, int], ...]]:
    """The reach and the period where all that is global are averages over the picture; else (``None``, 1, ())."""
    whole = None, 1, ()
    side = _side(multiple, minimum, 64)
    seen = averages_of(run, picture(channels, side, side))
    if not 0 < len(seen) <= MOST:
        return whole
    wider = averages_of(run, picture(channels, side + 64 * multiple, side + 64 * multiple))
    ratios = [ratio_of(a, b, 64 * multiple) for (a, _), (b, _) in zip(seen, wider, strict=True)]
    fitting = tuple(ratio for ratio in ratios if ratio is not None)
    if len(fitting) < len(ratios):
        return whole
    held = Held(run, tuple(average for _, average in seen))
    radius, period = _reach(held, channels, scale, multiple, minimum, False)
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
        first = _turned(run, whole[..., :width].contiguous(), turned)[
            ..., (shift + radius) * scale : (width - radius) * scale
        ]
        other = _turned(run, whole[..., shift:].contiguous(), turned)[
            ..., radius * scale : (width - radius - shift) * scale
        ]
        if float((first - other).abs().max()) > ALIKE:
            return False
    return True


def _turned(run: Run, x: Tensor, turned: bool) -> Tensor:
    return run(x.mT.contiguous()).mT if turned else run(x)


def _margin(run: Run, channels: int, scale: int, radius: int, period: int, multiple: int) -> int | None:
    """What tiles must read at least, so that no pixel is off by more than a tenth of a code; ``None``: the radius."""
    worst, tall = 0, _side(multiple, 1, TALL)
    width = _side(multiple, 1, min(2 * radius, WIDE))
    for seed in (1, 2):
        x = picture(channels, tall, width, seed)
        cut = width // 2 // period * period
        whole, right = run(x)[..., cut * scale :], run(x[..., cut:].contiguous())
        off = ((whole - right).abs().amax(dim=(0, 1, 2)) > INVISIBLE).nonzero().flatten()
        worst = max(worst, int(off.max()) // scale + 1 if len(off) else 0)
    wanted = -(-(worst + worst // 4) // period) * period
    seen_to_end = worst < 0.9 * (width // 2)  # beyond the strip nobody knows
    return wanted if seen_to_end and wanted < radius else None


def _half(run: Run, x: Tensor) -> tuple[Precision, ...]:
    """Half precisions in which no value is off by as much as a code."""
    right: list[Precision] = []
    whole = run(x).clamp(0, 1)
    names: tuple[Precision, ...] = ("bfloat16", "float16")
    for name in names:
        try:
            with torch.autocast("cpu", getattr(torch, name)):
                y = run(x).float()
        except (RuntimeError, TypeError):  # masks of attention in another type
            continue
        if bool(torch.isfinite(y).all()) and float((y.clamp(0, 1) - whole).abs().max()) < CODE:
            right.append(name)
    return tuple(right)
