"""Backend ``onnxruntime``: Microsoft's runtime; on the CPU in float32, on CUDA where its GPU package is installed."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sr_plugins.backends.loading import cannot_load
from sr_plugins.backends.onnx_graph import PACKAGES, graph_of, in_steps, name_of, own_network
from sr_plugins.errors import PluginError, SRError, one_line
from sr_plugins.interface.backend import BackendSpec, Placement, Runner
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.network import Network, OnnxNetwork, TorchNetwork
from sr_plugins.interface.words import Precision
from sr_plugins.version import extra_command
from sr_plugins.weights.without_telemetry import import_onnxruntime

if TYPE_CHECKING:
    import onnxruntime
    from torch import Tensor

MOST_LANES = 8
NO_MEMORY = ("Failed to allocate memory", "bad_alloc", "out of memory")


def missing() -> str | None:
    if not all(map(find_spec, ("onnxruntime", *PACKAGES))):
        return extra_command("onnxruntime")
    return cannot_load(("onnxruntime", "onnx"))


def precisions(device: str) -> tuple[Precision, ...]:
    if device == "cpu":
        return ("float32",)
    onnxruntime = import_onnxruntime()

    has_cuda = device.startswith("cuda") and "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    return ("float32",) if has_cuda else ()


def lanes(device: str) -> int:
    """On the CPU one frame on each core."""
    import torch

    return min(torch.get_num_threads(), MOST_LANES) if device == "cpu" else 1


class OnnxRuntimeRunner:
    """The session is made at the first call, which tells the number of channels; any number of threads may call it."""

    def __init__(self, network: TorchNetwork | OnnxNetwork, device: str) -> None:
        import torch

        self._first, self._network = in_steps(network)
        self._device = device
        self._threads = max(1, torch.get_num_threads() // lanes(device))
        self._session: onnxruntime.InferenceSession | None = None
        self._graph: OnnxNetwork | None = None
        self._starting = threading.Lock()

    def __call__(self, x: Tensor) -> Tensor:
        import numpy as np
        import torch

        array = self._first(x).cpu().contiguous().numpy()
        try:
            with self._starting:
                if self._session is None or self._graph is None:
                    self._graph = graph_of(self._network, x.shape[1])
                    self._session = self._start(self._graph.graph)
            # on a CPU one by one: it adds in another order for another number of pictures
            parts = [array[n : n + 1] for n in range(len(array))] if self._device == "cpu" else [array]
            output, name = [self._graph.output], self._graph.input
            results = [self._session.run(output, {name: part})[0] for part in parts]
        except SRError:
            raise
        except Exception as error:  # none of its exceptions is a RuntimeError
            if out_of_memory(error):
                raise torch.OutOfMemoryError(one_line(error)) from error
            what = name_of(self._network)
            raise PluginError(f"ONNX Runtime cannot run {what} ({one_line(error)}): use backend torch") from error
        return torch.from_numpy(results[0] if len(results) == 1 else np.concatenate(results)).to(x.device)

    def _start(self, graph: bytes) -> onnxruntime.InferenceSession:
        onnxruntime = import_onnxruntime()
        import torch

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        # threads that spin while they wait take the core from the other lanes
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        provider: Any = "CPUExecutionProvider"
        if self._device != "cpu":
            provider = ("CUDAExecutionProvider", {"device_id": torch.device(self._device).index or 0})
        # to fall back is to print to stdout and try the same again
        return onnxruntime.InferenceSession(graph, options, providers=[provider], enable_fallback=0)


def out_of_memory(error: BaseException) -> bool:
    """Whether the runtime raised ``error`` for lack of memory: its own types derive from ``Exception`` alone."""
    if isinstance(error, MemoryError):
        return True
    ours = type(error).__module__.startswith("onnxruntime") or isinstance(error, RuntimeError)
    return ours and any(words in str(error) for words in NO_MEMORY)


def build(network: Network, placement: Placement) -> Runner:
    return OnnxRuntimeRunner(own_network(network, "onnxruntime", missing()), placement.device)


def auto_rank(device: str) -> int | None:
    return 2 if device == "cpu" else None


@hookimpl
def sr_backends() -> Iterable[BackendSpec]:
    yield BackendSpec(
        name="onnxruntime",
        build=build,
        precisions=precisions,
        takes=("onnx", "torch"),
        lanes=lanes,
        auto_rank=auto_rank,
        out_of_memory=out_of_memory,
        forks=True,
        missing=missing,
    )
