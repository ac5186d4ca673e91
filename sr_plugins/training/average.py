"""Exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Average:
    """The averaged tensors; the decay ramps up so that early weights do not linger."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module, iteration: int) -> None:
        """Take in the weights after this iteration (counted from 0)."""
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        values = {key: value for key, value in model.state_dict().items() if value.is_floating_point()}
        torch._foreach_lerp_([self.tensors[key] for key in values], list(values.values()), 1 - decay)

    def network(self, build: Callable[[], nn.Module]) -> nn.Module:
        """The inference network with the averaged weights, on the CPU; ``build`` makes the one to train."""
        with torch.random.fork_rng(devices=[]):  # building draws weights that are not used
            model = build()
        model.load_state_dict({k: v.cpu() for k, v in self.tensors.items()})
        fold = getattr(model, "fold", None)
        folded: nn.Module = fold() if callable(fold) else model
        return folded.eval()
