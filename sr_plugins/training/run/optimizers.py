"""The optimizers a recipe can name: ``adam``, and ``muon`` for everything with rows and columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients and five steps as given by Jordan
STEPS = 5
ADAM_RMS = 0.2  # of Adam's updates in units of the learning rate (Liu et al.)


def make_optimizers(name: str, model: nn.Module, *, fused: bool) -> list[Optimizer]:
    """What moves a network's parameters: one optimizer, or one for kernels and one for the rest."""
    parameters = list(model.parameters())
    if name == "adam":
        return [_adam(parameters, fused)]
    kernels = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    return [Muon(kernels), *([_adam(others, fused)] if others else [])]


def _adam(parameters: Iterable[nn.Parameter], fused: bool) -> Adam:
    return Adam(parameters, lr=1e-3, betas=(0.9, 0.99), fused=fused or None)


class Muon(Optimizer):
    """Momentum whose every update is made orthogonal: all directions of a kernel learn equally fast.

    A kernel of any rank is taken as a matrix of its first dimension by all the others. After Jordan et al., "Muon: An
    optimizer for hidden layers in neural networks" (2024), with the scale of Liu et al., "Muon is scalable for LLM
    training" (2025), whose root mean square is Adam's, so that both take the same learning rate.
    torch's own ``Muon`` takes matrices only, no kernels of convolutions.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float = 1e-3, momentum: float = 0.95) -> None:
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
                updates = torch.stack([self._direction(k, group["momentum"]).flatten(1) for k in kernels])
                size = ADAM_RMS * max(updates.shape[1:]) ** 0.5
                for kernel, update in zip(kernels, orthogonal(updates), strict=True):
                    kernel.add_(update.view(kernel.shape), alpha=-group["lr"] * size)

    def _direction(self, kernel: nn.Parameter, momentum: float) -> Tensor:
        """Nesterov's momentum after this gradient."""
        assert kernel.grad is not None
        state = self.state[kernel]
        if not state:
            state["momentum"] = torch.zeros_like(kernel)
        average: Tensor = state["momentum"]
        average.lerp_(kernel.grad, 1 - momentum)
        return kernel.grad.lerp(average, momentum)


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
