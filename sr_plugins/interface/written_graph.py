"""ONNX graphs of our networks, written down: torch takes ten seconds to export what is a list of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from torch import Tensor, nn

OPSET, IR = 20, 10  # as torch's exporter writes


def written(
    module: nn.Module,
    channels: int,
    *,
    picture: str,
    enlarged: str,
    half: bool = False,
    size: tuple[int, int] | None = None,
) -> onnx.ModelProto | None:
    """A network that can write itself down as a graph; ``None`` where it cannot, as it is now, for so many channels.

    Such a network has ``planes``, how many channels go in (frames are channels, too), and ``write(graph, x)``, which
    adds to a :class:`WrittenGraph` what is to be done to ``x`` and gives the name of what comes out, or ``None``.

    Args:
        module: of float32, also where the graph is to be of float16.
        channels: of the picture.
        picture, enlarged: names of what goes in and comes out.
        half: float16 in and out; trained layers compute so, and all else in float32.
        size: (width, height) of the one picture that it will take; ``None``: batch, height and width are free.
    """
    graph = WrittenGraph(module, half=half)
    result = graph.network(module, channels, graph.full(picture, half=half))
    return None if result is None else graph.finished(result, picture, channels, enlarged, size)


class WrittenGraph:
    """Nodes and tensors in the order in which they are added; methods give the name of what they add.

    Args:
        module: whose tensors keep their names in the graph.
        half: trained layers compute in float16.
    """

    def __init__(self, module: nn.Module, *, half: bool = False) -> None:
        self._tensor_names = {id(t): name for name, t in (*module.named_parameters(), *module.named_buffers())}
        self._nodes: list[onnx.NodeProto] = []
        self._tensors: dict[str, onnx.TensorProto] = {}
        self.half, self._halves = half, set[str]()

    def network(self, module: nn.Module, channels: int, x: str) -> str | None:
        """What ``module`` writes of ``x``; ``None`` where it cannot, as it is now, for so many channels."""
        write = getattr(module, "write", None)
        if not callable(write) or getattr(module, "planes", None) != channels:
            return None
        result: str | None = write(self, x)
        return result

    def full(self, x: str, *, half: bool = False) -> str:
        """``x`` in float32; ``half``: it is known to be of float16."""
        return self._node("Cast", x, to=TensorProto.FLOAT) if half or x in self._halves else x

    def layer(self, x: str, layer: nn.Module) -> str:
        """A plain convolution that keeps the size, padded as the layer says: with zeros, or edges repeated."""
        plain = cast("nn.Conv2d", layer)
        side = plain.weight.shape[-1]
        margin = side // 2
        if plain.padding_mode == "replicate":
            x, margin = self.padded(x, margin), 0
        if self.half and x not in self._halves:
            x = self._node("Cast", x, to=TensorProto.FLOAT16)
        tensors = [self.tensor(t, half=self.half) for t in (plain.weight, plain.bias) if t is not None]
        y = self._node("Conv", x, *tensors, kernel_shape=[side, side], pads=[margin] * 4)
        return self._marked(y, half=self.half)

    def activated(self, x: str, slope: float) -> str:
        """A leaky ReLU."""
        return self._marked(self._node("LeakyRelu", x, alpha=slope), half=x in self._halves)

    def padded(self, x: str, margin: int) -> str:
        """Edges repeated."""
        return self.surrounded(x, (margin,) * 4, "edge")

    def surrounded(self, x: str, pads: Sequence[int], mode: str) -> str:
        """By so many pixels above, at the left, below and at the right: zeros (constant), edge or reflect."""
        return self._node("Pad", x, self._integers(0, 0, *pads[:2], 0, 0, *pads[2:]), mode=mode)

    def brought_to(self, x: str, multiple: int, minimum: int, around: int, *, mirrored: bool) -> str:
        """Sides of at least ``minimum``, and multiples of ``multiple``, then ``around`` more pixels at each edge.

        What is missing lies at the right and bottom edge: ``mirrored``, as far as there is a picture, else repeated.
        """
        sides = self._node("Shape", x, start=2)
        one, step = self._integers(1), self._integers(multiple)
        taken = self._node("Max", sides, self._integers(minimum))
        steps = self._node("Div", self._node("Sub", self._node("Add", taken, step), one), step)
        more = self._node("Sub", self._node("Mul", steps, step), sides)
        if mirrored:
            there = self._node("Min", more, self._node("Sub", sides, one))
            x = self._grown(x, 0, there, "reflect")
            more = self._node("Sub", more, there)
        return self._grown(x, around, self._node("Add", more, self._integers(around)), "edge")

    def _grown(self, x: str, before: int, after: str, mode: str) -> str:
        """By ``before`` pixels above and at the left, and by ``after``, (2,), below and at the right."""
        pads = self.joined([self._integers(0, 0, before, before, 0, 0), after], axis=0)
        return self._node("Pad", x, pads, mode=mode)

    def cropped(self, y: str, x: str, scale: int, cut: int) -> str:
        """What ``y`` shows of ``x`` when ``cut`` pixels at its upper and left edge are not of the picture."""
        sides = self._node("Mul", self._node("Shape", x, start=2), self._integers(scale))
        ends = self._node("Add", sides, self._integers(cut))
        return self._node("Slice", y, self._integers(cut, cut), ends, self._integers(2, 3))

    def _integers(self, *values: int) -> str:
        return self._constant(np.array(values, np.int64), "_".join(("integers", *map(str, values))))

    def filtered(self, x: str, kernel: Tensor, channels: int = 1) -> str:
        """By a fixed kernel, each of the channels alone, edges repeated."""
        weights = self.tensor(kernel) if channels == 1 else self._repeated(kernel, channels)
        return self.convolved(self.padded(x, kernel.shape[-1] // 2), weights, kernel.shape[-2:], channels)

    def _repeated(self, kernel: Tensor, channels: int) -> str:
        name = self._tensor_names[id(kernel)]
        return self._constant(np.tile(kernel.float().numpy(), (channels, 1, 1, 1)), f"{name}_{channels}")

    def convolved(self, x: str, kernel: str, shape: Sequence[int], groups: int = 1) -> str:
        """By a kernel of a shape, without padding, each group of channels by itself."""
        grouped = {"group": groups} if groups > 1 else {}
        return self._node("Conv", x, kernel, kernel_shape=list(shape), pads=[0] * 4, **grouped)

    def summed(self, x: str, channels: int, side: int) -> str:
        """Each of ``channels`` over all ``side`` x ``side`` pixels that fit, along one axis and then the other."""
        for shape in ((side, 1), (1, side)):
            ones = self._constant(np.ones((channels, 1, *shape), np.float32), f"ones_{channels}_{shape[0]}_{shape[1]}")
            x = self.convolved(x, ones, shape, channels)
        return x

    def added(self, x: str, y: str) -> str:
        """In float32, unless both are of float16."""
        if both := {x, y} <= self._halves:
            return self._marked(self._node("Add", x, y), half=both)
        return self._node("Add", self.full(x), self.full(y))

    def computed(self, kind: str, *inputs: str | float | Tensor, **attributes: Any) -> str:
        """An operator, on values in float32, numbers and tensors."""
        names = (
            x if isinstance(x, str) else self.number(x) if isinstance(x, int | float) else self.tensor(x)
            for x in inputs
        )
        return self._node(kind, *names, **attributes)

    def number(self, value: float) -> str:
        """A constant of float32."""
        return self._constant(np.array(value, np.float32), f"number_{value!r}")

    def shuffled(self, phases: str, scale: int) -> str:
        """As :func:`torch.nn.functional.pixel_shuffle`."""
        return self._node("DepthToSpace", phases, blocksize=scale, mode="CRD")

    def unshuffled(self, x: str, scale: int, channels: int) -> str:
        """As :func:`torch.nn.functional.pixel_unshuffle`, whose order of channels SpaceToDepth does not know."""
        places = np.eye(scale * scale, dtype=np.float32).reshape(-1, 1, scale, scale)
        kernel = self._constant(np.tile(places, (channels, 1, 1, 1)), f"places_{channels}_{scale}")
        sides = [scale, scale]
        return self._node("Conv", x, kernel, kernel_shape=sides, strides=sides, pads=[0] * 4, group=channels)

    def resized(self, x: str, factors: Sequence[float], mode: str) -> str:
        """As :func:`torch.nn.functional.interpolate` by factors down and across: nearest, bilinear or bicubic."""
        scales = self._constant(np.array([1, 1, *factors], np.float32), "_".join(map(str, ("resized", *factors))))
        settings: dict[str, dict[str, Any]] = {
            "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
            "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
            "bicubic": {"mode": "cubic", "coordinate_transformation_mode": "half_pixel", "cubic_coeff_a": -0.75},
        }
        return self._node("Resize", x, "", scales, **settings[mode])

    def leveled(self, x: str, curve: Tensor) -> str:
        """:func:`sr_plugins.models.flat_colours.leveled`, step by step."""
        values = curve.numpy().astype(np.float32)
        places, bends = (self._constant(values[1:, i].reshape(1, -1, 1, 1), f"level_{i}") for i in (0, 1))
        offset, slope = (self._constant(values[0, i], f"level_line_{i}") for i in (0, 1))
        bent = self._node("Mul", self._node("Relu", self._node("Sub", x, places)), bends)
        line = self.added(self._node("Mul", x, slope), offset)
        return self.added(self.added(x, line), self._node("ReduceSum", bent, self._integers(1), keepdims=1))

    def part(self, x: str, starts: Sequence[int], ends: Sequence[int], first_axis: int) -> str:
        """From ``starts`` to before ``ends``, those below zero (0 as an end, too) counted from the end of an axis."""
        far = np.iinfo(np.int64).max
        axes = range(first_axis, first_axis + len(starts))
        given = (starts, [end or far for end in ends], axes)
        return self._node("Slice", x, *(self._integers(*values) for values in given))

    def channels(self, x: str, count: int) -> list[str]:
        """Each alone."""
        return [self.part(x, [i], [i + 1], 1) for i in range(count)]

    def joined(self, parts: Sequence[str], axis: int = 1) -> str:
        return self._node("Concat", *parts, axis=axis)

    def finished(
        self, result: str, picture: str, channels: int, enlarged: str, size: tuple[int, int] | None
    ) -> onnx.ModelProto:
        """The graph that takes ``picture``, (N, ``channels``, H, W), and gives ``result`` as ``enlarged``."""
        kind = TensorProto.FLOAT16 if self.half else TensorProto.FLOAT
        if self.half:
            result = self._node("Cast", result, to=kind)
        (last,) = (node for node in self._nodes if node.output[0] == result)
        last.output[0] = enlarged
        sides: list[str | int] = ["n", channels, "h", "w"] if size is None else [1, channels, size[1], size[0]]
        taken = helper.make_tensor_value_info(picture, kind, sides)
        given = helper.make_tensor_value_info(enlarged, kind, None)
        graph = helper.make_graph(self._nodes, "main_graph", [taken], [given], list(self._tensors.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
        given.CopyFrom(onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.output[0])
        model.graph.output[0].CopyFrom(given)
        return model

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], name=f"node_{name}", **attributes))
        return name

    def _marked(self, x: str, *, half: bool) -> str:
        if half:
            self._halves.add(x)
        return x

    def tensor(self, tensor: Tensor, *, half: bool = False) -> str:
        """One of the module's own, by its name there; another under one of its own."""
        values = tensor.detach().float().numpy()
        name = self._tensor_names.get(id(tensor), f"made_{len(self._tensors)}")
        return self._constant(values.astype(np.float16) if half else values, name)

    def _constant(self, array: NDArray[np.generic], name: str) -> str:
        self._tensors.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name
