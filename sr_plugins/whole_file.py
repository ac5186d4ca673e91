"""The one way to write a file: under its name only when it is complete, and safe on the disk."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path, *, make_folders: bool = True) -> Iterator[Path]:
    """Another name to write under, which becomes ``path`` at the end of the block; its folders are made.

    The name is nobody else's, lies beside the target and has its ending, by which some libraries choose a format. What
    a symbolic link points to is replaced, not the link; a file that was there keeps its permissions. After an error
    nothing is left and what was there is unchanged.

    Raises:
        OSError: the place cannot be written, or ``path`` is a folder, a device or a loop of links.
    """
    target = _target(path)
    # the stem tells a person whose file it is, and is cut because names have an end
    temporary = target.with_name(f".{target.stem[:40]}.{secrets.token_hex(4)}.tmp{target.suffix}")
    folders = [folder for folder in target.parents if not folder.exists()]
    try:
        if make_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _synchronize(temporary)  # else a power cut may leave the name with nothing behind it
        if target.exists():
            with suppress(OSError):
                shutil.copymode(target, temporary)
        temporary.replace(target)
        with suppress(OSError):  # where folders cannot be opened, as on Windows
            _synchronize(target.parent)
    finally:
        with suppress(OSError):  # it has its name, or there is no such folder
            temporary.unlink()
        with suppress(OSError):  # folders that we made go if nothing came into them
            for folder in folders:
                folder.rmdir()


def _target(path: Path) -> Path:
    try:
        target = path.resolve()
    except RuntimeError:  # what Python 3.12 makes of a loop
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from None
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder: name a file in it", str(path))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "is no file that could be replaced", str(path))
    return target


def _synchronize(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
