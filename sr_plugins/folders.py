"""Where things are kept that can be made again: exported networks and measurements of speed."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sr_plugins.whole_file import whole_file

if TYPE_CHECKING:
    from torch import nn

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


def fingerprint(module: nn.Module, *more: str) -> str | None:
    """Tells networks apart: tensors, settings, source code and versions; ``None`` where the source cannot be read."""
    import torch

    from sr_plugins.version import __version__

    digest = hashlib.sha256("\0".join((__version__, torch.__version__, *more)).encode())
    for name, part in module.named_modules():
        held = sorted(vars(part).items())
        settings = [(k, v) for k, v in held if isinstance(v, bool | int | float | str | tuple | list)]
        functions = [(k, f"{v.__module__}.{v.__qualname__}") for k, v in held if inspect.isfunction(v)]
        digest.update(repr((name, type(part).__qualname__, settings, functions)).encode())
        if not type(part).__module__.startswith("torch."):
            try:
                digest.update(_source(inspect.getfile(type(part))))
            except (OSError, TypeError):
                return None
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        digest.update(repr((name, tuple(tensor.shape), tensor.dtype)).encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@cache
def _source(path: str) -> bytes:
    return Path(path).read_bytes()
