"""A network's convolutions in 8-bit integers, for OpenVINO: in the ranges that training stored, or drawn pictures have.

Weights get a scale for each output channel, symmetric, in which two neighbouring inputs are at most 127 together;
activations one range for each tensor, in which zero is exact (Jacob et al. 2018). First layers, which read the picture
itself, and whatever ends in the enlarged picture stay as they are: 256 steps are too few for a picture, and tools that
quantise what goes into the pixel shuffle lose half a decibel there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sr_plugins.weights.without_telemetry import import_openvino

if TYPE_CHECKING:
    import openvino
    from torch import Tensor

FEWEST_INPUTS = 8  # channels; a layer with fewer reads the picture, and costs little
MOST_GAIN = 100.0  # of a channel that hardly ever is anything but zero
WORTH = 0.7  # of the squared error: a smaller gain on drawn pictures was none on photographs
PICTURES, SIDE, LEAVES = 8, 96, 20


def quantized(
    core: openvino.Core, model: openvino.Model, channels: int, stored: Tensor | None = None
) -> openvino.Model:
    """``model`` with every convolution of at least eight input channels, but those of the picture, in 8 bits.

    Args:
        core: OpenVINO's.
        model: in floating point; it may be changed.
        channels: of the picture.
        stored: (layers, 2), the range of what the first of those convolutions read, as training found it, in the order
            in which they run; those beyond stay in floating point. Without it, or if there are more rows than layers,
            drawn pictures tell, and where that comes clearly nearer to floating point on them, channels are made
            equally large first (after Nagel et al., "Data-free quantization through weight equalization and bias
            correction", ICCV 2019).
    """
    sources = _sources(model)
    if not sources:
        return model
    if stored is not None and len(stored) <= len(sources):
        return _in_steps(model, [(float(low), float(high)) for low, high in stored])
    equal = model.clone()
    changed = _equalize(core, equal, channels)
    candidates = [_in_steps(tried, _ranges(core, tried, channels)) for tried in ([model.clone(), equal][: 1 + changed])]
    if not changed:
        return candidates[0]
    exact = _results(core, model, channels)
    errors = [np.square(_results(core, tried, channels) - exact).mean() for tried in candidates]
    return candidates[int(errors[1] < WORTH * errors[0])]


def _in_steps(model: openvino.Model, limits: list[tuple[float, float]]) -> openvino.Model:
    """The model, changed: what its layers read, in the order in which they run, in steps between those limits.

    Layers beyond the last of the limits stay as they are.
    """
    from openvino import opset13

    steps = {}
    for (name, source), pair in zip(_sources(model).items(), limits, strict=False):
        low, high = around_zero(*pair)
        steps[name] = opset13.fake_quantize(source, *(np.float32(v) for v in (low, high) * 2), levels=256)
    for node in _layers(model):
        source = node.input_value(0).get_node().get_friendly_name()
        if source not in steps:
            continue
        weights = node.input_value(1).get_node()
        largest = _largest(weights.data)
        rounded = opset13.fake_quantize(weights, -largest, largest, -largest, largest, levels=255)
        node.input(0).replace_source_output(steps[source].output(0))
        node.input(1).replace_source_output(rounded.output(0))
    model.validate_nodes_and_infer_types()
    return model


def _largest(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """What 127 stands for in each output (outputs, 1, 1, 1) of weights (outputs, inputs, height, width).

    Processors of x86 without VNNI add the products of two neighbouring inputs in 16 bits, and cut off what is more:
    255 * 128 fits, so that sums are right whatever is in the picture.
    """
    size = np.pad(np.abs(weights), ((0, 0), (0, weights.shape[1] % 2), (0, 0), (0, 0)))
    pairs = size[:, ::2] + size[:, 1::2]
    largest: NDArray[np.float32] = pairs.max((1, 2, 3), keepdims=True).clip(1e-12).astype(np.float32)
    return largest


def _layers(model: openvino.Model) -> list[openvino.Node]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution" and _fits(node)]


def _sources(model: openvino.Model) -> dict[str, openvino.Output]:
    """What the layers read, by name, in the order in which they run."""
    return {node.input_value(0).get_node().get_friendly_name(): node.input_value(0) for node in _layers(model)}


def _ranges(core: openvino.Core, model: openvino.Model, channels: int) -> list[tuple[float, float]]:
    found = _extremes(core, model, list(_sources(model)), channels)
    return [(float(low.min(1).mean()), float(high.max(1).mean())) for low, high in found]


def _fits(convolution: openvino.Node) -> bool:
    weights = convolution.input_value(1).get_node()
    # the mark that the picture stays float32, whose key's name differs between versions
    carries_picture = any("precis" in key.lower() for key in convolution.get_rt_info())
    return bool(weights.get_type_name() == "Constant" and weights.shape[1] >= FEWEST_INPUTS and not carries_picture)


def _equalize(core: openvino.Core, model: openvino.Model, channels: int) -> bool:
    """Make the channels that a layer reads equally large, where they come out of a homogeneous activation.

    In floating point that changes nothing. Returns whether there were any.
    """
    layers = _layers(model)
    names = {node.get_friendly_name() for node in layers}
    between = {}
    for name, source in _sources(model).items():
        readers, makers = _readers(source.get_node()), _makers(source.get_node())
        if makers and all(reader.get_friendly_name() in names for reader in readers):
            between[name] = makers, readers
    if not between:
        return False
    for name, (low, high) in zip(between, _extremes(core, model, list(between), channels), strict=True):
        largest = np.maximum(np.abs(low), np.abs(high)).mean(0)
        scale = (largest / max(largest.max(), 1e-6)).clip(1 / MOST_GAIN).astype(np.float32)
        makers, readers = between[name]
        for value in makers:
            axis = 0 if value.get_node().get_type_name() == "Convolution" else 1
            _multiply(value, np.float32(1) / scale, {1: 0, 4: axis})
        for reader in readers:
            _multiply(reader.input(1), scale, {4: 1})
    return True


def _multiply(value: openvino.Input, factors: NDArray[np.float32], axes: dict[int, int]) -> None:
    """Each channel of a constant by its factor; ``axes``: which axis has the channels, by the constant's rank."""
    from openvino import opset13

    data = value.get_source_output().get_node().data
    shape = [1] * data.ndim
    shape[axes[data.ndim]] = len(factors)
    value.replace_source_output(opset13.constant((data * factors.reshape(shape)).astype(np.float32)).output(0))


def _makers(activation: openvino.Node) -> list[openvino.Input]:
    """The constants that what a homogeneous activation gives is proportional to, together: a kernel and its bias."""
    if activation.get_type_name() not in ("Relu", "PRelu"):
        return []
    node, makers = activation.input_value(0).get_node(), []
    if node.get_type_name() == "Add" and len(_readers(node)) == 1:
        bias, count = node.input(1), node.get_output_partial_shape(0)[1]
        if bias.get_source_output().get_node().get_type_name() == "Reshape":  # from ONNX's bias, (C,) to (1, C, 1, 1)
            bias = bias.get_source_output().get_node().input(0)
        constant = bias.get_source_output().get_node()
        if constant.get_type_name() != "Constant" or list(constant.shape) not in ([count], [1, count, 1, 1]):
            return []
        makers.append(bias)
        node = node.input_value(0).get_node()
    kernel = node.input_value(1).get_node() if node.get_type_name() == "Convolution" else node
    if kernel.get_type_name() != "Constant" or len(_readers(node)) != 1:
        return []
    return [*makers, node.input(1)]


def _readers(node: openvino.Node) -> list[openvino.Node]:
    """Who reads a node's values, not its shape alone."""
    targets = (target.get_node() for target in node.output(0).get_target_inputs())
    return [target for target in targets if target.get_type_name() != "ShapeOf"]


def _extremes(
    core: openvino.Core, model: openvino.Model, names: list[str], channels: int
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """(lowest, highest) of the named nodes' results, each (pictures, channels).

    Ranges are a drawn picture's, on average over them, for a rare value may be cut.
    """
    openvino = import_openvino()
    from openvino import opset13

    probed = model.clone()
    found = {node.get_friendly_name(): node.output(0) for node in probed.get_ops()}
    ends = [
        opset13.result(reduce(found[name], np.array([0, 2, 3]), keep_dims=False))
        for name in names
        for reduce in (opset13.reduce_min, opset13.reduce_max)
    ]
    results = _run(core, openvino.Model(ends, probed.get_parameters(), "extremes"), channels)
    seen = [np.stack(values) for values in zip(*results, strict=True)]
    return list(zip(seen[::2], seen[1::2], strict=True))


def _results(core: openvino.Core, model: openvino.Model, channels: int) -> NDArray[np.float32]:
    """What a model makes of the drawn pictures."""
    return np.stack([result for (result,) in _run(core, model.clone(), channels)])


def _run(core: openvino.Core, model: openvino.Model, channels: int) -> list[list[NDArray[np.float32]]]:
    """The outputs for each drawn picture."""
    request = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    results = []
    for picture in drawn_pictures():
        request.infer([np.repeat(picture[None, None], channels, 1)])
        results.append([tensor.data.copy() for tensor in request.output_tensors])
    return results


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
