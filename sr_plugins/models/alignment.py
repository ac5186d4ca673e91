"""Neighbouring frames moved, pixel by pixel, to where they are most like the frame in the middle.

Block matching by whole pixels: of all moves up to a distance, each pixel takes the one whose picture differs least
around it. What is left to a network are moves of less than a pixel, which hold what the middle frame lacks, and places
that no move explains. Everything is slices, sums and choices.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CODES = 219.0  # from black to white: what films hold comes out as whole numbers, so that sums are exact in any order
BEYOND = 40.0  # codes below black and above white that still count
RESTING = 12.0  # sum of differences by which a move must be better than none
FARTHER = 1.0  # and by which one must be better than one that is a pixel shorter
REACH = 3  # of the sums: 7 x 7 pixels


def moves(distance: int) -> list[tuple[int, int]]:
    """(dy, dx) up to ``distance`` along each axis, the shortest first."""
    span = range(-distance, distance + 1)
    return sorted(((dy, dx) for dy in span for dx in span), key=lambda move: (move[0] ** 2 + move[1] ** 2, move))


@torch.no_grad()
def aligned(middle: Tensor, others: Tensor, distance: int) -> Tensor:
    """``others`` (N, T, H, W), each moved by up to ``distance`` pixels, at each pixel to be like ``middle`` around it.

    ``middle`` is (N, 1, H, W). Borders are replicated. Of moves that are as good the shortest wins.

    Raises:
        NotImplementedError: it is exported as a graph: of so many moves torch makes one in minutes only.
    """
    if torch.compiler.is_exporting():
        raise NotImplementedError("its search for moves is no graph")
    with torch.autocast(middle.device.type, enabled=False):
        height, width = middle.shape[-2:]
        margin = distance + REACH
        padded = F.pad(others, (margin,) * 4, mode="replicate")
        now, then = _codes(F.pad(middle, (REACH,) * 4, mode="replicate")), _codes(padded)
        least, result = now, others
        for number, (dy, dx) in enumerate(moves(distance)):
            y, x = distance + dy, distance + dx
            cost = _sums((now - then[..., y : y + height + 2 * REACH, x : x + width + 2 * REACH]).abs())
            if number == 0:
                least = cost
                continue
            cost = cost + (RESTING + FARTHER * max(abs(dy), abs(dx)))
            moved = padded[..., y + REACH : y + REACH + height, x + REACH : x + REACH + width]
            result = torch.where(cost < least, moved, result)
            least = torch.minimum(least, cost)
        return result


def _codes(x: Tensor) -> Tensor:
    return (x * CODES).round().clamp(-BEYOND, CODES + BEYOND)


def _sums(x: Tensor) -> Tensor:
    """Of each channel over all 7 x 7 pixels that fit: (N, C, H, W) to (N, C, H - 6, W - 6)."""
    for axis in (-2, -1):
        length = x.shape[axis] - 2 * REACH
        pairs = x.narrow(axis, 0, length + 5) + x.narrow(axis, 1, length + 5)
        fours = pairs.narrow(axis, 0, length + 3) + pairs.narrow(axis, 2, length + 3)
        x = fours.narrow(axis, 0, length) + pairs.narrow(axis, 4, length) + x.narrow(axis, 6, length)
    return x
