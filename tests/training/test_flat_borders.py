"""The finishing iterations in which flat colours learn to stay up to the picture's border."""

from __future__ import annotations

import copy

import pytest
import torch

from sr_plugins.models.compact_network import CompactNetwork
from sr_plugins.models.film_network import FilmNetwork
from sr_plugins.models.flat_colours import CODE
from sr_plugins.training.run.flat_borders import ENOUGH, border_error, flatten_borders


def leaking(network: CompactNetwork | FilmNetwork) -> None:
    """Let a network see the zeros beside the picture by a code."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.5)
        network.tail.weight.mul_(0.25)  # type: ignore[operator, union-attr]
        network.tail.bias.zero_()  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("window", [0, 3])
def test_borders_become_flat_and_pictures_stay(window: int) -> None:
    torch.manual_seed(1)
    if window:
        network: CompactNetwork | FilmNetwork = FilmNetwork(2, 8, 1, frames=3, fusion=2, distance=0).eval()
    else:
        network = CompactNetwork(2, 8, 1).eval()
    leaking(network)
    pictures = [torch.rand(*((window,) if window else ()), 1, 40, width) for width in (36, 40, 44, 50)]
    before, error = copy.deepcopy(network), border_error(network, window)
    flatten_borders(network, pictures, iterations=200, seed=1)
    assert error > 3 * ENOUGH
    assert border_error(network, window) < error / 3
    with torch.inference_mode():
        drift = torch.stack([(network(p[None]) - before(p[None])).square().mean() for p in pictures]).mean().sqrt()
    assert drift < CODE
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_what_keeps_flat_colours_is_left_alone() -> None:
    network = CompactNetwork(2, 8, 1).eval()
    with torch.no_grad():
        network.tail.weight.zero_()  # type: ignore[operator, union-attr]
        network.tail.bias.zero_()  # type: ignore[operator, union-attr]
    before = copy.deepcopy(network.state_dict())
    flatten_borders(network, [torch.rand(1, 40, 40)], iterations=5, seed=1)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
