"""The same frame again with less memory.

Out of memory never costs a frame: first the batch is halved, then the tile, and the same frame runs again; what was
learnt stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

import torch

from sr_plugins.engine.lack_of_memory import lacks_memory
from sr_plugins.engine.tiling import SMALLEST_INNER
from sr_plugins.errors import DeviceError
from sr_plugins.pixels.frame import Frame

if TYPE_CHECKING:
    from sr_plugins.engine.computation import Computation
    from sr_plugins.engine.job import Job


def within_memory(computation: Computation, jobs: Sequence[Job]) -> list[Frame]:
    """The enlarged frames of ``jobs`` (of one kind), in smaller batches and then smaller tiles as memory asks for.

    Raises:
        DeviceError: out of memory even for the smallest tile.
    """
    state = computation.state
    while True:
        tried = computation.largest()
        try:
            return computation.frames(jobs)
        except Exception as error:
            if not lacks_memory(error, state.network.backend):
                raise
        # outside the except block, so that the failed attempt's tensors are free
        if state.name.startswith("cuda"):
            if state.graphs is not None:
                state.graphs.turn_off("out of memory")
            torch.cuda.empty_cache()
        if len(jobs) > 1:
            state.batch = len(jobs) // 2
            state.say("memory", f"{state.name} is out of memory: working in batches of {state.batch}")
            return [frame for some in batched(jobs, state.batch) for frame in within_memory(computation, some)]
        with state.shrinking:
            # another lane may have failed at the same tile, and shrunk it for both
            if computation.largest() == tried:
                _shrink_tile(computation)


def _shrink_tile(computation: Computation) -> None:
    state, largest = computation.state, computation.largest()
    used = min(largest[0], computation.height) * min(largest[1], computation.width)
    side = math.isqrt(used // 2)
    if side < SMALLEST_INNER + 2 * computation.reach:
        cure = "close other programs" if state.name == "cpu" else "close other programs on it, or use device 'cpu'"
        raise DeviceError(f"{state.name} is out of memory even for a tile of {math.isqrt(used)} pixels: {cure}")
    state.side = side
    state.say("memory", f"{state.name} is out of memory: working in smaller tiles, from now on {side} pixels")
