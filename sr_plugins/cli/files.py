"""Which files a command reads and which it writes: one rule for all commands."""

# os.path asks without raising; Path's questions raise for a name that is too long and for a locked folder.
# ruff: noqa: PTH110

from __future__ import annotations

from os.path import exists
from pathlib import Path

import click

from sr_plugins.errors import ArgumentError

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that exist.")


def refuse_existing(overwrite: bool, *targets: Path | None) -> None:
    """``ArgumentError`` if a target is there already and may not be replaced; to be asked before any work."""
    for target in targets:
        if target is not None and exists(target) and not overwrite:
            raise ArgumentError(f"{target} exists: --overwrite replaces it")
