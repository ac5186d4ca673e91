"""The arithmetic of an ncnn graph as a torch module: the layers that networks for enlarging are made of.

Layer by layer as ncnn's documentation of operators has it (github.com/Tencent/ncnn/wiki/operators); a blob is
(N, C, H, W), and a vector of constants (C) stands for each channel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS = {0: "none", 1: "relu", 2: "leaky", 3: "clip", 4: "sigmoid", 5: "mish", 6: "hardswish"}
BINARY: dict[int, Callable[[Tensor, Tensor], Tensor]] = {
    0: torch.add, 1: torch.sub, 2: torch.mul, 3: torch.div, 4: torch.maximum, 5: torch.minimum, 6: torch.pow,
    7: lambda a, b: b - a, 8: lambda a, b: b / a,
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

    def numbers(self, key: int) -> tuple[float, ...]:
        """A setting that is a list of numbers."""
        value = dict(self.settings).get(key, ())
        return value if isinstance(value, tuple) else (value,)


class NcnnGraph(nn.Module):
    """Runs ``steps`` in order; float (N, C, H, W) to what ``target`` holds at the end."""

    def __init__(self, steps: tuple[Step, ...], tensors: list[Tensor], source: str, target: str) -> None:
        super().__init__()
        self.steps, self.source, self.target = steps, source, target
        for i, tensor in enumerate(tensors):
            self.register_buffer(f"t{i}", tensor)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Values 0..1 to values of the same range, larger."""
        blobs = {self.source: x}
        left: dict[str, int] = {}
        for step in self.steps:
            for name in step.inputs:
                left[name] = left.get(name, 0) + 1
        for step in self.steps:
            values = [blobs[name] for name in step.inputs]
            for name in step.inputs:  # what nobody reads any more is let go
                left[name] -= 1
                if not left[name] and name != self.target:
                    del blobs[name]
            result = self._computed(step, values)
            for name in step.outputs:
                blobs[name] = result
        return blobs[self.target]

    def _computed(self, step: Step, values: list[Tensor]) -> Tensor:
        held = [self.get_buffer(f"t{i}") for i in step.tensors]
        x = values[0] if values else held[0]
        match step.kind:
            case "Split" | "Dropout" | "Noop":
                return x
            case "MemoryData":
                return x.view(1, -1, 1, 1)
            case "Convolution":
                return _convolved(step, x, held)
            case "PReLU":
                return F.prelu(x, held[0])
            case "ReLU":
                return F.leaky_relu(x, step.number(0)) if step.number(0) else F.relu(x)
            case "Sigmoid":
                return torch.sigmoid(x)
            case "Swish":
                return x * torch.sigmoid(x)
            case "BinaryOp":
                other = (
                    values[1] if len(values) > 1 else torch.as_tensor(step.number(2), dtype=x.dtype, device=x.device)
                )
                return BINARY[int(step.number(0))](x, other)
            case "Eltwise":
                return _summed(step, values)
            case "Concat":
                return torch.cat(values, dim=1)
            case "PixelShuffle":
                return F.pixel_shuffle(x, int(step.number(0)))
            case _:  # Interp, by a whole factor
                mode = {1: "nearest", 2: "bilinear"}[int(step.number(0))]
                factor = float(int(step.number(1)))
                return F.interpolate(x, scale_factor=factor, mode=mode)


def _convolved(step: Step, x: Tensor, held: list[Tensor]) -> Tensor:
    left = int(step.number(4))
    top, right = int(step.number(14, left)), int(step.number(15, left))
    bottom = int(step.number(16, top))
    stride, dilation = int(step.number(3, 1)), int(step.number(2, 1))
    bias = held[1] if len(held) > 1 else None
    if left == right == top == bottom:
        y = F.conv2d(x, held[0], bias, stride, left, dilation)
    else:
        y = F.conv2d(F.pad(x, (left, right, top, bottom)), held[0], bias, stride, 0, dilation)
    values = step.numbers(10)
    match ACTIVATIONS[int(step.number(9))]:
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


def _summed(step: Step, values: list[Tensor]) -> Tensor:
    """Operation 1 of Eltwise, each with its coefficient; 0 is the product and 2 the maximum."""
    operation, factors = int(step.number(0)), step.numbers(1)
    result = values[0] * factors[0] if operation == 1 and factors else values[0]
    for i, value in enumerate(values[1:], 1):
        if operation == 1:
            result = result + (value * factors[i] if factors else value)
        else:
            result = result * value if operation == 0 else torch.maximum(result, value)
    return result
