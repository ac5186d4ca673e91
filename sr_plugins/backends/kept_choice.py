"""One file in the cache that says which backend ``auto`` is; the first process that writes it decides for all.

Which backend runs decides about the last bits of a picture, so that processes started together on an empty cache must
not each decide for themselves: one decides under a lock, the others wait and read. What was decided by rule, because
the machine was busy, holds for all that work meanwhile, and is decided anew once nobody has asked for a while.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sr_plugins.folders import cache_folder
from sr_plugins.whole_file import whole_file

QUIET_SECONDS = 3600.0  # nobody asked for so long: no job is under way that a new choice could tear in two


class Choice(NamedTuple):
    """A backend by name, and whether that was measured; otherwise it was taken by rule."""

    backend: str
    measured: bool


def kept_choice(name: str, names: Collection[str], decide: Callable[[], Choice], alone: Callable[[], str]) -> str:
    """The backend kept in the file ``name``, one of ``names``.

    Where there is none, it is damaged, or a choice by rule that nobody asked for in the last hour, ``decide`` says it,
    in one process for all. Where nothing can be kept, ``alone`` is asked, which must answer the same in every process.
    """
    path = cache_folder() / "speed" / f"{name}.json"
    if (found := _in_use(path, names)) is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if (found := _in_use(path, names)) is not None:
                return found
            before = _read(path, names)
            with whole_file(path) as temporary:
                temporary.touch()  # before anything is measured: whether it can be written
                decided = decide()
                if before is not None and not decided.measured:  # no better than what stands there
                    decided = before
                content = {"backend": decided.backend, "measured": decided.measured}
                temporary.write_text(json.dumps(content), encoding="utf-8")
            return decided.backend
    except OSError:
        return alone()


def _in_use(path: Path, names: Collection[str]) -> str | None:
    """The backend that was measured, or one by rule that is still asked for: this question counts as one."""
    choice = _read(path, names)
    if choice is None or choice.measured:
        return None if choice is None else choice.backend
    try:
        if not 0 <= time.time() - path.stat().st_mtime < QUIET_SECONDS:
            return None
        os.utime(path)
    except OSError:
        return None
    return choice.backend


def _read(path: Path, names: Collection[str]) -> Choice | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        choice = Choice(content["backend"], content["measured"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    right = isinstance(choice.backend, str) and isinstance(choice.measured, bool) and choice.backend in names
    return choice if right else None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Held by one process at a time; the system lets go of it when a process ends, however it ends."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if sys.platform == "win32":
            import msvcrt

            while True:
                try:
                    msvcrt.locking(file, msvcrt.LK_LOCK, 1)  # gives up after ten seconds
                    break
                except OSError:
                    continue
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
