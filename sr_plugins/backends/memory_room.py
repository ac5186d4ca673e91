"""Room for a computation, asked for before it: what a runtime does without memory may outlast the lack.

oneDNN, which computes convolutions for torch and OpenVINO, remembers what it could not make for lack of memory and
fails with it ever after; OpenVINO's threads can end the process. Neither happens to a computation that is not begun.
"""

from __future__ import annotations

import numpy as np

PIXEL = 256  # bytes for each pixel that goes in: layers of 32 channels, one read and one written


def there_is(memory: int) -> bool:
    """Whether so many bytes can be had; they are asked for, not touched."""
    try:
        np.empty(memory, np.uint8)
    except MemoryError:
        return False
    return True


def check_call(height: int, width: int, beside: int) -> None:
    """Before a network is called on the CPU with a picture of this size.

    Args:
        height: of the picture, in pixels.
        width: of the picture, in pixels.
        beside: bytes for what the runtime takes beside the layers.

    Raises:
        MemoryError: there is too little for the call.
    """
    if not there_is(beside + height * width * PIXEL):
        raise MemoryError(f"no memory for a network's layers of {width}x{height}")
