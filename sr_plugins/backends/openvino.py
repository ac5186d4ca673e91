"""Backend ``openvino``: Intel's runtime on the CPU; the fastest way there, most of all in bfloat16 and int8."""

from __future__ import annotations

import tempfile
import threading
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.backends import torch_eager
from sr_plugins.backends.loading import cannot_load
from sr_plugins.backends.onnx_graph import PACKAGES, PICTURE_NOTE, graph_of, in_steps, name_of, own_network
from sr_plugins.backends.openvino_blocks import with_blocked_tail
from sr_plugins.backends.openvino_codes import PHASES, coded, in_place
from sr_plugins.backends.openvino_int8 import quantized
from sr_plugins.backends.openvino_memory import check_room, out_of_memory, reason
from sr_plugins.backends.openvino_requests import Requests
from sr_plugins.errors import PluginError
from sr_plugins.interface.backend import BackendSpec, Coding, Placement, Runner
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.network import Network, OnnxNetwork, TorchNetwork
from sr_plugins.interface.words import Precision
from sr_plugins.version import extra_command
from sr_plugins.weights.without_telemetry import import_openvino

if TYPE_CHECKING:
    import numpy as np
    import openvino
    from numpy.typing import NDArray
    from torch import Tensor

Size = tuple[int, int]  # height, width
Kind = tuple[Size | None, Coding | None]  # of a compiled network; None: any size, and float32 values

MOST_LANES = 8
OFTEN = 4  # pictures of one size, before it gets a network of its own
MOST_FIXED_SIZES = 4


def missing() -> str | None:
    if not all(map(find_spec, ("openvino", *PACKAGES))):
        return extra_command("openvino")
    return cannot_load(("openvino", "onnx"))


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

    def __init__(self, network: TorchNetwork | OnnxNetwork, device: str, precision: Precision) -> None:
        import torch

        self._first, self._network = in_steps(network)
        self._precision = precision
        self._lanes, self._threads = lanes(device), torch.get_num_threads()
        self._model: openvino.Model | None = None
        self._scale = 1
        self._compiled: dict[Kind, Requests] = {}
        self._seen: Counter[Kind] = Counter()
        self._fixed_sizes = True
        self._compiling = threading.Lock()

    @property
    def sizes(self) -> frozenset[tuple[Size, Coding | None]]:
        """(height, width) and coding of every network that was compiled for one size."""
        return frozenset((size, coding) for size, coding in self._compiled if size is not None)

    @property
    def model(self) -> openvino.Model | None:
        """The network as it is compiled; ``None`` before the first call."""
        return self._model

    def __call__(self, x: Tensor) -> Tensor:
        return self._joined(x, [self._run(part, None)[0] for part in _one_by_one(self._first(x))])

    def codes(self, x: Tensor, coding: Coding) -> Tensor | None:
        import numpy as np

        parts = [self._run(part, coding) for part in _one_by_one(self._first(x))]
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
        import torch

        size, coding = kind
        with self._compiling:
            channels = array.shape[1]
            if self._model is None:
                self._model = self._translate(channels)
                self._scale = _scale(self._model, channels)
            if (None, coding) not in self._compiled:
                self._compiled[None, coding] = self._compile(channels, (None, coding))
            free = self._compiled[None, coding]
            own = sum(size is not None for size, _ in self._compiled)
            if kind in self._compiled or not self._fixed_sizes or own >= MOST_FIXED_SIZES:
                return self._compiled.get(kind, free)
            self._seen[kind] += 1
            if self._seen[kind] < OFTEN:
                return free
            try:
                fixed = self._compile(channels, kind)
                pairs = [(fixed, free)]
                if coding is not None:  # codes hide the last bits
                    pairs.append((self._compile(channels, (size, None)), self._compile(channels, (None, None))))
                self._fixed_sizes = all(np.array_equal(_infer(a, array)[0], _infer(b, array)[0]) for a, b in pairs)
            except torch.OutOfMemoryError:  # what only makes it faster never costs a picture
                self._fixed_sizes = False
            if self._fixed_sizes:
                self._compiled[kind] = fixed
                # it keeps memory for the layers of the largest picture it saw; another size compiles it again
                del self._compiled[None, coding]
            return self._compiled.get(kind, free)

    def _translate(self, channels: int) -> openvino.Model:
        graph = graph_of(self._network, channels)
        try:
            model = _read(graph)
            if self._precision != "int8":
                return model
            return quantized(_core(), model, channels, _ranges(self._network))
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
        assert self._model is not None
        size, coding = kind
        check_room(self._threads, self._lanes, size)
        model = self._model.clone() if coding is None else coded(self._model.clone(), coding)
        try:
            model.reshape(openvino.PartialShape([1, channels, *(size or (-1, -1))]))
            compiled = _core().compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise self._refusal(error) from error
        return Requests(model, compiled, self._lanes)

    def _refusal(self, error: RuntimeError) -> Exception:
        import torch

        if out_of_memory(error):
            return torch.OutOfMemoryError(reason(error))
        return PluginError(f"OpenVINO cannot run {name_of(self._network)} ({reason(error)}): use backend torch")


