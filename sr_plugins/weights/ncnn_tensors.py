"""The tensors of an ncnn network, and what its layers' settings may be.

What the text claims is held against what the tensors' file has before anything is made.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

    from sr_plugins.weights.ncnn_layers import Step

HALF, FLOAT = 0x01306B47, 0x0002C056  # marks before a tensor of float16 or float32; 0: float32 too
MANY = 1 << 16  # channels, or pixels of a side
LARGEST = 1 << 28  # values of one tensor

MOST = 1 << 16  # values for each pixel of the picture, in any blob

Wrong = Callable[[str], WeightsError]


@dataclass(frozen=True)
class Extent:
    """How large a blob is: its channels, and its sides as a multiple of the picture's."""

    channels: int
    factor: float


def extent_of(step: Step, inputs: list[Extent], held: list[Tensor]) -> Extent:
    """About how large what a layer writes will be; nothing is computed for it."""
    channels, factor = max((e.channels for e in inputs), default=1), max((e.factor for e in inputs), default=1.0)
    match step.kind:
        case "Convolution" | "ConvolutionDepthWise":
            return Extent(step.whole(0), factor / step.whole(3, 1))
        case "Deconvolution" | "DeconvolutionDepthWise":
            return Extent(step.whole(0), factor * step.whole(3, 1))
        case "InnerProduct":
            return Extent(step.whole(0), factor)
        case "PixelShuffle":
            return Extent(max(1, channels // step.whole(0, 1) ** 2), factor * step.whole(0, 1))
        case "Reorg":
            return Extent(channels * step.whole(0, 1) ** 2, factor / step.whole(0, 1))
        case "Interp":
            return Extent(channels, factor if len(inputs) > 1 else factor * max(step.number(1, 1), step.number(2, 1)))
        case "Pooling" if not step.whole(4):
            return Extent(channels, factor / step.whole(2, 1))
        case "Concat":
            return Extent(sum(e.channels for e in inputs), factor)
        case "MemoryData":
            return Extent(max(1, step.whole(2) or step.whole(0)), factor)
        case _:
            return Extent(channels, factor)


class Weights:
    """The tensors' file, read from the beginning."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self._data, self._at = path, data, 0

    @property
    def left(self) -> int:
        """Bytes that nobody asked for yet."""
        return len(self._data) - self._at

    def take(self, count: int, *, marked: bool) -> Tensor:
        """The next ``count`` values as float32; ``marked``: a word before them says how they are written."""
        import numpy as np
        import torch

        mark = int.from_bytes(self._bytes(4), "little") if marked else 0
        if mark not in (HALF, FLOAT, 0):
            raise WeightsError(f"{self.path} holds tensors in a code ({mark:#x}) that is not read: int8 or a table")
        size = 2 if mark == HALF else 4
        values = np.frombuffer(self._bytes(count * size), np.float16 if mark == HALF else np.float32).astype(np.float32)
        if mark == HALF and count % 2:
            self._bytes(2)
        if not np.isfinite(values).all():
            raise WeightsError(f"{self.path} holds values that are not finite: download it again")
        return torch.from_numpy(values)

    def _bytes(self, count: int) -> bytes:
        if count > self.left:
            raise WeightsError(f"{self.path} is cut off, or no pair of its graph: {count} bytes are missing at its end")
        self._at += count
        return self._data[self._at - count : self._at]


def tensors_of(step: Step, weights: Weights, wrong: Wrong) -> list[Tensor]:
    """The tensors of a layer; ``WeightsError`` where it is none of those that are known, or set in another way."""
    from sr_plugins.weights.ncnn_layers import LAYERS, REST

    if step.kind not in LAYERS and step.kind != "MemoryData":
        raise wrong("this kind of layer is not known here")
    settings = _Settings(step, wrong)
    whole = settings.whole
    match step.kind:
        case "Convolution" | "ConvolutionDepthWise" | "Deconvolution" | "DeconvolutionDepthWise":
            return _convolution(step, settings, weights)
        case "InnerProduct":
            count, total = whole(0, 1, MANY), whole(2, 1, LARGEST)
            settings.activation()
            if total % count:
                raise wrong("its numbers do not fit each other")
            settings.no_int8()
            weight = weights.take(total, marked=True).view(count, total // count)
            return [weight, weights.take(count, marked=False)] if whole(1, 0, 1) else [weight]
        case "PReLU":
            return [weights.take(whole(0, 1, MANY), marked=False)]
        case "BatchNorm":
            return [weights.take(whole(0, 1, MANY), marked=False) for _ in range(4)]
        case "Scale":
            if step.number(0) == REST and len(step.inputs) == 2:
                return []
            count = whole(0, 1, MANY)
            return [weights.take(count, marked=False) for _ in range(1 + whole(1, 0, 1))]
        case "MemoryData":
            sides = [whole(key, 0, MANY) for key in (0, 1, 2)]
            count = math.prod(side or 1 for side in sides)
            if not sides[0] or (sides[1] > 0) != (sides[2] > 0) or count > LARGEST:
                raise wrong("it is no constant of one value a channel, and no picture")
            return [weights.take(count, marked=not whole(21, 0, 1, 1))]
        case _:
            _check(step, settings)
    return []


class _Settings:
    """A layer's settings, held against what is known here."""

    def __init__(self, step: Step, wrong: Wrong) -> None:
        self.step, self.wrong = step, wrong

    def whole(self, key: int, low: int, high: int, default: int = 0, *, also: tuple[int, ...] = ()) -> int:
        value = self.step.number(key, default)
        if isinstance(value, float) or (not low <= value <= high and value not in also):  # of 2.0 ncnn takes the bits
            raise self.wrong(f"its setting {key} is {value}: not a whole number from {low} to {high}")
        return value

    def activation(self) -> None:
        from sr_plugins.weights.ncnn_layers import ACTIVATIONS

        kind = ACTIVATIONS[self.whole(9, 0, 6)]
        if len(self.step.numbers(10)) < {"leaky": 1, "clip": 2, "hardswish": 2}.get(kind, 0):
            raise self.wrong("its numbers do not fit each other")

    def no_int8(self) -> None:
        if self.step.number(8):
            raise self.wrong("it computes in int8, which is not known here")


def _convolution(step: Step, settings: _Settings, weights: Weights) -> list[Tensor]:
    from sr_plugins.weights.ncnn_layers import SAME_LOWER, SAME_UPPER

    whole, turned = settings.whole, step.kind.startswith("Deconvolution")
    count, kernel, total = whole(0, 1, MANY), whole(1, 1, 64), whole(6, 1, LARGEST)
    tall, groups = whole(11, 1, 64, kernel), whole(7, 1, MANY, 1)
    for key in (2, 3):
        whole(key, 1, 64, 1)
        whole(key + 10, 1, 64, step.whole(key, 1))
    same = () if turned else (SAME_UPPER, SAME_LOWER)
    left = whole(4, 0, 64, also=same)
    for key, default in ((14, left), (15, left), (16, step.whole(14, left))):
        whole(key, 0, 64, default, also=same)
    if turned:
        for key in (18, 19):
            whole(key, 0, 64)
        if step.number(20) or step.number(21):
            raise settings.wrong("it makes pictures of one size alone")
    elif step.number(19):
        raise settings.wrong("its tensors come from another layer, which is not known here")
    settings.activation()
    settings.no_int8()
    each, part = total // (kernel * tall), count // groups
    if total % (kernel * tall) or count % groups or each % (groups * part):
        raise settings.wrong("its numbers do not fit each other")
    reads = each // (groups * part)  # channels of a group: the only place where they stand
    weight = weights.take(total, marked=True)
    if turned:  # ncnn keeps (out, in), torch (in, out)
        weight = weight.view(groups, part, reads, tall, kernel).transpose(1, 2).reshape(-1, part, tall, kernel)
    else:
        weight = weight.view(count, reads, tall, kernel)
    return [weight.contiguous(), weights.take(count, marked=False)] if whole(5, 0, 1) else [weight.contiguous()]


def _check(step: Step, settings: _Settings) -> None:
    """Layers without tensors."""
    from sr_plugins.weights.ncnn_layers import BINARY, REST, UNARY

    whole, wrong = settings.whole, settings.wrong
    match step.kind:
        case "BinaryOp":
            if whole(0, 0, 100) not in BINARY or (len(step.inputs) < 2 and not whole(1, 0, 1)):
                raise wrong(f"its operation {step.number(0):g} is not known here")
        case "UnaryOp":
            if whole(0, 0, 100) not in UNARY:
                raise wrong(f"its operation {step.number(0):g} is not known here")
        case "Eltwise":
            if whole(0, 0, 2) == 1 and len(step.numbers(1)) not in (0, len(step.inputs)):
                raise wrong("it has other numbers of factors than of blobs")
        case "Interp":
            whole(0, 1, 3)
            if len(step.inputs) == 1 and not all(0.0625 <= step.number(key, 1.0) <= 16 for key in (1, 2)):
                named = next(key for key in (1, 2) if not 0.0625 <= step.number(key, 1.0) <= 16)
                raise wrong(f"its setting {named} is {step.number(named):g}: not a factor from 1/16 to 16")
            if step.number(3) or step.number(4):
                raise wrong("it makes pictures of one size alone")
        case "Concat":
            whole(0, -3, 2)
        case "Slice":
            if whole(1, -3, 3) not in (0, -3):
                raise wrong("only channels can be cut into parts")
            if len(step.numbers(0)) != len(step.outputs):
                raise wrong("it has other numbers of parts than of blobs")
        case "PixelShuffle" | "Reorg":
            whole(0, 1, 16, 1)
            whole(1, 0, 1)
        case "Pooling":
            whole(0, 0, 1)
            if not whole(4, 0, 1):
                for key in (1, 2, 11, 12):
                    whole(key, 1, 64, 1)
                if whole(5, 0, 3) > 1 or any(step.number(key) for key in (3, 7, 13, 14, 15)):
                    raise wrong("its padding is not known here")
        case "Reduction":
            axes = sorted(int(a) for a in step.numbers(3))
            every = step.number(1, 1)  # over channels, too, whatever the axes are
            if whole(0, 0, 20) != 3 or every or axes not in ([-2, -1], [1, 2]) or not step.number(4):
                raise wrong("only the average over a whole picture is known here")
        case "Crop":
            lists = [step.numbers(key) for key in (9, 10)]
            if len({len(one) for one in lists}) > 1 or len(step.numbers(11)) not in (0, len(lists[0])):
                raise wrong("its numbers do not fit each other")
            if any(not -3 <= axis <= 2 for axis in step.numbers(11)) or len(lists[0]) > 3:
                raise wrong("it cuts along an axis that there is not")
            for key in range(9):
                whole(key, 0, MANY, also=(REST,))
        case "Padding":
            for key in range(4):
                whole(key, 0, 64)
            whole(4, 0, 2)
            if step.number(6) or step.number(7) or step.number(8):
                raise wrong("it pads in a way that is not known here")
