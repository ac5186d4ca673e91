"""The last layers in blocks of 2 x 2 pixels: the same picture, in fewer operations."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import openvino
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.backends.onnx_graph import graph_of
from sr_plugins.backends.openvino import OpenVINORunner
from sr_plugins.backends.openvino_block_edges import EXACT
from sr_plugins.backends.openvino_blocks import with_blocked_tail
from sr_plugins.backends.openvino_model import read_model
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.models.flat_colours import KNOTS
from sr_plugins.plugins import Plugins
from sr_plugins.weights.pretrained import load_model

pytestmark = pytest.mark.usefixtures("operators_read_once")

CORE = openvino.Core()


def network(name: str, scale: int) -> nn.Module:
    return load_model(Plugins(installed=False).model(name, scale)).torch().runnable()


def translated(module: nn.Module) -> openvino.Model:
    return CORE.read_model(graph_of(TorchNetwork(module), 1).graph)


def computed(model: openvino.Model, x: NDArray[np.float32]) -> NDArray[np.float32]:
    compiled = CORE.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled([x])[0])


@pytest.mark.parametrize("name", ["tiny", "realtime"])  # without and with back-projection
@pytest.mark.parametrize("size", [(1, 1), (1, 8), (2, 1), (5, 2), (7, 9), (8, 7), (24, 32)], ids=str)
def test_the_picture_is_the_same_whatever_the_size(size: tuple[int, int], name: str) -> None:
    plain = translated(network(name, 2))
    blocked = with_blocked_tail(plain)
    assert blocked is not None
    x = np.random.default_rng(1).random((1, 1, *size), np.float32)
    expected, result = computed(plain, x), computed(blocked, x)
    assert result.shape == (1, 1, *(4 * -(-side // 2) for side in size))
    np.testing.assert_allclose(result[:, :, : 2 * size[0], : 2 * size[1]], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["tiny", "realtime"])
def test_a_runner_leaves_out_what_lies_beyond_an_odd_picture(name: str) -> None:
    module = network(name, 2)
    x = torch.rand(2, 1, 7, 9)
    with torch.inference_mode():
        torch.testing.assert_close(
            OpenVINORunner(TorchNetwork(module), "cpu", "float32")(x), module(x), rtol=0, atol=1e-5
        )


def test_the_last_convolutions_give_sixteen_results_for_each_block() -> None:
    blocked = with_blocked_tail(translated(network("tiny", 2)))
    assert blocked is not None
    shapes = [
        tuple(node.input_value(1).get_shape())
        for node in blocked.get_ops()
        if node.get_type_name() == "Convolution" and node.get_attributes()["strides"] == [2, 2]
    ]
    assert sorted(shapes) == [(16, 1, 6, 6), (16, 16, 4, 4)]


def test_back_projection_reads_blocks_and_gives_blocks() -> None:
    blocked = with_blocked_tail(translated(network("realtime", 2)))
    assert blocked is not None
    blocked.reshape([1, 1, 8, 8])
    run = CORE.compile_model(blocked, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).get_runtime_model()
    shapes = [tuple(n.output(0).shape) for n in run.get_ops() if n.get_rt_info()["layerType"] == "Convolution"]
    assert Counter(shapes) == {
        (1, 16, 8, 8): 12,  # all layers but the last
        (1, 16, 4, 4): 3,  # that, once; the interpolated picture; what lacks, enlarged
        (1, 4, 4, 4): 2,  # the picture, put in place; the result, made small again
    }


def test_all_that_carries_the_picture_is_marked_to_stay_float32() -> None:
    model = read_model(graph_of(TorchNetwork(network("realtime", 2)), 1))
    marked = [node for node in model.get_ops() if any("precis" in key.lower() for key in node.get_rt_info())]
    assert (
        sum(EXACT in node.get_friendly_name() for node in marked) == 2 * 2 * 7 + 1
    )  # two edges, two axes; the picture
    fixed = [tuple(n.input_value(1).get_shape()) for n in marked if n.get_type_name() == "Convolution"]
    assert sorted(fixed) == [(4, 1, 2, 2), (4, 16, 3, 3), (16, 1, 6, 6), (16, 4, 3, 3)]


def test_a_curve_before_back_projection_is_put_in_place_whole() -> None:
    module = network("realtime", 2)
    curve = torch.zeros(KNOTS, 2)
    curve[:2] = torch.tensor([[0.2, 0.3], [0.6, -0.4]])
    module.level = curve
    plain, x = translated(module), np.random.default_rng(1).random((1, 1, 7, 9), np.float32)
    blocked = with_blocked_tail(plain)
    assert blocked is not None
    np.testing.assert_allclose(computed(blocked, x)[:, :, :14, :18], computed(plain, x), rtol=0, atol=1e-5)
    kernels = [n.input_value(1).get_shape() for n in blocked.get_ops() if n.get_type_name() == "Convolution"]
    assert sum(tuple(shape) == (4, 1, 2, 2) for shape in kernels) == 1


class Squared(nn.Module):
    """Ends in a pixel shuffle, but of something that is no sum of convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x) ** 2, 2)


@pytest.mark.parametrize(
    "build",
    [lambda: network("fast", 3), lambda: network("fast", 4), lambda: network("edsr", 2), Squared],
    ids=["x3", "x4", "edsr", "squared"],
)
def test_networks_that_end_otherwise_stay_as_they_are(build: Callable[[], nn.Module]) -> None:
    assert with_blocked_tail(translated(build().eval())) is None
