"""An ONNX graph as a torch module.

What depends on the picture's size alone (shapes, masks of windows) is computed once for each size.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

from torch import Tensor, nn

from sr_plugins.weights.onnx_layers import ALL
from sr_plugins.weights.onnx_node import NUMBERS, Node, UnknownOperator

KEPT_SIZES = 8
FEW = 16  # values of a constant that may be numbers to read
Blobs = dict[str, Tensor]


class OnnxGraph(nn.Module):
    """Runs ``nodes`` in order; float (N, C, H, W) to what ``target`` holds at the end.

    Args:
        nodes: sorted, as ONNX has them.
        constants: all tensors that the graph brings.
        source, target: the picture and the result.
        digest: of the graph, by which this module is told from others.

    Raises:
        UnknownOperator: the graph has one that is not known here.
    """

    def __init__(self, nodes: tuple[Node, ...], constants: Blobs, source: str, target: str, digest: str) -> None:
        super().__init__()
        if unknown := sorted({node.kind for node in nodes} - set(ALL)):
            raise UnknownOperator(", ".join(unknown))
        self.nodes, self.source, self.target, self.digest = nodes, source, target, digest
        self._names = tuple(constants)
        for i, tensor in enumerate(constants.values()):
            self.register_buffer(f"t{i}", tensor)
        # numbers that operators ask for are read without waiting for a device
        self._numbers = {n: t for n, t in constants.items() if not t.is_floating_point() or t.numel() <= FEW}
        moving = {source}
        for node in nodes:
            if node.kind != "Shape" and moving.intersection(node.inputs):
                moving.update(node.outputs)
        self._still = tuple(not moving.intersection(node.outputs) for node in nodes)
        reads: dict[str, int] = {}
        for node in nodes:
            for name in set(node.inputs) & moving - {source, target}:
                reads[name] = reads.get(name, 0) + 1
        self._reads = tuple(reads.items())
        self._sizes = _Sizes()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Values 0..1 to values of the same range, larger."""
        key = (tuple(x.shape), str(x.device))
        kept = self._sizes.get(key)
        host = {**self._numbers, **(kept or {})}  # what depends on the size alone, where numbers are read
        blobs = {name: self.get_buffer(f"t{i}") for i, name in enumerate(self._names)}
        blobs |= {name: value.to(x.device) for name, value in (kept or {}).items()}
        blobs[self.source] = x
        left, made = dict(self._reads), {}
        for node, still in zip(self.nodes, self._still, strict=True):
            if still and kept is not None:
                continue
            where = NUMBERS.get(node.kind, ())
            values: list[Tensor | None] = []
            for i, name in enumerate(node.inputs):
                if not name:
                    values.append(None)
                elif node.kind != "Shape" and (still or i in where) and name in host:
                    values.append(host[name])
                else:
                    value = blobs[name]
                    values.append(value.cpu() if still and node.kind != "Shape" else value)
            result = ALL[node.kind](node, values)
            del values
            for name in set(node.inputs):
                if name in left:
                    left[name] -= 1
                    if not left[name]:
                        del blobs[name]
            for name, value in zip(node.outputs, result if isinstance(result, list) else [result], strict=False):
                if still:
                    host[name] = made[name] = value
                    value = value.to(x.device)
                if name and (still or name in left or name == self.target):
                    blobs[name] = value
        if kept is None:
            self._sizes.put(key, made)
        return blobs[self.target]


class _Sizes:
    """What was computed for the sizes seen last; every copy of a network begins anew."""

    def __init__(self) -> None:
        self._kept: OrderedDict[object, Blobs] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> Blobs | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: object, made: Blobs) -> None:
        with self._lock:
            self._kept[key] = made
            if len(self._kept) > KEPT_SIZES:
                self._kept.popitem(last=False)

    def __deepcopy__(self, memo: object) -> _Sizes:
        return _Sizes()
