"""The last layers of a x2 network for blocks of 2 x 2 pixels at once, for OpenVINO.

A convolution with four results for each pixel, the phases of a pixel shuffle, leaves most of a vector register unused:
it takes half as long as one with 32. Computed with stride 2 and a kernel larger by one, it gives the sixteen results of
a block, and those fill the register. The kernel is the same one at each of the block's four places, the rest is zero.
Where height or width are odd, the last blocks reach beyond the picture: the result has two rows or columns too many.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sr_plugins.weights.without_telemetry import import_openvino

if TYPE_CHECKING:
    import openvino

BLOCK = 2
PHASES = 4  # results of a pixel
# of the sixteen results, in the order of a pixel shuffle by four: which phase, and where in the block
ORDER = [(2 * (r % 2) + c % 2, r // 2, c // 2) for r in range(4) for c in range(4)]


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
        blocked = _blocked(phases)
    except _OtherShapeError:
        return None
    enlarged = opset13.depth_to_space(blocked, shuffle.get_attributes()["mode"], 2 * BLOCK)
    return openvino.Model([opset13.result(enlarged)], model.get_parameters(), model.get_name())


def _blocked(value: openvino.Output) -> openvino.Node:
    """Four values for each pixel as sixteen for each block."""
    from openvino import opset13

    node = value.get_node()
    kind = node.get_type_name()
    if kind == "Convolution":
        attributes = node.get_attributes()
        if attributes["strides"] != [1, 1] or attributes["dilations"] != [1, 1]:
            raise _OtherShapeError
        result = opset13.convolution(
            node.input_value(0),
            _kernels(node.input_value(1).get_node()),
            [BLOCK, BLOCK],
            attributes["pads_begin"],
            [end + 1 for end in attributes["pads_end"]],
            [1, 1],
        )
    elif kind == "Add" and _is_bias(node.input_value(1)):
        bias = opset13.gather(node.input_value(1), np.array([phase for phase, _, _ in ORDER]), np.array(1))
        result = opset13.add(_blocked(node.input_value(0)), bias)
    elif kind == "Add":
        result = opset13.add(_blocked(node.input_value(0)), _blocked(node.input_value(1)))
    else:
        raise _OtherShapeError
    result.set_friendly_name(node.get_friendly_name())  # by which it is marked to stay float32
    return result


def _is_bias(value: openvino.Output) -> bool:
    shape = value.get_partial_shape()
    return shape.is_static and list(shape.to_shape()) == [1, PHASES, 1, 1]


def _kernels(weights: openvino.Node) -> NDArray[np.float32]:
    """Each phase's kernel at its four places: (16, inputs, height + 1, width + 1)."""
    if weights.get_type_name() != "Constant":
        raise _OtherShapeError
    plain = np.array(weights.data)
    _, inputs, height, width = plain.shape
    placed = np.zeros((len(ORDER), inputs, height + 1, width + 1), np.float32)
    for i, (phase, y, x) in enumerate(ORDER):
        placed[i, :, y : y + height, x : x + width] = plain[phase]
    return placed
