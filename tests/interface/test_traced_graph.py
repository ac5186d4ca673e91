"""Networks of others written down by what is done to a value: ONNX Runtime computes from that what torch computes."""

from collections.abc import Callable
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.interface.traced_graph import write_traced
from sr_plugins.interface.written_graph import WrittenGraph

pytestmark = pytest.mark.usefixtures("operators_read_once")

CHANNELS = 4


def difference(module: nn.Module, call: Callable[[Any], Any] | None = None) -> float | None:
    """The largest between the graph's result and torch's, over pictures of several sizes; ``None``: no graph."""
    graph = WrittenGraph(module)
    module = module.eval()
    result = write_traced(graph, call or module, "picture")
    if result is None:
        return None
    content = graph.finished(result, "picture", CHANNELS, "enlarged", None).SerializeToString()
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
    "function",
    [
        lambda x, w: x * x.mean(),
        lambda x, w: x[..., 1:],
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
