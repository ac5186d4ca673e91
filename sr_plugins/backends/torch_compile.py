"""Backend ``torch-compile``: the network compiled by torch's inductor for this machine; slow to start, fast to run."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from sr_plugins.backends import torch_eager
from sr_plugins.errors import PluginError
from sr_plugins.interface.backend import BackendSpec, Placement, Runner
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.network import Network, TorchNetwork
from sr_plugins.interface.words import Precision

if TYPE_CHECKING:
    from torch import Tensor


def compiler() -> str | None:
    """The C++ compiler that inductor will call, or ``None``."""
    named = os.environ.get("CXX")
    names = [named] if named else ["cl"] if sys.platform == "win32" else ["g++", "clang++"]
    return next((path for name in names if (path := shutil.which(name))), None)


def missing() -> str | None:
    if compiler() is None:
        cure = {"win32": "Visual Studio's C++ build tools", "darwin": "xcode-select --install"}
        return f"a C++ compiler ({cure.get(sys.platform, 'apt-get install g++')}), or name one in CXX"
    return None


def precisions(device: str) -> tuple[Precision, ...]:
    if device.startswith("cuda") and find_spec("triton") is None:
        return ()
    return torch_eager.precisions(device)


def build(network: Network, placement: Placement) -> Runner:
    """The network, compiled at its first call, which takes from ten seconds to a minute; height and width stay free."""
    import torch

    assert isinstance(network, TorchNetwork)
    kind, precision = torch.device(placement.device).type, placement.precision
    dtype = getattr(torch, precision)
    module = torch_eager.placed(network.runnable(), placement.device)
    for parameter in module.parameters():
        parameter.requires_grad_(False)

    def forward(x: Tensor) -> Tensor:
        with torch.autocast(kind, dtype, enabled=precision != "float32"):
            y: Tensor = module(x)
        return torch_eager.as_float32(y)

    compiled = torch.compile(forward, dynamic=True)
    calling = threading.Lock()  # compiling is not safe from several threads

    def run(x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        try:
            with calling, torch.no_grad():
                return compiled(x)
        except torch._dynamo.exc.TorchDynamoException as error:
            reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
            name = type(module).__name__
            raise PluginError(f"torch.compile cannot compile {name} ({reason}): use backend torch") from error

    return run


@hookimpl
def sr_backends() -> Iterable[BackendSpec]:
    yield BackendSpec(
        name="torch-compile",
        build=build,
        precisions=precisions,
        lanes=torch_eager.lanes,
        forks=True,
        out_of_memory=torch_eager.out_of_memory,
        recordable=True,
        missing=missing,
    )
