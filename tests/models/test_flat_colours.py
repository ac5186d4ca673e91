"""A flat colour stays that colour, up to the picture's border, in every model that is shipped."""

import pytest
import torch
from torch import Tensor, nn

from sr_plugins.interface.model import ModelSpec
from sr_plugins.models.compact_network import CompactNetwork
from sr_plugins.models.flat_colours import KNOTS, TOLERATED
from sr_plugins.plugins import Plugins
from sr_plugins.weights.open_model import open_model

MODELS = [spec for spec in Plugins(installed=False).models() if spec.usable]
# trained with an adversarial loss: it draws a pattern of single pixels on flat areas, up to so many codes of 8 bits,
# and more near the border, where layers see zeros beside the picture
DRAWS = {"perceptual x4": 4}
BORDER = {"perceptual x4": 6}


def codes(network: nn.Module, spec: ModelSpec, values: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """By how many codes of 8 bits (limited range) flat values change, far from the border, and anywhere."""
    reach = max(1, reach)
    side = 2 * reach + 2
    x = ((values - 16) / 219).view(-1, 1, 1, 1).expand(-1, spec.planes_in, side, side).contiguous()
    if any(spec.window):
        x = x[:, None].expand(-1, spec.frames, -1, -1, -1).contiguous()
    with torch.inference_mode():
        y = network(x) * 219 + 16
    change = y.round() - values.view(-1, 1, 1, 1)
    inner = change[..., reach * spec.scale : -reach * spec.scale, reach * spec.scale : -reach * spec.scale]
    return inner.abs().amax((1, 2, 3)), change.abs().amax((1, 2, 3))


@pytest.mark.parametrize("spec", MODELS, ids=[spec.label for spec in MODELS])
def test_a_flat_colour_stays_that_colour(spec: ModelSpec) -> None:
    network = open_model(spec.name, spec.scale).torch().runnable()
    # black, white, and what lies between, more densely where it costs little
    values = torch.linspace(16, 235, 74 if spec.reads < 10 else 7).round()
    inner, anywhere = codes(network, spec, values, spec.reads)
    assert inner.max() <= DRAWS.get(spec.label, 0), dict(zip(values.tolist(), inner.tolist(), strict=True))
    assert anywhere.max() <= BORDER.get(spec.label, 0), dict(zip(values.tolist(), anywhere.tolist(), strict=True))


def drifting(seed: int) -> CompactNetwork:
    """A network that makes flat pictures brighter, each by another amount."""
    torch.manual_seed(seed)
    network = CompactNetwork(2, 8, 1).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(0.2)
        network.tail.weight.copy_(network.tail.weight.mean((0, 2, 3), keepdim=True).expand_as(network.tail.weight))  # type: ignore[operator]
        network.tail.bias.fill_(0.02)  # type: ignore[operator]
    return network


@pytest.mark.parametrize("seed", range(4))
def test_a_network_that_drifts_gets_a_curve_that_undoes_it(seed: int) -> None:
    network = drifting(seed)
    values = torch.linspace(0, 1, 50).view(-1, 1, 1, 1).expand(-1, 1, 9, 9)
    middle = (..., slice(8, 10), slice(8, 10))
    with torch.inference_mode():
        before = (network(values)[middle] - values[..., :1, :1]).abs().max()
        network.keep_flat_colours()
        after = (network(values)[middle] - values[..., :1, :1]).abs().max()
    assert before > 4 * TOLERATED
    assert after < TOLERATED
    assert network.level is not None
    assert network.level.shape == (KNOTS, 2)
    again = CompactNetwork(2, 8, 1).eval()
    again.load_state_dict(network.state_dict())
    x = torch.rand(1, 1, 12, 12)
    assert torch.equal(again(x), network(x))
    assert torch.equal(network.plain()(x), network(x))


def test_a_network_that_keeps_flat_colours_is_left_alone() -> None:
    network = drifting(0)
    with torch.no_grad():
        network.tail.weight.zero_()  # type: ignore[operator]
        network.tail.bias.zero_()  # type: ignore[operator]
    network.keep_flat_colours()
    assert network.level is None
    assert "level" not in network.state_dict()
