"""The code that a network runs: its classes and every function and constant they use, in whatever module."""

from __future__ import annotations

import builtins
import hashlib
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

# what changes with the versions that a fingerprint holds anyway
FOREIGN = {"torch", "numpy", *sys.stdlib_module_names} - {"builtins"}  # what exec() made says it is of builtins


def code_digest(used: Iterable[object]) -> bytes | None:
    """A hash of the source files behind ``used`` (classes, functions) and of all that these refer to.

    References are followed by name through the globals of each function, so that a helper in another module counts,
    and so does one that it calls. ``None`` where a source cannot be read: nobody can tell such code from another.
    """
    waiting, seen = list(used), set()
    files: set[str] = set()
    constants: set[str] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, partial):
            waiting += [one.func, *one.args, *one.keywords.values()]
            continue
        one = getattr(one, "__func__", one) if isinstance(one, MethodType | staticmethod | classmethod) else one
        if isinstance(one, property):
            waiting += [one.fget, one.fset]
        if not isinstance(one, type | FunctionType) or id(one) in seen or _is_foreign(one):
            continue
        seen.add(id(one))
        try:
            files.add(inspect.getfile(one))
        except (OSError, TypeError):
            return None
        if isinstance(one, type):
            waiting += [*one.__bases__, *vars(one).values()]
            continue
        waiting += [getattr(one, "__wrapped__", None), *(cell_contents(one))]
        for name, value in _referred(one):
            if isinstance(value, bool | int | float | str | tuple | frozenset):
                constants.add(f"{one.__module__} {name} {value!r}" if _is_plain(value) else "")
            else:
                waiting.append(value)
    digest = hashlib.sha256("\n".join(sorted(constants)).encode())
    try:
        for content in sorted(map(_source, files)):
            digest.update(content)
    except OSError:
        return None
    return digest.digest()


def cell_contents(function: FunctionType) -> list[Any]:
    """What a function holds of the one it was made in."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # not set yet
            continue
    return found


def _referred(function: FunctionType) -> Iterator[tuple[str, object]]:
    """The globals that a function names, and what it names in modules, also in those that it imports itself."""
    names = _names(function.__code__)
    modules: list[ModuleType] = []
    for name in names:
        value = function.__globals__.get(name, sys.modules.get(name))
        if isinstance(value, ModuleType):
            modules.append(value)
        elif value is not None:
            yield name, value
    visited: set[int] = set()
    while modules:
        module = modules.pop()
        if id(module) in visited or module is builtins or module.__name__.partition(".")[0] in FOREIGN:
            continue
        visited.add(id(module))
        for name in names:
            value = vars(module).get(name)
            if isinstance(value, ModuleType):
                modules.append(value)
            elif value is not None:
                yield name, value


def _names(code: CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found


def _is_plain(value: object) -> bool:
    """Whether its text tells it from another."""
    if isinstance(value, tuple | frozenset):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _is_foreign(one: type | FunctionType) -> bool:
    return (one.__module__ or "").partition(".")[0] in FOREIGN or getattr(builtins, one.__name__, None) is one


@cache
def _source(path: str) -> bytes:
    return hashlib.sha256(Path(path).read_bytes()).digest()
