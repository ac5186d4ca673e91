"""ONNX's Resize in torch (onnx.ai/onnx/operators/onnx__Resize.html).

Positions are computed in float64 as the formulas have them; where torch has the same filter it is used.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

from sr_plugins.weights.fractional import by_three_quarters
from sr_plugins.weights.onnx_node import Node, UnknownOperator, numbers
from sr_plugins.weights.onnx_operators import Values

HALF_PIXEL = ("half_pixel", "pytorch_half_pixel")


def resized(node: Node, values: Values) -> Tensor:
    """The last two axes of (N, C, H, W) resized, by factors or to sizes."""
    x: Tensor = values[0]
    factors, sizes = _wanted(node, values, x)
    mode = str(node.attribute("mode", "nearest"))
    upsample = node.kind == "Upsample"  # of opset 9
    coordinates = "asymmetric" if upsample else str(node.attribute("coordinate_transformation_mode", "half_pixel"))
    rounding = "floor" if upsample else str(node.attribute("nearest_mode", "round_prefer_floor"))
    antialias, outside = bool(node.attribute("antialias", 0)), bool(node.attribute("exclude_outside", 0))
    cubic = float(node.attribute("cubic_coeff_a", -0.75))
    if coordinates not in (*HALF_PIXEL, "asymmetric", "align_corners", "half_pixel_symmetric"):
        raise UnknownOperator(f"Resize in coordinates {coordinates}")
    whole = [
        int(f) if f == int(f) and f >= 1 and s == n * int(f) else 0
        for f, s, n in zip(factors, sizes, x.shape[2:], strict=True)
    ]
    middle = coordinates in HALF_PIXEL and rounding.startswith("round")
    if mode == "nearest" and all(whole) and (middle or (coordinates, rounding) == ("asymmetric", "floor")):
        return x.repeat_interleave(whole[0], 2).repeat_interleave(whole[1], 3)
    names = {"linear": "bilinear", "cubic": "bicubic"}
    if mode in names and coordinates in HALF_PIXEL and not antialias and not outside and cubic == -0.75:
        if factors == (0.75, 0.75):
            return by_three_quarters(x, names[mode])
        if min(sizes) > 1 or coordinates == "half_pixel":
            told = [math.floor(n * f) == s for n, f, s in zip(x.shape[2:], factors, sizes, strict=True)]
            if all(told):  # by factors: by sizes it would be another one where it does not divide
                return F.interpolate(x, scale_factor=factors, mode=names[mode], align_corners=False)
    for axis in (2, 3):
        if sizes[axis - 2] != x.shape[axis] or factors[axis - 2] != 1:
            x = _axis(
                x, axis, sizes[axis - 2], factors[axis - 2], mode, coordinates, rounding, antialias, outside, cubic
            )
    return x


def _wanted(node: Node, values: Values, x: Tensor) -> tuple[tuple[float, float], tuple[int, int]]:
    """Factors and sizes of height and width."""
    first = 1 if node.kind == "Upsample" else 2
    factors, sizes = numbers(values, first), numbers(values, 3)
    axes = list(node.attribute("axes", range(4)))
    if str(node.attribute("keep_aspect_ratio_policy", "stretch")) != "stretch" or x.dim() != 4:
        raise UnknownOperator("Resize that keeps an aspect ratio, or of other than pictures")
    if node.kind == "Upsample" and factors is None:
        factors = list(node.attribute("scales"))
    by, to = [1.0] * 4, list(x.shape)
    for i, axis in enumerate(axes):
        if factors:
            by[axis] = float(factors[i])
            to[axis] = math.floor(x.shape[axis] * by[axis])
        elif sizes:
            to[axis] = int(sizes[i])
            by[axis] = to[axis] / x.shape[axis]
    if by[:2] != [1.0, 1.0]:
        raise UnknownOperator("Resize of batch or channels")
    return (by[2], by[3]), (to[2], to[3])


def _axis(
    x: Tensor, axis: int, size: int, factor: float, mode: str, coordinates: str, rounding: str, antialias: bool,
    outside: bool, cubic: float,
) -> Tensor:  # fmt: skip
    taps = _taps(x.shape[axis], size, factor, mode, coordinates, rounding, antialias, outside, cubic)
    result: Tensor | None = None
    shape = [1] * 4
    shape[axis] = size
    for index, weight in taps:
        part = x.index_select(axis, torch.tensor(index, device=x.device))
        if mode == "nearest":
            return part
        part = part * torch.tensor(weight, dtype=x.dtype, device=x.device).view(shape)
        result = part if result is None else result + part
    assert result is not None
    return result


@lru_cache(maxsize=64)
def _taps(
    length: int, size: int, factor: float, mode: str, coordinates: str, rounding: str, antialias: bool, outside: bool,
    cubic: float,
) -> tuple[tuple[tuple[int, ...], tuple[float, ...]], ...]:  # fmt: skip
    """For each tap: which input every output reads, and its weight."""
    wide = max(1.0, 1.0 / factor) if antialias else 1.0
    reach = {"nearest": 0.0, "linear": 1.0, "cubic": 2.0}[mode] * wide
    rows: list[list[tuple[int, float]]] = []
    for i in range(size):
        at = _position(i, length, size, factor, coordinates)
        if mode == "nearest":
            rows.append([(min(max(_rounded(at, rounding), 0), length - 1), 1.0)])
            continue
        first, last = math.ceil(at - reach), math.floor(at + reach)
        weights = [(k, _kernel(abs(at - k) / wide, mode, cubic)) for k in range(first, last + 1)]
        if outside:
            weights = [(k, w) for k, w in weights if 0 <= k < length]
        total = sum(w for _, w in weights)
        rows.append([(min(max(k, 0), length - 1), w / total) for k, w in weights])
    count = max(map(len, rows))
    rows = [row + [(row[0][0], 0.0)] * (count - len(row)) for row in rows]
    return tuple((tuple(row[t][0] for row in rows), tuple(row[t][1] for row in rows)) for t in range(count))


def _position(i: int, length: int, size: int, factor: float, coordinates: str) -> float:
    if coordinates == "asymmetric":
        return i / factor
    if coordinates == "align_corners":
        return i * (length - 1) / (size - 1) if size > 1 else 0.0
    if coordinates == "pytorch_half_pixel" and size == 1:
        return 0.0
    at = (i + 0.5) / factor - 0.5
    if coordinates == "half_pixel_symmetric":
        at += length / 2 * (1 - size / (factor * length))
    return at


def _rounded(at: float, rounding: str) -> int:
    match rounding:
        case "floor":
            return math.floor(at)
        case "ceil":
            return math.ceil(at)
        case "round_prefer_ceil":
            return math.floor(at + 0.5)
        case _:
            return math.ceil(at - 0.5)


def _kernel(x: float, mode: str, a: float) -> float:
    if mode == "linear":
        return max(0.0, 1.0 - x)
    if x <= 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return a * (((x - 5) * x + 8) * x - 4) if x < 2 else 0.0
