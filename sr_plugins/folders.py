"""Where things are kept: those that can be made again, and those of the user."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sr_plugins.whole_file import whole_file

KEPT = 64  # files of one kind; the oldest go first
INDEX = "index.txt"  # in each kind's folder: the names of what we wrote there, one a line
MARK = b"sr-plugins cache 1\n"  # and 32 bytes of SHA-256 stand before the content


def home_folder() -> Path:
    """The user's folder. Users without one, as in containers, get one below a device: nothing can be there."""
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def cache_folder() -> Path:
    """``$SR_PLUGINS_CACHE``, or the platform's folder for such things."""
    if chosen := os.environ.get("SR_PLUGINS_CACHE"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home_folder() / "AppData" / "Local")) / "sr-plugins" / "Cache"
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Caches" / "sr-plugins"
    return (_absolute("XDG_CACHE_HOME") or home_folder() / ".cache") / "sr-plugins"


def data_folder() -> Path:
    """``$SR_PLUGINS_DATA``, or the platform's folder for what a program keeps for its user."""
    if chosen := os.environ.get("SR_PLUGINS_DATA"):
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA", home_folder() / "AppData" / "Roaming")) / "sr-plugins"
    if sys.platform == "darwin":
        return home_folder() / "Library" / "Application Support" / "sr-plugins"
    return (_absolute("XDG_DATA_HOME") or home_folder() / ".local" / "share") / "sr-plugins"


def _absolute(name: str) -> Path | None:
    """The folder of a variable; relative ones are not valid (XDG Base Directory Specification 0.8)."""
    path = Path(os.environ.get(name, ""))
    return path if path.is_absolute() else None


def read_or_make(kind: str, name: str, make: Callable[[], bytes]) -> bytes:
    """The cached content ``name`` of a kind, made where it is not there or not whole; a cache costs at most time.

    What is damaged, cut off or empty is told by a checksum in the file. Only files that the kind's own index lists are
    ever deleted: the folder may be one that a person named and uses otherwise.
    """
    path = cache_folder() / kind / name
    if (kept := _checked(path)) is not None:
        return kept
    content = make()
    with suppress(OSError):
        with whole_file(path) as temporary:
            temporary.write_bytes(MARK + hashlib.sha256(content).digest() + content)
        with (path.parent / INDEX).open("a", encoding="utf-8") as index:
            index.write(f"{name}\n")
        _forget_oldest(path.parent)
    return content


def _checked(path: Path) -> bytes | None:
    """What was kept, or ``None`` if there is nothing, or not what was written."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    start = len(MARK) + hashlib.sha256().digest_size
    whole = data.startswith(MARK) and hashlib.sha256(data[start:]).digest() == data[len(MARK) : start]
    return data[start:] if whole else None


def _forget_oldest(folder: Path) -> None:
    index = folder / INDEX
    listed = dict.fromkeys(index.read_text("utf-8", errors="replace").splitlines())
    ours = [folder / name for name in listed if name and name == Path(name).name and (folder / name).is_file()]
    by_age = sorted(ours, key=lambda path: path.stat().st_mtime, reverse=True)
    if len(by_age) <= KEPT:
        return
    with whole_file(index) as temporary:
        temporary.write_text("".join(f"{path.name}\n" for path in by_age[:KEPT]), encoding="utf-8")
    for old in by_age[KEPT:]:
        old.unlink(missing_ok=True)
