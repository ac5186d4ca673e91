"""ONNX graphs of our networks, written down: torch takes ten seconds to export what is a list of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from sr_plugins.models.branched_convolution import SLOPE

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET, IR = 20, 10  # as torch's exporter writes


class WrittenGraph:
    """Nodes and tensors in the order in which they are added; methods give the name of what they add.

    Args:
        module: whose tensors keep their names in the graph.
    """

    def __init__(self, module: nn.Module) -> None:
        self._names = {id(tensor): name for name, tensor in (*module.named_parameters(), *module.named_buffers())}
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, onnx.TensorProto] = {}

    def convolved(self, x: str, weight: Tensor, bias: Tensor | None = None, *, padding: int = 0) -> str:
        """Padded with zeros."""
        tensors = [self._tensor(tensor) for tensor in (weight, bias) if tensor is not None]
        side = weight.shape[-1]
        return self._node("Conv", x, *tensors, kernel_shape=[side, side], pads=[padding] * 4)

    def layer(self, x: str, layer: nn.Module) -> str:
        """A plain 3x3 convolution."""
        plain = cast("nn.Conv2d", layer)
        return self.convolved(x, plain.weight, plain.bias, padding=1)

    def activated(self, x: str) -> str:
        """The leaky ReLU of our networks."""
        return self._node("LeakyRelu", x, alpha=SLOPE)

    def filtered(self, x: str, kernel: Tensor) -> str:
        """By a fixed kernel, edges repeated."""
        margin = kernel.shape[-1] // 2
        pads = self._constant(np.array([0, 0, margin, margin] * 2, np.int64), f"pads_{margin}")
        return self.convolved(self._node("Pad", x, pads, mode="edge"), kernel)

    def added(self, x: str, y: str) -> str:
        return self._node("Add", x, y)

    def leveled(self, x: str, curve: Tensor) -> str:
        """:func:`sr_plugins.models.flat_colours.leveled`, step by step."""
        values = curve.numpy().astype(np.float32)
        places, bends = (self._constant(values[1:, i].reshape(1, -1, 1, 1), f"level_{i}") for i in (0, 1))
        offset, slope = (self._constant(values[0, i], f"level_line_{i}") for i in (0, 1))
        bent = self._node("Mul", self._node("Relu", self._node("Sub", x, places)), bends)
        line = self.added(self._node("Mul", x, slope), offset)
        axis = self._constant(np.array([1], np.int64), "axis")
        return self.added(self.added(x, line), self._node("ReduceSum", bent, axis, keepdims=1))

    def channels(self, x: str, count: int) -> list[str]:
        """Each alone."""
        names = [f"{x}_{i}" for i in range(count)]
        self._nodes.append(helper.make_node("Split", [x], names, name="split", axis=1, num_outputs=count))
        return names

    def joined(self, channels: Sequence[str]) -> str:
        return self._node("Concat", *channels, axis=1)

    def finished(self, phases: str, scale: int, *, picture: str, channels: int, enlarged: str) -> onnx.ModelProto:
        """The graph that takes ``picture``, (N, ``channels``, H, W), and gives ``phases`` as a picture."""
        node = helper.make_node("DepthToSpace", [phases], [enlarged], name="shuffle", blocksize=scale, mode="CRD")
        taken = helper.make_tensor_value_info(picture, TensorProto.FLOAT, ["n", channels, "h", "w"])
        given = helper.make_tensor_value_info(enlarged, TensorProto.FLOAT, ["n", 1, None, None])
        graph = helper.make_graph([*self._nodes, node], "main_graph", [taken], [given], list(self._tensors.values()))
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], name=f"node_{name}", **attributes))
        return name

    def _tensor(self, tensor: Tensor) -> str:
        return self._constant(tensor.detach().float().numpy(), self._names[id(tensor)])

    def _constant(self, array: NDArray[np.generic], name: str) -> str:
        self._tensors.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name
