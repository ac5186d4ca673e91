"""ONNX files: read as data, checked before any runtime sees them, run in their own form.

External tensors are put into the graph, which then is all there is of the network; what is fixed to one size is freed,
and float16 inputs and outputs become float32 ones by a cast within the graph.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import WeightsError, one_line
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.network import OnnxNetwork
from sr_plugins.weights.community import loaded_model, remembered
from sr_plugins.weights.contents import is_text, read_start
from sr_plugins.weights.without_telemetry import import_onnxruntime

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

DOMAINS = {"", "ai.onnx", "com.microsoft"}
LOOPS = {"Loop", "If", "Scan", "SequenceMap"}
LARGEST = 2_000_000_000  # bytes of a graph in one piece


def open_graph(path: Path) -> LoadedModel:
    """The network of an ONNX file, with what it was found to do.

    Raises:
        WeightsError: a package is missing, the file is damaged, or its graph does not enlarge single pictures.
    """
    missing = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    if missing:
        raise WeightsError(f"{path} needs {' and '.join(missing)}: pip install 'sr-plugins[onnxruntime]'")
    model = _parsed(path)
    _check_nodes(path, model)
    _take_in(path, model)
    channels = _free(path, model)
    graph = model.SerializeToString()
    network = OnnxNetwork(graph, model.graph.input[0].name, model.graph.output[0].name)
    from sr_plugins.weights.probe import probe

    def make() -> bytes:
        return json.dumps(asdict(probe(_runner(path, network), channels, path, in_torch=False))).encode()

    found = remembered(f"{hashlib.sha256(graph).hexdigest()} {version('onnxruntime')}", make)
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    return loaded_model(
        path,
        network,
        found,
        architecture=f"ONNX graph, opset {opset}, {len(model.graph.node)} nodes",
        purpose="enlarge" if found["scale"] > 1 else "restore",
        reader=f"onnxruntime {version('onnxruntime')}",
    )


def _parsed(path: Path) -> onnx.ModelProto:
    import onnx

    if is_text(read_start(path)):
        raise WeightsError(f"{path} is text, not an ONNX graph: download the file itself")
    if path.stat().st_size > LARGEST:
        raise WeightsError(f"{path} is larger than a graph can be: its tensors belong into a file beside it")
    try:
        model = onnx.load(str(path), format="protobuf", load_external_data=False)
    except Exception as error:  # protobuf's own
        raise WeightsError(f"{path} is no ONNX graph, or is cut off ({type(error).__name__})") from error
    if not model.graph.node or not model.graph.output:
        raise WeightsError(f"{path} is no ONNX graph, or is cut off (it has no nodes)")
    return model


def _check_nodes(path: Path, model: onnx.ModelProto) -> None:
    own = {function.domain for function in model.functions}
    for function in model.functions:
        _check_list(path, function.node, own)
    _check_list(path, model.graph.node, own)


def _check_list(path: Path, nodes: Any, own: set[str]) -> None:
    for node in nodes:
        if node.op_type in LOOPS:
            raise WeightsError(f"{path} has the operator {node.op_type}, a program: such graphs are not run")
        if node.domain not in DOMAINS | own:
            raise WeightsError(
                f"{path} has the operator {node.domain}.{node.op_type}, which only its maker's program knows"
            )


# -- tensors ----------------------------------------------------------------------------------------------------------


def _take_in(path: Path, model: onnx.ModelProto) -> None:
    """Put tensors that lie in files beside into the graph, and see that each holds as much as it says."""
    import onnx

    total = 0
    for tensor in _tensors(model):
        if any(dim < 0 for dim in tensor.dims):
            raise WeightsError(f"{path}: tensor {tensor.name} has a negative side")
        count = math.prod(tensor.dims)
        bits = _bits(tensor.data_type)
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            size = -(-count * bits // 8)
            total += size
            if total > LARGEST:
                raise WeightsError(f"{path}: its tensors are larger than a graph in one piece can be")
            tensor.raw_data = _external(path, tensor, size)
            del tensor.external_data[:]
            tensor.data_location = onnx.TensorProto.DEFAULT
        elif tensor.HasField("raw_data") and len(tensor.raw_data) * 8 < count * bits:
            raise WeightsError(f"{path}: tensor {tensor.name} {tuple(tensor.dims)} holds {len(tensor.raw_data)} bytes")
        elif (
            not tensor.HasField("raw_data")
            and tensor.data_type == onnx.TensorProto.FLOAT
            and len(tensor.float_data) != count
        ):
            held = f"{len(tensor.float_data)} values"
            raise WeightsError(f"{path}: tensor {tensor.name} {tuple(tensor.dims)} holds {held}")


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def _bits(data_type: int) -> int:
    import onnx

    names = {"DOUBLE": 64, "INT64": 64, "UINT64": 64, "FLOAT": 32, "INT32": 32, "UINT32": 32, "FLOAT16": 16}
    names |= {"BFLOAT16": 16, "INT16": 16, "UINT16": 16, "INT8": 8, "UINT8": 8, "BOOL": 8}
    return names.get(onnx.TensorProto.DataType.Name(data_type), 0)


def _external(path: Path, tensor: onnx.TensorProto, size: int) -> bytes:
    told = {entry.key: entry.value for entry in tensor.external_data}
    location = told.get("location", "")
    parts = Path(location).parts
    if not location or Path(location).is_absolute() or ".." in parts or "\\" in location:
        raise WeightsError(f"{path} keeps tensors in {location!r}: only a file in its own folder is read")
    beside = path.parent / location
    if not beside.resolve().is_relative_to(path.parent.resolve()):
        raise WeightsError(f"{path} keeps tensors in {location!r}, which leads out of its folder")
    try:
        offset, length = int(told.get("offset", 0)), int(told.get("length", size))
        if offset < 0 or length != size:
            raise WeightsError(f"{path}: tensor {tensor.name} needs {size} bytes and is said to have {length}")
        with beside.open("rb") as file:
            file.seek(offset)
            content: bytes = file.read(length)
    except OSError as error:
        raise WeightsError(f"{path} needs {location} beside it: {error.strerror or error}") from error
    except ValueError as error:
        raise WeightsError(f"{path}: tensor {tensor.name} is said to lie at no number") from error
    if len(content) != size:
        raise WeightsError(f"{path}: {location} is cut off: {tensor.name} needs {size} bytes from {offset}")
    return content


# -- input and output -------------------------------------------------------------------------------------------------


def _free(path: Path, model: onnx.ModelProto) -> int:
    """Make of the graph one of float32 pictures of any size; returns how many channels they have."""
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
    if sides[1] not in (1, 3):
        if sides[3] in (1, 3):
            raise WeightsError(f"{path} takes pictures with channels last (NHWC): export it with channels first (NCHW)")
        raise WeightsError(
            f"{path} takes {sides[1] or 'any number of'} channels: only 1 (luma) and 3 (RGB) can be used"
        )
    for value, start, cast in ((picture, "picture", True), (result, "enlarged", False)):
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16:
            _cast(graph, value, f"sr_plugins_{start}", before=cast)
    for value in (picture, result):
        del value.type.tensor_type.shape.dim[:]  # annotations lie, and are fixed to what the exporter was shown
        for name in ("n", str(sides[1]), "h", "w"):
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


def _runner(path: Path, network: OnnxNetwork) -> Any:
    import torch

    onnxruntime = import_onnxruntime()

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(network.graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors have no common type but this
        raise WeightsError(f"{path} is refused by ONNX Runtime: {one_line(error)}") from error

    def run(x: Tensor) -> Tensor:
        (y,) = session.run([network.output], {network.input: x.contiguous().numpy()})
        return torch.from_numpy(y)

    return run
