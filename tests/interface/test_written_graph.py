"""Graphs that we write ourselves: what ONNX Runtime computes from them is what the networks compute."""

from functools import partial

import onnx
import onnxruntime
import openvino
import pytest
import torch
from torch import nn

from sr_plugins.backends.onnx_graph import INPUT, OUTPUT, PICTURE_NOTE, graph_of, to_graph, written_graph
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.models.compact_network import LEVEL, CompactNetwork
from sr_plugins.models.film_network import FilmNetwork
from sr_plugins.models.flat_colours import KNOTS
from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.testing import random_network
from sr_plugins.weights.frames_as_channels import FramesAsChannels

pytestmark = pytest.mark.usefixtures("operators_read_once")

NETWORKS = {
    "compact": partial(CompactNetwork, 2, 8, 2),
    "x3": partial(CompactNetwork, 3, 8, 2),
    "back-projection": partial(CompactNetwork, 4, 8, 1, back_projection=True),
    "bicubic": partial(BicubicUpsample, 3),
    "film": partial(FilmNetwork, 2, 8, 2, frames=3, fusion=3, distance=1),
}


def made(name: str, *, level: bool = False) -> nn.Module:
    network = random_network(NETWORKS[name])
    if level and name != "bicubic":
        generator = torch.Generator().manual_seed(4)
        network.register_buffer(LEVEL, torch.rand(KNOTS, 2, generator=generator) * 0.2)
    if name != "film":
        return network
    steps = FramesAsChannels(network, 3).steps()
    assert steps is not None
    return steps[1]


def computed(graph: bytes, x: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(graph)
    return torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0])


@pytest.mark.parametrize("level", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_computes_what_the_network_does(name: str, level: bool) -> None:
    module = made(name, level=level)
    channels = 3 if name == "film" else 1
    graph = graph_of(TorchNetwork(module), channels).graph
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    for count, height, width in ((1, 23, 31), (2, 6, 5), (1, 1, 1)):
        x = torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(height))
        with torch.inference_mode():
            torch.testing.assert_close(computed(graph, x), module(x), rtol=0, atol=2e-6)


def test_it_is_the_very_graph_that_torch_exports_and_marks_the_same_nodes() -> None:
    module = made("back-projection", level=True)
    ours = onnx.load_from_string(graph_of(TorchNetwork(module), 1).graph)
    exported = to_graph(module, 1)
    x = torch.rand(1, 1, 19, 26, generator=torch.Generator().manual_seed(1))
    assert torch.equal(computed(ours.SerializeToString(), x), computed(exported.SerializeToString(), x))
    assert kinds(ours) == kinds(exported)
    assert noted(ours) == noted(exported)


def kinds(graph: onnx.ModelProto) -> list[str]:
    return sorted(node.op_type for node in graph.graph.node)


def noted(graph: onnx.ModelProto) -> list[str]:
    """The kinds of nodes that carry the picture."""
    (note,) = (note.value for note in graph.metadata_props if note.key == PICTURE_NOTE)
    names = set(note.split("\n"))
    assert names <= {node.name for node in graph.graph.node}
    return sorted(node.op_type for node in graph.graph.node if node.name in names)


@pytest.mark.parametrize("name", ["compact", "film"])
def test_what_is_still_in_training_is_left_to_torch(name: str) -> None:
    module = NETWORKS[name](branches=True)
    for part in (module, *(module.steps()[1:] if name == "film" else ())):
        assert written_graph(part, part.planes) is None


def test_a_graph_is_for_its_own_number_of_channels() -> None:
    assert written_graph(random_network(NETWORKS["compact"]), 3) is None
    assert written_graph(random_network(NETWORKS["film"]), 1) is None


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_the_search_for_moves_finds_the_same_ones(backend: str) -> None:
    """Of the whole network, and not of its second step alone; a shape that moves, and noise that does not."""
    film = random_network(partial(FilmNetwork, 2, 8, 1, frames=5, fusion=3, distance=3))
    generator = torch.Generator().manual_seed(5)
    wide = torch.rand(1, 1, 40, 60, generator=generator)
    frames = torch.cat([wide[..., 4:36, 4 + dx : 46 + dx] for dx in (-3, -1, 0, 2, 4)], 1)
    frames[..., 10:20, 20:] = torch.rand(1, 5, 10, 22, generator=generator)
    frames = frames * 1.3 - 0.15  # below black and above white, too
    network = FramesAsChannels(film, 5)
    graph = graph_of(TorchNetwork(network), 5).graph
    with torch.inference_mode():
        expected, unmoved = network(frames), FramesAsChannels(network.network, 5).steps()[1](frames)  # type: ignore[index]
    assert (expected - unmoved).abs().max() > 1e-3
    if backend == "openvino":
        core, settings = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
        made = torch.from_numpy(core.compile_model(core.read_model(graph), "CPU", settings)(frames.numpy())[0])
    else:
        made = computed(graph, frames)
    torch.testing.assert_close(made, expected, rtol=0, atol=2e-6)
