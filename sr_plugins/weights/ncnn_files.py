"""ncnn networks: a ``.param`` file with the graph and a ``.bin`` file with its tensors, turned into torch.

Everything is read with limits: what the text claims is held against what the tensors' file has before it is made.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import WeightsError
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.network import NcnnNetwork, TorchNetwork
from sr_plugins.weights.community import loaded_model, remembered
from sr_plugins.weights.contents import PARAM

if TYPE_CHECKING:
    from torch import Tensor

    from sr_plugins.weights.ncnn_network import Step

LONGEST = 4 << 20  # bytes of a graph's text; the largest known has 200 kB
HALF, FLOAT = 0x01306B47, 0x0002C056  # marks before a tensor of float16 or float32; 0: float32 too
CHANNELS = 3


def pair_of(path: Path) -> tuple[Path, Path] | None:
    """The two files of an ncnn network, of which ``path`` is one; ``None`` if it is none."""
    other = {".param": ".bin", ".bin": ".param"}.get(path.suffix.lower())
    found = [p for p in path.parent.glob(f"{_escaped(path.stem)}.*") if p.suffix.lower() == other] if other else []
    if not found:
        return None
    return (path, found[0]) if other == ".bin" else (found[0], path)


def open_pair(path: Path) -> LoadedModel | None:
    """The network of a ``.param`` and the ``.bin`` beside it, named by either; ``None`` where ``path`` is neither.

    Raises:
        WeightsError: one of the two is missing, they do not fit, or a layer is not one that is known here.
    """
    pair = pair_of(path)
    if pair is None or not _begins_a_graph(pair[0]):
        if _begins_a_graph(path):
            raise WeightsError(f"{path} is an ncnn graph: its tensors, {path.stem}.bin, are not beside it")
        return None
    text, data = _read(pair[0], LONGEST), pair[1].read_bytes()
    from sr_plugins.weights.ncnn_network import NcnnGraph
    from sr_plugins.weights.probe import probe

    steps, tensors, source, target = _graph(pair[0], text.decode(errors="replace"), pair[1], data)
    module = NcnnGraph(steps, tensors, source, target)
    as_read = NcnnNetwork(text.decode(errors="replace"), data, source, target)
    from sr_plugins.weights.digest import fingerprint

    key = fingerprint(as_read) or ""
    found = remembered(key, lambda: json.dumps(asdict(probe(module, CHANNELS, path))).encode())
    return loaded_model(
        path,
        as_read,
        found,
        others=(TorchNetwork(module),),
        architecture=f"ncnn graph, {len(steps)} layers",
        purpose="enlarge" if found["scale"] > 1 else "restore",
        reader="ncnn",
    )


def _escaped(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)


def _begins_a_graph(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).split(b"\n", 1)[0].strip() == PARAM


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise WeightsError(f"{path} is longer than any graph of ncnn ({most} bytes)")
    return content


def _graph(path: Path, text: str, beside: Path, data: bytes) -> tuple[tuple[Step, ...], list[Tensor], str, str]:
    from sr_plugins.weights.ncnn_network import Step

    lines = [line.split() for line in text.splitlines() if line.strip()][2:]
    steps: list[Step] = []
    tensors: list[Tensor] = []
    source, written, read = "", set[str](), set[str]()
    weights = _Weights(beside, data)
    for number, words in enumerate(lines, 3):

        def wrong(what: str, number: int = number, words: list[str] = words) -> WeightsError:
            return WeightsError(f"{path}, line {number} ({' '.join(words[:2])[:60]}): {what}")

        try:
            kind, _, count_in, count_out = words[0], words[1], int(words[2]), int(words[3])
            if not 0 <= count_in <= 64 or not 1 <= count_out <= 64 or len(words) < 4 + count_in + count_out:
                raise wrong("it names other numbers of blobs than it has")
            inputs, outputs = tuple(words[4 : 4 + count_in]), tuple(words[4 + count_in : 4 + count_in + count_out])
            settings = tuple(_setting(word) for word in words[4 + count_in + count_out :])
        except (IndexError, ValueError) as error:
            raise wrong("it is no layer of a graph") from error
        if unknown := [name for name in inputs if name not in written]:
            raise wrong(f"it reads {unknown[0]}, which no layer before it writes")
        written.update(outputs)
        read.update(inputs)
        if kind == "Input":
            if source:
                raise wrong("it is a second input: only the picture can be one")
            source = outputs[0]
            continue
        step = Step(kind, inputs, outputs, settings, ())
        held = _tensors_of(step, weights, wrong)
        steps.append(Step(kind, inputs, outputs, settings, tuple(range(len(tensors), len(tensors) + len(held)))))
        tensors += held
    ends = [name for name in written if name not in read]
    if not source or len(ends) != 1:
        raise WeightsError(
            f"{path} has {len(ends)} outputs and {'an' if source else 'no'} input: one of each is wanted"
        )
    if weights.left:
        raise WeightsError(f"{beside} holds {weights.left} bytes more than {path.name} asks for: they are no pair")
    return tuple(steps), tensors, source, ends[0]


def _setting(word: str) -> tuple[int, float | tuple[float, ...]]:
    key, _, value = word.partition("=")
    if int(key) <= -23300:
        count, *values = value.split(",")
        if int(count) != len(values):
            raise ValueError(word)
        return -23300 - int(key), tuple(map(float, values))
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(word)
    return int(key), number


class _Weights:
    """The tensors' file, read from the beginning."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self._data, self._at = path, data, 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int, *, marked: bool) -> Tensor:
        """The next ``count`` values as float32."""
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


