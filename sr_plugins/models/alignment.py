"""Neighbouring frames moved, pixel by pixel, to where they are most like the frame in the middle.

Block matching by whole pixels: of all moves up to a distance, each pixel takes the one whose picture differs least
around it. What is left to a network are moves of less than a pixel, which hold what the middle frame lacks, and places
that no move explains. Everything is slices, sums of whole numbers and choices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from sr_plugins.interface.written_graph import WrittenGraph

CODES = 219.0  # from black to white: what films hold comes out as whole numbers
BEYOND = 40.0  # codes below black and above white that still count
RESTING = 12  # sum of differences by which a move must be better than none
FARTHER = 1  # and by which one must be better than one that is a pixel shorter
REACH = 3  # of the sums: 7 x 7 pixels, which 16 bits hold
ROWS = 48  # compared at once on a CPU, for what is read again and again to stay in its cache


def moves(distance: int) -> list[tuple[int, int]]:
    """(dy, dx) up to ``distance`` along each axis, the shortest first."""
    span = range(-distance, distance + 1)
    return sorted(((dy, dx) for dy in span for dx in span), key=lambda move: (move[0] ** 2 + move[1] ** 2, move))


@torch.no_grad()
def aligned(middle: Tensor, others: Tensor, distance: int) -> Tensor:
    """``others`` (N, T, H, W), each moved by up to ``distance`` pixels, at each pixel to be like ``middle`` around it.

    ``middle`` is (N, 1, H, W). Borders are replicated. Of moves that are as good the shortest wins.

    Raises:
        NotImplementedError: torch exports it, which of so many moves takes minutes (:func:`write_aligned`).
    """
    if torch.compiler.is_exporting():
        raise NotImplementedError("its search for moves is no graph that torch can make")
    height, width = middle.shape[-2:]
    margin = distance + REACH
    padded = F.pad(others, (margin,) * 4, mode="replicate")
    now, then = _codes(F.pad(middle, (REACH,) * 4, mode="replicate")), _codes(padded)
    rows = ROWS if middle.device.type == "cpu" else height
    strips = [
        _best_moves(now.narrow(-2, top, count), then.narrow(-2, top, count + 2 * distance), distance)
        for top in range(0, height, rows)
        for count in [min(rows, height - top) + 2 * REACH]
    ]
    # each move as a number, its dy and dx as digits; then as the place that its pixel comes from
    best, digits, stride = torch.cat(strips, -2).long(), 2 * distance + 1, width + 2 * margin
    dy, dx = best // digits - distance, best % digits - distance
    y = torch.arange(margin, margin + height, device=best.device)[:, None]
    x = torch.arange(margin, margin + width, device=best.device)
    places = (y + dy) * stride + (x + dx)
    return padded.flatten(2).gather(2, places.flatten(2)).view(others.shape)


def _best_moves(now: Tensor, then: Tensor, distance: int) -> Tensor:
    """The number of each pixel's move, (N, T, H, W), from codes with a margin: (N, 1, H + 6, W + 6) and larger."""
    height, width = now.shape[-2:]
    digits = 2 * distance + 1

    def cost(dy: int, dx: int) -> Tensor:
        there = then[..., distance + dy : distance + dy + height, distance + dx : distance + dx + width]
        return _sums((now - there).abs_())

    resting, *others = moves(distance)
    least = cost(*resting)
    best = torch.full_like(least, distance * digits + distance)
    for dy, dx in others:
        found = cost(dy, dx) + (RESTING + FARTHER * max(abs(dy), abs(dx)))
        best = torch.where(found < least, (dy + distance) * digits + dx + distance, best)
        least = torch.minimum(found, least)
    return best


def _codes(x: Tensor) -> Tensor:
    return (x * CODES).round_().clamp_(-BEYOND, CODES + BEYOND).short()


def _sums(x: Tensor) -> Tensor:
    """Of each channel over all 7 x 7 pixels that fit: (N, C, H, W) to (N, C, H - 6, W - 6)."""
    for axis in (-2, -1):
        length = x.shape[axis] - 2 * REACH
        pairs = x.narrow(axis, 0, length + 5) + x.narrow(axis, 1, length + 5)
        fours = pairs.narrow(axis, 0, length + 3) + pairs.narrow(axis, 2, length + 3)
        x = fours.narrow(axis, 0, length).add_(pairs.narrow(axis, 4, length)).add_(x.narrow(axis, 6, length))
    return x


def write_aligned(graph: WrittenGraph, middle: str, others: Sequence[str], distance: int) -> list[str]:
    """:func:`aligned` into a graph, move by move, a name for each frame; float32 holds its sums of whole numbers."""

    def codes(x: str) -> str:
        whole = graph.computed("Round", graph.computed("Mul", x, CODES))
        return graph.computed("Clip", whole, -BEYOND, CODES + BEYOND)

    padded = graph.padded(graph.joined(others), distance + REACH)
    now, then = codes(graph.padded(middle, REACH)), codes(padded)

    def moved(x: str, dy: int, dx: int, margin: int) -> str:
        return graph.part(x, [margin + dy, margin + dx], [dy - margin, dx - margin], 2)

    def cost(dy: int, dx: int) -> str:
        differences = graph.computed("Abs", graph.computed("Sub", now, moved(then, dy, dx, distance)))
        return graph.summed(differences, len(others), 2 * REACH + 1)

    resting, *farther = moves(distance)
    least, best = cost(*resting), moved(padded, *resting, distance + REACH)
    for dy, dx in farther:
        found = graph.computed("Add", cost(dy, dx), float(RESTING + FARTHER * max(abs(dy), abs(dx))))
        better = graph.computed("Less", found, least)
        best = graph.computed("Where", better, moved(padded, dy, dx, distance + REACH), best)
        least = graph.computed("Min", found, least)
    return graph.channels(best, len(others))
