"""Networks of others written down by what is done to a value: ONNX Runtime computes from that what torch computes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.interface.traced_graph import write_traced
from sr_plugins.interface.traced_value import TracedValue
from sr_plugins.interface.written_graph import WrittenGraph, written
from sr_plugins.weights.borders import Bordered, border_of
from sr_plugins.weights.foreign_network import ForeignNetwork

pytestmark = pytest.mark.usefixtures("operators_read_once")

CHANNELS = 4


def difference(module: nn.Module, call: Callable[[Any], Any] | None = None) -> float | None:
    """The largest between the graph's result and torch's, over pictures of several sizes; ``None``: no graph."""
    graph = WrittenGraph(module)
    module = module.eval()
    result = write_traced(graph, call or module, "picture", CHANNELS)
    if result is None:
        return None
    content = graph.finished(result.name, "picture", CHANNELS, "enlarged", None).SerializeToString()
    session = onnxruntime.InferenceSession(content)
    worst = 0.0
    for count, height, width in ((1, 9, 14), (2, 1, 3), (1, 1, 1)):
        x = torch.randn(count, CHANNELS, height, width, generator=torch.Generator().manual_seed(width))
        (found,) = session.run(["enlarged"], {"picture": x.numpy()})
        with torch.inference_mode():
            expected = (call or module)(x.clone())
        assert found.shape == expected.shape
        worst = max(worst, float((torch.from_numpy(found) - expected).abs().max()))
    return worst


class Called(nn.Module):
    """``function(x, weight)``, with a tensor of its own, (1, 4, 1, 1)."""

    def __init__(self, function: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.tensor([0.5, -0.25, 2.0, 1.5]).reshape(1, 4, 1, 1))

    def forward(self, x: Any) -> Any:
        return self.function(x, self.weight)


def changed_in_place(x: Any, weight: Tensor) -> Any:
    """What holds the same tensor by another name sees the change, and a clone does not."""
    before, same = x.clone(), x
    F.leaky_relu(x, 0.3, inplace=True)
    x += 1.0
    x *= weight
    same.add_(0.125)
    return torch.cat([same, before, x], dim=1)


COMPUTED: dict[str, Callable[[Any, Tensor], Any]] = {
    "in place": changed_in_place,
    "sums": lambda x, w: torch.add(1.5 - (x + 2 * x - w) / 3, x),
    "products": lambda x, w: (w * x * 0.5).mul(w) / w,
    "tensor first": lambda x, w: w - x * (w + x),
    "activations": lambda x, w: F.relu(x) + F.silu(x) * torch.sigmoid(x) - torch.tanh(x),
    "methods": lambda x, w: x.sigmoid().contiguous() - x.relu().clone().float() + x.tanh().clamp(min=-0.5),
    "clamped": lambda x, w: torch.clamp(x, -0.5, 0.25) + x.clamp(max=0.1),
    "prelu": lambda x, w: F.prelu(x, w.flatten()),
    "shuffled": lambda x, w: F.pixel_shuffle(x * 2, 2),
    "repeated": lambda x, w: F.interpolate(x, scale_factor=3),
    "repeated by two factors": lambda x, w: F.interpolate(x, scale_factor=(2.0, 1.0), mode="nearest"),
    "bilinear": lambda x, w: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bicubic": lambda x, w: F.interpolate(x, scale_factor=(4, 2), mode="bicubic", align_corners=False),
    "half of four times": lambda x, w: F.interpolate(
        F.interpolate(x, scale_factor=4), scale_factor=0.5, mode="bicubic", align_corners=False
    ),
    "surrounded": lambda x, w: F.pad(x, (0, 1, 2, 3), "replicate") * F.pad(F.pad(x, [0] * 4), (0, 1, 2, 3)),
    "parts": lambda x, w: F.pad(x, (3, 1, 2, 4))[:, :, 1:-3, :-2] + F.pad(x, (1, 2, 1, 1))[..., : x.size(2) + 2, 1:],
    "changed by its whole part": lambda x, w: (x * 2)[..., : x.shape[2], : x.shape[-1]].mul_(w),
    "unshuffled": lambda x, w: F.pixel_unshuffle(F.interpolate(x, scale_factor=4, mode="bicubic"), 2),
    "other type": lambda x, w: w.type_as(x) * x,
}


@pytest.mark.parametrize("name", COMPUTED)
def test_a_graph_computes_what_torch_does(name: str) -> None:
    found = difference(Called(COMPUTED[name]))
    assert found is not None
    assert found < 1e-6


@pytest.mark.parametrize(
    "settings",
    [{}, {"padding": 1}, {"padding": (0, 2), "dilation": (1, 2)}, {"stride": 2, "padding": 1}, {"groups": 2}],
    ids=str,
)
def test_convolutions_of_every_setting(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    side = 3 if settings.get("padding") == 1 else 1
    for bias in (True, False):
        kernel = (1, 3) if settings.get("padding") == (0, 2) else side
        found = difference(nn.Sequential(nn.Conv2d(CHANNELS, 6, kernel, bias=bias, **settings), nn.PReLU(6)))
        assert found is not None
        assert found < 1e-5


@pytest.mark.parametrize(
    "settings",
    [
        {"kernel_size": 2, "stride": 2},
        {"kernel_size": 4, "stride": 2, "padding": 1},
        {"kernel_size": (3, 1), "stride": (2, 1), "padding": (1, 0), "output_padding": (1, 0), "groups": 2},
        {"kernel_size": 3, "dilation": 2},
    ],
    ids=str,
)
def test_transposed_convolutions_of_every_setting(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    for bias in (True, False):
        found = difference(nn.Sequential(nn.ConvTranspose2d(CHANNELS, 6, bias=bias, **settings), nn.PReLU(6)))
        assert found is not None
        assert found < 1e-5


class InSteps(nn.Module):
    """Down by 4 and up again, as U-shaped networks are; fails for sides that are no multiple of 4, or below 8."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(12, 8, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(8, 12, 2, stride=2)
        self.last = nn.Conv2d(12, 3 * (2 * scale) ** 2, 3, padding=1)
        self.scale = scale

    def forward(self, x: Any) -> Any:
        _, channels, height, width = x.shape
        assert channels == 3
        if not isinstance(x, TracedValue) and min(height, width) < 8:
            raise ValueError
        x = F.pad(x, (0, (2 - width % 2) % 2, 0, -height % 2), "reflect")
        x = F.pixel_unshuffle(x, 2)
        y = x + self.up(F.relu(self.down(x)))
        y = F.pixel_shuffle(self.last(y), 2 * self.scale)
        return y[:, :, : height * self.scale, : width * self.scale]