def _tensors_of(step: Step, weights: _Weights, wrong: Any) -> list[Tensor]:
    """The tensors of a layer; ``WeightsError`` where it is none of those that are known, or set in another way."""
    from sr_plugins.weights.ncnn_network import ACTIVATIONS, BINARY

    def whole(key: int, low: int, high: int, default: int = 0) -> int:
        value = step.number(key, default)
        if value != int(value) or not low <= value <= high:
            raise wrong(f"its setting {key} is {value:g}: not a whole number from {low} to {high}")
        return int(value)

    match step.kind:
        case "Convolution":
            n, kernel, total = whole(0, 1, 1 << 16), whole(1, 1, 64), whole(6, 1, 1 << 28)
            tall = whole(11, 1, 64, kernel)
            for key, high in ((2, 64), (3, 64)):
                whole(key, 1, high, 1)
            for key in (4, 14, 15, 16):
                whole(key, 0, 1024)
            activation = ACTIVATIONS.get(whole(9, 0, 6), "none")
            if total % (n * kernel * tall) or len(step.numbers(10)) < {"leaky": 1, "clip": 2, "hardswish": 2}.get(
                activation, 0
            ):
                raise wrong("its numbers do not fit each other")
            if step.number(12, step.number(2, 1)) != step.number(2, 1) or step.number(
                13, step.number(3, 1)
            ) != step.number(3, 1):
                raise wrong("it has other steps down than across")
            weight = weights.take(total, marked=True).view(n, total // (n * kernel * tall), tall, kernel)
            return [weight, weights.take(n, marked=False)] if whole(5, 0, 1) else [weight]
        case "PReLU":
            return [weights.take(whole(0, 1, 1 << 16), marked=False)]
        case "MemoryData":
            sides = [whole(key, 0, 1 << 16) for key in (0, 1, 2)]
            if sides[0] > 1 and any(side > 1 for side in sides[1:]):
                raise wrong("it is no constant of one value a channel")
            return [weights.take(math.prod(side or 1 for side in sides), marked=False)]
        case "BinaryOp":
            if whole(0, 0, 100) not in BINARY or (len(step.inputs) < 2 and not whole(1, 0, 1)):
                raise wrong(f"its operation {step.number(0):g} is not known here")
        case "Eltwise":
            if whole(0, 0, 2) == 1 and len(step.numbers(1)) not in (0, len(step.inputs)):
                raise wrong("it has other numbers of factors than of blobs")
        case "Interp":
            factor = whole(1, 1, 16)
            if whole(0, 1, 2) not in (1, 2) or step.number(2) != factor or step.number(6):
                raise wrong("only nearest and bilinear enlargement by one whole factor is known here")
        case "Concat":
            if whole(0, -3, 3) != 0:
                raise wrong("only channels can be joined")
        case "PixelShuffle":
            whole(0, 1, 16)
            if step.number(1):
                raise wrong("its order of pixels is not known here")
        case "ReLU" | "Sigmoid" | "Swish" | "Split" | "Dropout" | "Noop":
            pass
        case _:
            raise wrong("this kind of layer is not known here")
    return []
