"""Neighbouring frames moved, pixel by pixel, to where they are most like the frame in the middle.

Block matching by whole pixels: of all moves up to a distance, each pixel takes the one whose picture differs least
around it. What is left to a network are moves of less than a pixel, which hold what the middle frame lacks, and places
that no move explains. Everything is slices, sums and choices, which every backend has.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

CODES = (
    255.0  # differences are counted in whole codes of 8 bits, so that their sums are exact, in tiles and in the whole
)
RESTING = 12.0  # sum of differences by which a move must be better than none
FARTHER = 1.0  # and by which one must be better than a shorter one


def moves(distance: int) -> list[tuple[int, int]]:
    """(dy, dx) up to ``distance`` along each axis, the shortest first."""
    span = range(-distance, distance + 1)
    return sorted(((dy, dx) for dy in span for dx in span), key=lambda move: (move[0] ** 2 + move[1] ** 2, move))


@torch.no_grad()
def aligned(middle: Tensor, others: Tensor, distance: int) -> Tensor:
    """``others`` (N, T, H, W), each moved by up to ``distance`` pixels, at each pixel to be like ``middle`` around it.

    ``middle`` is (N, 1, H, W). Borders are replicated.
    """
    height, width = middle.shape[-2:]
    padded = F.pad(others, (distance,) * 4, mode="replicate")
    best, result = middle, others
    for number, (dy, dx) in enumerate(moves(distance)):
        y, x = distance + dy, distance + dx
        moved = padded[..., y : y + height, x : x + width]
        cost = _around((middle - moved).abs().mul(CODES).round().clamp(max=CODES))
        if number == 0:
            best, result = cost, moved
            continue
        cost = cost + (RESTING + FARTHER * max(abs(dy), abs(dx)))
        nearer = cost < best
        best = torch.where(nearer, cost, best)
        result = torch.where(nearer, moved, result)
    return result


REACH = 3  # of the sums


def _around(x: Tensor) -> Tensor:
    """Sums over 7 x 7 pixels, borders replicated."""
    x = F.pad(x, (REACH,) * 4, mode="replicate")
    for axis in (-2, -1):
        length = x.shape[axis] - 2 * REACH
        pairs = x.narrow(axis, 0, length + 5) + x.narrow(axis, 1, length + 5)
        fours = pairs.narrow(axis, 0, length + 3) + pairs.narrow(axis, 2, length + 3)
        x = fours.narrow(axis, 0, length) + pairs.narrow(axis, 4, length) + x.narrow(axis, 6, length)
    return x
