"""Backend ``openvino``: Intel's runtime on the CPU; the fastest way there, most of all in bfloat16 and int8."""

from __future__ import annotations

import math
import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from queue import LifoQueue
from typing import TYPE_CHECKING, Any

from sr_plugins.backends import torch_eager
from sr_plugins.backends.onnx_graph import PACKAGES, PICTURE_NOTE, cached_graph
from sr_plugins.backends.openvino_blocks import with_blocked_tail
from sr_plugins.backends.openvino_int8 import quantized
from sr_plugins.errors import PluginError
from sr_plugins.interface.backend import BackendSpec, Coding, Placement, Runner
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.network import Network, TorchNetwork
from sr_plugins.interface.words import Precision
from sr_plugins.weights.without_telemetry import import_openvino

if TYPE_CHECKING:
    import numpy as np
    import openvino
    from numpy.typing import NDArray
    from torch import Tensor, nn

Size = tuple[int, int]  # height, width
Kind = tuple[Size | None, Coding | None]  # of a compiled network; None: any size, and float32 values
Requests = LifoQueue["openvino.InferRequest"]

MOST_LANES = 8
OFTEN = 4  # pictures of one size, before it gets a network of its own
MOST_FIXED_SIZES = 4
PHASES = "phases"  # name of an output that holds the s * s codes of each pixel side by side, not pictures
ROWS = {2: "uint16", 4: "uint32", 8: "uint64"}  # bytes of a row of s codes: the integer that moves them


def missing() -> str | None:
    return None if all(map(find_spec, ("openvino", *PACKAGES))) else "pip install 'sr-plugins[openvino]'"


def precisions(device: str) -> tuple[Precision, ...]:
    """int8 is for who asks for it: it was measured on some networks, not on all there will be."""
    return (*torch_eager.precisions(device), "int8") if device == "cpu" else ()


def lanes(device: str) -> int:
    """One frame on each core is faster than one frame on all: cores never wait for each other between layers."""
    import torch

    return min(torch.get_num_threads(), MOST_LANES)


