"""One device and what was learnt about it; shared by its lanes."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sr_plugins.engine.cuda_graphs import CudaGraphs
from sr_plugins.engine.job import Kind
from sr_plugins.engine.placed_network import PlacedNetwork
from sr_plugins.engine.reuse import Reuse

logger = logging.getLogger("sr_plugins")

KEPT_COMPUTATIONS = 8


@dataclass(eq=False)
class DeviceState:
    """One device and what was learnt about it.

    A lane is a thread that runs whole frames. A CPU works best with several (see ``BackendSpec.lanes``).

    Attributes:
        network: the model's network on it.
        lanes: how many threads serve it.
        batch: the most frames of one kind to run at once; halved when memory runs out.
        side: the largest side of a tile in input pixels, once one was asked for or memory ran out.
        reuse: what is known of still frames and resting tiles; ``None``: nothing is kept.
        graphs: CUDA graphs, where the backend can be recorded.
        ensemble: compute every picture in its eight positions (see :mod:`.self_ensemble`).
        strength: how much of what the network adds to the interpolated picture is kept (see :mod:`.strength`).
    """

    network: PlacedNetwork
    lanes: int
    batch: int
    side: int | None
    reuse: Reuse | None = None
    graphs: CudaGraphs | None = None
    ensemble: bool = False
    strength: float = 1.0
    shrinking: threading.Lock = field(default_factory=threading.Lock)
    _said: set[str] = field(default_factory=set)
    _computations: OrderedDict[Kind, Any] = field(default_factory=OrderedDict)
    _making: threading.Lock = field(default_factory=threading.Lock)

    @property
    def name(self) -> str:
        """The device, for example ``cpu`` or ``cuda:0``."""
        return self.network.placement.device

    def say(self, about: str, text: str) -> None:
        """Warn once about one thing."""
        if about not in self._said:
            self._said.add(about)
            logger.warning(text)

    def computation[T](self, kind: Kind, make: Callable[[], T]) -> T:
        """How frames of one kind are computed, made once."""
        with self._making:
            if kind not in self._computations:
                self._computations[kind] = make()
                if len(self._computations) > KEPT_COMPUTATIONS:
                    self._computations.popitem(last=False)
            self._computations.move_to_end(kind)
            found: T = self._computations[kind]
            return found

    def forget(self) -> None:
        """Let go of what holds on to this object, so that its memory is free as soon as nobody uses it."""
        with self._making:
            self._computations.clear()
