"""What tells one network from another: a hash of its weights, and one of its weights, code and versions."""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING

from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.network import NcnnNetwork, Network, OnnxNetwork, TorchNetwork
from sr_plugins.version import __version__
from sr_plugins.weights.network_code import code_digest

if TYPE_CHECKING:
    from torch import Tensor


def weights_digest(loaded: LoadedModel) -> str:
    """A hash of all weights of an opened model, and where graph and weights are one file, of that."""
    state = hashlib.sha256()
    network = loaded.network
    if isinstance(network, TorchNetwork):
        for name, tensor in sorted(network.module.state_dict().items()):
            state.update(name.encode())
            state.update(_bytes(tensor))
    else:
        _update(state, network)
    if how := loaded.card.get("how"):  # of a foreign file: what was found out and changes pixels
        state.update(repr(sorted(how.items())).encode())
    if chain := loaded.card.get("chain"):
        state.update(repr(chain).encode())
    return state.hexdigest()[:32]


def fingerprint(network: Network, *more: str) -> str | None:
    """Tells networks apart: weights, settings, code (of all that it uses, in any module) and versions.

    ``None`` where a source cannot be read.
    """
    import torch

    digest = hashlib.sha256("\0".join((__version__, torch.__version__, *more)).encode())
    if not isinstance(network, TorchNetwork):
        _update(digest, network)
        return digest.hexdigest()
    module, own = network.module, vars(torch.nn.Module()).keys()
    used: list[object] = []
    for name, part in module.named_modules():
        held = sorted((k, v) for k, v in vars(part).items() if k not in own or k == "training")
        settings = [(k, v) for k, v in held if isinstance(v, bool | int | float | str | tuple | list | dict)]
        functions = [(k, v) for k, v in held if inspect.isfunction(v)]
        named = [(k, f"{v.__module__}.{v.__qualname__}") for k, v in functions]
        digest.update(repr((name, type(part).__qualname__, settings, named)).encode())
        used += [type(part), *(v for _, v in held if callable(v))]
    code = code_digest(used)
    if code is None:
        return None
    digest.update(code)
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        digest.update(repr((name, tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def _update(digest: hashlib._Hash, network: OnnxNetwork | NcnnNetwork) -> None:
    """Everything that such a network is: three graphs of one family may share all their weights."""
    parts = (network.graph,) if isinstance(network, OnnxNetwork) else (network.param.encode(), network.weights)
    for part in (network.form.encode(), network.input.encode(), network.output.encode(), *parts):
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)


def _bytes(tensor: Tensor) -> bytes:
    import torch

    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
