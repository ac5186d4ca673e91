"""Where things are kept that can be made again: exported networks and measurements of speed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sr_plugins.whole_file import whole_file

KEPT = 64  # files of one kind; the oldest go first


def cache_folder() -> Path:
    """``$SR_PLUGINS_CACHE``, or the platform's folder for such things."""
    if chosen := os.environ.get("SR_PLUGINS_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "sr-plugins" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sr-plugins"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sr-plugins"


def read_or_make(kind: str, name: str, make: Callable[[], bytes]) -> bytes:
    """The cached file ``name`` of a kind, made if it is not there; a cache that cannot be written costs only time."""
    path = cache_folder() / kind / name
    try:
        return path.read_bytes()
    except OSError:
        content = make()
    with suppress(OSError):
        with whole_file(path) as temporary:
            temporary.write_bytes(content)
        by_age = sorted(path.parent.glob(f"*{path.suffix}"), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in by_age[KEPT:]:
            old.unlink()
    return content
