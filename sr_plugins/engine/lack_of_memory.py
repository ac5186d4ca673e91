"""What lack of memory looks like, whichever library it meets."""

from __future__ import annotations

from sr_plugins.errors import is_lack_of_memory
from sr_plugins.interface.backend import BackendSpec


def lacks_memory(error: BaseException, backend: BackendSpec) -> bool:
    """Whether ``error`` means that memory ran out: what is known everywhere, and what the backend knows."""
    return is_lack_of_memory(error) or bool(backend.out_of_memory(error))