def compared(network: Bordered | ForeignNetwork) -> None:
    """The graph and torch, for sides that are multiples and others, down to one pixel."""
    graph = written(network, 3, picture="picture", enlarged="enlarged")
    assert graph is not None
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for count, height, width in ((2, 9, 14), (1, 12, 8), (1, 1, 1), (1, 2, 23)):
        x = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(width))
        (found,) = session.run(["enlarged"], {"picture": x.numpy()})
        with torch.inference_mode():
            expected = network(x.clone())
        assert found.shape == expected.shape
        assert np.abs(found - expected.numpy()).max() < 1e-5


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_networks_of_certain_sides_take_any(scale: int) -> None:
    torch.manual_seed(0)
    network = InSteps(scale)
    compared(ForeignNetwork(network, lambda model, x: model(x), 3, multiple=4, minimum=8))
    compared(ForeignNetwork(nn.Conv2d(3, 3, 3, padding=1), lambda model, x: model(x), 3, minimum=8))
    bordered = Bordered(network, multiple=4, minimum=8)
    assert bordered.planes is None  # so that nobody knows how many are to go in
    network.planes = 3  # type: ignore[assignment]
    compared(bordered)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize(("eaten", "multiple"), [(2, 1), (3, 2)])
def test_networks_that_eat_their_border_take_any(eaten: int, multiple: int, residual: bool) -> None:
    torch.manual_seed(0)
    layers = [*(nn.Conv2d(3, 3, 3) for _ in range(eaten)), nn.ConvTranspose2d(3, 3, 4, stride=2, padding=3)]
    network = nn.Sequential(*layers)
    network.planes = 3  # type: ignore[assignment]
    border = border_of(network, 3, Path("weights"))
    assert border is not None
    compared(Bordered(network, border, residual=residual, multiple=multiple, minimum=4))


def test_a_network_whose_result_is_of_another_size_is_left_to_torch() -> None:
    class Cropping(nn.Module):
        planes = 3

        def forward(self, x: Any) -> Any:
            return F.pad(x * 2, (0, 1, 0, 0))

    assert written(Bordered(Cropping(), multiple=2), 3, picture="picture", enlarged="enlarged") is None


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w: x * x.mean(),
        lambda x, w: x[:, 1:],
        lambda x, w: x[..., ::2],
        lambda x, w: x[0],
        lambda x, w: x[..., :3],
        lambda x, w: x[..., -3:],
        lambda x, w: F.pad(x, (1, 1, 1, 1))[..., 1:].add_(1) * 2,
        lambda x, w: F.pad(x, (1, 0)),
        lambda x, w: F.pad(x, (1, 0, 0, 1), value=0.5),
        lambda x, w: F.pad(x, (0, -1, 0, 0)) if x.shape[3] % 2 else x * 2,
        lambda x, w: x.reshape(x.shape),
        lambda x, w: x if x.shape[2] > 3 else x * 2,
        lambda x, w: x if x > 0 else x * 2,
        lambda x, w: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        lambda x, w: F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True),
        lambda x, w: F.interpolate(x, scale_factor=3, mode="bicubic"),
        lambda x, w: F.interpolate(x, scale_factor=1.5),
        lambda x, w: F.interpolate(x, size=(4, 4)),
        lambda x, w: torch.cat([x, x]),
        lambda x, w: torch.cat([x, w.expand(1, 4, 1, 1)], 1),
        lambda x, w: F.conv2d(x, torch.ones(4, 4, 3, 3), padding="same"),
        lambda x, w: F.conv2d(torch.ones(1, 4, 3, 3), x),
        lambda x, w: F.leaky_relu(x) if x.is_cuda else x * 2,
        lambda x, w: (x * 2, x),
        lambda x, w: x,
    ],
)
def test_what_is_not_known_is_left_to_torch(function: Callable[[Any, Tensor], Any]) -> None:
    assert difference(Called(function)) is None
