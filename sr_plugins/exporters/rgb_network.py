"""A luma network as an R'G'B' one: what the core does around it, inside the graph."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.pixels.matrix import LUMA

if TYPE_CHECKING:
    from sr_plugins.interface.written_graph import WrittenGraph


class LumaInRgb(nn.Module):
    """(N, 3, H, W) R'G'B' in [0, 1] to (N, 3, H * scale, W * scale) by a network for luma; sides of at least 2.

    Of a network that sees several frames, they come one after the other as channels: (N, 3 * frames, H, W).

    Luma (BT.601, as R'G'B' frames have it in the core) goes through the network. R' - G' and B' - G' are enlarged by
    Keys' cubic, mirrored at the edge, and G' follows from the luma that the network made.
    """

    def __init__(self, network: nn.Module, scale: int, frames: int = 1) -> None:
        super().__init__()
        self.network, self.scale, self.frames = network, scale, frames
        self.register_buffer("kernel", BicubicUpsample(scale).kernel.repeat(2, 1, 1, 1), persistent=False)
        self.kernel: Tensor

    @property
    def planes(self) -> int:
        """Channels that go in."""
        return 3 * self.frames

    def forward(self, x: Tensor) -> Tensor:
        luma = self.network(LUMA[0] * x[:, 0::3] + LUMA[1] * x[:, 1::3] + LUMA[2] * x[:, 2::3])
        first = self.frames // 2 * 3
        red, green, blue = x[:, first : first + 1], x[:, first + 1 : first + 2], x[:, first + 2 : first + 3]
        differences = mirrored(torch.cat((red - green, blue - green), 1).float())
        enlarged = F.pixel_shuffle(F.conv2d(differences, self.kernel, groups=2), self.scale)
        red, blue = enlarged[:, 0:1], enlarged[:, 1:2]
        green = luma - LUMA[0] * red - LUMA[2] * blue
        return torch.cat((red + green, green, blue + green), 1)

    def write(self, graph: WrittenGraph, x: str) -> str | None:
        """The same into a graph, if the network can be written."""
        channels = graph.channels(x, self.planes)

        def weighted(*channels: str) -> str:
            parts = [graph.computed("Mul", c, weight) for c, weight in zip(channels, LUMA, strict=True)]
            return graph.added(graph.added(parts[0], parts[1]), parts[2])

        frames = graph.joined([weighted(*channels[i : i + 3]) for i in range(0, self.planes, 3)])
        luma = graph.network(self.network, self.frames, frames)
        if luma is None:
            return None
        first = self.frames // 2 * 3
        red, green, blue = channels[first : first + 3]
        differences = graph.joined([graph.computed("Sub", red, green), graph.computed("Sub", blue, green)])
        for axis in (3, 2):
            edges = [graph.part(differences, [i], [i + 1], axis) for i in (1, 0, -1, -2)]
            differences = graph.joined([*edges[:2], differences, *edges[2:]], axis)
        enlarged = graph.shuffled(graph.convolved(differences, graph.tensor(self.kernel), (5, 5), 2), self.scale)
        red, blue = graph.channels(enlarged, 2)
        green = luma
        for difference, weight in ((red, LUMA[0]), (blue, LUMA[2])):
            green = graph.computed("Sub", green, graph.computed("Mul", difference, weight))
        return graph.joined([graph.added(red, green), green, graph.added(blue, green)])


def mirrored(x: Tensor) -> Tensor:
    """Two samples more on each side, mirrored about the picture's edge: b a | a b ... y z | z y."""
    x = torch.cat((x[..., 1:2], x[..., :1], x, x[..., -1:], x[..., -2:-1]), -1)
    return torch.cat((x[..., 1:2, :], x[..., :1, :], x, x[..., -1:, :], x[..., -2:-1, :]), -2)


class HalfPrecision(nn.Module):
    """float16 in and out; ``network`` computes its layers so, and what it casts itself in float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x)
        return y.half()


def in_half(module: nn.Module) -> nn.Module:
    """A copy with trained weights in float16, which takes and returns float16.

    Fixed filters stay float32: the picture is what a network's residual is added to, and may not be rougher than it.
    """
    module = copy.deepcopy(module)
    for parameter in module.parameters():
        parameter.data = parameter.data.half()
    for part in module.modules():
        if isinstance(part, nn.Conv2d):  # behind what is computed in float32
            part.register_forward_pre_hook(_rounded)
    return HalfPrecision(module).eval()


def _rounded(convolution: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
    return (given[0].half(),)
