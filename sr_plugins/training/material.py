"""What a run learns from: pictures, or sequences of frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]
Draw = NDArray[np.int64]  # a row for each patch: what it is cut from and where, as its material counts


class DeviceCopy(Protocol):
    """A material's samples in a device's memory, where patches are cut without the host."""

    def cut(self, drawn: Draw, patch: int, teacher: float = ...) -> tuple[Tensor, Tensor]:
        """What ``Material.cut`` gives for the same draw."""


class Material(Protocol):
    """Pairs of low and high resolution."""

    @property
    def scale(self) -> int:
        """How much smaller the low-resolution ones are."""

    @property
    def sources(self) -> Sequence[tuple[int, Path, float]]:
        """Number, file and size of everything they were made of."""

    def draw(self, rng: np.random.Generator, size: int, patch: int) -> Draw:
        """Where ``size`` random patches lie, and how each is flipped and transposed."""

    def cut(self, drawn: Draw, patch: int, teacher: float = ...) -> tuple[Floats, Floats]:
        """Those patches, low (N, C, h, w) or (N, T, C, h, w) and high (N, C, H, W), in [0, 1].

        Of the high-resolution ones ``teacher`` is the share of the teacher's picture.
        """

    def copied_to(self, device: torch.device) -> DeviceCopy:
        """Everything in a device's memory."""

    def whole(self) -> Iterator[tuple[Floats, Floats]]:
        """What to validate with, one after the other: the same without N."""


def on_device(x: Tensor, device: torch.device) -> Tensor:
    """A network's input (N, C, H, W), there in the layout that convolutions like, or (N, T, C, H, W)."""
    x = x.to(device, non_blocking=True)
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x
