"""CUDA graphs: the kernels for one shape of tile, recorded once and from then on launched as one.

A tile takes some hundred kernels, and launching them from Python takes longer than many of them run. A graph is tried
against the computation it was recorded from before it is used; where recording fails or the two differ, the device goes
on without graphs.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

logger = logging.getLogger("sr_plugins")

Compute = Callable[[Sequence[Tensor]], list[Tensor]]

WORTHWHILE = 6  # times a shape must come before it is recorded: recording stops the device, and warm kernels it needs
KEPT = 4  # shapes a lane remembers; every graph holds on to memory for what it computes on the way

_recording = threading.Lock()


class _Recorded:
    """A graph, where it reads and where it writes."""

    def __init__(self, compute: Compute, inputs: Sequence[Tensor]) -> None:
        self._inputs = [t.clone() for t in inputs]
        self._graph = torch.cuda.CUDAGraph()
        stream = torch.cuda.current_stream(inputs[0].device)
        # other lanes may allocate and launch meanwhile, but not record
        with _recording, torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
            self._outputs = compute(self._inputs)

    def launch(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        for place, tensor in zip(self._inputs, inputs, strict=True):
            place.copy_(tensor, non_blocking=True)
        self._graph.replay()
        return self._outputs


@dataclass
class _Shape:
    times: int = 0
    recorded: _Recorded | None = None


class CudaGraphs:
    """The graphs of one device. Each thread has its own, because a launch writes to the graph's memory."""

    def __init__(self) -> None:
        self._of_thread = threading.local()
        self._off = False

    def launch(self, kind: Hashable, compute: Compute, inputs: Sequence[Tensor]) -> list[Tensor] | None:
        """What ``compute(inputs)`` returns, valid until this thread's next launch; ``None`` where there is no graph.

        ``kind`` tells computations apart: all calls with one kind and the same shapes must do the same. ``compute``
        may only launch work on the current stream, and must have run before in this thread.
        """
        if self._off:
            self._of_thread.__dict__.clear()
            return None
        shapes: OrderedDict[Hashable, _Shape] = self._of_thread.__dict__.setdefault("shapes", OrderedDict())
        key = (kind, *((t.dtype, *t.shape) for t in inputs))
        shape = shapes.setdefault(key, _Shape())
        shapes.move_to_end(key)
        if len(shapes) > KEPT:
            shapes.popitem(last=False)
        shape.times += 1
        if shape.times == WORTHWHILE:
            shape.recorded = self._record(compute, inputs)
        return None if shape.recorded is None else shape.recorded.launch(inputs)

    def turn_off(self, reason: str) -> None:
        """Launch no graph from now on; each thread frees its own at its next call."""
        if not self._off:
            self._off = True
            logger.warning("no CUDA graphs from now on (%s): the same pictures, a little slower", reason)

    def _record(self, compute: Compute, inputs: Sequence[Tensor]) -> _Recorded | None:
        expected = compute(inputs)
        try:
            recorded = _Recorded(compute, inputs)
            found = recorded.launch(inputs)
            if all(torch.equal(a, b) for a, b in zip(expected, found, strict=True)):
                return recorded
            self.turn_off("one computed something else")
        except RuntimeError as error:  # out of memory is one, too
            self.turn_off(str(error).strip().partition("\n")[0])
        return None
