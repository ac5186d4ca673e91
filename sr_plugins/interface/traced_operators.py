"""What torch's functions and methods are as operators of a graph, done to values that stand for tensors."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from typing import Any

from torch import Tensor

from sr_plugins.interface.traced_sides import NotWritableError, Side, convolved_side, deconvolved_side
from sr_plugins.interface.traced_value import TracedValue


def _computed(kind: str, *inputs: Any, **attributes: Any) -> TracedValue:
    """An operator's result for each pixel."""
    if not all(isinstance(x, TracedValue | Tensor | float | int) for x in inputs):
        raise NotWritableError(kind)
    first = next(x for x in inputs if isinstance(x, TracedValue))
    names = [x.name if isinstance(x, TracedValue) else x if isinstance(x, Tensor) else float(x) for x in inputs]
    channels = max(_channels(x) for x in inputs)
    return TracedValue(first.trace, first.graph.computed(kind, *names, **attributes), channels, first.sides)


def _channels(x: Any) -> int:
    if isinstance(x, TracedValue):
        return x.channels
    return x.shape[-3] if isinstance(x, Tensor) and x.ndim > 2 else 1


def _made(x: TracedValue, name: str, channels: int, side: Callable[[Side, int], Side]) -> TracedValue:
    """What was made of ``x``; ``side`` tells a side of the result, from that of ``x``, down (0) or across (1)."""
    try:
        sides = None if x.sides is None else (side(x.sides[0], 0), side(x.sides[1], 1))
    except NotWritableError:
        sides = None
    return TracedValue(x.trace, name, channels, sides)


def _pair(value: Any) -> list[int]:
    if not isinstance(value, int | tuple | list):
        raise NotWritableError(value)
    return [value, value] if isinstance(value, int) else list(value)


