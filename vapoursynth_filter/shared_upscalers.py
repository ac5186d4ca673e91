"""Upscalers that calls with equal settings share: one network in memory, and lanes that do not compete for cores."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sr_plugins.interface.model import LoadedModel
from sr_plugins.plugins import plugins
from sr_plugins.settings import Settings, checked
from sr_plugins.upscaler import Upscaler


@dataclass(eq=False)
class _Shared:
    upscaler: Upscaler
    holders: int = 0


_lock = threading.RLock()  # a clip may be collected, and let go, while another is made
_shared: dict[Any, _Shared] = {}
_released: deque[tuple[Any, _Shared]] = deque()  # no longer needed, once for each holder


def shared_upscaler(model: str | Path | LoadedModel, settings: Settings) -> tuple[Upscaler, Callable[[], None]]:
    """An upscaler for these settings, made or shared, and what to call once when it is no longer needed.

    A weights file that was written anew meanwhile is another model.
    """
    key = _key(model, checked(settings))
    try:
        with _lock:  # also while it is made: of two calls at once the second is to share
            found = _shared.get(key)
            if found is None:
                # Whatever a plugin prints while it loads must not reach stdout: under vspipe, stdout is the video.
                with contextlib.redirect_stdout(sys.stderr):
                    found = _Shared(Upscaler(model, **settings))
                _shared[key] = found
            found.holders += 1
    finally:
        _settle()  # what was let go meanwhile
    lease = contextlib.ExitStack()
    lease.callback(_let_go, key, found)
    return found.upscaler, lease.close  # which lets go once, however often it is called


def _let_go(key: Any, shared: _Shared) -> None:
    """Never waits: clips are collected in any thread, also in one that the holder of the lock waits for."""
    _released.append((key, shared))
    _settle()


def _settle() -> None:
    """Close what nobody holds any longer; where another thread is at it, or makes an upscaler, that one will."""
    while _released and _lock.acquire(blocking=False):
        unheld = []
        try:
            with contextlib.suppress(IndexError):  # all; a clip that is collected within this settles, too
                while True:
                    key, shared = _released.popleft()
                    shared.holders -= 1
                    if shared.holders:
                        continue
                    unheld.append(shared.upscaler)
                    if _shared.get(key) is shared:
                        del _shared[key]
        finally:
            _lock.release()
        for upscaler in unheld:
            upscaler.close()


def _key(model: object, settings: Settings) -> Any:
    named: Any = model
    if not isinstance(model, str | os.PathLike):  # one that is opened, or a mistake that the upscaler will tell
        named = id(model)  # which the upscaler keeps alive
    else:
        with contextlib.suppress(OSError, ValueError):
            path = Path(model)
            state = path.stat()
            named = str(path.resolve()), state.st_mtime_ns, state.st_size
    return named, tuple(sorted(settings.items())), id(plugins()), os.environ.get("SR_PLUGINS_BACKEND")
