"""A network's arithmetic in one of the forms that a backend may run. Each form is data; nothing here runs anything."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sr_plugins.interface.words import Form

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class TorchNetwork:
    """A torch module with its weights in it: eval mode, on the CPU.

    The module may have ``plain() -> nn.Module``, returning the equal network that runs faster, and
    ``steps() -> tuple[nn.Module, nn.Module]``, returning it as two modules one after the other: what no graph can hold,
    or none quickly, which torch does for every backend, and the rest; and ``planes`` with ``write(graph, x)``:
    what torch would export of it, written down at once (:func:`.written_graph.written`).
    """

    module: nn.Module
    form: Form = field(default="torch", init=False)

    def runnable(self) -> nn.Module:
        """A copy of the network to run or export, in float32: with shared kernels written out, where it has such.

        Pictures are float32; a network that was made where torch's default is another type is of that one.
        """
        plain = getattr(self.module, "plain", None)
        return copy.deepcopy(plain() if callable(plain) else self.module).float()


@dataclass(frozen=True)
class OnnxNetwork:
    """An ONNX graph, serialised, with the names of the input that takes the picture and the output that gives it."""

    graph: bytes
    input: str
    output: str
    form: Form = field(default="onnx", init=False)


@dataclass(frozen=True)
class NcnnNetwork:
    """An ncnn network: the text of its ``.param`` file, its weights, and the names of its input and output blobs.

    Attributes:
        scale: how many times larger its output is.
        around: input pixels of repeated edge to show it beyond each border, for what it eats.
        cut: output pixels too many at each border then.
        residual: the picture, enlarged to the nearest pixel, is to be added to what it gives.
        multiple, minimum: of the sides that it takes, beside ``around``.
    """

    param: str
    weights: bytes
    input: str
    output: str
    scale: int = 1
    around: int = 0
    cut: int = 0
    residual: bool = False
    multiple: int = 1
    minimum: int = 1
    form: Form = field(default="ncnn", init=False)


Network = TorchNetwork | OnnxNetwork | NcnnNetwork
