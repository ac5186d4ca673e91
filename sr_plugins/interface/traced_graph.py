"""ONNX graphs of networks that cannot write themselves down: they are given a value that writes what is done to it.

torch's exporter takes a minute for a deep ESRGAN. It is a list of convolutions, and is written so within a second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor

from sr_plugins.interface.written_graph import WrittenGraph


class NotWritableError(Exception):
    """The network does something that is not among what is written here."""


def write_traced(graph: WrittenGraph, forward: Callable[[Any], Any], x: str) -> str | None:
    """What ``forward`` does to ``x``, written into ``graph``, by its name there.

    Convolutions, activations, sums, products, joined channels, interpolation and pixel shuffle are known; ``None``
    where a network asks for anything else, such as the picture's size.

    Args:
        graph: of float32.
        forward: takes and gives one picture; it may change its input in place.
        x: name of a value in float32, (N, C, H, W).
    """
    try:
        result = forward(TracedValue(graph, x))
    except (NotWritableError, TypeError):  # the latter where it compares, or calls with arguments not known here
        return None
    return result.name if isinstance(result, TracedValue) and result.name != x else None


class TracedValue:
    """Stands for a tensor (N, C, H, W) whose numbers are not known yet; done in place, something changes ``name``."""

    def __init__(self, graph: WrittenGraph, name: str) -> None:
        self.graph, self.name = graph, name

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        named: dict[str, Any] | None = None,
    ) -> Any:
        return _written(getattr(function, "__name__", ""), *arguments, **(named or {}))

    def __getattr__(self, name: str) -> Any:
        if name not in WRITTEN:
            raise NotWritableError(name)
        return partial(_written, name, self)

    def __add__(self, other: Any) -> Any:
        return _written("add", self, other)

    def __sub__(self, other: Any) -> Any:
        return _written("sub", self, other)

    def __rsub__(self, other: Any) -> Any:
        return _written("rsub", self, other)

    def __mul__(self, other: Any) -> Any:
        return _written("mul", self, other)

    def __truediv__(self, other: Any) -> Any:
        return _written("div", self, other)

    def __iadd__(self, other: Any) -> Any:
        return _written("add_", self, other)

    def __imul__(self, other: Any) -> Any:
        return _written("mul_", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, key: Any) -> Any:
        raise NotWritableError("part of a tensor")

    def __iter__(self) -> Any:
        raise NotWritableError("part of a tensor")

    def __bool__(self) -> bool:
        raise NotWritableError("a decision")

    def became(self, value: TracedValue) -> TracedValue:
        """Itself, changed in place, for all that hold it."""
        self.name = value.name
        return self


def _written(name: str, *arguments: Any, **named: Any) -> Any:
    """What torch's function or method of that name gives."""
    write = WRITTEN.get(name.strip("_") if name.startswith("__") else name)
    if write is None:
        raise NotWritableError(name)
    return write(*arguments, **named)


def _computed(kind: str, *inputs: Any, **attributes: Any) -> TracedValue:
    graph = next(x.graph for x in inputs if isinstance(x, TracedValue))
    if not all(isinstance(x, TracedValue | Tensor | float | int) for x in inputs):
        raise NotWritableError(kind)
    names = [x.name if isinstance(x, TracedValue) else x if isinstance(x, Tensor) else float(x) for x in inputs]
    return TracedValue(graph, graph.computed(kind, *names, **attributes))


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
    if not isinstance(x, TracedValue) or not isinstance(weight, Tensor) or isinstance(padding, str):
        raise NotWritableError("a convolution by what is not known yet")
    return _computed(
        "Conv",
        x,
        weight,
        *([] if bias is None else [bias]),
        kernel_shape=list(weight.shape[2:]),
        strides=_pair(stride),
        pads=_pair(padding) * 2,
        dilations=_pair(dilation),
        group=groups,
    )


def _operator(kind: str) -> Callable[..., TracedValue]:
    def write(x: Any, other: Any) -> TracedValue:
        return _computed(kind, x, other)

    return write


def _in_place(write: Callable[..., TracedValue]) -> Callable[..., TracedValue]:
    def change(x: TracedValue, *arguments: Any, **named: Any) -> TracedValue:
        return x.became(write(x, *arguments, **named))

    return change


def _activation(kind: str) -> Callable[..., TracedValue]:
    def write(x: TracedValue, inplace: bool = False) -> TracedValue:
        y = _computed(kind, x)
        return x.became(y) if inplace else y

    return write


def _leaky_relu(x: TracedValue, negative_slope: float = 0.01, inplace: bool = False) -> TracedValue:
    y = _computed("LeakyRelu", x, alpha=float(negative_slope))
    return x.became(y) if inplace else y


def _silu(x: TracedValue, inplace: bool = False) -> TracedValue:
    y = _computed("Mul", x, _computed("Sigmoid", x))
    return x.became(y) if inplace else y


def _prelu(x: TracedValue, weight: Tensor) -> TracedValue:
    return _computed("PRelu", x, weight.reshape(-1, 1, 1))


def _clamp(x: TracedValue, min: float | None = None, max: float | None = None) -> TracedValue:  # torch's names
    for kind, bound in (("Max", min), ("Min", max)):
        x = x if bound is None else _computed(kind, x, bound)
    return x


def _joined(parts: Sequence[Any], dim: int = 0) -> TracedValue:
    if dim not in (1, -3) or not all(isinstance(part, TracedValue) for part in parts):
        raise NotWritableError("joined along another axis")
    return TracedValue(parts[0].graph, parts[0].graph.joined([part.name for part in parts]))


def _shuffled(x: TracedValue, upscale_factor: int) -> TracedValue:
    return TracedValue(x.graph, x.graph.shuffled(x.name, upscale_factor))


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
    return TracedValue(x.graph, x.graph.resized(x.name, [float(factor) for factor in factors], mode))


def _same(x: Any, *_: Any) -> Any:
    return x


def _copied(x: TracedValue) -> TracedValue:
    return TracedValue(x.graph, x.name)


WRITTEN: dict[str, Callable[..., Any]] = {
    "conv2d": _convolution,
    "prelu": _prelu,
    "leaky_relu": _leaky_relu,
    "relu": _activation("Relu"),
    "silu": _silu,
    "sigmoid": _activation("Sigmoid"),
    "tanh": _activation("Tanh"),
    "clamp": _clamp,
    "cat": _joined,
    "pixel_shuffle": _shuffled,
    "interpolate": _interpolated,
    "add": _operator("Add"),
    "radd": _operator("Add"),
    "sub": _operator("Sub"),
    "rsub": lambda x, other: _computed("Sub", other, x),
    "mul": _operator("Mul"),
    "rmul": _operator("Mul"),
    "div": _operator("Div"),
    "truediv": _operator("Div"),
    "add_": _in_place(_operator("Add")),
    "mul_": _in_place(_operator("Mul")),
    "clone": _copied,
    "contiguous": _same,
    "type_as": _same,
    "float": _same,
}