class OpenVINORunner:
    """Compiled at the first call, which tells the number of channels; any number of threads may call it.

    Height and width are free. A size that comes again and again gets a network of its own, which is faster, if that
    computes the very same numbers. Codes are made by a network that scales, rounds and clamps at its end.
    """

    def __init__(self, module: nn.Module, device: str, precision: Precision) -> None:
        import torch

        self._module, self._precision = module, precision
        self._lanes, self._threads = lanes(device), torch.get_num_threads()
        self.model: openvino.Model | None = None
        self._scale = 1
        self._compiled: dict[Kind, Requests] = {}
        self._seen: Counter[Kind] = Counter()
        self._fixed_sizes = True
        self._compiling = threading.Lock()

    def __call__(self, x: Tensor) -> Tensor:
        return self._joined(x, [self._run(part, None)[0] for part in _one_by_one(x)])

    def codes(self, x: Tensor, coding: Coding) -> Tensor | None:
        import numpy as np

        parts = [self._run(part, coding) for part in _one_by_one(x)]
        finite = all(np.isfinite(total) for _, total in parts)
        return self._joined(x, [codes for codes, _ in parts]) if finite else None

    def _joined(self, x: Tensor, parts: list[NDArray[Any]]) -> Tensor:
        """The batch of what was made of each picture of ``x``, without what blocks made beyond its end."""
        import numpy as np
        import torch

        height, width = (side * self._scale for side in x.shape[2:])
        joined = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return torch.from_numpy(joined[:, :, :height, :width])

    def _run(self, array: NDArray[np.float32], coding: Coding | None) -> list[NDArray[Any]]:
        kind = (array.shape[2], array.shape[3]), coding
        return _infer(self._compiled.get(kind) or self._prepare(array, kind), array)

    def _prepare(self, array: NDArray[np.float32], kind: Kind) -> Requests:
        """The network for a size that has none of its own, or now gets one."""
        import numpy as np

        size, coding = kind
        with self._compiling:
            channels = array.shape[1]
            if self.model is None:
                self.model = self._translate(channels)
                self._scale = _scale(self.model, channels)
            if (None, coding) not in self._compiled:
                self._compiled[None, coding] = self._compile(channels, (None, coding))
            free = self._compiled[None, coding]
            own = sum(size is not None for size, _ in self._compiled)
            if kind in self._compiled or not self._fixed_sizes or own >= MOST_FIXED_SIZES:
                return self._compiled.get(kind, free)
            self._seen[kind] += 1
            if self._seen[kind] < OFTEN:
                return free
            fixed = self._compile(channels, kind)
            pairs = [(fixed, free)]
            if coding is not None:  # codes hide the last bits
                pairs.append((self._compile(channels, (size, None)), self._compile(channels, (None, None))))
            self._fixed_sizes = all(np.array_equal(_infer(a, array)[0], _infer(b, array)[0]) for a, b in pairs)
            if self._fixed_sizes:
                self._compiled[kind] = fixed
            return self._compiled.get(kind, free)

    def _translate(self, channels: int) -> openvino.Model:
        graph = cached_graph(self._module, channels)
        try:
            model = _read(graph)
            if self._precision != "int8":
                return model
            return quantized(_core(), model, channels, getattr(self._module, "int8_ranges", None))
        except RuntimeError as error:
            raise self._refusal(error) from error

    def _compile(self, channels: int, kind: Kind) -> Requests:
        openvino = import_openvino()

        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": "bf16" if self._precision == "bfloat16" else "f32",
            "NUM_STREAMS": self._lanes,
            "INFERENCE_NUM_THREADS": self._threads,
            # decoder, encoder and other programs are there too: let the system place threads
            "ENABLE_CPU_PINNING": False,
        }
        assert self.model is not None
        size, coding = kind
        model = self.model.clone() if coding is None else _coded(self.model.clone(), coding)
        try:
            model.reshape(openvino.PartialShape([1, channels, *(size or (-1, -1))]))
            compiled = _core().compile_model(model, "CPU", settings)
            requests: Requests = LifoQueue()
            for _ in range(self._lanes):
                requests.put(compiled.create_infer_request())
        except RuntimeError as error:
            raise self._refusal(error) from error
        return requests

    def _refusal(self, error: RuntimeError) -> PluginError:
        name, reason = type(self._module).__name__, str(error).strip().splitlines()[-1]
        return PluginError(f"OpenVINO cannot run {name} ({reason}): use backend torch")


def _one_by_one(x: Tensor) -> list[NDArray[np.float32]]:
    """The pictures of a batch: a free batch would cost layers their fusion."""
    array = x.contiguous().numpy()
    return [array[i : i + 1] for i in range(len(array))]


def _infer(requests: Requests, array: NDArray[np.float32]) -> list[NDArray[Any]]:
    """What the network puts out, each in memory of its own."""
    openvino = import_openvino()
    import torch

    request = requests.get()
    try:
        request.infer([openvino.Tensor(array, shared_memory=True)], share_inputs=True, share_outputs=True)
        # the request's memory is overwritten by its next picture
        first, *others = (tensor.data for tensor in request.output_tensors)
        phased = PHASES in request.model_outputs[0].names
        return [_in_place(first) if phased else first.copy(), *(other.copy() for other in others)]
    except MemoryError as error:
        raise torch.OutOfMemoryError(str(error)) from error
    finally:
        requests.put(request)


def _scale(model: openvino.Model, channels: int) -> int:
    """How many times larger its pictures are."""
    side, tried = 16, model.clone()
    tried.reshape([1, channels, side, side])
    return int(tried.output(0).shape[2]) // side