def _ranges(network: TorchNetwork | OnnxNetwork) -> Any:
    """What the weights file tells of the ranges of int8; ``None`` where it was not trained for that."""
    return getattr(network.runnable(), "int8_ranges", None) if isinstance(network, TorchNetwork) else None


def _one_by_one(x: Tensor) -> list[NDArray[np.float32]]:
    """The pictures of a batch: a free batch would cost layers their fusion."""
    array = x.contiguous().numpy()
    return [array[i : i + 1] for i in range(len(array))]


def _infer(requests: Requests, array: NDArray[np.float32]) -> list[NDArray[Any]]:
    """What the network puts out, each in memory of its own.

    Raises:
        torch.OutOfMemoryError: there was no memory for it.
    """
    import torch

    try:
        first, *others = requests(array)
    except (RuntimeError, MemoryError) as error:
        if out_of_memory(error):
            raise torch.OutOfMemoryError(reason(error)) from error
        raise
    return [in_place(first) if PHASES in requests.output_names else first, *others]


def _scale(model: openvino.Model, channels: int) -> int:
    """How many times larger its pictures are."""
    side, tried = 16, model.clone()
    tried.reshape([1, channels, side, side])
    return int(tried.output(0).shape[2]) // side


@cache
def _core() -> openvino.Core:
    openvino = import_openvino()

    return openvino.Core()


def _read(network: OnnxNetwork) -> openvino.Model:
    """The ONNX graph as an OpenVINO model, its last layers in blocks, in which the interpolated picture stays float32.

    bfloat16 holds 8 bits, too few for a picture; only a serialised model can carry the mark for that.
    """
    import onnx

    openvino = import_openvino()
    from openvino import opset1

    notes = {note.key: note.value for note in onnx.load_from_string(network.graph).metadata_props}
    marked = set(notes.get(PICTURE_NOTE, "").splitlines())
    model = _core().read_model(network.graph)
    if len(model.outputs) > 1:
        result = opset1.result(model.output(network.output).get_node().input_value(0))
        model = openvino.Model([result], model.get_parameters(), model.get_name())
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
    own = own_network(network, "openvino", missing())
    return OpenVINORunner(own, placement.device, placement.precision)


def auto_rank(device: str) -> int | None:
    return 1 if device == "cpu" else None


@hookimpl
def sr_backends() -> Iterable[BackendSpec]:
    yield BackendSpec(
        name="openvino",
        build=build,
        precisions=precisions,
        takes=("onnx", "torch"),
        lanes=lanes,
        auto_rank=auto_rank,
        out_of_memory=out_of_memory,
        missing=missing,
    )
