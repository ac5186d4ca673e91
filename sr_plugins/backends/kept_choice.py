"""One file in the cache that says which backend ``auto`` is; the first process that writes it decides for all.

Which backend runs decides about the last bits of a picture, so that processes started together on an empty cache must
not each decide for themselves: one decides under a lock, and the others wait and read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sr_plugins.folders import cache_folder
from sr_plugins.whole_file import whole_file


def kept_choice(name: str, names: Collection[str], decide: Callable[[], str], alone: Callable[[], str]) -> str:
    """The backend kept in the file ``name``, one of ``names``.

    Where there is none, or it is damaged, ``decide`` says it, in one process for all. Where nothing can be kept,
    ``alone`` is asked, which must answer the same in every process.
    """
    path = cache_folder() / "speed" / f"{name}.json"
    if (found := _read(path, names)) is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.with_suffix(".lock")):
            if (found := _read(path, names)) is not None:
                return found
            with whole_file(path) as temporary:
                temporary.touch()  # before anything is measured: whether it can be written
                decided = decide()
                temporary.write_text(json.dumps({"backend": decided}), encoding="utf-8")
            return decided
    except OSError:
        return alone()


def _read(path: Path, names: Collection[str]) -> str | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        backend = content["backend"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return backend if isinstance(backend, str) and backend in names else None


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
