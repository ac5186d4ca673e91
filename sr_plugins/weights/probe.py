"""Find out what a network does that nobody described: scale, sizes, how far it reads, where half precision is right.

Everything is found by running it on small pictures, in float32 on the CPU; what a file says of itself is only a start.
Where the reach cannot be found within the time, the network counts as one that mixes the whole picture.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sr_plugins.errors import WeightsError, one_line
from sr_plugins.interface.words import Precision
from sr_plugins.weights.reach import ALIKE, Run, beside_averages, picture, reach_of, side_of, turned_run
from sr_plugins.weights.working_memory import working_bytes

MULTIPLES = (1, 2, 4, 8, 16, 32, 64, 128)
MINIMA = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
FAR = 64  # input pixels; beyond, tiles read less where no photograph shows the difference
TALL, WIDE = 12, 256  # of the strip on which the margin is measured
CODE = 1 / 255
OVERLAP = 32  # input pixels over which tiles of a network blend that mixes the whole picture
INVISIBLE = 0.1 * CODE
PICTURES, PATIENCE = 12, 5.0  # on which the margin is measured, and seconds after which two are enough
WRONG_GRAY = 4.0  # of a flat picture: a mean colour of 0..255, which is added again
SIGNED = 0.3  # how near to -1, 0 and 1 black, gray and white come where a picture's values are signed, as of tanh
LARGEST_VALUE = 1000.0  # far beyond what noise makes of a network that works on 0..1


@dataclass(frozen=True)
class Found:
    """What was found; ``None`` for ``radius``: it mixes the whole picture.

    ``margin``: what tiles read where the radius is dearer than the difference is worth, below 0.1 of a code on the
    pictures tried. ``averages``: of those over the whole picture beside which it reads no further than ``radius``, how
    many pixels of what is averaged belong to a pixel of the picture, as fractions. ``tile_error``: where there is no
    radius, how far off a tile was that saw ``OVERLAP`` more, in codes; ``working_bytes``: memory for a pixel.
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
    tile_error: float | None
    working_bytes: int | None


def probe(
    run: Run,
    channels: int,
    path: Path,
    *,
    multiple: int = 1,
    minimum: int = 1,
    in_torch: bool = True,
    sides: tuple[int, ...] = (),
    strips: bool = True,
) -> Found:
    """What ``run``, float32 (N, ``channels``, H, W) in 0..1 to a larger one, does; deterministic in eval mode.

    ``multiple`` and ``minimum`` of its sides are the least to look for. Other runtimes than
    torch (``in_torch``) may swallow what is not a number, and are called right in float32 alone. ``sides``: further
    ones to try, where it may take no others. ``strips``: it takes long thin pictures, in which its reach is seen.

    Raises:
        WeightsError: it fails, changes no size by a whole factor, gives other channels, other values each time, or
            works on another range than 0..1; the message names ``path``.
    """
    with torch.inference_mode():
        multiple, minimum, scale = _sizes(run, channels, path, multiple, minimum, sides)
        side = side_of(multiple, minimum, 24)
        x = picture(channels, side, side)
        _check_answers(run, x, path)
        radius: int | None = None
        period = 1
        try:
            if strips:
                radius, period = reach_of(run, channels, scale, multiple, minimum, not in_torch)
        except (RuntimeError, ValueError, IndexError):  # a network that takes no strips: it knows the whole picture
            radius, period = None, 1
        averages: tuple[tuple[int, int], ...] = ()
        if radius is None and in_torch and strips:
            radius, period, averages = beside_averages(run, channels, scale, multiple, minimum)
        far = radius is not None and radius > FAR and not averages
        margin = _margin(run, channels, scale, radius, period, multiple) if far and radius is not None else None
        precisions = ("float32", *(_half(run, x, multiple, minimum) if in_torch else ()))
        error = _tile_error(run, channels, scale, multiple, side) if radius is None else None
        at_work = working_bytes(run, x) if in_torch else None
    return Found(scale, channels, multiple, minimum, period, radius, margin, averages, precisions, error, at_work)


# -- sizes ------------------------------------------------------------------------------------------------------------


