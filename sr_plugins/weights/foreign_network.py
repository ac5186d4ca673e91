"""A network of others as a module that keeps what our networks promise: its input unchanged, any number of callers."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from sr_plugins.interface.written_graph import WrittenGraph

Call = Callable[[Any, Tensor], Any]


class ForeignNetwork(nn.Module):
    """``call(model, x)`` for pictures of any size, in eval mode from the beginning.

    Some networks write into their input, others keep the picture's size in themselves while they run: each call gets a
    tensor of its own, and with ``alone`` calls wait for each other. Sides are brought to ``minimum`` and a multiple of
    ``multiple``, with ``square`` to one length, by what lies at the right and bottom edge, reflected, and the result is
    cropped, as spandrel's own call does it. ``planes`` go in.
    """

    def __init__(
        self,
        model: nn.Module,
        call: Call,
        planes: int,
        *,
        multiple: int = 1,
        minimum: int = 1,
        alone: bool = False,
        square: bool = False,
    ) -> None:
        super().__init__()
        self.model, self.call, self.planes = model, call, planes
        self.multiple, self.minimum, self.square = multiple, minimum, square
        self.turns = _Turns() if alone else None
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Float (N, C, H, W), values 0..1, to (N, C, H * scale, W * scale)."""
        height, width = x.shape[-2:]
        taken = [-(-max(side, self.minimum) // self.multiple) * self.multiple for side in (height, width)]
        if self.square:
            taken = [max(taken)] * 2
        if taken == [height, width]:
            return self._called(x.clone())
        reflected = [min(new - old, old - 1) for new, old in zip(taken, (height, width), strict=True)]
        x = nn.functional.pad(x, (0, reflected[1], 0, reflected[0]), "reflect")
        x = nn.functional.pad(x, (0, taken[1] - x.shape[-1], 0, taken[0] - x.shape[-2]), "replicate")
        y = self._called(x)
        scale = y.shape[-2] // taken[0]
        return y[..., : height * scale, : width * scale]

    def write(self, graph: WrittenGraph, x: str) -> str | None:
        """The network into a graph that takes what :meth:`forward` takes; ``None`` where it does what is not known."""
        if graph.half or self.square:
            return None
        from sr_plugins.interface.traced_graph import write_brought

        return write_brought(graph, self._called, x, self.planes, multiple=self.multiple, minimum=self.minimum)

    def _called(self, x: Tensor) -> Tensor:
        with self.turns.one if self.turns is not None else nullcontext():
            y: Tensor = self.call(self.model, x)
        return y


class _Turns:
    """A lock of its own in every copy of a network."""

    def __init__(self) -> None:
        self.one = threading.RLock()

    def __deepcopy__(self, memo: object) -> _Turns:
        return _Turns()


def fold_reparameterized(model: nn.Module) -> None:
    """Fold branches once that a network (SPAN) would fold anew, into itself, at every call."""
    with torch.no_grad():
        for part in model.modules():
            fold: Any = getattr(part, "update_params", None)
            if callable(fold) and hasattr(part, "eval_conv"):
                fold()
                vars(part)["update_params"] = _nothing_to_do


def _nothing_to_do() -> None:
    pass


def state_of(model: nn.Module) -> dict[str, object]:
    """What a network could change while it runs: its tensors, and its plain attributes."""
    every = (*model.named_parameters(), *model.named_buffers())
    tensors: dict[str, object] = {name: (tensor.data_ptr(), float(tensor.double().sum())) for name, tensor in every}
    plain = (bool, int, float, str, tuple, list, torch.Size, type(None))
    for name, part in model.named_modules():
        for key, value in vars(part).items():
            if isinstance(value, plain) and not key.startswith("_"):
                tensors[f"{name}.{key}"] = repr(value)
    return tensors
