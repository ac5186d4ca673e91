"""One node of an ONNX graph as plain data, with what its operator may ask of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

# inputs that are read as whole numbers, not as values of a picture: they stay where numbers are read without waiting
NUMBERS: dict[str, tuple[int, ...]] = {
    "Reshape": (1,), "Slice": (1, 2, 3, 4), "Expand": (1,), "Resize": (2, 3), "Upsample": (1,), "Pad": (1, 2, 3),
    "Tile": (1,), "Unsqueeze": (1,), "Squeeze": (1,), "Split": (1,), "ConstantOfShape": (0,), "TopK": (1,),
    "ReduceMean": (1,), "ReduceSum": (1,), "ReduceMax": (1,), "ReduceMin": (1,), "ReduceL2": (1,), "ReduceProd": (1,),
    "Range": (0, 1, 2), "CumSum": (1,), "Trilu": (1,),
}  # fmt: skip


@dataclass(frozen=True)
class Node:
    """An operator with the names of what it reads ("" where it is left out) and writes, and its attributes."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[tuple[str, Any], ...]
    opset: int

    def attribute(self, name: str, default: Any = None) -> Any:
        """The value of an attribute; tensors are torch's."""
        return dict(self.attributes).get(name, default)


class UnknownOperator(Exception):
    """An operator, or one of its settings, that is not known here: the graph then runs in its own form alone."""


def numbers(values: list[Tensor | None], index: int) -> list[Any] | None:
    """Input ``index`` as a list of numbers; ``None`` where it is left out."""
    value = values[index] if index < len(values) else None
    if value is None:
        return None
    listed: Any = value.tolist()
    return listed if isinstance(listed, list) else [listed]


def axes_of(node: Node, values: list[Tensor | None], index: int = 1) -> list[int] | None:
    """Axes, which are an attribute in older opsets and an input in newer ones."""
    given = numbers(values, index)
    return list(node.attribute("axes")) if given is None and node.attribute("axes") is not None else given
