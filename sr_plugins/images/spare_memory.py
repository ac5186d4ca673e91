"""Give memory back that was freed and is kept by the C library, before a large picture asks for more."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

LARGE = 8_000_000  # pixels of a result from which on it is worth the milliseconds


def give_back(pixels: int) -> None:
    """After a network's work: what it computed in lies freed in glibc's heaps, hundreds of megabytes of it."""
    if pixels >= LARGE and sys.platform == "linux":
        with suppress(OSError, AttributeError):  # other C libraries have no such call
            ctypes.CDLL(None).malloc_trim(0)
