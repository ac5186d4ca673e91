"""A network's convolutions in 8-bit integers, for OpenVINO: post-training quantisation, calibrated on drawn pictures.

Weights get a scale for each output channel, symmetric; activations one range for each tensor, in which zero is exact
(Jacob et al. 2018). First layers, which read the picture itself, and whatever ends in the enlarged picture stay as they
are: 256 steps are too few for a picture, and tools that quantise what goes into the pixel shuffle lose half a decibel
there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_plugins.weights.without_telemetry import import_openvino

if TYPE_CHECKING:
    import openvino

FEWEST_INPUTS = 8  # channels; a layer with fewer reads the picture, and costs little
PICTURES, SIDE, LEAVES = 8, 96, 20


def quantized(core: openvino.Core, model: openvino.Model, channels: int) -> openvino.Model:
    """``model`` with every convolution of at least eight input channels, but those of the picture, in 8 bits."""
    from openvino import opset13

    layers = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution" and _fits(node)]
    if not layers:
        return model
    sources = {node.input_value(0).get_node().get_friendly_name(): node.input_value(0) for node in layers}
    ranges = dict(zip(sources, _ranges(core, model, list(sources), channels), strict=True))
    steps = {
        name: opset13.fake_quantize(source, *(np.float32(v) for v in ranges[name] * 2), levels=256)
        for name, source in sources.items()
    }
    for node in layers:
        weights = node.input_value(1).get_node()
        largest = np.abs(weights.data).max((1, 2, 3), keepdims=True).clip(1e-12).astype(np.float32)
        rounded = opset13.fake_quantize(weights, -largest, largest, -largest, largest, levels=255)
        source = node.input_value(0).get_node().get_friendly_name()
        node.input(0).replace_source_output(steps[source].output(0))
        node.input(1).replace_source_output(rounded.output(0))
    model.validate_nodes_and_infer_types()
    return model


def _fits(convolution: openvino.Node) -> bool:
    weights = convolution.input_value(1).get_node()
    # the mark that the picture stays float32, whose key's name differs between versions
    carries_picture = any("precis" in key.lower() for key in convolution.get_rt_info())
    return bool(weights.get_type_name() == "Constant" and weights.shape[1] >= FEWEST_INPUTS and not carries_picture)


def _ranges(core: openvino.Core, model: openvino.Model, names: list[str], channels: int) -> list[tuple[float, float]]:
    """(low, high) for the named nodes' results: a drawn picture's extremes, on average, for a rare value may be cut."""
    openvino = import_openvino()
    from openvino import opset13

    probed = model.clone()
    found = {node.get_friendly_name(): node.output(0) for node in probed.get_ops()}
    ends = [
        opset13.result(reduce(found[name], np.arange(4), keep_dims=False))
        for name in names
        for reduce in (opset13.reduce_min, opset13.reduce_max)
    ]
    probed = openvino.Model(ends, probed.get_parameters(), "ranges")
    request = core.compile_model(probed, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    results = []
    for picture in drawn_pictures():
        request.infer([np.repeat(picture[None, None], channels, 1)])
        results.append([float(tensor.data) for tensor in request.output_tensors])
    seen = np.array(results)
    return [around_zero(low, high) for low, high in zip(seen.mean(0)[::2], seen.mean(0)[1::2], strict=True)]


def around_zero(low: float, high: float) -> tuple[float, float]:
    """The range widened and shifted by less than a step, so that zero is one of its 256 values."""
    low, high = min(low, 0.0), max(high, 1e-6)
    step = (high - low) / 255
    low = -step * round(-low / step)
    return low, low + 255 * step


def drawn_pictures() -> list[NDArray[np.float32]]:
    """Rectangles of all sizes and grays upon each other, some noise: the edges and textures of photographs, 0..1.

    The same every time, so that a network quantised twice computes the same.
    """
    random = np.random.default_rng(1)
    pictures = []
    for _ in range(PICTURES):
        side = 2 * SIDE
        picture: NDArray[Any] = np.full((side, side), random.random())
        for _ in range(LEAVES):
            y, x = random.integers(0, side, 2)
            height, width = (6 + (side / 2) * random.random(2) ** 3).astype(int)
            gray, slope = random.random(), random.normal(0, 0.3)
            ramp = gray + slope * np.arange(width) / width + random.normal(0, 0.03 * random.random(), (height, width))
            picture[y : y + height, x : x + width] = ramp[: side - y, : side - x]
        smaller = picture.clip(0, 1).reshape(SIDE, 2, SIDE, 2).mean((1, 3))
        pictures.append(smaller.astype(np.float32))
    return pictures
