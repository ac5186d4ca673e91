"""Backend ``ncnn``: pairs of ncnn in their own runtime, on the CPU and on any graphics card with Vulkan.

A card of AMD, Intel, Apple (by MoltenVK) or an old one of NVIDIA needs no CUDA this way. Options that round to half
precision are off for float32: they are ncnn's default, and cost more than two codes.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sr_plugins.backends.loading import cannot_load
from sr_plugins.errors import PluginError
from sr_plugins.interface.backend import BackendSpec, Placement, Runner
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.network import NcnnNetwork, Network
from sr_plugins.interface.words import Precision
from sr_plugins.version import extra_command

if TYPE_CHECKING:
    from torch import Tensor

NO_MEMORY = -100  # what ncnn returns where it could not allocate


def missing() -> str | None:
    return extra_command("ncnn") if find_spec("ncnn") is None else cannot_load(("ncnn",))


def precisions(device: str) -> tuple[Precision, ...]:
    """float32 first: only who asks for float16 gets what is measured as right for a network."""
    if device.startswith("vulkan"):
        return ("float32", "float16")
    return ("float32",) if device == "cpu" else ()


class NcnnRunner:
    """One network on one device; any number of threads may call it."""

    def __init__(self, network: NcnnNetwork, device: str, precision: Precision) -> None:
        import ncnn
        import torch

        self._network = network  # ncnn reads its weights from this memory as long as it lives
        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = torch.get_num_threads()
        half = precision == "float16"
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = half
        options.use_bf16_storage = options.use_bf16_packed = False
        options.use_vulkan_compute = device.startswith("vulkan")
        if options.use_vulkan_compute:
            self._net.set_vulkan_device(int(device.partition(":")[2] or 0))
        # larger kernels of Winograd's lose up to three digits
        options.use_winograd63_convolution = options.use_winograd43_convolution = False
        if self._net.load_param_mem(network.param) != 0:
            raise PluginError("ncnn cannot read this network: use backend torch")
        self._net.load_model_mem(network.weights)

    def __call__(self, x: Tensor) -> Tensor:
        import torch

        return torch.cat([self._one(picture) for picture in x.float().cpu()]).to(x.device)

    def _one(self, picture: Tensor) -> Tensor:
        import ncnn
        import numpy as np
        import torch

        array = np.ascontiguousarray(picture.numpy())  # held: ncnn's matrix only borrows it
        matrix = ncnn.Mat(array).clone()
        extractor = self._net.create_extractor()
        extractor.input(self._network.input, matrix)
        status, result = extractor.extract(self._network.output)
        if status == NO_MEMORY:
            raise torch.OutOfMemoryError("ncnn could not allocate")
        if status != 0:
            raise PluginError(f"ncnn cannot run this network (status {status}): use backend torch")
        return torch.from_numpy(np.array(result))[None]


def build(network: Network, placement: Placement) -> Runner:
    """The network with the picture's edge repeated around it, where it eats its border."""
    if cure := missing():
        raise PluginError(f"backend ncnn cannot be used here: {cure}")
    assert isinstance(network, NcnnNetwork)
    from sr_plugins.weights.borders import Border, Bordered

    runner = NcnnRunner(network, placement.device, placement.precision)
    around = Border(network.scale, network.around, network.cut) if network.around else None
    whole = Bordered(runner, around, residual=network.residual, multiple=network.multiple, minimum=network.minimum)

    def run(x: Tensor) -> Tensor:
        import torch

        with torch.inference_mode():
            y: Tensor = whole(x)
        return y.contiguous()

    return run


@hookimpl
def sr_backends() -> Iterable[BackendSpec]:
    yield BackendSpec(name="ncnn", build=build, precisions=precisions, takes=("ncnn",), missing=missing)