def _sizes(
    run: Run, channels: int, path: Path, multiple: int, minimum: int, more: tuple[int, ...]
) -> tuple[int, int, int]:
    """The multiple and the minimum of its sides, and the scale."""

    def scale_at(height: int, width: int) -> float:
        y = run(torch.full((1, channels, height, width), 0.5, dtype=torch.float32))
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
    usual = {side_of(multiple, minimum, 16), *(side_of(m, minimum, 64) for m in (multiple, 128))}
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
    # thin ones, too: some reflect a side by the length of the other
    shapes = ((1, 1), (1, 0), (0, 1))
    least = (n for n in fitting if all(takes(n if a else side, n if b else side, scale) for a, b in shapes))
    return found, next(least, side), int(scale)


def _fits(side: int, multiple: int) -> bool:
    return side % multiple == 0


def _check_answers(run: Run, x: Tensor, path: Path) -> None:
    """The same picture gives the same values, finite ones, of the range 0..1."""
    first, again = run(x), run(x)
    if not bool(torch.isfinite(first).all()):
        raise WeightsError(f"{path} gives values that are not finite: download it again")
    if not torch.equal(first, again) and float((first - again).abs().max()) > ALIKE:
        raise WeightsError(f"{path} gives another picture each time it runs: it is no network of this kind")
    black, flat, white = (float(run(torch.full_like(x, value)).mean()) for value in (0.0, 0.5, 1.0))
    if max(abs(black + 1), abs(flat), abs(white - 1)) < SIGNED:
        raise WeightsError(
            f"{path} gives values of -1..1: it makes {black:.2g} of black and {flat:.2g} of gray; export it with "
            "(x + 1) / 2 at its end"
        )
    if not -WRONG_GRAY <= flat <= WRONG_GRAY or float(first.abs().max()) > LARGEST_VALUE:
        raise WeightsError(
            f"{path} works on another range of values than 0..1: it makes {flat:.3g} of a gray 0.5, and up to "
            f"{float(first.abs().max()):.3g}; export it with a division by its white (255?) inside"
        )


# -- what it costs and loses -------------------------------------------------------------------------------------------


def _margin(run: Run, channels: int, scale: int, radius: int, period: int, multiple: int) -> int | None:
    """What tiles must read at least, so that no pixel is off by more than a tenth of a code; ``None``: the radius."""
    worst, tall = 0, side_of(multiple, 1, TALL)
    width = side_of(multiple, 1, min(2 * radius, WIDE))
    began = time.process_time()
    for seed in range(1, PICTURES + 1):
        if seed > 2 and time.process_time() - began > PATIENCE:
            break
        x, turned = picture(channels, tall, width, seed), seed % 2 == 0
        cut = width // 2 // period * period
        whole, right = (
            turned_run(run, x, turned)[..., cut * scale :],
            turned_run(run, x[..., cut:].contiguous(), turned),
        )
        off = ((whole - right).abs().amax(dim=(0, 1, 2)) > INVISIBLE).nonzero().flatten()
        worst = max(worst, int(off.max()) // scale + 1 if len(off) else 0)
    wanted = -(-(worst + worst // 4) // period) * period
    seen_to_end = worst < 0.9 * (width // 2)  # beyond the strip nobody knows
    return wanted if seen_to_end and wanted < radius else None


def _tile_error(run: Run, channels: int, scale: int, multiple: int, side: int) -> float:
    """How far off a tile is that reads ``OVERLAP`` pixels beyond itself, in codes."""
    inner, more = side_of(multiple, side, 64), side_of(multiple, 1, OVERLAP)
    whole = picture(channels, inner, 2 * inner + more)
    right = run(whole)[..., : inner * scale]
    left = run(whole[..., : inner + more].contiguous())[..., : inner * scale]
    return float((left - right).clamp(-1, 1).abs().max()) / CODE


def _half(run: Run, x: Tensor, multiple: int, minimum: int) -> tuple[Precision, ...]:
    """Half precisions in which no value is off by as much as a code, on a few pictures."""
    names: tuple[Precision, ...] = ("bfloat16", "float16")
    right = dict.fromkeys(names, True)
    began, side = time.process_time(), side_of(multiple, minimum, 40)
    for seed in range(1, 5):
        if seed > 1:
            if time.process_time() - began > PATIENCE:
                break
            x = picture(x.shape[1], side, side, seed)
        whole = run(x).clamp(0, 1)
        for name in names:
            if right[name]:
                try:
                    with torch.autocast("cpu", getattr(torch, name)):
                        y = run(x).float()
                except (RuntimeError, TypeError):  # masks of attention in another type
                    right[name] = False
                    continue
                right[name] = bool(torch.isfinite(y).all()) and float((y.clamp(0, 1) - whole).abs().max()) < CODE
    return tuple(name for name in names if right[name])
