"""Blocks of 2 x 2 pixels beyond the edge of a picture, as its last pixel repeated, for OpenVINO.

Repeated are pixels, not blocks, and where a side is odd the last block's second pixel lies beyond the edge itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import openvino

BLOCK = 2
MARGIN = 2  # pixels that a filter reads beyond the edge: one block
EXACT = "/exact/"  # in the names of nodes that the graph did not have, and that stay float32 as the picture does


def places(count: int) -> list[tuple[int, int, int]]:
    """Of each value of a block, in the order of a pixel shuffle: which of the ``count`` of a pixel, and where in it."""
    side = math.isqrt(count)
    rows = range(BLOCK * side)
    return [((r % side) * side + c % side, r // side, c // side) for r in rows for c in rows]


def with_edges(blocks: openvino.Node, count: int, picture: openvino.Output, name: str) -> openvino.Node:
    """Blocks (N, 4 * count, ceil(H / 2), ceil(W / 2)) with one more around them.

    Args:
        blocks: of a value that has ``count`` for each pixel.
        count: 1 or 4.
        picture: (N, C, H, W), which tells whether a side is odd.
        name: that the new nodes' names begin with.
    """
    from openvino import opset13

    order = places(count)
    sides = opset13.shape_of(picture)
    for axis in (3, 2):

        def taken(block: openvino.Node, tables: list[NDArray[np.int64]], axis: int = axis) -> openvino.Node:
            """A block's values from its own, by an even and an odd side's table."""
            odd = opset13.mod(opset13.gather(sides, np.array(axis), np.array(0)), np.array(BLOCK))
            return opset13.gather(block, opset13.gather(np.stack(tables), odd, np.array(0)), np.array(1))

        def table(place: Callable[[int], int], axis: int = axis) -> NDArray[np.int64]:
            """Which value each one is to be, by what becomes of its place along the axis."""
            moved = [(v, y, place(x)) if axis == 3 else (v, place(y), x) for v, y, x in order]
            return np.array([order.index(one) for one in moved])

        stays, first, second = table(lambda at: at), table(lambda _: 0), table(lambda _: 1)
        start = opset13.slice(blocks, [0], [1], [1], [axis])
        inner = opset13.slice(blocks, [0], [-1], [1], [axis])
        last = opset13.slice(blocks, [-1], [np.iinfo(np.int64).max], [1], [axis])
        parts = [taken(start, [first, first]), inner, taken(last, [stays, first]), taken(last, [second, first])]
        blocks = opset13.concat(parts, axis)
        for i, part in enumerate((*parts, start, last, blocks)):
            part.set_friendly_name(f"{name}{EXACT}{axis}/{i}")
    return blocks
