"""What a network is given instead of a tensor, that writes what is done to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sr_plugins.interface.traced_sides import NotWritableError, Side
from sr_plugins.interface.written_graph import WrittenGraph

Sides = tuple[Side, Side]  # height, width


@dataclass(frozen=True)
class Trace:
    """Where what is done is written, and ``operators`` that write it, by the names of torch's functions and methods."""

    graph: WrittenGraph
    operators: Mapping[str, Callable[..., Any]]

    def operator(self, name: str) -> Callable[..., Any]:
        """``NotWritableError`` where there is none of that name."""
        write = self.operators.get(name.strip("_") if name.startswith("__") else name)
        if write is None:
            raise NotWritableError(name)
        return write


class TracedValue:
    """Stands for a tensor (N, C, H, W) whose numbers are not known yet; done in place, something changes ``name``.

    ``sides``: H and W, ``None`` where they do not follow from the picture's.
    """

    def __init__(self, trace: Trace, name: str, channels: int, sides: Sides | None) -> None:
        self.trace, self.name, self.channels, self.sides = trace, name, channels, sides
        self.is_part = False  # of another that would change with it

    @classmethod
    def __torch_function__(
        cls,
        function: Callable[..., Any],
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        named: dict[str, Any] | None = None,
    ) -> Any:
        name = getattr(function, "__name__", "")
        for value in (*arguments, *(named or {}).values()):
            first = value[0] if isinstance(value, tuple | list) and value else value
            if isinstance(first, cls):
                return first.trace.operator(name)(*arguments, **(named or {}))
        raise NotWritableError(name)

    def __getattr__(self, name: str) -> Any:
        return partial(self.trace.operator(name), self)

    def __add__(self, other: Any) -> Any:
        return self.trace.operator("add")(self, other)

    def __sub__(self, other: Any) -> Any:
        return self.trace.operator("sub")(self, other)

    def __rsub__(self, other: Any) -> Any:
        return self.trace.operator("rsub")(self, other)

    def __mul__(self, other: Any) -> Any:
        return self.trace.operator("mul")(self, other)

    def __truediv__(self, other: Any) -> Any:
        return self.trace.operator("div")(self, other)

    def __iadd__(self, other: Any) -> Any:
        return self.trace.operator("add_")(self, other)

    def __imul__(self, other: Any) -> Any:
        return self.trace.operator("mul_")(self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, key: Any) -> Any:
        return self.trace.operator("getitem")(self, key)

    @property
    def graph(self) -> WrittenGraph:
        return self.trace.graph

    def size(self, axis: int | None = None) -> Any:
        return self.shape if axis is None else self.shape[axis]

    @property
    def shape(self) -> tuple[object, int, Side, Side]:
        if self.sides is None:
            raise NotWritableError("its size")
        return (object(), self.channels, *self.sides)

    def __iter__(self) -> Any:
        raise NotWritableError("part of a tensor")

    def __bool__(self) -> bool:
        raise NotWritableError("a decision")

    def became(self, value: TracedValue) -> TracedValue:
        """Itself, changed in place, for all that hold it."""
        if self.is_part:
            raise NotWritableError("a change of a part")
        self.name, self.channels, self.sides = value.name, value.channels, value.sides
        return self
