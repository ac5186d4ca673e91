"""The torch modules of ``compact``: kept apart so that listing models imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.back_projection import BackProjection
from sr_plugins.models.branched_convolution import SLOPE, BranchedConv3x3, load_folded
from sr_plugins.models.growth import fits_inside, grow
from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.models.symmetric_convolution import SymmetricConv3x3, phase_sets


class CompactNetwork(nn.Module):
    """Luma in, luma out: (N, 1, H, W) in [0, 1] to (N, 1, H * scale, W * scale), bicubic picture plus residual.

    Args:
        scale, features, layers: of the network; ``features`` counts all that the hidden layers have.
        symmetry: how many positions of a picture it treats alike (1: none; 2, 4 or 8). ``features`` is a multiple.
        back_projection: one step of it at the end, so that the result made small again is nearer to the input.
        branches: with the branches to train with.
    """

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
        y = F.leaky_relu(self.head(x), SLOPE, inplace=True)
        for layer in self.body:
            y = F.leaky_relu(layer(y), SLOPE, inplace=True)
        phases = self.base.phases(x) + self.tail(y).float()
        if self.back_projection is not None:
            phases = self.back_projection(x, phases)
        return F.pixel_shuffle(phases, self.scale)

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
        return changed.eval()

    def load_folded(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Start from a folded network's tensors: grown from a smaller one of this scale, else wherever shapes fit.

        Returns the names of the layers taken.
        """
        head, *body, tail = self._branched()
        smaller = {key.replace(".shared.", "."): value for key, value in tensors.items()}
        if fits_inside(smaller, self.features // self.symmetry, self.layers, tail.conv.out_channels, self.symmetry):
            return grow(head, body, tail, smaller, self.symmetry)
        return load_folded(self, tensors)

    def _branched(self) -> list[BranchedConv3x3]:
        """What is trained, from first to last layer."""
        layers = (self.head, *self.body, self.tail)
        return cast(
            list[BranchedConv3x3],
            [layer.shared if isinstance(layer, SymmetricConv3x3) else layer for layer in layers],
        )
