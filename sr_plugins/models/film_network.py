"""The torch module of ``film``: kept apart so that listing models imports no torch."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.alignment import aligned, write_aligned
from sr_plugins.models.branched_convolution import SLOPE, BranchedConv3x3, load_folded
from sr_plugins.models.compact_network import LEVEL, CompactNetwork
from sr_plugins.models.flat_colours import KNOTS, flat_curve, leveled
from sr_plugins.models.growth import fits_inside, grow
from sr_plugins.models.interpolation import BicubicUpsample

if TYPE_CHECKING:
    from sr_plugins.interface.written_graph import WrittenGraph


class FilmNetwork(nn.Module):
    """Frames around one in, that one enlarged: (N, T, 1, H, W) in [0, 1] to (N, 1, H * scale, W * scale).

    The frame in the middle goes the way of a compact network. Beside its first layer, a few layers look at all frames
    of the window, the others moved to lie on it, and add what they find to its features.

    Args:
        scale, features, layers: of the compact network.
        frames: T, odd.
        fusion: layers that look at the window, the one that adds included.
        distance: how far frames are moved to lie on the middle one, in pixels; 0: not at all.
        branches: with the branches to train with.

    Attributes:
        level: as of :class:`~sr_plugins.models.compact_network.CompactNetwork`.
    """

    level: Tensor | None

    def __init__(
        self,
        scale: int,
        features: int,
        layers: int,
        *,
        frames: int,
        fusion: int,
        distance: int,
        branches: bool = False,
    ) -> None:
        super().__init__()
        self.scale, self.features, self.layers = scale, features, layers
        self.frames, self.fusion_layers, self.distance = frames, fusion, distance
        self.register_buffer(LEVEL, None)

        def conv(inputs: int, outputs: int, skip: bool = False) -> nn.Module:
            if branches:
                return BranchedConv3x3(inputs, outputs, skip=skip)
            return nn.Conv2d(inputs, outputs, 3, padding=1)

        self.head = conv(1, features)
        self.fusion = nn.ModuleList(
            [conv(frames, features), *(conv(features, features, skip=True) for _ in range(fusion - 2))]
        )
        self.found = conv(features, features)
        self.body = nn.ModuleList(conv(features, features, skip=True) for _ in range(layers))
        self.tail = conv(features, scale * scale)
        self.base = BicubicUpsample(scale)
        if branches:  # start from one frame, and from the bicubic picture
            with torch.no_grad():
                self.found.load_folded(torch.zeros(features, features, 3, 3), torch.zeros(features))  # type: ignore[operator]
                self.tail.conv.weight.mul_(0.1)  # type: ignore[operator, union-attr]

    def forward(self, x: Tensor) -> Tensor:
        return self.enlarged(self.aligned(x))

    def aligned(self, x: Tensor) -> Tensor:
        """The window with its frames moved to lie on the middle one: (N, T, 1, H, W) both."""
        if not self.distance:
            return x
        middle = self.frames // 2
        before, now, after = x[:, :middle, 0], x[:, middle : middle + 1, 0], x[:, middle + 1 :, 0]
        others = aligned(now, torch.cat((before, after), 1), self.distance)
        return torch.cat((others[:, :middle], now, others[:, middle:]), 1)[:, :, None]

    def enlarged(self, x: Tensor) -> Tensor:
        """The middle frame of a window that lies on each other, (N, T, 1, H, W), as (N, 1, H * scale, W * scale)."""
        x = x[:, :, 0]
        if self.level is not None:
            x = torch.cat([leveled(x[:, t : t + 1], self.level) for t in range(self.frames)], 1)
        now = x[:, self.frames // 2 : self.frames // 2 + 1]
        found = x
        for layer in self.fusion:
            found = F.leaky_relu(layer(found), SLOPE, inplace=True)
        y = F.leaky_relu(self.head(now) + self.found(found), SLOPE, inplace=True)
        for layer in self.body:
            y = F.leaky_relu(layer(y), SLOPE, inplace=True)
        residual = self.tail(y).float()
        return F.pixel_shuffle(self.base.phases(now) + residual, self.scale)

    @property
    def planes(self) -> int:
        """Channels of a graph: the frames."""
        return self.frames

    def write(self, graph: WrittenGraph, x: str) -> str | None:
        """The network into a graph, frames as channels; ``None`` in training."""
        frames = graph.channels(x, self.frames)
        if self.distance:
            middle = self.frames // 2
            now = frames.pop(middle)
            others = write_aligned(graph, now, frames, self.distance)
            frames = [*others[:middle], now, *others[middle:]]
        return self.write_enlarged(graph, frames)

    def write_enlarged(self, graph: WrittenGraph, frames: list[str]) -> str | None:
        """The same from frames that lie on each other, a channel each."""
        layers = (self.head, *self.fusion, self.found, *self.body, self.tail)
        if not all(isinstance(layer, nn.Conv2d) for layer in layers):
            return None
        if self.level is not None:
            frames = [graph.leveled(frame, self.level) for frame in frames]
        now, found = frames[self.frames // 2], graph.joined(frames)
        for layer in self.fusion:
            found = graph.activated(graph.layer(found, layer), SLOPE)
        y = graph.activated(graph.added(graph.layer(now, self.head), graph.layer(found, self.found)), SLOPE)
        for layer in self.body:
            y = graph.activated(graph.layer(y, layer), SLOPE)
        return graph.shuffled(graph.added(graph.filtered(now, self.base.kernel), graph.layer(y, self.tail)), self.scale)

    def steps(self) -> tuple[nn.Module, nn.Module]:
        """The search, which torch does faster than any graph, and the rest."""
        return _Aligned(self), _Enlarged(self)

    @torch.no_grad()
    def keep_flat_colours(self) -> None:
        """Take the curve that this network, as it is now, asks for, where it does not keep flat colours by itself."""
        self.level, distance = None, self.distance
        self.distance = 0  # frames that are all alike lie on each other
        self.level = flat_curve(_Still(self), self.layers + self.fusion_layers + 1 + BicubicUpsample.radius, self.scale)
        self.distance = distance

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        self.make_room({LEVEL} if prefix + LEVEL in state_dict else ())
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def make_room(self, names: Container[str]) -> None:
        """Before tensors of these names are loaded: theirs is to say whether there is a curve."""
        device = next(self.parameters()).device
        self.register_buffer(LEVEL, torch.zeros(KNOTS, 2, device=device) if LEVEL in names else None)

    def fold(self) -> FilmNetwork:
        """The equal network without branches, in eval mode."""
        folded = FilmNetwork(
            self.scale,
            self.features,
            self.layers,
            frames=self.frames,
            fusion=self.fusion_layers,
            distance=self.distance,
        )
        for name, layer in list(self.named_modules()):
            if isinstance(layer, BranchedConv3x3):
                folded.set_submodule(name, layer.fold())
        folded.register_buffer(LEVEL, self.level)
        return folded.eval()

    def load_folded(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Start from a folded network's tensors: this one's, a smaller one's, or a compact network's of one frame."""
        tensors = CompactNetwork.written_out(self.scale, tensors)
        taken = load_folded(self, tensors)
        if fits_inside(tensors, self.features, self.layers, self.scale**2):
            layers = cast(list[BranchedConv3x3], [self.head, *self.body, self.tail])
            taken = list(dict.fromkeys([*taken, *grow(layers[0], layers[1:-1], layers[-1], tensors)]))
        return taken


class _Aligned(nn.Module):
    """The first step of a network."""

    def __init__(self, network: FilmNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.aligned(x)


class _Enlarged(nn.Module):
    """The second step of a network."""

    def __init__(self, network: FilmNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.enlarged(x)

    @property
    def planes(self) -> int:
        return self.network.frames

    def write(self, graph: WrittenGraph, x: str) -> str | None:
        return self.network.write_enlarged(graph, graph.channels(x, self.network.frames))


class _Still(nn.Module):
    """The network on a picture that rests: (N, 1, H, W) in."""

    def __init__(self, network: FilmNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(x[:, None].expand(-1, self.network.frames, -1, -1, -1))
        return y
