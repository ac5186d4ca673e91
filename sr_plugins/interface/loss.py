"""What a plugin tells us about one training loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class LossSpec:
    """One training loss, as a recipe's ``[stage.losses]`` names it.

    Attributes:
        name: what recipes write.
        build: ``build(channels, **options)`` returns a ``nn.Module`` that takes output and target, float32
            (N, C, H, W) nominally in [0, 1] with C = ``channels`` (1 luma, 3 R'G'B'), and returns a scalar. A module
            with a method ``update(output, target)`` learns along (a discriminator): the trainer calls it once an
            iteration, after the network's own step.
        missing: returns what to install or fetch when the loss cannot be used here, else ``None``.
        replaces: the distribution whose loss of the same name this one stands in for.
    """

    name: str
    build: Callable[..., nn.Module]
    missing: Callable[[], str | None] = lambda: None
    replaces: str | None = None
