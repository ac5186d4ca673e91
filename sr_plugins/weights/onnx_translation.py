"""An ONNX graph read into what :class:`~.onnx_network.OnnxGraph` runs, and tried against ONNX Runtime before use."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sr_plugins.interface.network import OnnxNetwork

if TYPE_CHECKING:
    import onnx
    from torch import Tensor, nn

    from sr_plugins.weights.onnx_node import Node

AGREES = 1e-4  # of values 0..1, in float32
AGREES_HALF = 4e-3  # a graph that rounds to float16 on its way


def translated(network: OnnxNetwork, run: Callable[[Tensor], Tensor], x: Tensor) -> nn.Module | None:
    """The graph as a torch module; ``None`` where it has an operator that is not known here.

    Or where torch gives another picture than ``run``, the runtime's own, for ``x``: no operator is believed unseen.
    """
    import torch

    try:
        module = module_of(network)
        with torch.inference_mode():
            ours, theirs = module(x), run(x)
    except Exception:  # an operator that is not known, or of torch for what one is not known to do
        return None
    apart = float((ours - theirs).abs().max()) if ours.shape == theirs.shape else float("inf")
    limit = (AGREES_HALF if _rounds(network) else AGREES) * max(1.0, float(theirs.abs().max()))
    return module if apart <= limit else None


def module_of(network: OnnxNetwork) -> nn.Module:
    """The graph as a torch module; ``UnknownOperator`` where it has one that is not known here."""
    import onnx

    from sr_plugins.weights.onnx_network import OnnxGraph

    model = onnx.load_from_string(network.graph)
    if model.functions:
        from onnx import inliner

        model = inliner.inline_local_functions(model)
    constants = {tensor.name: tensor_of(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant(node)
    nodes = tuple(_node(node, model) for node in model.graph.node if node.op_type != "Constant")
    digest = hashlib.sha256(network.graph).hexdigest()
    return OnnxGraph(nodes, constants, network.input, network.output, digest)


def _rounds(network: OnnxNetwork) -> bool:
    """Whether the graph computes in half precision, at least in part."""
    import onnx

    graph = onnx.load_from_string(network.graph).graph
    half = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)
    casts = (a.i for node in graph.node if node.op_type == "Cast" for a in node.attribute)
    return any(t.data_type in half for t in graph.initializer) or any(kind in half for kind in casts)


def tensor_of(tensor: onnx.TensorProto) -> Tensor:
    """Half precision becomes float32."""
    import numpy as np
    import torch
    from onnx import numpy_helper

    array = numpy_helper.to_array(tensor)
    if array.dtype not in (np.float32, np.float64) and array.dtype.kind in "fV":
        array = array.astype(np.float32)
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    return torch.from_numpy(np.array(array))


def _node(node: onnx.NodeProto, model: onnx.ModelProto) -> Node:
    from sr_plugins.weights.onnx_node import Node, UnknownOperator

    if node.domain not in ("", "ai.onnx"):
        raise UnknownOperator(f"{node.domain}.{node.op_type}")
    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
    attributes = {attribute.name: _value(attribute) for attribute in node.attribute}
    return Node(node.op_type, tuple(node.input), tuple(node.output), tuple(attributes.items()), opset)


def _constant(node: onnx.NodeProto) -> Tensor:
    """The value of a Constant, which may be told by a number or a list instead of a tensor."""
    import torch

    from sr_plugins.weights.onnx_node import UnknownOperator

    (attribute,) = node.attribute
    value = _value(attribute)
    if attribute.name.startswith("sparse") or "string" in attribute.name:
        raise UnknownOperator(f"Constant with {attribute.name}")
    if isinstance(value, torch.Tensor):
        return value
    return torch.tensor(value, dtype=torch.int64 if attribute.name.startswith("value_int") else torch.float32)


def _value(attribute: onnx.AttributeProto) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, onnx.TensorProto):
        return tensor_of(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, int | float):
        return value
    return tuple(value)
