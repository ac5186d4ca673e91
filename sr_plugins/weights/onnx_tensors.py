"""The tensors of an ONNX graph: those in files beside it are put into it, and each must hold as much as it says."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.errors import WeightsError

if TYPE_CHECKING:
    import onnx

LARGEST = 2_000_000_000  # bytes of a graph in one piece


def take_in(path: Path, model: onnx.ModelProto) -> None:
    """Put tensors that lie in files beside into the graph, and see that each holds as much as it says."""
    import onnx

    if _has_sparse(model):  # they grow when they are read, and may lie in files, too
        raise WeightsError(f"{path} keeps a sparse tensor, as no network for pictures does")
    total = 0
    for tensor in _tensors(model):
        if any(dim < 0 for dim in tensor.dims):
            raise WeightsError(f"{path}: tensor {tensor.name} has a negative side")
        count = math.prod(tensor.dims)
        if tensor.data_type not in onnx.TensorProto.DataType.values():
            raise WeightsError(f"{path}: tensor {tensor.name} is of a type of values that is not known")
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
        elif not tensor.HasField("raw_data") and bits:
            held = len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type)))
            if held != count:
                raise WeightsError(f"{path}: tensor {tensor.name} {tuple(tensor.dims)} holds {held} values")


def beside(model: onnx.ModelProto) -> list[str]:
    """The names of the files beside the graph in which it keeps tensors."""
    told = (entry.value for tensor in _tensors(model) for entry in tensor.external_data if entry.key == "location")
    return sorted(set(told))


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    yield from model.graph.initializer
    for nodes in (model.graph.node, *(function.node for function in model.functions)):
        for node in nodes:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors


def _has_sparse(model: onnx.ModelProto) -> bool:
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    attributes = [attribute for node in nodes for attribute in node.attribute]
    return bool(model.graph.sparse_initializer) or any(
        attribute.HasField("sparse_tensor") or attribute.sparse_tensors for attribute in attributes
    )


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
    if "\0" in location or (beside.exists() and not beside.is_file()):  # a pipe would be waited for
        raise WeightsError(f"{path} keeps tensors in {location!r}, which is no file")
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
