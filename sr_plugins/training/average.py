"""Exponential moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


class Average:
    """The averaged tensors; the decay ramps up so that early weights do not linger.

    ``before`` are such tensors of earlier, of which ``keep`` goes into :meth:`network`.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.before: dict[str, Tensor] | None = None

    @torch.no_grad()
    def update(self, model: nn.Module, iteration: int) -> None:
        """Take in the weights after this iteration (counted from 0)."""
        decay = min(self.decay, (1 + iteration) / (10 + iteration))
        values = {key: value for key, value in model.state_dict().items() if value.is_floating_point()}
        torch._foreach_lerp_([self.tensors[key] for key in values], list(values.values()), 1 - decay)

    def mark(self) -> None:
        """What is averaged by now is ``before``."""
        self.before = {key: value.clone() for key, value in self.tensors.items()}

    def network(self, build: Callable[[], nn.Module], keep: float = 0.0) -> nn.Module:
        """The inference network with the averaged weights, on the CPU; ``build`` makes the one to train.

        Of two networks whose one was trained from the other everything between is one as well (network interpolation:
        ESRGAN, Wang et al., ECCVW 2018): ``keep`` is the share of the earlier one.
        """
        network = _inference(build, self.tensors)
        if keep and self.before is not None:
            earlier = _inference(build, self.before).state_dict()
            with torch.no_grad():
                for name, tensor in network.state_dict().items():
                    if tensor.is_floating_point():
                        tensor.lerp_(earlier[name], keep)
        return network


def _inference(build: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # building draws weights that are not used
        model = build()
    model.load_state_dict({key: value.cpu() for key, value in tensors.items()})
    fold = getattr(model, "fold", None)
    folded: nn.Module = fold() if callable(fold) else model
    return folded.eval()
