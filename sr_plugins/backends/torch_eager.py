"""Backend ``torch``: the network as it is, layer by layer, on CPU or CUDA."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING

from sr_plugins.backends.memory_room import check_call
from sr_plugins.interface.backend import BackendSpec, Placement, Runner
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.network import Network, TorchNetwork
from sr_plugins.interface.words import Precision

if TYPE_CHECKING:
    from torch import Tensor, nn

NAME = "torch"
BESIDE = 24 << 20  # bytes of a layer beside its pictures: what oneDNN works in
ONEDNN_LACKS_MEMORY = (
    "could not create a primitive",
    "could not create a memory object",
    "could not execute a primitive",
)


@cache
def precisions(device: str) -> tuple[Precision, ...]:
    """Best first: half precision only where the device computes in it faster than in float32."""
    import torch

    from sr_plugins.devices import bfloat16_is_faster

    if device.startswith("vulkan"):  # torch knows the word, and computes nothing there
        return ()
    if device.startswith("cuda"):
        if torch.cuda.get_device_capability(device) >= (8, 0):
            return ("bfloat16", "float16", "float32")
        # cards before Volta, and the 16xx family, are slow or wrong in float16
        return ("float16", "float32") if torch.cuda.get_device_capability(device)[0] == 7 else ("float32",)
    if device == "cpu" and torch.cpu._is_avx512_bf16_supported():
        return ("bfloat16", "float32") if bfloat16_is_faster("cpu") else ("float32", "bfloat16")
    return ("float32",)


def lanes(device: str) -> int:
    """On CUDA two: while one computes, the other one's frames travel."""
    return 2 if device.startswith("cuda") else 1


def placed(module: nn.Module, device: str) -> nn.Module:
    """The network on ``device``, channels last, ready for every stream there."""
    import torch

    module = module.to(device)
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.dim() == 4:  # of 5 dimensions there are some, which refuse it
                tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    if device.startswith("cuda"):
        torch.cuda.current_stream(device).synchronize()  # not the device, where another thread may record a graph
    return module


def build(network: Network, placement: Placement) -> Runner:
    """The network on its device, its layers in the placement's precision by autocast."""
    import torch

    assert isinstance(network, TorchNetwork)
    kind, precision = torch.device(placement.device).type, placement.precision
    dtype = getattr(torch, precision)
    module = placed(network.runnable(), placement.device)

    def run(x: Tensor) -> Tensor:
        if kind == "cpu":
            check_call(x.shape[-2], x.shape[-1], BESIDE)
        x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.contiguous()
        with torch.inference_mode(), torch.autocast(kind, dtype, enabled=precision != "float32"):
            # on a CPU one by one: oneDNN may add in another order for another number of pictures
            parts = torch.split(x, 1) if kind == "cpu" else (x,)
            y: Tensor = module(x) if len(parts) == 1 else torch.cat([module(part) for part in parts])
        return as_float32(y)

    return run


def as_float32(y: Tensor) -> Tensor:
    """Values of any floating point; integers and what is no tensor stay what they are, for who calls to refuse."""
    import torch

    return y.float() if isinstance(y, torch.Tensor) and y.is_floating_point() else y


def out_of_memory(error: BaseException) -> bool:
    """oneDNN, which computes torch's convolutions on a CPU, tells lack of memory by what it could not make."""
    return isinstance(error, RuntimeError) and any(text in str(error) for text in ONEDNN_LACKS_MEMORY)


@hookimpl
def sr_backends() -> Iterable[BackendSpec]:
    yield BackendSpec(
        name=NAME,
        build=build,
        precisions=precisions,
        lanes=lanes,
        auto_rank=lambda device: 0,
        forks=True,
        out_of_memory=out_of_memory,
        recordable=True,
    )
