"""Layers of ONNX in torch: convolutions, normalisations, pools, padding, and rearranging pixels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sr_plugins.weights.onnx_node import Node, UnknownOperator, numbers
from sr_plugins.weights.onnx_operators import OPERATORS, Operator, Values
from sr_plugins.weights.onnx_resize import resized
from sr_plugins.weights.transposed_convolution import transposed_convolution


def _pads(node: Node, x: Tensor, kernel: list[int], stride: list[int], dilation: list[int]) -> list[int]:
    """Padding as F.pad takes it for the last two axes: left, right, top, bottom."""
    auto = str(node.attribute("auto_pad", "NOTSET"))
    if auto in ("NOTSET", "VALID"):
        top, left, bottom, right = node.attribute("pads", (0, 0, 0, 0)) if auto == "NOTSET" else (0, 0, 0, 0)
        return [left, right, top, bottom]
    sides = []
    for i in (1, 0):
        length = x.shape[2 + i]
        more = max(0, (kernel[i] - 1) * dilation[i] + 1 + (-(-length // stride[i]) - 1) * stride[i] - length)
        less, rest = more // 2, more - more // 2
        sides += [less, rest] if auto == "SAME_UPPER" else [rest, less]
    return sides


def _settings(node: Node, kernel: list[int]) -> tuple[list[int], list[int]]:
    if len(kernel) != 2:
        raise UnknownOperator(f"{node.kind} with {len(kernel)} axes")
    return list(node.attribute("strides", (1, 1))), list(node.attribute("dilations", (1, 1)))


def _convolved(node: Node, values: Values) -> Tensor:
    x, weight, bias = values[0], values[1], values[2] if len(values) > 2 else None
    kernel = list(weight.shape[2:])
    stride, dilation = _settings(node, kernel)
    left, right, top, bottom = _pads(node, x, kernel, stride, dilation)
    groups = node.attribute("group", 1)
    if left == right and top == bottom:
        return F.conv2d(x, weight, bias, stride, (top, left), dilation, groups)
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, stride, 0, dilation, groups)


def _transposed(node: Node, values: Values) -> Tensor:
    x, weight, bias = values[0], values[1], values[2] if len(values) > 2 else None
    stride, dilation = _settings(node, list(weight.shape[2:]))
    if node.attribute("output_shape") or str(node.attribute("auto_pad", "NOTSET")) not in ("NOTSET", "VALID"):
        raise UnknownOperator("ConvTranspose to a shape of its own")
    top, left, bottom, right = node.attribute("pads", (0, 0, 0, 0))
    more, groups = node.attribute("output_padding", (0, 0)), node.attribute("group", 1)
    return transposed_convolution(
        x, weight, bias, stride=stride, dilation=dilation, groups=groups, more=more, sides=(left, right, top, bottom)
    )


def _pooled(node: Node, values: Values) -> Tensor:
    x, kernel = values[0], list(node.attribute("kernel_shape"))
    stride, dilation = _settings(node, kernel)
    left, right, top, bottom = _pads(node, x, kernel, stride, dilation)
    up = bool(node.attribute("ceil_mode", 0))
    if node.kind == "MaxPool":
        if (left, right, top, bottom) != (0, 0, 0, 0):
            x = F.pad(x, (left, right, top, bottom), value=-torch.inf)
        return F.max_pool2d(x, kernel, stride, 0, dilation, up)
    include = bool(node.attribute("count_include_pad", 0))
    if left == right and top == bottom:
        return F.avg_pool2d(x, kernel, stride, (top, left), up, include)
    if not include:
        raise UnknownOperator("AveragePool with sides of its own")
    return F.avg_pool2d(F.pad(x, (left, right, top, bottom)), kernel, stride, 0, up)


def _padded(node: Node, values: Values) -> Tensor:
    x, mode = values[0], str(node.attribute("mode", "constant"))
    pads: list[int] = numbers(values, 1) or list(node.attribute("pads", ()))
    axes = numbers(values, 3) or list(range(x.dim()))
    value = (numbers(values, 2) or [node.attribute("value", 0.0)])[0]
    both = {axis % x.dim(): (pads[i], pads[i + len(axes)]) for i, axis in enumerate(axes)}
    told = [side for axis in reversed(range(x.dim())) for side in both.get(axis, (0, 0))]
    if mode == "constant":
        return F.pad(x, told, value=value)
    if x.dim() != 4 or any(told[4:]):
        raise UnknownOperator(f"Pad of other axes than height and width in mode {mode}")
    names = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    return F.pad(x, told[:4], names[mode])


def _depth_to_space(node: Node, values: Values) -> Tensor:
    x, size = values[0], node.attribute("blocksize")
    if str(node.attribute("mode", "DCR")) == "CRD":
        return F.pixel_shuffle(x, size)
    n, c, height, width = x.shape
    return F.pixel_shuffle(
        x.reshape(n, size * size, c // size**2, height, width).transpose(1, 2).reshape(x.shape), size
    )


def _space_to_depth(node: Node, values: Values) -> Tensor:
    x, size = values[0], node.attribute("blocksize")
    y = F.pixel_unshuffle(x, size)
    n, c = x.shape[:2]
    return y.reshape(n, c, size * size, *y.shape[2:]).transpose(1, 2).reshape(y.shape)


def _product(node: Node, values: Values) -> Tensor:
    a = values[0].mT if node.attribute("transA", 0) else values[0]
    b = values[1].mT if node.attribute("transB", 0) else values[1]
    y: Tensor = node.attribute("alpha", 1.0) * (a @ b)
    return y + node.attribute("beta", 1.0) * values[2] if len(values) > 2 and values[2] is not None else y


def _layer_norm(node: Node, values: Values) -> Tensor:
    x, scale, bias = values[0], values[1], values[2] if len(values) > 2 else None
    shape = x.shape[node.attribute("axis", -1) % x.dim() :]
    return F.layer_norm(
        x, shape, scale.expand(shape), None if bias is None else bias.expand(shape), node.attribute("epsilon", 1e-5)
    )


def _group_norm(node: Node, values: Values) -> Tensor:
    x, scale, bias = values
    groups = node.attribute("num_groups")
    if scale.numel() == groups != x.shape[1]:  # opset 18: one for each group
        scale, bias = (v.repeat_interleave(x.shape[1] // groups) for v in (scale, bias))
    return F.group_norm(x, groups, scale, bias, node.attribute("epsilon", 1e-5))


def _batch_norm(node: Node, values: Values) -> Tensor:
    x, scale, bias, mean, variance = values
    return F.batch_norm(x, mean, variance, scale, bias, eps=node.attribute("epsilon", 1e-5))


def _instance_norm(node: Node, values: Values) -> Tensor:
    x, scale, bias = values
    return F.instance_norm(x, weight=scale, bias=bias, eps=node.attribute("epsilon", 1e-5))


def _length_norm(node: Node, values: Values) -> Tensor:
    return F.normalize(values[0], float(node.attribute("p", 2)), node.attribute("axis", -1), eps=0.0)


def _sampled(node: Node, values: Values) -> Tensor:
    mode = str(node.attribute("mode", "linear"))
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)  # names since opset 20, and those before
    beyond, corners = node.attribute("padding_mode", "zeros"), bool(node.attribute("align_corners", 0))
    return F.grid_sample(values[0], values[1], mode, beyond, corners)


def _quantized(node: Node, values: Values) -> Tensor:
    x, scale, *zero = values
    kind = zero[0].dtype if zero and zero[0] is not None else torch.uint8
    info, shape = torch.iinfo(kind), _along(node, x, scale)
    offset = zero[0].reshape(shape).float() if zero and zero[0] is not None else 0.0
    return (torch.round(x / scale.reshape(shape)) + offset).clamp(info.min, info.max).to(kind)


def _dequantized(node: Node, values: Values) -> Tensor:
    x, scale, *zero = values
    shape = _along(node, x, scale)
    offset = zero[0].reshape(shape).float() if zero and zero[0] is not None else 0.0
    y: Tensor = (x.float() - offset) * scale.reshape(shape)
    return y


def _along(node: Node, x: Tensor, scale: Tensor) -> list[int]:
    if scale.numel() == 1:
        return [1] * x.dim()
    shape = [1] * x.dim()
    shape[node.attribute("axis", 1)] = scale.numel()
    return shape


def _global(how: Any) -> Operator:
    return lambda node, values: how(values[0], dim=(2, 3), keepdim=True)


ALL: dict[str, Operator] = OPERATORS | {
    "Conv": _convolved, "ConvTranspose": _transposed, "MaxPool": _pooled, "AveragePool": _pooled, "Pad": _padded,
    "DepthToSpace": _depth_to_space, "SpaceToDepth": _space_to_depth, "Gemm": _product, "Resize": resized,
    "Upsample": resized, "LayerNormalization": _layer_norm, "GroupNormalization": _group_norm,
    "BatchNormalization": _batch_norm, "InstanceNormalization": _instance_norm, "LpNormalization": _length_norm,
    "GridSample": _sampled, "QuantizeLinear": _quantized, "DequantizeLinear": _dequantized,
    "GlobalAveragePool": _global(torch.mean), "GlobalMaxPool": _global(torch.amax),
}  # fmt: skip
