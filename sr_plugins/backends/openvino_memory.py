"""Lack of memory, as OpenVINO shows it: in many texts and no type, and while it compiles by ending the process."""

from __future__ import annotations

import re

from sr_plugins.backends.memory_room import PIXEL, there_is

# the last two: a thread has no room for its stack; oneDNN remembers that it lacked memory for a layer of some shape
WORDS = re.compile("alloc|out of memory|memory object|Resource temporarily unavailable|Broken promise", re.IGNORECASE)
COMPILING, STACK = 64 << 20, 16 << 20  # bytes to compile, and for each thread


def out_of_memory(error: BaseException) -> bool:
    """Whether the runtime raised ``error`` for lack of memory: it says so, or there is little left."""
    if isinstance(error, RuntimeError):
        return WORDS.search(str(error)) is not None or not there_is(COMPILING)
    return isinstance(error, MemoryError)


def check_room(threads: int, lanes: int, size: tuple[int, int] | None) -> None:
    """``torch.OutOfMemoryError`` before a network is compiled, for pictures of a size (height, width), without memory.

    The runtime starts threads, and where one has no room for its stack, those before it are destroyed while they run,
    which ends the process.
    """
    import torch

    pixels = 0 if size is None else size[0] * size[1]
    if not there_is(COMPILING + threads * STACK + lanes * pixels * PIXEL):
        raise torch.OutOfMemoryError("no memory to compile a network")


def reason(error: BaseException) -> str:
    """The last line, before which the runtime tells where in its source it is."""
    return (str(error).strip().splitlines() or ["no message"])[-1].strip()
