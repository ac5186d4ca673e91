"""Which pictures ``srp image`` reads, and where each result goes; all of it before any work."""

# os.path asks without raising; Path's questions raise for a name that is too long and for a locked folder.
# ruff: noqa: PTH110, PTH112, PTH113, PTH116

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from os.path import exists, isdir, isfile
from pathlib import Path
from typing import Any

import click
from PIL import Image

from sr_plugins.cli.files import place_beside, placed, walked
from sr_plugins.errors import ImageError, SRError
from sr_plugins.images.formats import format_of
from sr_plugins.images.further_formats import cure_for, register
from sr_plugins.images.unread import begins_as_picture

SEPARATORS = ("/", os.sep)
STREAM = Path("-")
_ENDINGS = {"JPEG": ".jpg", "TIFF": ".tif", "JPEG2000": ".jp2", "MPO": ".jpg"}


def stream_copy(given: Path, folder: Path) -> Path:
    """What stdin, a pipe or another stream holds, as a file whose ending says its format; other paths as they are.

    Raises:
        ImageError: it is a device, which may have no end.
    """
    if given != STREAM and (not exists(given) or isfile(given) or isdir(given)):
        return given
    if given != STREAM and stat.S_ISBLK(mode := os.stat(given).st_mode) | stat.S_ISCHR(mode):
        raise ImageError(f"{given} is a device and no picture: name a file")
    copy = Path(tempfile.mkdtemp(dir=folder), "stdin" if given == STREAM else given.name)
    with copy.open("wb") as file:
        if given == STREAM:
            shutil.copyfileobj(sys.stdin.buffer, file)
        else:
            with given.open("rb") as stream:
                shutil.copyfileobj(stream, file)
    register()
    try:
        with Image.open(copy) as image:
            format = image.format or ""
    except Exception:  # the reader says what is wrong with it
        return copy
    ending = _ENDINGS.get(format) or next((e for e, f in Image.EXTENSION.items() if f == format), ".png")
    return copy.rename(copy.with_suffix(ending))


def without_copies(told: str, folder: Path) -> str:
    """What is said about pictures, those that :func:`stream_copy` copied by the names of their streams."""
    return re.sub(rf"{re.escape(str(folder))}{re.escape(os.sep)}(\w+{re.escape(os.sep)})?", "", told)


def place_for(source: Path, ending: str | None, options: Mapping[str, Any]) -> Path:
    """Where the result of one picture goes that was given no place: beside it."""
    if isdir(source):
        raise click.UsageError(f"{source} is a folder: say with -o where its pictures go, for example -o larger/")
    suffix = suffix_of(ending) or (source.suffix if is_writable(source.suffix) else ".png")
    return place_beside(source, suffix, options)


def suffix_of(ending: str | None) -> str | None:
    """``--format`` as an ending; wrong usage where it cannot be written."""
    suffix = f".{ending.lower().lstrip('.')}" if ending else None
    if suffix and not is_writable(suffix):
        raise click.BadParameter(
            f"{ending!r} is no picture format that can be written, such as png, jpg or webp", param_hint="--format"
        )
    return suffix


def is_writable(suffix: str) -> bool:
    """Whether pictures of this ending can be written."""
    try:
        format_of(Path("picture" + suffix))
    except ImageError:
        return False
    return True


def tasks_for(
    inputs: Sequence[Path], output: str, ending: str | None, failures: list[SRError]
) -> list[tuple[Path, Path]]:
    """Every picture and where its enlargement goes; wrong usage is found here, before any work.

    Folders within the given ones that cannot be read are added to ``failures``.
    """
    suffix = suffix_of(ending)
    target = Path(output)
    if exists(target) and not isfile(target) and not isdir(target):
        raise click.BadParameter(f"{target} is a device and no file: - is stdout", param_hint="--output")
    ending_alone = target.name.startswith(".") and not output.endswith(SEPARATORS) and not target.suffix
    if ending_alone and not exists(target) and is_writable(target.name):
        raise click.BadParameter(
            f"{output} is an ending without a name: name the file, or give --format {target.name[1:]}",
            param_hint="--output",
        )
    if (
        len(inputs) == 1
        and target.suffix
        and not isdir(inputs[0])
        and not isdir(target)
        and not output.endswith(SEPARATORS)
    ):
        if not is_writable(target.suffix):
            raise click.BadParameter(
                f"{target.suffix} pictures cannot be written: use .png, .jpg, .webp, .tiff, .avif or .bmp, "
                "or end a folder with /",
                param_hint="--output",
            )
        if suffix and format_of(target) != format_of(Path("picture" + suffix)):
            raise click.UsageError(f"--format {ending} and --output {target} contradict each other")
        return [(inputs[0], target)]
    if exists(target) and not isdir(target) and len(inputs) == 1 and not isdir(inputs[0]):
        raise click.BadParameter(
            f"{target} is a file, and its name says no format: end another one in .png, .jpg, .webp, .tiff or .avif",
            param_hint="--output",
        )
    if not exists(target) and is_writable(target.suffix) and not output.endswith(SEPARATORS):
        raise click.BadParameter(
            f"{target} is the name of one picture: -o {target.with_suffix('')}/ makes a folder for several",
            param_hint="--output",
        )
    if exists(target) and not isdir(target):
        raise click.BadParameter(f"{target} is a file: several pictures need a folder", param_hint="--output")

    def renamed(place: Path) -> Path:
        if suffix is None and is_writable(place.suffix):
            return place
        if place.suffix.lower() not in Image.EXTENSION:  # no ending, but a part of the name: portrait.2024
            return place.with_name(place.name + (suffix or ".png"))
        return place.with_suffix(suffix or ".png")

    tasks = placed(inputs, target, lambda folder: _pictures(folder, target, failures), renamed)
    if not tasks and failures:
        raise failures[0]
    if not tasks:
        raise click.UsageError(f"no pictures in {', '.join(str(p) for p in inputs)}")
    return tasks


def _pictures(given: Path, target: Path, failures: list[SRError]) -> Iterator[Path]:
    """What is in the folder, by its ending, or its first bytes where that says nothing."""

    def locked(error: OSError) -> None:
        failures.append(ImageError(f"{error.filename} cannot be read: {error.strerror}"))

    register()
    for path in walked(given, target, locked):
        if cure := cure_for(path):
            failures.append(ImageError(f"{path} cannot be read: {cure}"))
        elif path.suffix.lower() in Image.EXTENSION:
            if isfile(path):
                yield path
            else:
                failures.append(ImageError(f"{path} is no file"))
        elif isfile(path) and begins_as_picture(path):  # as browsers and messengers keep them, without an ending
            yield path
