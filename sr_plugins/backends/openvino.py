"""Backend ``openvino``: Intel's runtime on the CPU; the fastest way there, most of all in bfloat16."""

from __future__ import annotations

import tempfile
import threading
import xml.etree.ElementTree as ElementTree
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
    import openvino
    from torch import Tensor, nn

MOST_LANES = 8


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
    """Compiled at the first call, which tells the number of channels; any number of threads may call it."""

    def __init__(self, module: nn.Module, device: str, precision: Precision) -> None:
        import torch

        self._module, self._hint = module, "bf16" if precision == "bfloat16" else "f32"
        self._lanes, self._threads = lanes(device), torch.get_num_threads()
        self._idle: LifoQueue[openvino.InferRequest] | None = None
        self._compiling = threading.Lock()

    def __call__(self, x: Tensor) -> Tensor:
        import openvino
        import torch

        with self._compiling:
            if self._idle is None:
                self._idle = self._requests(x.shape[1])
            idle = self._idle
        request = idle.get()
        try:
            request.infer([openvino.Tensor(x.contiguous().numpy(), shared_memory=True)], share_inputs=True)
            # the request's memory is overwritten by its next picture
            return torch.from_numpy(request.get_output_tensor().data.copy())
        except MemoryError as error:
            raise torch.OutOfMemoryError(str(error)) from error
        finally:
            idle.put(request)

    def _requests(self, channels: int) -> LifoQueue[openvino.InferRequest]:
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": self._hint,
            "NUM_STREAMS": self._lanes,
            "INFERENCE_NUM_THREADS": self._threads,
            # decoder, encoder and other programs are there too: let the system place threads
            "ENABLE_CPU_PINNING": False,
        }
        try:
            compiled = _core().compile_model(_read(cached_graph(self._module, channels)), "CPU", settings)
            queue: LifoQueue[openvino.InferRequest] = LifoQueue()
            for _ in range(self._lanes):
                queue.put(compiled.create_infer_request())
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise PluginError(
                f"OpenVINO cannot run {type(self._module).__name__} ({reason}): use backend torch"
            ) from error
        return queue


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
