"""Backend ``onnxruntime``: Microsoft's runtime; on the CPU in float32, on CUDA where its GPU package is installed."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sr_plugins.backends.onnx_graph import INPUT, OUTPUT, PACKAGES, cached_graph
from sr_plugins.errors import PluginError
from sr_plugins.interface.backend import BackendSpec, Placement, Runner
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.network import Network, OnnxNetwork, TorchNetwork
from sr_plugins.interface.words import Precision
from sr_plugins.weights.without_telemetry import import_onnxruntime

if TYPE_CHECKING:
    import onnxruntime
    from torch import Tensor, nn

MOST_LANES = 8


def missing() -> str | None:
    return None if all(map(find_spec, ("onnxruntime", *PACKAGES))) else "pip install 'sr-plugins[onnxruntime]'"


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

    def __init__(self, network: Network, device: str) -> None:
        import torch

        self._module: nn.Module | bytes
        if isinstance(network, TorchNetwork):
            self._module, self._input, self._output = network.runnable(), INPUT, OUTPUT
        else:
            assert isinstance(network, OnnxNetwork)
            self._module, self._input, self._output = network.graph, network.input, network.output
        self._device = device
        self._threads = max(1, torch.get_num_threads() // lanes(device))
        self._session: onnxruntime.InferenceSession | None = None
        self._starting = threading.Lock()

    def __call__(self, x: Tensor) -> Tensor:
        import torch

        with self._starting:
            if self._session is None:
                self._session = self._start(x.shape[1])
        (result,) = self._session.run([self._output], {self._input: x.cpu().contiguous().numpy()})
        return torch.from_numpy(result).to(x.device)

    def _start(self, channels: int) -> onnxruntime.InferenceSession:
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
        name = "this ONNX graph" if isinstance(self._module, bytes) else type(self._module).__name__
        graph = self._module if isinstance(self._module, bytes) else cached_graph(self._module, channels)
        try:
            return onnxruntime.InferenceSession(graph, options, providers=[provider])
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise PluginError(f"ONNX Runtime cannot run {name} ({reason}): use backend torch") from error


def build(network: Network, placement: Placement) -> Runner:
    return OnnxRuntimeRunner(network, placement.device)


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
        forks=True,
        missing=missing,
    )
