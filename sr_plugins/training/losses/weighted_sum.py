"""The weighted sum of losses that a recipe's stage asks for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sr_plugins.errors import PluginError, RecipeError, SRError
from sr_plugins.interface.loss import LossSpec
from sr_plugins.plugins import plugins
from sr_plugins.training.tables import call_with


class WeightedSum(nn.Module):
    """The losses of one stage, each with its weight, as a number or in a table beside its options.

    Raises:
        RecipeError: a loss that does not exist, cannot be used here, or is given an option it does not take.
    """

    def __init__(self, losses: Mapping[str, float | Mapping[str, Any]], channels: int, path: Path) -> None:
        super().__init__()
        self.weights: dict[str, float] = {}
        self.terms = nn.ModuleDict()
        for name, value in losses.items():
            options = dict(value) if isinstance(value, Mapping) else {"weight": value}
            self.weights[name] = float(options.pop("weight"))
            try:
                spec: LossSpec = plugins().named("sr_losses", "loss", name)
                if missing := spec.missing():
                    raise PluginError(f"loss {name} cannot be used: {missing}")
                self.terms[name] = call_with(spec.build, f"loss {name}", {"channels": channels}, options)
            except (SRError, ValueError, TypeError) as error:
                raise RecipeError(f"{path}: {error}") from error

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        total = output.new_zeros(())
        for name, weight in self.weights.items():
            total = total + weight * self.terms[name](output, target)
        return total

    @property
    def learn(self) -> bool:
        """Whether one of them makes steps of its own."""
        return any(callable(getattr(term, "update", None)) for term in self.terms.values())

    def update(self, output: Tensor, target: Tensor) -> None:
        """Let losses that learn, such as a discriminator, make their own step."""
        for term in self.terms.values():
            step = getattr(term, "update", None)
            if callable(step):
                step(output.detach(), target)
