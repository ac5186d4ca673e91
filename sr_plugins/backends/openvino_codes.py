"""Codes as what a network puts out, for OpenVINO: scaled, rounded and clamped at its end, put in place outside."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_plugins.interface.backend import Coding
from sr_plugins.weights.without_telemetry import import_openvino

if TYPE_CHECKING:
    import openvino

PHASES = "phases"  # name of an output that holds the s * s codes of each pixel side by side, not pictures
ROWS = {2: "uint16", 4: "uint32", 8: "uint64"}  # bytes of a row of s codes: the integer that moves them


def coded(model: openvino.Model, coding: Coding) -> openvino.Model:
    """The network with codes as its result, and the sum of all values, which tells whether all are finite."""
    openvino = import_openvino()
    from openvino import opset13

    values = model.output(0).get_node().input_value(0)
    shuffle = values.get_node().get_attributes() if values.get_node().get_type_name() == "DepthToSpace" else None
    if shuffle is not None:  # codes are smaller to shuffle than values
        values = values.get_node().input_value(0)
    # the whole number is added after rounding: a product and a sum before it would be one rounding or two, as the
    # compiler likes, and pictures of one size would differ from those of another
    whole = opset13.round(opset13.multiply(values, np.float32(coding.span)), "half_to_even")
    clamped = opset13.clamp(opset13.add(whole, np.float32(coding.low)), 0, (1 << coding.bits) - 1)
    bytes_, kind = (1, "u8") if coding.bits == 8 else (2, "u16")
    total = opset13.result(opset13.reduce_sum(values, np.arange(4), keep_dims=False))
    if shuffle is None:
        codes = opset13.result(opset13.convert(clamped, kind))
    elif values.get_partial_shape()[1] == shuffle["block_size"] ** 2 and shuffle["block_size"] * bytes_ in ROWS:
        codes = opset13.result(opset13.convert(opset13.transpose(clamped, [0, 2, 3, 1]), kind))
        codes.output(0).set_names({PHASES})
    else:
        converted = opset13.convert(clamped, kind)
        codes = opset13.result(opset13.depth_to_space(converted, shuffle["mode"], shuffle["block_size"]))
    return openvino.Model([codes, total], model.get_parameters(), model.get_name())


def in_place(phases: NDArray[Any]) -> NDArray[Any]:
    """Phases (N, H, W, s * s) to pictures (N, 1, H * s, W * s), each row of a phase moved as one number.

    The runtime's own pixel shuffle takes six times as long.
    """

    n, h, w, count = phases.shape
    s = math.isqrt(count)
    rows = ROWS[s * phases.itemsize]
    pictures = np.empty((n, h, s, w), rows)
    parts = phases.view(rows)
    for i in range(s):
        pictures[:, :, i] = parts[..., i]
    return pictures.view(phases.dtype).reshape(n, 1, h * s, w * s)
