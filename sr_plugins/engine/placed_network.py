"""One device, and the one network call made on it, its promises checked.

Values that are not finite in half precision are computed again in float32.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sr_plugins.backends.selection import network_for
from sr_plugins.engine.cuda_graphs import CudaGraphs
from sr_plugins.engine.reuse import Reuse
from sr_plugins.errors import ModelOutputError
from sr_plugins.interface.backend import BackendSpec, Coding, CodingRunner, Placement, Runner
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.words import Precision

logger = logging.getLogger("sr_plugins")

FINEST = Coding(0.0, 65535.0, 16)
# The eight positions of a picture: transposed or not, then mirrored along these dimensions; undone in reverse order.
POSITIONS = tuple((transposed, mirrored) for transposed in (False, True) for mirrored in ((), (2,), (3,), (2, 3)))
# Those that differ for a network that treats so many alike (``ModelSpec.symmetry``).
DIFFERENT = {
    1: POSITIONS,
    2: tuple((transposed, mirrored) for transposed, mirrored in POSITIONS if 3 not in mirrored),
    4: tuple((transposed, mirrored) for transposed, mirrored in POSITIONS if not mirrored),
    8: POSITIONS[:1],
}


@dataclass(eq=False)
class Device:
    """One device and what was learnt about it; shared by its lanes.

    A lane is a thread that runs whole frames. A CPU works best with several (see ``BackendSpec.lanes``).
    """

    name: str
    backend: BackendSpec
    precision: Precision
    runner: Runner
    lanes: int
    batch: int
    side: int | None
    said: set[str] = field(default_factory=set)
    float32: Runner | None = None
    reuse: Reuse | None = None
    graphs: CudaGraphs | None = None
    self_ensemble: bool = False
    shrinking: threading.Lock = field(default_factory=threading.Lock)

    def say(self, about: str, text: str) -> None:
        """Warn once about one thing."""
        if about not in self.said:
            self.said.add(about)
            logger.warning(text)


def run_network(device: Device, loaded: LoadedModel, x: Tensor, coding: Coding | None) -> Tensor:
    """``x`` (N, C, H, W) through the network: float32 values, or codes where the device's runner can make them.

    With the device's ``self_ensemble`` the mean of what the network makes of ``x`` in its eight positions (the
    geometric self-ensemble of Timofte, Rothe and Van Gool, "Seven ways to improve example-based single image super
    resolution", CVPR 2016), float32. What a symmetric network would only compute again is left out.

    Raises:
        ModelOutputError: the result has another shape than promised, or is not finite in float32 either.
    """
    if not device.self_ensemble:
        return _run_once(device, loaded, x, coding)
    total = torch.zeros(())
    positions = DIFFERENT[loaded.spec.symmetry]
    for transposed, mirrored in positions:
        turned = (x.mT if transposed else x).flip(mirrored)
        y = _run_once(device, loaded, turned.contiguous(), None).flip(mirrored)
        total = total + (y.mT if transposed else y)
    return total / len(positions)


def _run_once(device: Device, loaded: LoadedModel, x: Tensor, coding: Coding | None) -> Tensor:
    spec = loaded.spec
    y = _called(device.runner, spec, x, coding)
    if y is not None:
        return y
    if device.precision != "float32" and "float32" in device.backend.precisions(device.name):
        device.say("finite", f"model {spec.label} overflows in {device.precision}: running such frames in float32")
        if device.float32 is None:
            placement = Placement(device=device.name, precision="float32", batch=device.batch)
            device.float32 = device.backend.build(network_for(device.backend, loaded), placement)
        y = _called(device.float32, spec, x, coding)
    if y is None:
        raise ModelOutputError(f"model {spec.label} returned values that are not finite, also in float32")
    return y


def _called(runner: Runner, spec: ModelSpec, x: Tensor, coding: Coding | None) -> Tensor | None:
    """``None`` for values that are not finite."""
    y = runner.codes(x, coding) if coding is not None and isinstance(runner, CodingRunner) else runner(x)
    if y is None:
        return None
    n, c, h, w = x.shape
    expected = (n, c, h * spec.scale, w * spec.scale)
    if y.shape != expected:
        raise ModelOutputError(
            f"model {spec.label} returned shape {tuple(y.shape)} for {tuple(x.shape)}, expected {expected}"
        )
    is_finite = not y.is_floating_point() or bool(torch.isfinite(y.sum(dtype=torch.float32)))
    return y if is_finite else None


def finest(runner: Runner, coding: Coding | None) -> Callable[[Tensor], Tensor]:
    """The call that shows best whether two computations agree: values, or the finest codes where codes are asked."""
    if coding is None or not isinstance(runner, CodingRunner):
        return runner

    def codes(x: Tensor) -> Tensor:
        y = runner.codes(x, FINEST)
        return torch.full(x.shape, torch.nan) if y is None else y  # equal to nothing

    return codes
