"""The registered models of ours, for tests that ask something of each."""

from collections.abc import Callable

import torch
from torch import nn

from sr_plugins.interface.model import ModelSpec
from sr_plugins.plugins import Plugins

MODELS = Plugins(installed=False).models()
COUNT = {"luma": 1, "rgb": 3}


def label(spec: ModelSpec) -> str:
    return spec.label


def randomised(build: Callable[[], nn.Module]) -> nn.Module:
    """The network with every parameter random, so that nothing is hidden by an initial zero."""
    network = build().eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.08)
    return network
