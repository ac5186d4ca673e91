"""The last layers of a x2 network for blocks of 2 x 2 pixels at once, for OpenVINO.

A convolution with four results for each pixel, the phases of a pixel shuffle, leaves most of a vector register unused:
it takes half as long as one with 32. Computed with stride 2 and a kernel larger by one, it gives the sixteen results of
a block, and those fill the register. The kernel is the same one at each of the block's four places, the rest is zero.
What follows, as the two filters of back-projection, reads blocks and gives blocks: from sixteen values to four, from
four to sixteen, where it would be from four to one and from one to four.
Where height or width are odd, the last blocks reach beyond the picture: the result has two rows or columns too many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_plugins.backends.openvino_block_edges import BLOCK, EXACT, MARGIN, places, with_edges
from sr_plugins.weights.without_telemetry import import_openvino

if TYPE_CHECKING:
    import openvino

PHASES = 4  # results of a pixel
RANK = 4  # of pictures: (N, C, H, W)


class _OtherShapeError(Exception):
    """The network does not end in sums of convolutions and constants."""


def with_blocked_tail(model: openvino.Model) -> openvino.Model | None:
    """An equal model whose last layers work in blocks; ``None`` where the network ends otherwise.

    Its picture has 4 * ceil(height / 2) rows instead of 2 * height, and as many columns.
    """
    openvino = import_openvino()
    from openvino import opset13

    model = model.clone()
    shuffle = model.output(0).get_node().input_value(0).get_node()
    if shuffle.get_type_name() != "DepthToSpace" or shuffle.get_attributes()["block_size"] != BLOCK:
        return None
    phases = shuffle.input_value(0)
    if phases.get_partial_shape()[1] != PHASES:
        return None
    try:
        blocked = _Blocked(model.input(0)).of(phases)
    except _OtherShapeError:
        return None
    enlarged = opset13.depth_to_space(blocked, shuffle.get_attributes()["mode"], 2 * BLOCK)
    return openvino.Model([opset13.result(enlarged)], model.get_parameters(), model.get_name())


class _Blocked:
    """Values of a network as blocks: 1 or 4 for each pixel as 4 or 16 for each block, in a pixel shuffle's order."""

    def __init__(self, picture: openvino.Output) -> None:
        self._picture = picture
        self._done: dict[str, openvino.Node] = {}

    def of(self, value: openvino.Output) -> openvino.Node:
        name, told = value.get_node().get_name(), value.get_node().get_friendly_name()
        if name not in self._done:
            shape = value.get_partial_shape()
            if _is_sum(value):
                self._done[name] = self._made(value)
            elif shape.rank.is_static and len(shape) == RANK and shape[1] == 1:
                self._done[name] = _strided(value, np.ones((1, 1, 1, 1), np.float32), [0, 0], [0, 0])  # put in place
                told += EXACT
            else:
                raise _OtherShapeError
            self._done[name].set_friendly_name(told)  # by which it is marked to stay float32
        return self._done[name]

    def _made(self, value: openvino.Output) -> openvino.Node:
        from openvino import opset13

        node = value.get_node()
        if node.get_type_name() == "Add":
            one, other = node.input_values()
            if _is_bias(other):
                order = np.array([phase for phase, _, _ in places(PHASES)])
                return opset13.add(self.of(one), opset13.gather(other, order, np.array(1)))
            return opset13.add(self.of(one), self.of(other))
        attributes = node.get_attributes()
        if attributes["strides"] != [1, 1] or attributes["dilations"] != [1, 1]:
            raise _OtherShapeError
        source, weights = node.input_value(0), _constant(node.input_value(1).get_node())
        if (inside := _inside_edges(source)) is None:
            return _strided(source, weights, attributes["pads_begin"], attributes["pads_end"])
        blocks = with_edges(self.of(inside), weights.shape[1], self._picture, source.get_node().get_friendly_name())
        return opset13.convolution(blocks, _between_blocks(weights), [1, 1], [0, 0], [0, 0], [1, 1])


def _is_sum(value: openvino.Output) -> bool:
    """Whether a convolution is in it, of nothing but sums: the picture is none, with or without a curve before it."""
    node = value.get_node()
    kind = node.get_type_name()
    return bool(kind == "Convolution" or (kind == "Add" and any(map(_is_sum, node.input_values()))))


def _inside_edges(value: openvino.Output) -> openvino.Output | None:
    """Of what ``value`` repeats the edge as far as a block, where that is a sum of one or four for each pixel."""
    node = value.get_node()
    if node.get_type_name() != "Pad" or node.get_attributes()["pad_mode"] != "edge":
        return None
    inside = node.input_value(0)
    margins = [list(_constant(node.input_value(i).get_node())) for i in (1, 2)]
    sums = inside.get_node().get_type_name() == "Add" and inside.get_partial_shape()[1] in (1, PHASES)
    return inside if sums and margins == [[0, 0, MARGIN, MARGIN]] * 2 else None


def _is_bias(value: openvino.Output) -> bool:
    shape = value.get_partial_shape()
    return shape.is_static and list(shape.to_shape()) == [1, PHASES, 1, 1]


def _constant(node: openvino.Node) -> NDArray[Any]:
    if node.get_type_name() != "Constant":
        raise _OtherShapeError
    return np.array(node.data)


def _strided(
    value: openvino.Output, weights: NDArray[np.float32], before: list[int], after: list[int]
) -> openvino.Node:
    """A convolution of pixels with blocks as its results: each kernel at its four places in one larger by one."""
    from openvino import opset13

    outputs, inputs, height, width = weights.shape
    order = places(outputs)
    placed = np.zeros((len(order), inputs, height + 1, width + 1), np.float32)
    for i, (result, y, x) in enumerate(order):
        placed[i, :, y : y + height, x : x + width] = weights[result]
    return opset13.convolution(value, placed, [BLOCK, BLOCK], before, [end + 1 for end in after], [1, 1])


def _between_blocks(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Kernels of 5 x 5 pixels as 3 x 3 blocks, from the values of a block to the results of one."""
    outputs, inputs = places(weights.shape[0]), places(weights.shape[1])
    kernels = np.zeros((len(outputs), len(inputs), 3, 3), np.float32)
    for i, (result, y, x) in enumerate(outputs):
        for j, (source, v, u) in enumerate(inputs):
            for row, column in np.ndindex(3, 3):
                # of the source's pixel from the result's, from the kernel's first tap
                down, right = BLOCK * (row - 1) + v - y + MARGIN, BLOCK * (column - 1) + u - x + MARGIN
                if 0 <= down <= 2 * MARGIN and 0 <= right <= 2 * MARGIN:
                    kernels[i, j, row, column] = weights[result, source, down, right]
    return kernels
