"""Convolutions that treat a picture alike in every position: mirror what goes in, and what comes out is mirrored.

Group-equivariant convolutions (Cohen and Welling, "Group equivariant convolutional networks", ICML 2016) on the mirrors
of a picture: 2 positions (left and right), 4 (up and down too) or 8 (and transposed). Features come in families of one
per position, and the kernels that make a family are one shared kernel, moved: a network learns an edge once, not once
for each way it can lie, and holds 2, 4 or 8 times fewer parameters. For inference the shared kernels are written out
into plain 3x3 convolutions.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.branched_convolution import BranchedConv3x3

Position = tuple[bool, bool, bool]  # transposed, then turned over up and down, left and right


class SymmetricConv3x3(nn.Module):
    """A 3x3 convolution between families of features, ``order`` to a family: (N, C, H, W) to (N, order * B, H, W).

    C is 1 (the picture) or whole families; channels are sorted by position, then by family.

    Args:
        shared: makes one feature of each of B families from all C.
        order: positions: 2, 4 or 8.
        phases: the side of the square of phases that the output is, if it is that and not features; ``shared`` then
            makes one phase of each set that the positions carry into one another (:func:`phase_sets`).
    """

    def __init__(self, shared: nn.Conv2d | BranchedConv3x3, order: int, *, phases: int | None = None) -> None:
        super().__init__()
        self.shared, self.order, self.phases = shared, order, phases
        places = torch.empty(0) if phases is None else phase_places(order, phases)
        self.register_buffer("places", places, persistent=False)
        self.places: Tensor
        inputs = (shared.conv if isinstance(shared, BranchedConv3x3) else shared).in_channels
        self.register_buffer("taps", tap_places(order, inputs).clone(), persistent=False)
        self.taps: Tensor

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            kernel, bias = self.written_out()
        return F.conv2d(x, kernel, bias, padding=1)

    def written_out(self) -> tuple[Tensor, Tensor]:
        """Kernel and bias of the plain convolution that this one is."""
        if isinstance(self.shared, BranchedConv3x3):
            shared, bias = self.shared.kernel(), self.shared.conv.bias
        else:
            shared, bias = self.shared.weight, self.shared.bias
        assert bias is not None
        kernel, bias = write_out(shared, self.order, self.taps), bias.repeat(self.order)
        if self.phases is None:
            return kernel, bias
        return torch.einsum("pk,kchw->pchw", self.places, kernel), self.places @ bias

    def fold(self) -> SymmetricConv3x3:
        """The equal convolution without branches."""
        shared = self.shared.fold() if isinstance(self.shared, BranchedConv3x3) else self.shared
        return SymmetricConv3x3(shared, self.order, phases=self.phases)

    def plain(self) -> nn.Conv2d:
        """The equal plain convolution."""
        kernel, bias = self.written_out()
        plain = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
        with torch.no_grad():
            plain.weight.copy_(kernel)
            assert plain.bias is not None
            plain.bias.copy_(bias)
        return plain


@cache
def positions(order: int) -> list[Position]:
    """The positions of a picture, as it is first."""
    if order not in (2, 4, 8):
        raise ValueError(f"a symmetry has 2, 4 or 8 positions, not {order}")
    either = (False, True)
    return [(t, r, c) for t in either[: order // 4] or (False,) for r in either[: order // 2] for c in either]


def moved(x: Tensor, position: Position) -> Tensor:
    """(..., H, W) brought into a position."""
    transposed, rows, columns = position
    x = x.mT if transposed else x
    return x.flip([axis for axis, turned in ((-2, rows), (-1, columns)) if turned])


@cache
def sources(order: int) -> list[list[int]]:
    """``[h][g]``: the position that is position g once it is brought into position h."""
    probe = torch.arange(9).view(3, 3)
    named = {tuple(moved(probe, p).flatten().tolist()): i for i, p in enumerate(positions(order))}
    table = [[0] * order for _ in range(order)]
    for h, later in enumerate(positions(order)):
        for k, earlier in enumerate(positions(order)):
            table[h][named[tuple(moved(moved(probe, earlier), later).flatten().tolist())]] = k
    return table


@cache
def tap_places(order: int, inputs: int) -> Tensor:
    """For each position and input, where its nine taps come from in the kernel that all positions share."""
    taps = torch.arange(inputs * 9).view(1, inputs, 3, 3)
    kernels = []
    for position, source in zip(positions(order), sources(order), strict=True):
        kernel = moved(taps, position)
        if inputs > 1:
            kernel = kernel.view(1, order, inputs // order, 3, 3)[:, source]
        kernels.append(kernel.flatten())
    return torch.cat(kernels)


def write_out(shared: Tensor, order: int, taps: Tensor) -> Tensor:
    """One kernel of each of B families, (B, C, 3, 3), to all of them, (order * B, C, 3, 3).

    ``taps`` are :func:`tap_places`, on the kernel's device: what a CUDA graph records may not come from the host.
    """
    families, inputs = shared.shape[:2]
    taps = shared.flatten(1).index_select(1, taps)
    return taps.view(families, order, inputs, 3, 3).transpose(0, 1).reshape(order * families, inputs, 3, 3)


def phase_sets(order: int, side: int) -> list[int]:
    """The first phase of each set of phases of a ``side`` x ``side`` square that positions carry into one another."""
    square = torch.arange(side * side).view(side, side)
    least = torch.stack([moved(square, p) for p in positions(order)]).amin(0)
    return sorted(set(least.flatten().tolist()))


def phase_places(order: int, side: int) -> Tensor:
    """(side * side, order * sets): each phase as the mean of the channels that lie on it."""
    places = torch.zeros(side * side, order, len(phase_sets(order, side)))
    for index, first in enumerate(phase_sets(order, side)):
        place = torch.zeros(side * side)
        place[first] = 1
        for h, position in enumerate(positions(order)):
            places[:, h, index] = moved(place.view(side, side), position).flatten()
    return places.flatten(1) / places.flatten(1).sum(1, keepdim=True)
