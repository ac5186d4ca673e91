"""The torch modules of ``compact``: kept apart so that listing models imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.back_projection import BackProjection
from sr_plugins.models.branched_convolution import SLOPE, BranchedConv3x3, load_folded
from sr_plugins.models.fake_quantization import equalize, extremes, int8_convolution
from sr_plugins.models.flat_colours import KNOTS, flat_curve, leveled
from sr_plugins.models.growth import depth, fits_inside, grow
from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.models.symmetric_convolution import SymmetricConv3x3, phase_sets

if TYPE_CHECKING:
    from sr_plugins.interface.written_graph import WrittenGraph

RANGES = "int8_ranges"
LEVEL = "level"


class CompactNetwork(nn.Module):
    """Luma in, luma out: (N, 1, H, W) in [0, 1] to (N, 1, H * scale, W * scale), bicubic picture plus residual.

    Args:
        scale, features, layers: of the network; ``features`` counts all that the hidden layers have.
        symmetry: how many positions of a picture it treats alike (1: none; 2, 4 or 8). ``features`` is a multiple.
        back_projection: one step of it at the end, so that the result made small again is nearer to the input.
        branches: with the branches to train with.

    Attributes:
        int8_ranges: (layers, 2) lowest and highest input of each hidden layer, for backends that run them in 8-bit
            integers; ``None`` where training did not prepare the network for that.
        level: a curve (KNOTS, 2) for the picture before it comes in (see :mod:`.flat_colours`); ``None`` where flat
            colours stay what they are without.
        int8: compute so in torch too, rounding as those backends do: for training, and to see what it costs.
    """

    planes = 1
    int8_ranges: Tensor | None
    level: Tensor | None

    def __init__(
        self,
        scale: int,
        features: int,
        layers: int,
        *,
        symmetry: int = 1,
        back_projection: bool = False,
        branches: bool = False,
    ) -> None:
        super().__init__()
        self.scale, self.features, self.layers, self.symmetry = scale, features, layers, symmetry
        self.int8 = False
        self.register_buffer(RANGES, None)
        self.register_buffer(LEVEL, None)

        def conv(inputs: int, outputs: int, skip: bool = False, phases: int | None = None) -> nn.Module:
            if symmetry > 1:
                outputs = len(phase_sets(symmetry, phases)) if phases else outputs // symmetry
            layer = (
                BranchedConv3x3(inputs, outputs, skip=skip) if branches else nn.Conv2d(inputs, outputs, 3, padding=1)
            )
            return SymmetricConv3x3(layer, symmetry, phases=phases) if symmetry > 1 else layer

        self.head = conv(1, features)
        self.body = nn.ModuleList(conv(features, features, skip=True) for _ in range(layers))
        self.tail = conv(features, scale * scale, phases=scale)
        self.base = BicubicUpsample(scale)
        self.back_projection = BackProjection(scale) if back_projection else None
        if branches:  # start from the bicubic picture
            with torch.no_grad():
                self._branched()[-1].conv.weight.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = self._leveled(x)
        if self.int8:
            with torch.autocast(x.device.type, enabled=False):
                residual = self._int8_residual(x.float())
        else:
            inplace = not torch.compiler.is_exporting()  # which would write each step of it out, for seconds
            y = F.leaky_relu(self.head(x), SLOPE, inplace=inplace)
            for layer in self.body:
                y = F.leaky_relu(layer(y), SLOPE, inplace=inplace)
            residual = self.tail(y).float()
        phases = self.base.phases(x) + residual
        if self.back_projection is not None:
            phases = self.back_projection(x, phases)
        return F.pixel_shuffle(phases, self.scale)

    def _int8_residual(self, x: Tensor) -> Tensor:
        assert self.int8_ranges is not None
        # The first layer reads the picture, for which 256 values between its extremes are too few; the last, a small
        # one, writes it, and rounding what it reads cost two fifths of all that was lost.
        y: Tensor = self.head(x)
        for layer, limits in zip(self.body, self.int8_ranges, strict=True):
            y = int8_convolution(layer, F.leaky_relu(y, SLOPE), limits)
        residual: Tensor = self.tail(F.leaky_relu(y, SLOPE))
        return residual

    @torch.no_grad()
    def prepare_int8(self, x: Tensor) -> None:
        """Make the channels of every layer equally large and take the ranges that they have on ``x``, a batch of luma.

        What the network computes in floating point stays. The ranges do, too: what is beyond them is cut off, so there
        should be nothing stronger in pictures than in ``x``.
        """
        y, ranges = self._leveled(x.float()), []
        for layer, following in pairwise((self.head, *self.body)):
            equalize(layer, following, F.leaky_relu(layer(y), SLOPE))
            y = F.leaky_relu(layer(y), SLOPE)
            ranges.append(extremes(y))
        self.register_buffer(RANGES, torch.stack(ranges))

    def _leveled(self, x: Tensor) -> Tensor:
        return x if self.level is None else leveled(x, self.level)

    @torch.no_grad()
    def keep_flat_colours(self) -> None:
        """Take the curve that this network, as it is now, asks for, where it does not keep flat colours by itself."""
        self.level = None
        fixed = 2 + (2 * BicubicUpsample.radius if self.back_projection is not None else 0)
        self.level = flat_curve(self, self.layers + 2 + fixed, self.scale)

    def make_room(self, names: Container[str]) -> None:
        """Before tensors of these names are loaded: theirs is to say which of those there are that a file may lack."""
        device = next(self.parameters()).device
        for name, rows in ((RANGES, self.layers), (LEVEL, KNOTS)):
            self.register_buffer(name, torch.zeros(rows, 2, device=device) if name in names else None)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *arguments: Any) -> None:
        self.make_room({name for name in (RANGES, LEVEL) if prefix + name in state_dict})
        super()._load_from_state_dict(state_dict, prefix, *arguments)

    def fold(self) -> CompactNetwork:
        """The equal network without branches, in eval mode."""
        return self._with(lambda layer: layer.fold(), self.symmetry)  # type: ignore[operator]

    def plain(self) -> CompactNetwork:
        """The equal network of plain convolutions, in eval mode."""
        return self if self.symmetry == 1 else self._with(lambda layer: layer.plain(), 1)  # type: ignore[operator]

    def _with(self, change: Callable[[nn.Module], nn.Module], symmetry: int) -> CompactNetwork:
        changed = CompactNetwork(
            self.scale,
            self.features,
            self.layers,
            symmetry=symmetry,
            back_projection=self.back_projection is not None,
        )
        changed.head, changed.tail = change(self.head), change(self.tail)
        changed.body = nn.ModuleList(change(layer) for layer in self.body)
        changed.register_buffer(RANGES, self.int8_ranges)
        changed.register_buffer(LEVEL, self.level)
        changed.int8 = self.int8
        return changed.eval()

    def write(self, graph: WrittenGraph, x: str) -> str | None:
        """The network into a graph; ``None`` in training, or with symmetric kernels."""
        if self.int8 or not all(isinstance(layer, nn.Conv2d) for layer in (self.head, *self.body, self.tail)):
            return None
        if self.level is not None:
            x = graph.leveled(x, self.level)
        y = graph.layer(x, self.head)
        for layer in (*self.body, self.tail):
            y = graph.layer(graph.activated(y, SLOPE), layer)
        phases = graph.added(graph.filtered(x, self.base.kernel), y)
        if self.back_projection is not None:
            lacking = graph.added(x, graph.filtered(phases, self.back_projection.kernel))
            phases = graph.added(phases, graph.filtered(lacking, self.base.kernel))
        return graph.shuffled(phases, self.scale)

    def load_folded(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Start from a folded network's tensors: grown from a smaller one of this scale, else wherever shapes fit.

        Returns the names of the layers taken.
        """
        head, *body, tail = self._branched()
        smaller = {key.replace(".shared.", "."): value for key, value in tensors.items()}
        if fits_inside(smaller, self.features // self.symmetry, self.layers, tail.conv.out_channels, self.symmetry):
            return grow(head, body, tail, smaller, self.symmetry)
        return load_folded(self, tensors)

    @classmethod
    def written_out(cls, scale: int, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A folded network's tensors as plain convolutions; as they are where they are that already."""
        if "head.shared.weight" not in tensors:
            return dict(tensors)
        families, inputs = tensors["head.shared.weight"].shape[0], tensors["tail.shared.weight"].shape[1]
        shared = {key.replace(".shared.", "."): value for key, value in tensors.items()}
        network = cls(scale, inputs, depth(shared), symmetry=inputs // families)
        network.load_state_dict(dict(tensors))
        return network.plain().state_dict()

    def _branched(self) -> list[BranchedConv3x3]:
        """What is trained, from first to last layer."""
        layers = (self.head, *self.body, self.tail)
        return cast(
            list[BranchedConv3x3],
            [layer.shared if isinstance(layer, SymmetricConv3x3) else layer for layer in layers],
        )
