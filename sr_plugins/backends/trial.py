"""Whether a backend works for a network here: made ready and called once; who fails is told and left out."""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

import torch

from sr_plugins.errors import PluginError, described, others_code
from sr_plugins.interface.backend import BackendSpec, Placement, Runner
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import Network, TorchNetwork
from sr_plugins.interface.words import Precision
from sr_plugins.plugins import OUR_DISTRIBUTION, Plugins
from sr_plugins.weights.frames_as_channels import FramesAsChannels

logger = logging.getLogger("sr_plugins")

TRIED = 17  # height and width of the picture that shows whether a backend works here: no multiple of anything


class Tried(NamedTuple):
    """A runner that works, and what it made of a picture."""

    runner: Runner
    picture: torch.Tensor
    result: torch.Tensor


def tried(
    backend: BackendSpec,
    loaded: LoadedModel,
    plugins: Plugins,
    device: str,
    precision: Precision,
    written: Network | None = None,
) -> Tried | None:
    """The backend's runner, called once; ``None`` where that fails. ``written``: the network for ``backend``."""
    try:
        if cure := backend.missing():
            raise PluginError(cure)
        with others_code():
            return once(backend, loaded, device, precision, written)
    except Exception as error:  # a plugin's own code
        left_out(plugins, backend, error)
        return None


def once(
    backend: BackendSpec, loaded: LoadedModel, device: str, precision: Precision, written: Network | None = None
) -> Tried:
    """The backend's runner, called once; raises whatever that does."""
    spec, picture = loaded.spec, picture_for(loaded.spec, device)
    side = picture.shape[-1]
    shapes = ((side, side),) if backend.fixed_shapes else ()
    placement = Placement(device=device, precision=precision, shapes=shapes)
    runner = backend.build(network_for(backend, loaded) if written is None else written, placement)
    result = runner(picture)
    if tuple(result.shape[-2:]) != (side * spec.scale, side * spec.scale):
        raise PluginError(f"backend {backend.name} returned a picture of shape {tuple(result.shape)}")
    return Tried(runner, picture, result)


def left_out(plugins: Plugins, backend: BackendSpec, error: BaseException) -> None:
    owner = plugins.owner_of(backend)
    whose = "" if owner == OUR_DISTRIBUTION else f" (plugin {owner})"
    problem = f"backend {backend.name}{whose} is left out by 'auto': {described(error)}"
    if problem not in plugins.problems:
        plugins.problems.append(problem)
        logger.warning(problem)


def picture_for(spec: ModelSpec, device: str) -> torch.Tensor:
    """A small picture of random values that the model takes."""
    side = max(TRIED, spec.minimum_size)
    side = -(-side // spec.size_multiple) * spec.size_multiple
    shape = (1, spec.frames * spec.planes_in, side, side)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32).to(device)


def network_for(backend: BackendSpec, loaded: LoadedModel) -> Network:
    """The model's network in the form that ``backend`` runs best; ``PluginError`` where it takes none there is."""
    network = loaded.form(backend.takes)
    if network is None:
        raise PluginError(
            f"backend {backend.name} runs networks in the form of {' or '.join(backend.takes)}, and "
            f"{loaded.spec.label} is one of {loaded.network.form}: use backend 'auto'"
        )
    if loaded.spec.window != (0, 0) and isinstance(network, TorchNetwork):  # runners take frames as channels
        return TorchNetwork(FramesAsChannels(network.runnable(), loaded.spec.frames))
    return network


_ready = threading.local()  # of the thread that chooses and then makes an upscaler


def keep_ready(
    backend: BackendSpec, loaded: LoadedModel, device: str, precision: Precision, runner: Runner | None
) -> None:
    kept = runner is not None and not backend.fixed_shapes
    placement = Placement(device=device, precision=precision)
    _ready.one = (backend, loaded.form(backend.takes), placement, runner) if kept else None


def made_ready(backend: BackendSpec, network: Network, placement: Placement) -> Runner:
    """``backend.build(network, placement)``, or the same runner that was made when ``auto`` tried it just now."""
    kept, _ready.one = getattr(_ready, "one", None), None
    if kept is not None and kept[0] is backend and kept[1] is network and kept[2] == placement:
        ready: Runner = kept[3]
        return ready
    return backend.build(network, placement)
