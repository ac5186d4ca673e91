"""Which files a command reads and which it writes: one rule for all commands."""

# os.path asks without raising; Path's questions raise for a name that is too long and for a locked folder.
# ruff: noqa: PTH110, PTH112, PTH116, PTH121

from __future__ import annotations

import os
import tempfile
from os.path import exists, isdir
from pathlib import Path

import click

from sr_plugins.errors import ArgumentError

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that exist.")


def refuse_existing(overwrite: bool, *targets: Path | None) -> None:
    """``ArgumentError`` if a target is there already and may not be replaced; to be asked before any work."""
    for target in targets:
        if target is not None and exists(target) and not overwrite:
            raise ArgumentError(f"{target} exists: --overwrite replaces it")


def obstacle(source: Path, target: Path, *, replace: bool) -> str | None:
    """Why ``target`` cannot be made of ``source``, as far as that shows without reading it; ``None``: nothing does.

    To be asked before anything that takes long. Every text names the file and the cure.
    """
    try:
        os.stat(source)
    except FileNotFoundError:
        return f"{source}: there is no such file"
    except (OSError, ValueError) as error:
        return f"{source} cannot be read: {getattr(error, 'strerror', error)}"
    if not os.access(source, os.R_OK):
        return f"{source} cannot be read: Permission denied"
    if exists(target):
        if os.path.samefile(source, target):
            return f"{target} is the source itself: choose another name"
        if isdir(target):
            return f"{target} is a folder: name a file in it"
        if not replace:
            return f"{target} exists: --overwrite replaces it"
    return _unwritable(target)


def _unwritable(target: Path) -> str | None:
    """Why no file can be made where ``target`` will be; tried, because permissions do not tell all."""
    try:
        place = target.resolve().parent
        while not exists(place):
            place = place.parent
        with tempfile.TemporaryFile(dir=place):
            return None
    except (OSError, RuntimeError) as error:
        return f"{target} cannot be written: {getattr(error, 'strerror', None) or error}"
