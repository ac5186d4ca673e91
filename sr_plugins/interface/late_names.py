"""Public names of a package that are imported when they are first asked for, with all that they bring."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

TYPE_CHECKING = False  # as typing's, which takes longer to import than all that is needed here
if TYPE_CHECKING:
    from typing import Any


def late_names(package: str, where: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a package: ``where`` says which module holds each name."""

    def find(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(where[name]), name)

    return find
