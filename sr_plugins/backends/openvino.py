"""Backend ``openvino``: Intel's runtime on the CPU; the fastest way there, most of all in bfloat16 and int8."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sr_plugins.backends import torch_eager
from sr_plugins.backends.loading import cannot_load
from sr_plugins.backends.onnx_graph import PACKAGES, graph_of, in_steps, name_of, own_network
from sr_plugins.backends.openvino_codes import PHASES, coded, in_place
from sr_plugins.backends.openvino_int8 import quantized
from sr_plugins.backends.openvino_memory import check_room, out_of_memory, reason
from sr_plugins.backends.openvino_model import core, read_model, scale_of
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
        self._compiling, self._trying = threading.Lock(), threading.Lock()

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
        if (compiled := self._compiled.get(kind)) is None:
            compiled = self._free(array.shape[1], coding)
            if self._deserves_own(kind) and self._trying.acquire(blocking=False):  # other lanes go on meanwhile
                try:
                    if (result := self._own(array, kind, compiled)) is not None:
                        return result
                finally:
                    self._trying.release()
        return _infer(compiled, array)

    def _free(self, channels: int, coding: Coding | None) -> Requests:
        """The network for any size."""
        with self._compiling:
            if self._model is None:
                self._model = self._translate(channels)
                self._scale = scale_of(self._model, channels)
            if (None, coding) not in self._compiled:
                self._compiled[None, coding] = self._compile(channels, (None, coding))
            return self._compiled[None, coding]

    def _deserves_own(self, kind: Kind) -> bool:
        """Whether its size came often enough for a network of its own."""
        with self._compiling:
            if not self._fixed_sizes or len(self.sizes) >= MOST_FIXED_SIZES:
                return False
            self._seen[kind] += 1
            return self._seen[kind] >= OFTEN

    def _own(self, array: NDArray[np.float32], kind: Kind, free: Requests) -> list[NDArray[Any]] | None:
        """What the network of its own makes of ``array``; ``None``, and no network, where it makes something else."""
        import numpy as np
        import torch

        channels, (size, coding) = array.shape[1], kind
        if kind in self._compiled:  # by another lane, just now
            return None
        try:
            fixed = self._compile(channels, kind)
            result = _infer(fixed, array)
            same = np.array_equal(result[0], _infer(free, array)[0])
            if same and coding is not None:  # codes hide the last bits
                plain, any_size = (self._compile(channels, (one, None)) for one in (size, None))
                same = np.array_equal(_infer(plain, array)[0], _infer(any_size, array)[0])
        except torch.OutOfMemoryError:  # what only makes it faster never costs a picture
            same = False
        with self._compiling:
            self._fixed_sizes = same
            if not same:
                return None
            self._compiled[kind] = fixed
            # it keeps memory for the layers of the largest picture it saw; another size compiles it again
            self._compiled.pop((None, coding), None)
            return result

    def _translate(self, channels: int) -> openvino.Model:
        graph = graph_of(self._network, channels)
        try:
            model = read_model(graph)
            if self._precision != "int8":
                return model
            return quantized(core(), model, channels, _ranges(self._network))
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
            compiled = core().compile_model(model, "CPU", settings)
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
