"""ONNX graphs of networks that cannot write themselves down: they are given a value that writes what is done to it.

torch's exporter takes a minute for a deep ESRGAN. It is a list of convolutions, and is written so within a second.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from sr_plugins.interface.traced_operators import OPERATORS
from sr_plugins.interface.traced_sides import NotWritableError, Side
from sr_plugins.interface.traced_value import Trace, TracedValue
from sr_plugins.interface.written_graph import WrittenGraph


def write_traced(
    graph: WrittenGraph, forward: Callable[[Any], Any], x: str, channels: int, *, multiple: int = 1, plus: int = 0
) -> TracedValue | None:
    """What ``forward`` does to ``x``, written into ``graph``.

    Convolutions, activations, sums, products, joined channels, padding, interpolation and pixel shuffle are known;
    ``None`` where a network asks for anything else, such as what sides are beyond being multiples.

    Args:
        graph: of float32.
        forward: takes and gives one picture; it may change its input in place.
        x: name of a value in float32, (N, ``channels``, H, W).
        multiple, plus: H and W are ``plus`` more than a multiple.
    """
    side = Side(Fraction(1), plus, multiple)
    try:
        result = forward(TracedValue(Trace(graph, OPERATORS), x, channels, (side, side)))
    except (NotWritableError, TypeError):  # the latter where it compares, or calls with arguments not known here
        return None
    return result if isinstance(result, TracedValue) and result.name != x else None


def write_brought(
    graph: WrittenGraph,
    forward: Callable[[Any], Any],
    x: str,
    channels: int,
    *,
    multiple: int,
    minimum: int,
    around: int = 0,
    cut: int = 0,
    mirrored: bool = True,
    residual: bool = False,
) -> str | None:
    """A network that takes some sides only, into a graph that takes any.

    Args:
        graph, forward, x, channels: as for :func:`write_traced`.
        multiple, minimum: of the sides that ``forward`` takes, beside what it is shown ``around`` them.
        around: pixels that are shown beyond each edge.
        cut: pixels of the result that are too many at each edge.
        mirrored: what is missing is the picture mirrored, not its edge repeated.
        residual: the enlarged picture (nearest) is to be added.
    """
    any_size = multiple == minimum == 1 and not around
    taken = x if any_size else graph.brought_to(x, multiple, minimum, around, mirrored=mirrored)
    result = write_traced(graph, forward, taken, channels, multiple=multiple, plus=2 * around)
    if result is None or (any_size and not residual):
        return None if result is None else result.name
    if result.sides is None:
        return None
    scale = result.sides[0].times
    if scale.denominator != 1 or any((side.times, side.plus) != (scale, 2 * cut) for side in result.sides):
        return None
    y = result.name if any_size else graph.cropped(result.name, x, int(scale), cut)
    return graph.added(y, graph.resized(x, [float(scale)] * 2, "nearest")) if residual else y