def _convolution(
    x: TracedValue,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> TracedValue:
    settings = _settings(x, weight, stride, padding, dilation, groups)
    kernel, steps, pads, apart, _ = settings.values()
    name = x.graph.computed("Conv", x.name, weight, *_given(bias), **settings)
    return _made(
        x,
        name,
        weight.shape[0],
        lambda side, axis: convolved_side(side, kernel[axis], steps[axis], pads[axis], apart[axis]),
    )


def _deconvolution(
    x: TracedValue,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> TracedValue:
    settings, more = _settings(x, weight, stride, padding, dilation, groups), _pair(output_padding)
    kernel, steps, pads, apart, _ = settings.values()
    name = x.graph.computed("ConvTranspose", x.name, weight, *_given(bias), output_padding=more, **settings)

    def side(old: Side, axis: int) -> Side:
        return deconvolved_side(old, kernel[axis], steps[axis], pads[axis], apart[axis], more[axis])

    return _made(x, name, weight.shape[1] * groups, side)


def _given(bias: Tensor | None) -> list[Tensor]:
    return [] if bias is None else [bias]


def _settings(x: TracedValue, weight: Tensor, stride: Any, padding: Any, dilation: Any, groups: int) -> dict[str, Any]:
    if not isinstance(x, TracedValue) or not isinstance(weight, Tensor) or isinstance(padding, str):
        raise NotWritableError("a convolution by what is not known yet")
    return {
        "kernel_shape": list(weight.shape[2:]),
        "strides": _pair(stride),
        "pads": _pair(padding) * 2,
        "dilations": _pair(dilation),
        "group": groups,
    }


def _operator(kind: str) -> Callable[..., TracedValue]:
    def write(x: Any, other: Any) -> TracedValue:
        return _computed(kind, x, other)

    return write


def _perhaps_in_place(write: Callable[..., TracedValue]) -> Callable[..., TracedValue]:
    def change(x: TracedValue, *arguments: Any, inplace: bool = False, **named: Any) -> TracedValue:
        y = write(x, *arguments, **named)
        return x.became(y) if inplace else y

    return change


def _activation(kind: str) -> Callable[..., TracedValue]:
    return _perhaps_in_place(lambda x: _computed(kind, x))


def _leaky_relu(x: TracedValue, negative_slope: float = 0.01) -> TracedValue:
    return _computed("LeakyRelu", x, alpha=float(negative_slope))


def _silu(x: TracedValue) -> TracedValue:
    return _computed("Mul", x, _computed("Sigmoid", x))


def _prelu(x: TracedValue, weight: Tensor) -> TracedValue:
    return _computed("PRelu", x, weight.reshape(-1, 1, 1))


def _clamp(x: TracedValue, min: float | None = None, max: float | None = None) -> TracedValue:  # torch's names
    for kind, bound in (("Max", min), ("Min", max)):
        x = x if bound is None else _computed(kind, x, bound)
    return x


def _joined(parts: Sequence[Any], dim: int = 0) -> TracedValue:
    if dim not in (1, -3) or not all(isinstance(part, TracedValue) for part in parts):
        raise NotWritableError("joined along another axis")
    first, channels = parts[0], sum(part.channels for part in parts)
    return TracedValue(first.trace, first.graph.joined([part.name for part in parts]), channels, first.sides)


def _shuffled(x: TracedValue, upscale_factor: int) -> TracedValue:
    r = upscale_factor
    return _made(x, x.graph.shuffled(x.name, r), x.channels // (r * r), lambda side, _: side * r)


def _unshuffled(x: TracedValue, downscale_factor: int) -> TracedValue:
    r = downscale_factor
    name = x.graph.unshuffled(x.name, r, x.channels)
    return _made(x, name, x.channels * r * r, lambda side, _: side.of(side.times / r, side.plus // r))


def _padded(x: TracedValue, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> TracedValue:
    pad = [operator.index(number) for number in pad]  # across, then down
    if not any(pad):
        return _copied(x)
    modes = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    if len(pad) != 4 or min(pad) < 0 or value or mode not in modes:
        raise NotWritableError("padding")
    left, right, top, bottom = pad
    name = x.graph.surrounded(x.name, (top, left, bottom, right), modes[mode])
    return _made(x, name, x.channels, lambda side, axis: side + (left + right if axis else top + bottom))


def _part(x: TracedValue, key: Any) -> TracedValue:
    """Rows and columns of all channels, from the beginning to the end or some before it."""
    keys = key if isinstance(key, tuple) else (key,)
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys = (*keys[:at], *[slice(None)] * (5 - len(keys)), *keys[at + 1 :])
    if len(keys) > 4 or any(not isinstance(k, slice) or k.step not in (None, 1) for k in keys):
        raise NotWritableError("part of a tensor")
    if any(k != slice(None) for k in keys[:2]):
        raise NotWritableError("some channels")
    starts, ends = list[int](), list[int]()
    for k, side in zip((*keys[2:], *[slice(None)] * (4 - len(keys))), x.shape[2:], strict=True):
        end = k.stop.beyond(side) if isinstance(k.stop, Side) else k.stop or 0
        if (k.start or 0) < 0 or end > 0 or (not isinstance(k.stop, Side) and k.stop == 0):
            raise NotWritableError("part of a tensor")
        starts.append(k.start or 0)
        ends.append(end)
    if not any(starts) and not any(ends):
        return x
    name = x.graph.part(x.name, starts, ends, 2)
    part = _made(x, name, x.channels, lambda side, axis: side + (ends[axis] - starts[axis]))
    part.is_part = True
    return part


def _interpolated(
    x: TracedValue,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    **others: Any,
) -> TracedValue:
    factors = [scale_factor] * 2 if isinstance(scale_factor, int | float) else list(scale_factor or ())
    if size is not None or len(factors) != 2 or align_corners or any(others.values()):
        raise NotWritableError("interpolation")
    whole = all(float(factor).is_integer() and factor >= 1 for factor in factors)
    # by powers of two positions are exact, so that a tile's are the picture's
    exact = all(factor > 0 and math.frexp(factor)[0] == 0.5 for factor in factors)
    if not (whole if mode == "nearest" else exact and mode in ("bilinear", "bicubic")):
        raise NotWritableError("interpolation")
    name = x.graph.resized(x.name, [float(factor) for factor in factors], mode)
    return _made(x, name, x.channels, lambda side, axis: side * Fraction(factors[axis]))


def _same(x: Any, *_: Any) -> Any:
    return x


def _copied(x: TracedValue) -> TracedValue:
    return TracedValue(x.trace, x.name, x.channels, x.sides)


OPERATORS: dict[str, Callable[..., Any]] = {
    "conv2d": _convolution,
    "conv_transpose2d": _deconvolution,
    "prelu": _prelu,
    "leaky_relu": _perhaps_in_place(_leaky_relu),
    "relu": _activation("Relu"),
    "silu": _perhaps_in_place(_silu),
    "sigmoid": _activation("Sigmoid"),
    "tanh": _activation("Tanh"),
    "clamp": _clamp,
    "cat": _joined,
    "pixel_shuffle": _shuffled,
    "pixel_unshuffle": _unshuffled,
    "pad": _padded,
    "getitem": _part,
    "interpolate": _interpolated,
    "add": _operator("Add"),
    "radd": _operator("Add"),
    "sub": _operator("Sub"),
    "rsub": lambda x, other: _computed("Sub", other, x),
    "mul": _operator("Mul"),
    "rmul": _operator("Mul"),
    "div": _operator("Div"),
    "truediv": _operator("Div"),
    "add_": partial(_perhaps_in_place(_operator("Add")), inplace=True),
    "mul_": partial(_perhaps_in_place(_operator("Mul")), inplace=True),
    "clone": _copied,
    "contiguous": _same,
    "type_as": _same,
    "float": _same,
}
