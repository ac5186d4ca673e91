"""Forked processes: threads do not come along, so lanes are made anew in the child where the backend can.

A backend that does not work in a forked child once it ran in the parent (``BackendSpec.forks``) is refused there at
once: it would wait for ever.
"""

from __future__ import annotations

import ctypes
import os
import weakref
from typing import Protocol

from sr_plugins.errors import ClosedError
from sr_plugins.interface.backend import BackendSpec


class Inheritor(Protocol):
    """What must know when it finds itself in a forked child."""

    def inherit(self) -> None:
        """Called in the child, before anything else runs there."""


CURE = (
    "start processes by 'spawn' or 'forkserver' (multiprocessing.get_context), or use a backend that can: "
    "torch or onnxruntime on the CPU"
)

_engines: weakref.WeakSet[Inheritor] = weakref.WeakSet()
_ran: set[str] = set()  # backends that do not fork and ran in this process
_unusable: set[str] = set()  # those that ran in a process this one was forked from


def watch(engine: Inheritor) -> None:
    """Tell ``engine`` when it finds itself in a forked child."""
    _engines.add(engine)


def check(backend: BackendSpec) -> None:
    """Note that a backend is about to be used here; ``ClosedError`` if it would wait for ever."""
    if backend.forks:
        return
    if backend.name in _unusable:
        raise ClosedError(f"backend {backend.name} ran before this process was forked, and would hang here: {CURE}")
    _ran.add(backend.name)


def unusable() -> frozenset[str]:
    """Backends that cannot be used in this process, because it is a forked child of one where they ran."""
    return frozenset(_unusable)


def abandon(inherited: object) -> None:
    """Never free what came along: a runtime that ends waits for its threads, which are not here, or aborts."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(inherited))


def _in_child() -> None:
    _unusable.update(_ran)
    for engine in list(_engines):
        engine.inherit()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_child)
