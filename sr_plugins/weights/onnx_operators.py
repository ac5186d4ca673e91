"""Operators of ONNX on shapes and single values, in torch, as onnx.ai/onnx/operators has them (opset 11 to 22)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sr_plugins.weights.onnx_node import Node, UnknownOperator, axes_of, numbers

Values = list[Any]  # of torch tensors, None where an input is left out
Operator = Callable[[Node, Values], Any]

# TensorProto.DataType; half precision within a graph is computed in float32
TYPES = {1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
         10: torch.float32, 11: torch.float64, 16: torch.float32}  # fmt: skip


def _divided(node: Node, values: Values) -> Tensor:
    a, b = values
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _modulo(node: Node, values: Values) -> Tensor:
    return torch.fmod(*values) if node.attribute("fmod", 0) else torch.remainder(*values)


def _clipped(node: Node, values: Values) -> Tensor:
    x, *limits = values
    low, high = (limits[i] if i < len(limits) else None for i in (0, 1))
    low = node.attribute("min") if low is None else low
    high = node.attribute("max") if high is None else high
    if low is not None:
        x = torch.maximum(x, torch.as_tensor(low, dtype=x.dtype, device=x.device))
    return x if high is None else torch.minimum(x, torch.as_tensor(high, dtype=x.dtype, device=x.device))


def _cast(node: Node, values: Values) -> Tensor:
    kind = node.attribute("to")
    if kind not in TYPES:
        raise UnknownOperator(f"Cast to type {kind}")
    y: Tensor = values[0].to(TYPES[kind])
    return y


def _folded(combine: Callable[[Tensor, Tensor], Tensor]) -> Operator:
    def run(node: Node, values: Values) -> Tensor:
        y: Tensor = values[0]
        for value in values[1:]:
            y = combine(y, value)
        return y

    return run


def _prelu(node: Node, values: Values) -> Tensor:
    x, slope = values
    return torch.where(x < 0, x * slope, x)


def _gelu(node: Node, values: Values) -> Tensor:
    return F.gelu(values[0], approximate=str(node.attribute("approximate", "none")))


def _hard_sigmoid(node: Node, values: Values) -> Tensor:
    y: Tensor = (node.attribute("alpha", 0.2) * values[0] + node.attribute("beta", 0.5)).clamp(0, 1)
    return y


# -- shapes -----------------------------------------------------------------------------------------------------------


def _shape(node: Node, values: Values) -> Tensor:
    return torch.tensor(
        list(values[0].shape)[node.attribute("start", 0) : node.attribute("end", None)], dtype=torch.int64
    )


def _reshaped(node: Node, values: Values) -> Tensor:
    x, wanted = values[0], numbers(values, 1) or []
    if not node.attribute("allowzero", 0):
        wanted = [x.shape[i] if side == 0 else side for i, side in enumerate(wanted)]
    y: Tensor = x.reshape(tuple(wanted))  # () is a number alone
    return y


def _squeezed(node: Node, values: Values) -> Tensor:
    x, axes = values[0], axes_of(node, values)
    if axes is None:
        return torch.squeeze(x)
    return torch.squeeze(x, tuple(axes))


def _unsqueezed(node: Node, values: Values) -> Tensor:
    x: Tensor = values[0]
    axes = axes_of(node, values) or []
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _split(node: Node, values: Values) -> list[Tensor]:
    x, axis = values[0], node.attribute("axis", 0)
    sizes = numbers(values, 1) or node.attribute("split")
    if sizes is None:
        each = -(-x.shape[axis] // len(node.outputs))
        sizes = [each] * (len(node.outputs) - 1)
        sizes.append(x.shape[axis] - sum(sizes))
    return list(torch.split(x, list(sizes), axis))


def _sliced(node: Node, values: Values) -> Tensor:
    x = values[0]
    starts, ends = numbers(values, 1), numbers(values, 2)
    if starts is None or ends is None:  # opset 9
        starts, ends = list(node.attribute("starts", ())), list(node.attribute("ends", ()))
    axes = numbers(values, 3) or list(node.attribute("axes", range(len(starts))))
    steps = numbers(values, 4) or [1] * len(starts)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        length = x.shape[axis]
        taken = range(length)[slice(start, end if end >= -length or step > 0 else None, step)]
        if step > 0:
            cut = [slice(None)] * x.dim()
            cut[axis] = slice(taken.start, taken.stop, step)
            x = x[tuple(cut)]
        else:
            x = x.index_select(axis, torch.tensor(list(taken), device=x.device))
    y: Tensor = x
    return y


def _expanded(node: Node, values: Values) -> Tensor:
    x, wanted = values[0], numbers(values, 1) or []
    x = x.reshape([1] * (len(wanted) - x.dim()) + list(x.shape))
    extra = x.dim() - len(wanted)
    y: Tensor = x.expand([n if side == 1 else side for n, side in zip([1] * extra + wanted, x.shape, strict=True)])
    return y


def _gathered(node: Node, values: Values) -> Tensor:
    x, index = values[0], values[1]
    axis = node.attribute("axis", 0) % max(1, x.dim())
    index = torch.where(index < 0, index + x.shape[axis], index).to(x.device, torch.int64)
    y: Tensor = x.index_select(axis, index.reshape(-1))
    return y.reshape((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


def _gathered_elements(node: Node, values: Values) -> Tensor:
    x, index = values
    axis = node.attribute("axis", 0)
    return torch.gather(x, axis, torch.where(index < 0, index + x.shape[axis], index))


def _gathered_nd(node: Node, values: Values) -> Tensor:
    x, index = values
    if node.attribute("batch_dims", 0):
        raise UnknownOperator("GatherND with batch_dims")
    y: Tensor = x[tuple(index.unbind(-1))]
    return y


def _scattered_nd(node: Node, values: Values) -> Tensor:
    x, index, updates = values
    if node.attribute("reduction", "none") != "none":
        raise UnknownOperator("ScatterND that adds")
    y: Tensor = x.clone()
    y[tuple(index.unbind(-1))] = updates
    return y


def _constant_of_shape(node: Node, values: Values) -> Tensor:
    value = node.attribute("value")
    fill = torch.zeros(1, dtype=torch.float32) if value is None else value
    return torch.full([int(n) for n in numbers(values, 0) or []], fill.reshape(-1)[0].item(), dtype=fill.dtype)


def _range(node: Node, values: Values) -> Tensor:
    start, limit, step = (value.reshape(-1)[0].item() for value in values)
    return torch.arange(start, limit, step, dtype=values[0].dtype)


def _top(node: Node, values: Values) -> list[Tensor]:
    count = int((numbers(values, 1) or [0])[0])
    largest, ordered = bool(node.attribute("largest", 1)), bool(node.attribute("sorted", 1))
    return list(torch.topk(values[0], count, node.attribute("axis", -1), largest, ordered))


def _trilu(node: Node, values: Values) -> Tensor:
    k = int((numbers(values, 1) or [0])[0])
    return torch.triu(values[0], k) if node.attribute("upper", 1) else torch.tril(values[0], k)


def _cumulated(node: Node, values: Values) -> Tensor:
    x, axis = values[0], int((numbers(values, 1) or [0])[0])
    x = x.flip(axis) if node.attribute("reverse", 0) else x
    y = torch.cumsum(x, axis)
    if node.attribute("exclusive", 0):  # of what comes before
        y = torch.cat((torch.zeros_like(y.narrow(axis, 0, 1)), y.narrow(axis, 0, y.shape[axis] - 1)), axis)
    return y.flip(axis) if node.attribute("reverse", 0) else y


def _softmax(node: Node, values: Values) -> Tensor:
    x: Tensor = values[0]
    if node.opset >= 13:
        return F.softmax(x, node.attribute("axis", -1))
    return F.softmax(x.flatten(node.attribute("axis", 1)), -1).view_as(x)  # over all axes from this one on


def _where(node: Node, values: Values) -> Tensor:
    y: Tensor = torch.where(values[0], values[1], values[2])
    return y


def _transposed(node: Node, values: Values) -> Tensor:
    x: Tensor = values[0]
    return x.permute(node.attribute("perm") or tuple(reversed(range(x.dim()))))


def _reduced(how: Callable[..., Tensor]) -> Operator:
    def run(node: Node, values: Values) -> Tensor:
        x, axes = values[0], axes_of(node, values)
        if not axes and node.attribute("noop_with_empty_axes", 0):
            return x  # type: ignore[no-any-return]
        return how(
            x, sorted(a % x.dim() for a in axes) if axes else list(range(x.dim())), bool(node.attribute("keepdims", 1))
        )

    return run


def _mean(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.mean(dim=tuple(axes), keepdim=keep)


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in reversed(axes):
        x = torch.prod(x, dim=axis, keepdim=keep)
    return x


def _one(function: Callable[[Any], Any]) -> Operator:
    return lambda node, values: function(values[0])


def _two(function: Callable[[Any, Any], Any]) -> Operator:
    return lambda node, values: function(values[0], values[1])


OPERATORS: dict[str, Operator] = {
    "Abs": _one(torch.abs), "Ceil": _one(torch.ceil), "Cos": _one(torch.cos), "Erf": _one(torch.erf),
    "Exp": _one(torch.exp), "Floor": _one(torch.floor), "Identity": _one(lambda x: x), "Log": _one(torch.log),
    "Neg": _one(torch.neg), "Not": _one(torch.logical_not), "Reciprocal": _one(torch.reciprocal),
    "Relu": _one(F.relu), "Round": _one(torch.round), "Sigmoid": _one(torch.sigmoid), "Sign": _one(torch.sign),
    "Sin": _one(torch.sin), "Softplus": _one(F.softplus), "Softsign": _one(F.softsign), "Sqrt": _one(torch.sqrt),
    "Tanh": _one(torch.tanh), "Mish": _one(F.mish), "HardSwish": _one(lambda x: x * (x / 6 + 0.5).clamp(0, 1)),
    "Dropout": _one(lambda x: x), "Size": _one(lambda x: torch.tensor(x.numel())),
    "Sub": _two(torch.sub), "Pow": _two(torch.pow), "Equal": _two(torch.eq), "Greater": _two(torch.gt),
    "GreaterOrEqual": _two(torch.ge), "Less": _two(torch.lt), "LessOrEqual": _two(torch.le),
    "And": _two(torch.logical_and), "Or": _two(torch.logical_or), "Xor": _two(torch.logical_xor),
    "MatMul": _two(torch.matmul), "CastLike": _two(lambda x, like: x.to(like.dtype)),
    "Add": _folded(torch.add), "Sum": _folded(torch.add), "Mul": _folded(torch.mul),
    "Max": _folded(torch.maximum), "Min": _folded(torch.minimum),
    "Mean": lambda node, values: _folded(torch.add)(node, values) / len(values),
    "Div": _divided, "Mod": _modulo, "Clip": _clipped, "Cast": _cast, "PRelu": _prelu, "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid, "Where": _where,
    "LeakyRelu": lambda node, values: F.leaky_relu(values[0], node.attribute("alpha", 0.01)),
    "Elu": lambda node, values: F.elu(values[0], node.attribute("alpha", 1.0)),
    "Celu": lambda node, values: F.celu(values[0], node.attribute("alpha", 1.0)),
    "Selu": _one(F.selu),
    "Constant": lambda node, values: node.attribute("value"),
    "Shape": _shape, "Reshape": _reshaped, "Squeeze": _squeezed, "Unsqueeze": _unsqueezed, "Split": _split,
    "Flatten": lambda node, values: values[0].reshape(
        math.prod(values[0].shape[: node.attribute("axis", 1)]), -1),
    "Slice": _sliced, "Expand": _expanded, "Transpose": _transposed, "Range": _range, "Trilu": _trilu,
    "Concat": lambda node, values: torch.cat(values, node.attribute("axis")),
    "Tile": lambda node, values: values[0].repeat(numbers(values, 1)),
    "Gather": _gathered, "GatherElements": _gathered_elements, "GatherND": _gathered_nd, "ScatterND": _scattered_nd,
    "ConstantOfShape": _constant_of_shape, "TopK": _top, "CumSum": _cumulated, "Softmax": _softmax,
    "Einsum": lambda node, values: torch.einsum(node.attribute("equation"), *values),
    "ReduceMean": _reduced(_mean), "ReduceSum": _reduced(lambda x, axes, keep: x.sum(axes, keepdim=keep)),
    "ReduceMax": _reduced(lambda x, axes, keep: x.amax(axes, keepdim=keep)),
    "ReduceMin": _reduced(lambda x, axes, keep: x.amin(axes, keepdim=keep)),
    "ReduceL2": _reduced(lambda x, axes, keep: x.square().sum(axes, keepdim=keep).sqrt()),
    "ReduceProd": _reduced(_product),
}  # fmt: skip
