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

    The module may have ``plain() -> nn.Module``, returning the equal network that runs faster.
    """

    module: nn.Module
    form: Form = field(default="torch", init=False)

    def runnable(self) -> nn.Module:
        """A copy of the network to run or export: with shared kernels written out, where it has such."""
        plain = getattr(self.module, "plain", None)
        return copy.deepcopy(plain() if callable(plain) else self.module)


@dataclass(frozen=True)
class OnnxNetwork:
    """An ONNX graph, serialised, with the names of the input that takes the picture and the output that gives it."""

    graph: bytes
    input: str
    output: str
    form: Form = field(default="onnx", init=False)


@dataclass(frozen=True)
class NcnnNetwork:
    """An ncnn network: the text of its ``.param`` file, its weights, and the names of its input and output blobs."""

    param: str
    weights: bytes
    input: str
    output: str
    form: Form = field(default="ncnn", init=False)


Network = TorchNetwork | OnnxNetwork | NcnnNetwork
