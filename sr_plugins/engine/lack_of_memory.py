"""What lack of memory looks like, whichever library it meets."""

from __future__ import annotations

import torch

from sr_plugins.interface.backend import BackendSpec

CPU_ALLOCATOR = "DefaultCPUAllocator"  # in the text of torch's RuntimeError, which has no type of its own on a CPU


def lacks_memory(error: BaseException, backend: BackendSpec) -> bool:
    """Whether ``error`` means that memory ran out: torch's, Python's and numpy's own, and what the backend knows."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, RuntimeError) and CPU_ALLOCATOR in str(error):
        return True
    return bool(backend.out_of_memory(error))
