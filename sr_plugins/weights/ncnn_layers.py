"""The layers of ncnn that networks for enlarging are made of, in torch.

As ncnn's documentation of operators has them (github.com/Tencent/ncnn/wiki/operators). A blob is (N, C, H, W); what
ncnn calls a vector is (N, C, 1, 1), so that it stands for each channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from sr_plugins.weights.fractional import by_three_quarters
from sr_plugins.weights.transposed_convolution import transposed_convolution

REST = -233  # "to the end", "as the other blob is", or "as wide as the kernel asks"
SAME_UPPER, SAME_LOWER = -233, -234
ACTIVATIONS = {0: "none", 1: "relu", 2: "leaky", 3: "clip", 4: "sigmoid", 5: "mish", 6: "hardswish"}
BINARY: dict[int, Callable[[Tensor, Tensor], Tensor]] = {
    0: torch.add, 1: torch.sub, 2: torch.mul, 3: torch.div, 4: torch.maximum, 5: torch.minimum, 6: torch.pow,
    7: lambda a, b: b - a, 8: lambda a, b: b / a, 9: lambda a, b: torch.pow(b, a),
}  # fmt: skip
UNARY: dict[int, Callable[[Tensor], Tensor]] = {
    0: torch.abs, 1: torch.neg, 2: torch.floor, 3: torch.ceil, 4: torch.square, 5: torch.sqrt, 6: torch.rsqrt,
    7: torch.exp, 8: torch.log, 9: torch.sin, 10: torch.cos, 11: torch.tan, 15: torch.reciprocal, 16: torch.tanh,
}  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One layer: what it reads and writes, its settings, and the numbers of its tensors."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    settings: tuple[tuple[int, float | tuple[float, ...]], ...]
    tensors: tuple[int, ...]

    def number(self, key: int, default: float = 0) -> float:
        """A setting that is one number."""
        value = dict(self.settings).get(key, default)
        return default if isinstance(value, tuple) else value

    def whole(self, key: int, default: int = 0) -> int:
        """A setting that is one whole number."""
        return int(self.number(key, default))

    def numbers(self, key: int) -> tuple[float, ...]:
        """A setting that is a list of numbers."""
        value = dict(self.settings).get(key, ())
        return value if isinstance(value, tuple) else (value,)


def computed(step: Step, values: list[Tensor], held: list[Tensor]) -> list[Tensor]:
    """What a layer makes of the blobs that it reads, with its own tensors: one blob for each that it writes."""
    if step.kind == "Slice":
        return _slices(step, values[0])
    if step.kind == "MemoryData":
        # a vector is one value a channel
        shape = [step.whole(key) for key in (2, 1, 0)]
        return [held[0].view(1, *shape) if shape[0] else held[0].view(1, -1, 1, 1)]
    y = LAYERS[step.kind](step, values, held)
    return [y] * len(step.outputs)


def _dim(axis: int) -> int:
    """Torch's for ncnn's axis: 0 are the channels, 1 the rows; -1 is the last."""
    return axis + 4 if axis < 0 else axis + 1


def _activated(step: Step, y: Tensor) -> Tensor:
    values = step.numbers(10)
    match ACTIVATIONS[step.whole(9)]:
        case "relu":
            return F.relu(y)
        case "leaky":
            return F.leaky_relu(y, values[0])
        case "clip":
            return y.clamp(values[0], values[1])
        case "sigmoid":
            return torch.sigmoid(y)
        case "mish":
            return F.mish(y)
        case "hardswish":
            return y * (y * values[0] + values[1]).clamp(0, 1)
        case _:
            return y


def _sides(step: Step) -> tuple[int, int, int, int]:
    """Padding: left, right, top, bottom."""
    left = step.whole(4)
    top = step.whole(14, left)
    return left, step.whole(15, left), top, step.whole(16, top)


def _convolution(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    x, bias = values[0], held[1] if len(held) > 1 else None
    stride = (step.whole(13, step.whole(3, 1)), step.whole(3, 1))
    dilation = (step.whole(12, step.whole(2, 1)), step.whole(2, 1))
    left, right, top, bottom = _sides(step)
    if left in (SAME_UPPER, SAME_LOWER):
        short = []
        for axis, length in ((0, x.shape[-2]), (1, x.shape[-1])):
            reads = dilation[axis] * (held[0].shape[2 + axis] - 1) + 1
            more = max(0, reads + (length - 1) // stride[axis] * stride[axis] - length)
            short.append((more // 2, more - more // 2) if left == SAME_UPPER else (more - more // 2, more // 2))
        (top, bottom), (left, right) = short
    groups = step.whole(7, 1)
    if left == right and top == bottom and not step.number(18):
        y = F.conv2d(x, held[0], bias, stride, (top, left), dilation, groups)
    else:
        y = F.conv2d(
            F.pad(x, (left, right, top, bottom), value=step.number(18)), held[0], bias, stride, 0, dilation, groups
        )
    return _activated(step, y)


def _deconvolution(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    """``held[0]`` is (in, out / groups, height, width), as torch has it; padding crops the output."""
    bias = held[1] if len(held) > 1 else None
    stride = (step.whole(13, step.whole(3, 1)), step.whole(3, 1))
    dilation = (step.whole(12, step.whole(2, 1)), step.whole(2, 1))
    more, sides, groups = (step.whole(19), step.whole(18)), _sides(step), step.whole(7, 1)
    y = transposed_convolution(
        values[0], held[0], bias, stride=stride, dilation=dilation, groups=groups, more=more, sides=sides
    )
    return _activated(step, y)


def _inner_product(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    y = F.linear(values[0].flatten(1), held[0], held[1] if len(held) > 1 else None)
    return _activated(step, y[..., None, None])


def _pooling(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    x, average = values[0], step.whole(0) == 1
    if step.whole(4):
        return x.mean(dim=(2, 3), keepdim=True) if average else x.amax(dim=(2, 3), keepdim=True)
    kernel = step.whole(11, step.whole(1)), step.whole(1)
    stride = step.whole(12, step.whole(2, 1)), step.whole(2, 1)
    down = step.whole(5) != 1
    if average:
        return F.avg_pool2d(x, kernel, stride, 0, ceil_mode=down)
    return F.max_pool2d(x, kernel, stride, 0, ceil_mode=down)


def _crop(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    x = values[0]
    if starts := step.numbers(9):
        axes = step.numbers(11) or tuple(range(len(starts)))
        for axis, start, end in zip(axes, starts, step.numbers(10), strict=True):
            dim = _dim(int(axis))
            first = 0 if int(start) == REST else int(start)
            last = x.shape[dim] if int(end) in (REST, 0) else min(int(end), x.shape[dim])
            cut = range(x.shape[dim])[first:last]
            x = x.narrow(dim, cut.start, len(cut))
        return x
    across, down, deep = (max(0, step.whole(key)) for key in (0, 1, 2))
    if len(values) > 1:
        other = values[1]
        return x[:, deep : deep + other.shape[1], down : down + other.shape[2], across : across + other.shape[3]]
    for dim, first, wanted, beyond in ((3, across, 3, 6), (2, down, 4, 7), (1, deep, 5, 8)):
        length = step.whole(wanted)
        left = x.shape[dim] - first
        x = x.narrow(dim, first, length if length > 0 else left - max(0, step.whole(beyond)))
    return x


def _padding(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    top, bottom, left, right = (step.whole(key) for key in range(4))
    mode = ("constant", "replicate", "reflect")[step.whole(4)]
    sides = (left, right, top, bottom)
    return F.pad(values[0], sides, mode, step.number(5)) if mode == "constant" else F.pad(values[0], sides, mode)


def _interp(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    mode = {1: "nearest", 2: "bilinear", 3: "bicubic"}[step.whole(0)]
    corners = None if mode == "nearest" else bool(step.whole(6))
    x = values[0]
    if len(values) > 1:
        return F.interpolate(x, size=values[1].shape[-2:], mode=mode, align_corners=corners)
    down, across = step.number(1, 1.0), step.number(2, 1.0)
    if down == across == 0.75 and not corners and mode in ("bilinear", "bicubic"):
        return by_three_quarters(x, mode)
    # never by the size that comes out: another factor, where this one does not divide
    return F.interpolate(x, scale_factor=(down, across), mode=mode, align_corners=corners)


def _eltwise(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    """Operation 1 of Eltwise, each with its coefficient; 0 is the product and 2 the maximum."""
    operation, factors = step.whole(0), step.numbers(1)
    result = values[0] * factors[0] if operation == 1 and factors else values[0]
    for i, value in enumerate(values[1:], 1):
        if operation == 1:
            result = result + (value * factors[i] if factors else value)
        else:
            result = result * value if operation == 0 else torch.maximum(result, value)
    return result


def _binary(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    x = values[0]
    other = values[1] if len(values) > 1 else torch.as_tensor(step.number(2), dtype=x.dtype, device=x.device)
    return BINARY[step.whole(0)](x, other)


def _scale(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    if step.whole(0) == REST:
        return values[0] * values[1]
    y = values[0] * held[0].view(1, -1, 1, 1)
    return y + held[1].view(1, -1, 1, 1) if len(held) > 1 else y


def _shuffle(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    """Pixels out of channels; in mode 1 the factor is the slowest axis of the channels, as TensorFlow has it."""
    x, factor = values[0], step.whole(0)
    if step.whole(1):
        n, c, height, width = x.shape
        x = x.view(n, factor * factor, c // factor**2, height, width).transpose(1, 2).reshape(x.shape)
    return F.pixel_shuffle(x, factor)


def _reorg(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    x, factor = values[0], step.whole(0, 1)
    y = F.pixel_unshuffle(x, factor)
    if step.whole(1):
        y = y.view(x.shape[0], x.shape[1], factor**2, *y.shape[2:]).transpose(1, 2).reshape(y.shape)
    return y


def _slices(step: Step, x: Tensor) -> list[Tensor]:
    dim = _dim(step.whole(1))
    lengths, parts, at = [int(n) for n in step.numbers(0)], [], 0
    for i, length in enumerate(lengths):
        if length == REST:
            length = (x.shape[dim] - at) // (len(lengths) - i)
        parts.append(x.narrow(dim, at, length))
        at += length
    return parts


def _normalized(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    slope, mean, variance, bias = held
    return F.batch_norm(values[0], mean, variance, slope, bias, eps=step.number(1))


def _reduction(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    return values[0].mean(dim=(2, 3), keepdim=True) * step.number(2, 1.0)


Layer = Callable[[Step, list[Tensor], list[Tensor]], Tensor]


def _as_it_is(step: Step, values: list[Tensor], held: list[Tensor]) -> Tensor:
    return values[0]


LAYERS: dict[str, Layer] = {
    "Split": _as_it_is,
    "Dropout": lambda step, values, held: values[0] * step.number(0, 1.0),
    "Noop": _as_it_is,
    "Convolution": _convolution,
    "ConvolutionDepthWise": _convolution,
    "Deconvolution": _deconvolution,
    "DeconvolutionDepthWise": _deconvolution,
    "InnerProduct": _inner_product,
    "Pooling": _pooling,
    "Reduction": _reduction,
    "Crop": _crop,
    "Padding": _padding,
    "Slice": _slices,  # type: ignore[dict-item]  # gives several blobs: computed() takes them
    "Interp": _interp,
    "Eltwise": _eltwise,
    "BinaryOp": _binary,
    "UnaryOp": lambda step, values, held: UNARY[step.whole(0)](values[0]),
    "Scale": _scale,
    "PixelShuffle": _shuffle,
    "Reorg": _reorg,
    "BatchNorm": _normalized,
    "Concat": lambda step, values, held: torch.cat(values, dim=_dim(step.whole(0))),
    "PReLU": lambda step, values, held: F.prelu(values[0], held[0]),
    "ReLU": lambda step, values, held: F.leaky_relu(values[0], step.number(0)) if step.number(0) else F.relu(values[0]),
    "ELU": lambda step, values, held: F.elu(values[0], step.number(0, 0.1)),
    "GELU": lambda step, values, held: F.gelu(values[0], approximate="tanh" if step.whole(0) else "none"),
    "Mish": lambda step, values, held: F.mish(values[0]),
    "Sigmoid": lambda step, values, held: torch.sigmoid(values[0]),
    "Swish": lambda step, values, held: values[0] * torch.sigmoid(values[0]),
    "TanH": lambda step, values, held: torch.tanh(values[0]),
    "Clip": lambda step, values, held: values[0].clamp(step.number(0, -3.4e38), step.number(1, 3.4e38)),
    "HardSigmoid": lambda step, values, held: (values[0] * step.number(0, 0.2) + step.number(1, 0.5)).clamp(0, 1),
    "HardSwish": lambda step, values, held: (
        values[0] * (values[0] * step.number(0, 0.2) + step.number(1, 0.5)).clamp(0, 1)
    ),
}
