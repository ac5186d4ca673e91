"""A flat colour stays that colour up to the picture's border.

A network sees zeros beside a picture and makes use of them, so near the border it is another network than inside, where
:mod:`sr_plugins.models.flat_colours` holds what it does to flat colours. A curve cannot mend that; a few hundred
iterations can, in which the network is its own teacher on pictures (Hinton et al. 2015) and learns what flat ones are
to become.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from sr_plugins.models.flat_colours import CODE, HIGHEST, LOWEST

ENOUGH = 0.3 * CODE  # with what lower precisions add no 8-bit code changes
RATE = 2e-4
WEIGHT = 3.0  # of flat pictures beside others: both are a few millionths of white squared
WORST = 0.15  # weight of a picture's worst pixel beside its mean square
PATCHES, PATCH, FLATS = 4, 40, 12
SIDES = (8, 16, 24, 40)  # of flat pictures: edges by themselves, opposite ones, corners


def border_error(network: nn.Module, window: int = 0, channels: int = 1) -> float:
    """How far flat colours of 0 to 1 are moved by a network, at most, borders included.

    Args:
        network: (N, C, H, W) to (N, C, H * scale, W * scale).
        window: frames that it sees: (N, window, C, H, W); 0: pictures.
        channels: C, 1 or 3. Of three, each goes through all values, one third of the way apart.
    """
    values = torch.linspace(0, 1, 57)
    colours = torch.stack([values.roll(19 * channel) for channel in range(channels)], 1)
    with torch.no_grad():
        moved = [_moved(network, _flat(part, 20, 24, window)).abs().max() for part in colours.chunk(8)]
    return float(torch.stack(moved).max())


def flatten_borders(network: nn.Module, pictures: Sequence[Tensor], *, iterations: int, seed: int) -> None:
    """Train a network, in place, until it keeps flat colours; ``iterations`` at most, none if it does already.

    Args:
        network: as it is for inference, on the CPU.
        pictures: low-resolution ones, (C, H, W) or (T, C, H, W), in [0, 1], on which what it gives is to stay.
        iterations: of Adam, on a cosine.
        seed: of what is drawn.
    """
    window = pictures[0].shape[0] if pictures[0].dim() == 4 else 0
    channels = pictures[0].shape[-3]
    if border_error(network, window, channels) <= ENOUGH:
        return
    rng = np.random.default_rng(seed)
    side = min(PATCH, *(side for picture in pictures for side in picture.shape[-2:]))
    teacher = copy.deepcopy(network).requires_grad_(False)
    learning = [parameter.requires_grad_() for parameter in network.parameters()]
    optimizer = torch.optim.Adam(learning, RATE, betas=(0.9, 0.98))
    for i in range(iterations):
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * i / iterations))
        x = torch.stack([_patch(pictures[int(rng.integers(len(pictures)))], side, rng) for _ in range(PATCHES)])
        drift = (network(x) - teacher(x)).square().mean()
        values = torch.from_numpy(rng.uniform(LOWEST, HIGHEST, (FLATS, channels)).astype(np.float32))
        flat = _flat(values, int(rng.choice(SIDES)), int(rng.choice(SIDES)), window)
        moved = _moved(network, flat).square().flatten(1)
        loss = drift + WEIGHT * (moved.mean() + WORST * moved.amax(1).mean())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    network.requires_grad_(False)


def _flat(colours: Tensor, height: int, width: int, window: int) -> Tensor:
    """Pictures or windows of these colours (N, C)."""
    count, channels = colours.shape
    frames = (window,) if window else ()
    return colours.view(count, *(1 for _ in frames), channels, 1, 1).expand(-1, *frames, -1, height, width).contiguous()


def _moved(network: nn.Module, flat: Tensor) -> Tensor:
    """What is made of flat pictures or windows, less what they are."""
    now = flat[:, flat.shape[1] // 2] if flat.dim() == 5 else flat
    difference: Tensor = network(flat) - now[:, :, :1, :1]
    return difference


def _patch(picture: Tensor, side: int, rng: np.random.Generator) -> Tensor:
    y, x = (int(rng.integers(length - side + 1)) for length in picture.shape[-2:])
    return picture[..., y : y + side, x : x + side]
