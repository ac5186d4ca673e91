"""The registered models of ours, for tests that ask something of each."""

import torch

from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.models.compact_network import CompactNetwork
from sr_plugins.plugins import Plugins

MODELS = Plugins(installed=False).models()
COUNT = {"luma": 1, "rgb": 3}


def label(spec: ModelSpec) -> str:
    return spec.label


def small_network(
    scale: int, features: int, symmetry: int = 1, back_projection: bool = False, name: str = "own"
) -> LoadedModel:
    """A compact network with strong random weights: a wrong tap, phase or border shows."""
    torch.manual_seed(scale)
    network = CompactNetwork(scale, features, 1, symmetry=symmetry, back_projection=back_projection)
    with torch.no_grad():
        for value in network.parameters():
            size = value[0].numel() ** 0.5 if value.ndim > 1 else 3
            value.copy_(torch.randn_like(value) / size)
        for value in network.tail.parameters():
            value.mul_(0.1)
    spec = ModelSpec(
        name=name,
        scale=scale,
        channels="luma",
        build=lambda: network,
        receptive_radius=9,
        needs_weights=False,
        license="MIT",
    )
    return LoadedModel(spec, TorchNetwork(network.eval()))
