"""``photo``: colours that are flat stay so, whatever was trained, and it begins as a network on luma."""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from sr_plugins.interface.written_graph import written
from sr_plugins.models.compact_network import CompactNetwork
from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.models.photo_network import PhotoNetwork
from sr_plugins.pixels.matrix import LUMA
from sr_plugins.testing import random_network
from sr_plugins.training.run.flat_borders import border_error, flatten_borders

CODE = 1 / 255


def trained() -> PhotoNetwork:
    network = random_network(lambda: PhotoNetwork(2, 8, 3, branches=True))
    folded: PhotoNetwork = network.fold()  # type: ignore[operator]
    return folded


def picture(seed: int = 1) -> Tensor:
    return torch.rand(2, 3, 20, 23, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_the_folded_network_is_the_trained_one() -> None:
    network = random_network(lambda: PhotoNetwork(2, 8, 3, branches=True))
    folded = network.fold()  # type: ignore[operator]
    assert (network(picture()) - folded(picture())).abs().max() < 1e-5
    assert not torch.equal(folded(picture()), BicubicUpsample(2)(picture()))


@torch.no_grad()
def test_every_flat_colour_stays_what_it_is_inside() -> None:
    network = trained()
    colours = torch.rand(16, 3, generator=torch.Generator().manual_seed(2))
    colours = torch.cat((colours, torch.zeros(1, 3), torch.ones(1, 3)))[:, :, None, None]
    flat = colours.expand(-1, -1, 24, 24)
    inner = (..., slice(10, -10), slice(10, -10))
    before = (network(flat)[inner] - colours).abs().max()
    network.keep_flat_colours()
    assert (network(flat)[inner] - colours).abs().max() < 1e-5 < 0.1 * CODE < before


def test_flat_borders_are_learnt_for_colours_too() -> None:
    network = trained()
    with torch.no_grad():
        network.tail.weight.mul_(0.05)  # type: ignore[operator, union-attr]
    network.keep_flat_colours()
    error = border_error(network, channels=3)
    flatten_borders(network, [picture(i)[0] for i in range(4)], iterations=150, seed=1)
    assert error > CODE
    assert border_error(network, channels=3) < error / 3


@torch.no_grad()
def test_it_begins_as_a_network_on_luma() -> None:
    """What that adds to luma is added to red, green and blue; it sees differences alone, so flat ones aside."""
    luma = random_network(lambda: CompactNetwork(2, 8, 3, branches=True)).fold()  # type: ignore[operator]
    head = luma.head.weight
    head.sub_(head.mean((2, 3), keepdim=True))
    network = PhotoNetwork(2, 8, 3, branches=True)
    assert network.load_folded(luma.state_dict()) == ["head", "body.0", "body.1", "body.2", "tail"]
    x, base = picture(), BicubicUpsample(2)
    y = (x * torch.tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    added = luma(y) - base(y)
    inner = (..., slice(12, -12), slice(12, -12))  # zeros stand beside the picture of one, its edge beside the other's
    assert ((network(x) - base(x)) - added)[inner].abs().max() < 1e-5


@pytest.mark.parametrize("half", [False, True])
def test_its_graph_computes_the_same(half: bool) -> None:
    network = trained()
    graph = written(network, 3, picture="x", enlarged="y", half=half)
    assert graph is not None
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    x = picture().numpy().astype(np.float16 if half else np.float32)
    (y,) = session.run(None, {"x": x})
    with torch.inference_mode():
        expected = network(torch.from_numpy(x.astype(np.float32))).numpy()
    assert np.abs(y - expected).max() < (0.01 if half else 1e-5)


def test_there_is_no_graph_of_a_network_in_training() -> None:
    assert written(PhotoNetwork(2, 8, 3, branches=True), 3, picture="x", enlarged="y") is None
    assert isinstance(trained().head, nn.Conv2d)
