"""Input and output of an ONNX graph: float32 pictures of any size, whatever its exporter fixed or left out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import WeightsError

if TYPE_CHECKING:
    import onnx

    from sr_plugins.weights.borders import Border

FRAMES = (3, 5, 7, 9)  # of a network that sees neighbours: the middle one comes out
CHANNELS = {1, 3, *FRAMES, *(3 * frames for frames in FRAMES)}
PADS_AS_INPUT = 11  # the opset from which Pad is told so; an attribute before
PASSES_ON = {"Cast", "Identity", "Pad", "Sub", "Add", "Mul", "Div", "Clip", "Dropout", "Slice", "Resize"}


def freed(path: Path, model: onnx.ModelProto) -> int:
    """Make of the graph one of float32 pictures of any size; returns how many channels go in, of all its frames."""
    import onnx

    graph, known = model.graph, {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in graph.input if value.name not in known]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise WeightsError(f"{path} has {len(inputs)} inputs ({names}), but must have one: the picture")
    if len(graph.output) != 1:
        raise WeightsError(f"{path} has {len(graph.output)} outputs, but must have one: the larger picture")
    picture, result = inputs[0], graph.output[0]
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    shape = picture.type.tensor_type.shape.dim
    for value in (picture, result):
        kind = value.type.tensor_type.elem_type
        if kind not in kinds:
            name = onnx.TensorProto.DataType.Name(kind).lower()
            raise WeightsError(f"{path}: {value.name} is of type {name}: pictures of float32 or float16 are wanted")
    sides = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in shape]
    if len(sides) != 4:
        raise WeightsError(
            f"{path}: its input has {len(sides)} dimensions instead of 4: batch, channels, height, width"
        )
    if sides[0] > 1:
        raise WeightsError(f"{path} takes {sides[0]} pictures at once and no single one")
    if not sides[1] and sides[3] not in (1, 3):
        sides[1] = _told_by_weights(graph, picture.name)
    if sides[1] not in CHANNELS:
        if sides[3] in (1, 3):
            raise WeightsError(f"{path} takes pictures with channels last (NHWC): export it with channels first (NCHW)")
        raise WeightsError(
            f"{path} takes {sides[1] or 'any number of'} channels: only 1 (luma) and 3 (RGB) can be used, "
            "and those of 3, 5, 7 or 9 frames"
        )
    for value, start, cast in ((picture, "picture", True), (result, "enlarged", False)):
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16:
            _cast(graph, value, f"sr_plugins_{start}", before=cast)
    for value in (picture, result):
        del value.type.tensor_type.shape.dim[:]  # annotations lie, and are fixed to what the exporter was shown
        for name in ("n", str(sides[1]) if value is picture else "c", "h", "w"):
            dim = value.type.tensor_type.shape.dim.add()
            if name.isdecimal():
                dim.dim_value = int(name)
            else:
                dim.dim_param = name if value is picture else f"{name}_{value.name}"
    del graph.value_info[:]
    model.graph.ClearField("doc_string")
    ordered = [picture, *(value for value in graph.input if value.name in known)]
    kept = [onnx.ValueInfoProto.FromString(value.SerializeToString()) for value in ordered]
    del graph.input[:]
    graph.input.extend(kept)
    return sides[1]


def _cast(graph: onnx.GraphProto, value: onnx.ValueInfoProto, name: str, *, before: bool) -> None:
    """A cast from or to float32 at the border of the graph."""
    import onnx

    inner = f"{name}_float16"
    for node in graph.node:
        names = node.input if before else node.output
        for i, used in enumerate(names):
            if used == value.name:
                names[i] = inner
        if not before:  # the output may be read inside, too
            for i, used in enumerate(node.input):
                if used == value.name:
                    node.input[i] = inner
    if before:
        cast = onnx.helper.make_node("Cast", [value.name], [inner], name=name, to=onnx.TensorProto.FLOAT16)
        graph.node.insert(0, cast)
    else:
        graph.node.append(onnx.helper.make_node("Cast", [inner], [value.name], name=name, to=onnx.TensorProto.FLOAT))
    value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def _told_by_weights(graph: onnx.GraphProto, picture: str) -> int:
    """The picture's channels where the graph leaves them open: those of the first convolution; 0: there is none."""
    sizes, same = {tensor.name: list(tensor.dims) for tensor in graph.initializer}, {picture}
    for node in graph.node:
        if not same.intersection(node.input):
            continue
        if node.op_type == "Conv" and len(node.input) > 1 and len(sizes.get(node.input[1], ())) == 4:
            groups = next((a.i for a in node.attribute if a.name == "group"), 1)
            return int(sizes[node.input[1]][1] * groups)
        if node.op_type in PASSES_ON:
            same.update(node.output)
    return 0


def surround(model: onnx.ModelProto, border: Border) -> None:
    """Repeat the edge around the picture within the graph, for what its network eats, and cut what is too much."""
    import onnx

    graph = model.graph
    source, target = graph.input[0].name, graph.output[0].name
    inside = {source: "sr_plugins_surrounded", target: "sr_plugins_inside"}
    for node in graph.node:
        for names in (node.input, *((node.output,) if border.cut else ())):
            for i, name in enumerate(names):
                if name == source or (border.cut and name == target):
                    names[i] = inside[name]
    names = [(source, inside[source], border.around, 0, "edge")]
    if border.cut:
        names.append((inside[target], target, -border.cut, len(graph.node) + 1, "constant"))
    opset = next((known.version for known in model.opset_import if known.domain in ("", "ai.onnx")), 0)
    for read, written, count, place, mode in names:
        inputs = [read]
        told: dict[str, Any] = {"pads": [0, 0, count, count] * 2}
        if opset >= PADS_AS_INPUT:
            inputs.append(f"{written}_pads")
            graph.initializer.append(onnx.helper.make_tensor(inputs[1], onnx.TensorProto.INT64, [8], told.pop("pads")))
        graph.node.insert(place, onnx.helper.make_node("Pad", inputs, [written], name=written, mode=mode, **told))
