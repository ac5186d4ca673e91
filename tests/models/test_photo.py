"""``photo``: colours that are flat stay so, whatever was trained, and it begins as a network on luma."""

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.interface.written_graph import written
from sr_plugins.models.branched_convolution import GridFreeConv3x3
from sr_plugins.models.compact_network import CompactNetwork
from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.models.photo_network import PhotoNetwork
from sr_plugins.pixels.matrix import LUMA
from sr_plugins.testing import random_network
from sr_plugins.training.run.flat_borders import border_error, flatten_borders
from sr_plugins.weights.pretrained import pretrained

CODE = 1 / 255


def trained() -> PhotoNetwork:
    network = random_network(lambda: PhotoNetwork(2, 8, 3, branches=True))
    folded: PhotoNetwork = network.fold()  # type: ignore[operator]
    return folded


def grid_free(scale: int, features: int = 8) -> GridFreeConv3x3:
    return random_network(lambda: GridFreeConv3x3(features, 3, scale))  # type: ignore[return-value]


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
        network.tail.weight.mul_(0.05)  # type: ignore[operator]
    network.keep_flat_colours()
    error = border_error(network, channels=3)
    flatten_borders(network, [picture(i)[0] for i in range(4)], iterations=150, seed=1)
    assert error > CODE
    assert border_error(network, channels=3) < error / 3


@torch.no_grad()
@pytest.mark.parametrize("scale", [2, 3, 4])
@torch.no_grad()
def test_a_grid_free_layer_repeats_nothing_from_pixel_to_pixel(scale: int) -> None:
    """Its transposed kernel has zeros at the pixels' frequency and all multiples; flat features come out flat."""
    layer = grid_free(scale)
    point = torch.zeros(8, 8, 7, 7)
    point[range(8), range(8), 3, 3] = 1
    bias = layer.bias()[:, None, None]
    spectrum = torch.fft.fft2(F.pixel_shuffle(layer(point) - bias, scale)).abs()
    for multiple in range(1, scale):
        assert max(spectrum[..., 7 * multiple, :].max(), spectrum[..., 7 * multiple].max()) < 1e-5 * spectrum.max()
    flat = torch.randn(1, 8, 1, 1, generator=torch.Generator().manual_seed(3)).expand(1, 8, 9, 9)
    y = F.pixel_shuffle(layer(flat), scale)[..., scale:-scale, scale:-scale]
    assert (y - y[..., :1, :1]).abs().max() < 1e-5 < 0.01 < y.abs().max()


@torch.no_grad()
def test_a_grid_free_layer_is_kept_where_it_is_taken_up_again() -> None:
    layer, other = grid_free(4), GridFreeConv3x3(8, 3, 4)
    folded = layer.fold()
    assert folded.bias is not None
    other.load_folded(folded.weight, folded.bias)
    assert (other.kernel() - layer.kernel()).abs().max() < 1e-5
    assert (other.bias() - layer.bias()).abs().max() < 1e-6
    x = torch.rand(1, 8, 9, 9, generator=torch.Generator().manual_seed(4))
    assert torch.equal(folded(x), layer(x))


def test_what_photo_adds_by_four_has_no_grid() -> None:
    """But for what flat borders moved: the folded layer knows nothing of the kernels it was held to."""
    assert isinstance(PhotoNetwork(4, 8, 3, branches=True).tail, GridFreeConv3x3)
    path = pretrained("photo", 4)
    assert path is not None
    tail = load_file(path)["tail.weight"]
    held = GridFreeConv3x3(tail.shape[1], 3, 4)
    with torch.no_grad():
        held.load_folded(tail, torch.zeros(48))
        assert (held.kernel() - tail).norm() < 0.02 * tail.norm()


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
