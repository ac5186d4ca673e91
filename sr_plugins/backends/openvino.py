"""Backend ``openvino``: Intel's runtime on the CPU; the fastest way there, most of all in bfloat16."""

from __future__ import annotations

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

from sr_plugins.errors import PluginError
from sr_plugins.export import PACKAGES, PICTURE_NOTE, cached_graph
from sr_plugins.hookspecs import hookimpl
from sr_plugins.model_spec import BackendSpec, Precision, Runner

if TYPE_CHECKING:
    import numpy as np
    import openvino
    from numpy.typing import NDArray
    from torch import Tensor, nn

Size = tuple[int, int]  # height, width
Requests = LifoQueue["openvino.InferRequest"]

MOST_LANES = 8
OFTEN = 4  # pictures of one size, before it gets a network of its own
MOST_FIXED_SIZES = 4


def missing() -> str | None:
    return None if all(map(find_spec, ("openvino", *PACKAGES))) else "pip install 'sr-plugins[openvino]'"


def precisions(device: str) -> tuple[Precision, ...]:
    import torch

    if device != "cpu":
        return ()
    return ("bfloat16", "float32") if torch.cpu._is_avx512_bf16_supported() else ("float32",)


def lanes(device: str) -> int:
    """One frame on each core is faster than one frame on all: cores never wait for each other between layers."""
    import torch

    return min(torch.get_num_threads(), MOST_LANES)


class OpenVINORunner:
    """Compiled at the first call, which tells the number of channels; any number of threads may call it.

    Height and width are free. A size that comes again and again gets a network of its own, which is faster, if that
    computes the very same numbers.
    """

    def __init__(self, module: nn.Module, device: str, precision: Precision) -> None:
        import torch

        self._module, self._hint = module, "bf16" if precision == "bfloat16" else "f32"
        self._lanes, self._threads = lanes(device), torch.get_num_threads()
        self._model: openvino.Model | None = None
        self._compiled: dict[Size | None, Requests] = {}  # None: any size
        self._seen: Counter[Size] = Counter()
        self._fixed_sizes = True
        self._compiling = threading.Lock()

    def __call__(self, x: Tensor) -> Tensor:
        import torch

        if x.shape[0] > 1:  # a free batch would cost layers their fusion
            return torch.cat([self(part) for part in x.split(1)])  # type: ignore[no-untyped-call]
        array = x.contiguous().numpy()
        size = array.shape[2], array.shape[3]
        return torch.from_numpy(_infer(self._compiled.get(size) or self._prepare(array, size), array))

    def _prepare(self, array: NDArray[np.float32], size: Size) -> Requests:
        """The network for a size that has none of its own, or now gets one."""
        import numpy as np

        with self._compiling:
            if self._model is None:
                self._model = self._translate(array.shape[1])
                self._compiled[None] = self._compile(array.shape[1], (-1, -1))
            free = self._compiled[None]
            if size in self._compiled or not self._fixed_sizes or len(self._compiled) > MOST_FIXED_SIZES:
                return self._compiled.get(size, free)
            self._seen[size] += 1
            if self._seen[size] >= OFTEN:
                fixed = self._compile(array.shape[1], size)
                if np.array_equal(_infer(fixed, array), _infer(free, array)):
                    self._compiled[size] = fixed
                    return fixed
                self._fixed_sizes = False
            return free

    def _translate(self, channels: int) -> openvino.Model:
        graph = cached_graph(self._module, channels)
        try:
            return _read(graph)
        except RuntimeError as error:
            raise self._refusal(error) from error

    def _compile(self, channels: int, size: Size) -> Requests:
        import openvino

        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": self._hint,
            "NUM_STREAMS": self._lanes,
            "INFERENCE_NUM_THREADS": self._threads,
            # decoder, encoder and other programs are there too: let the system place threads
            "ENABLE_CPU_PINNING": False,
        }
        assert self._model is not None
        model = self._model.clone()
        try:
            model.reshape(openvino.PartialShape([1, channels, *size]))
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


def _infer(requests: Requests, array: NDArray[np.float32]) -> NDArray[np.float32]:
    import openvino
    import torch

    request = requests.get()
    try:
        request.infer([openvino.Tensor(array, shared_memory=True)], share_inputs=True)
        # the request's memory is overwritten by its next picture
        result: NDArray[np.float32] = request.get_output_tensor().data.copy()
    except MemoryError as error:
        raise torch.OutOfMemoryError(str(error)) from error
    finally:
        requests.put(request)
    return result


@cache
def _core() -> openvino.Core:
    import openvino

    return openvino.Core()


def _read(graph: bytes) -> openvino.Model:
    """The ONNX graph as an OpenVINO model in which the interpolated picture stays float32.

    bfloat16 holds 8 bits, too few for a picture; only a serialised model can carry the mark for that.
    """
    import onnx
    import openvino
    from openvino import opset1

    notes = {note.key: note.value for note in onnx.load_from_string(graph).metadata_props}
    marked = set(notes.get(PICTURE_NOTE, "").splitlines())
    model = _core().read_model(graph)
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


def build(module: nn.Module, device: str, precision: Precision) -> Runner:
    return OpenVINORunner(module, device, precision)


@hookimpl
def sr_backends() -> Iterable[BackendSpec]:
    yield BackendSpec(name="openvino", build=build, precisions=precisions, lanes=lanes, missing=missing)
