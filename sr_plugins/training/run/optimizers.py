"""The optimizers a recipe can name: ``adam``, and ``muon`` for everything with rows and columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients and five steps as given by Jordan
STEPS = 5
ADAM_RMS = 0.2  # of Adam's updates in units of the learning rate (Liu et al.)


def make_optimizers(name: str, model: nn.Module, device: torch.device) -> list[Optimizer]:
    """What moves a network's parameters: one optimizer, or one for kernels and one for the rest.

    On CUDA the learning rates are tensors, which a recorded step reads anew each time.
    """
    parameters = list(model.parameters())
    rate: float | Tensor = torch.tensor(1e-3, device=device) if device.type == "cuda" else 1e-3
    if name == "adam":
        return [_adam(parameters, rate)]
    kernels = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    return [Muon(kernels, rate), *([_adam(others, rate)] if others else [])]


def set_rates(optimizers: Iterable[Optimizer], rate: float) -> None:
    """Let all of them take steps of this learning rate."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate


def load_states(optimizers: Iterable[Optimizer], states: Iterable[dict[str, Any]]) -> None:
    """Take over what optimizers of the same parameters knew, perhaps on another kind of device."""
    for optimizer, state in zip(optimizers, states, strict=True):
        own = [{key: group.get(key) for key in ("lr", "fused", "capturable")} for group in optimizer.param_groups]
        optimizer.load_state_dict(state)
        for group, kept in zip(optimizer.param_groups, own, strict=True):
            group.update({key: value for key, value in kept.items() if value is not None})
            for parameter in group["params"]:
                if isinstance(step := optimizer.state[parameter].get("step"), Tensor):
                    place = parameter.device if kept["capturable"] else "cpu"
                    optimizer.state[parameter]["step"] = step.to(place)
        set_rates([optimizer], float(state["param_groups"][0]["lr"]))  # groups of one optimizer have one rate


def _adam(parameters: Iterable[nn.Parameter], rate: float | Tensor) -> Adam:
    on_device = isinstance(rate, Tensor)
    return Adam(parameters, lr=rate, betas=(0.9, 0.99), fused=on_device or None, capturable=on_device)


class Muon(Optimizer):
    """Momentum whose every update is made orthogonal: all directions of a kernel learn equally fast.

    A kernel of any rank is taken as a matrix of its first dimension by all the others. After Jordan et al., "Muon: An
    optimizer for hidden layers in neural networks" (2024), with the scale of Liu et al., "Muon is scalable for LLM
    training" (2025), whose root mean square is Adam's, so that both take the same learning rate.
    torch's own ``Muon`` takes matrices only, no kernels of convolutions.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float | Tensor = 1e-3, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every kernel with a gradient; kernels of one shape are made orthogonal together."""
        assert closure is None
        for group in self.param_groups:
            alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for kernel in group["params"]:
                if kernel.grad is not None:
                    alike[kernel.shape].append(kernel)
            for kernels in alike.values():
                updates = torch.stack([d.flatten(1) for d in self._directions(kernels, group["momentum"])])
                size = ADAM_RMS * max(updates.shape[1:]) ** 0.5
                steps = orthogonal(updates) * (-group["lr"] * size)
                for kernel, step in zip(kernels, steps, strict=True):
                    kernel.add_(step.view(kernel.shape))

    def _directions(self, kernels: list[nn.Parameter], momentum: float) -> Sequence[Tensor]:
        """Nesterov's momentum after these gradients."""
        averages: list[Tensor] = []
        for kernel in kernels:
            state = self.state[kernel]
            if not state:
                state["momentum"] = torch.zeros_like(kernel)
            averages.append(state["momentum"])
        gradients = [kernel.grad for kernel in kernels if kernel.grad is not None]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        return torch._foreach_lerp(gradients, averages, momentum)


def orthogonal(matrices: Tensor) -> Tensor:
    """(N, R, C): each matrix with its singular values brought near 1 (0.7 to 1.2) by Newton-Schulz iterations."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-12)
    a, b, c = NEWTON_SCHULZ
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result