def _coded(model: openvino.Model, coding: Coding) -> openvino.Model:
    """The network with codes as its result, and the sum of all values, which tells whether all are finite."""
    import numpy as np

    openvino = import_openvino()
    from openvino import opset13

    values = model.output(0).get_node().input_value(0)
    shuffle = values.get_node().get_attributes() if values.get_node().get_type_name() == "DepthToSpace" else None
    if shuffle is not None:  # codes are smaller to shuffle than values
        values = values.get_node().input_value(0)
    # the whole number is added after rounding: a product and a sum before it would be one rounding or two, as the
    # compiler likes, and pictures of one size would differ from those of another
    whole = opset13.round(opset13.multiply(values, np.float32(coding.span)), "half_to_even")
    clamped = opset13.clamp(opset13.add(whole, np.float32(coding.low)), 0, (1 << coding.bits) - 1)
    bytes_, kind = (1, "u8") if coding.bits == 8 else (2, "u16")
    total = opset13.result(opset13.reduce_sum(values, np.arange(4), keep_dims=False))
    if shuffle is None:
        codes = opset13.result(opset13.convert(clamped, kind))
    elif values.get_partial_shape()[1] == shuffle["block_size"] ** 2 and shuffle["block_size"] * bytes_ in ROWS:
        codes = opset13.result(opset13.convert(opset13.transpose(clamped, [0, 2, 3, 1]), kind))
        codes.output(0).set_names({PHASES})
    else:
        converted = opset13.convert(clamped, kind)
        codes = opset13.result(opset13.depth_to_space(converted, shuffle["mode"], shuffle["block_size"]))
    return openvino.Model([codes, total], model.get_parameters(), model.get_name())


def _in_place(phases: NDArray[Any]) -> NDArray[Any]:
    """Phases (N, H, W, s * s) to pictures (N, 1, H * s, W * s), each row of a phase moved as one number.

    The runtime's own pixel shuffle takes six times as long.
    """
    import numpy as np

    n, h, w, count = phases.shape
    s = math.isqrt(count)
    rows = ROWS[s * phases.itemsize]
    pictures = np.empty((n, h, s, w), rows)
    parts = phases.view(rows)
    for i in range(s):
        pictures[:, :, i] = parts[..., i]
    return pictures.view(phases.dtype).reshape(n, 1, h * s, w * s)


@cache
def _core() -> openvino.Core:
    openvino = import_openvino()

    return openvino.Core()


def _read(graph: bytes) -> openvino.Model:
    """The ONNX graph as an OpenVINO model, its last layers in blocks, in which the interpolated picture stays float32.

    bfloat16 holds 8 bits, too few for a picture; only a serialised model can carry the mark for that.
    """
    import onnx

    openvino = import_openvino()
    from openvino import opset1

    notes = {note.key: note.value for note in onnx.load_from_string(graph).metadata_props}
    marked = set(notes.get(PICTURE_NOTE, "").splitlines())
    model = _core().read_model(graph)
    model = with_blocked_tail(model) or model
    for node in model.get_ops():
        if node.get_type_name() == "Pad" and node.get_friendly_name() in marked:
            # the CPU compiler rewrites the newer Pad as this one, and loses the mark on the way
            old = opset1.pad(*node.input_values()[:3], node.get_attributes()["pad_mode"])
            old.set_friendly_name(node.get_friendly_name())
            openvino.utils.replace_node(node, old)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.xml"
        openvino.save_model(model, path, compress_to_fp16=False)
        root = ElementTree.fromstring(path.read_text())
        weights = path.with_suffix(".bin").read_bytes()
    for layer in root.iter("layer"):
        if layer.get("name") in marked:
            info = layer.find("rt_info")
            info = ElementTree.SubElement(layer, "rt_info") if info is None else info
            ElementTree.SubElement(info, "attribute", name="precise", version="0")
    return _core().read_model(ElementTree.tostring(root), weights)


def build(network: Network, placement: Placement) -> Runner:
    assert isinstance(network, TorchNetwork)
    return OpenVINORunner(network.runnable(), placement.device, placement.precision)


def auto_rank(device: str) -> int | None:
    return 1 if device == "cpu" else None


@hookimpl
def sr_backends() -> Iterable[BackendSpec]:
    yield BackendSpec(
        name="openvino", build=build, precisions=precisions, lanes=lanes, auto_rank=auto_rank, missing=missing
    )
