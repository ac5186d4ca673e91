"""A plugin for the worker under test: a model with a known answer, one that crashes, one that never ends."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from fakes import Blur
from torch import Tensor, nn

from sr_plugins import ModelSpec, hookimpl
from sr_plugins.weights.safetensors_files import write_weights

print("a stray print while a plugin is imported")


class Crash(Blur):
    def forward(self, x: Tensor) -> Tensor:
        os.write(2, b"the network hit a wall\n")
        os._exit(9)


class Endless(Blur):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(600)
        return super().forward(x)


class Chatty(Blur):
    def forward(self, x: Tensor) -> Tensor:
        print("a stray print while a network runs")
        return super().forward(x)


MODELS: dict[str, type[nn.Module]] = {"blur": Chatty, "crash": Crash, "endless": Endless}


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    for name, network in MODELS.items():
        weights = Path(os.environ["SR_PLUGINS_TEST_WEIGHTS"]) / f"{name}-x2.safetensors"
        if not weights.exists():
            write_weights(weights, network(2, 3), {"model": name, "scale": 2})
        yield ModelSpec(
            name=name,
            scale=2,
            channels="rgb",
            build=lambda network=network: network(2, 3),  # type: ignore[misc]
            receptive_radius=3,
            weights=weights,
        )
