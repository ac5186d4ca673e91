"""Which files a command reads and which it writes: one rule for all commands."""

# os.path asks without raising; Path's questions raise for a name that is too long and for a locked folder.
# ruff: noqa: PTH110, PTH112, PTH113, PTH114, PTH115, PTH116, PTH121, PTH207

from __future__ import annotations

import contextlib
import glob
import os
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from os.path import exists, isdir, isfile
from pathlib import Path
from typing import Any

import click

from sr_plugins.errors import ArgumentError, printable

overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that exist.")


def check_targets(overwrite: bool, *targets: Path | None) -> None:
    """``ArgumentError`` if a target cannot be written, or is there and may not be replaced; to be asked before work."""
    for target in targets:
        if target is None:
            continue
        if exists(target) and not overwrite:
            raise ArgumentError(_no_file(target) or f"{target} exists: --overwrite replaces it")
        if told := _unwritable(target):
            raise ArgumentError(told)


def obstacle(source: Path, target: Path, *, replace: bool) -> str | None:
    """Why ``target`` cannot be made of ``source``, as far as that shows without reading it; ``None``: nothing does.

    To be asked before anything that takes long. Every text names the file and the cure.
    """
    try:
        os.stat(source)
    except FileNotFoundError:
        return f"{source}: {_missing(source)}"
    except (OSError, ValueError) as error:
        return f"{source} cannot be read: {getattr(error, 'strerror', error)}"
    if not os.access(source, os.R_OK):
        return f"{source} cannot be read: Permission denied"
    if exists(target):
        if os.path.samefile(source, target):
            return f"{target} is the source itself: choose another name"
        if told := _no_file(target):
            return told
        if not replace:
            return f"{target} exists: --overwrite replaces it"
    return _unwritable(target)


def _missing(source: Path) -> str:
    if os.path.islink(source):
        return f"a link to {os.readlink(source)}, and there is no such file"
    return "no file matches this pattern" if set("*?") & set(str(source)) else "there is no such file"


def _no_file(target: Path) -> str | None:
    """What is said of something that is there and cannot be replaced by a file."""
    if isdir(target):
        return f"{target} is a folder: name a file in it"
    return None if isfile(target) or not exists(target) else f"{target} is a device and no file: choose another name"


def _unwritable(target: Path) -> str | None:
    """Why no file can be made where ``target`` will be; tried, because permissions do not tell all."""
    if told := _no_file(target):
        return told
    try:
        place = target.resolve().parent
        while not exists(place):
            place = place.parent
        for part in target.resolve().relative_to(place).parts:  # names that are too long are told where they would be
            with contextlib.suppress(FileNotFoundError):
                os.lstat(place / part)
        with tempfile.TemporaryFile(dir=place):
            return None
    except (OSError, RuntimeError) as error:
        return f"{target} cannot be written: {getattr(error, 'strerror', None) or error}"


def is_film_name(name: str | Path) -> bool:
    """Whether a file of this name is a film, whatever is in it."""
    from sr_plugins.video.containers import FILM_SUFFIXES

    return Path(name).suffix.lower() in FILM_SUFFIXES


def is_picture_name(name: str | Path) -> bool:
    """Whether a file of this name is a picture that Pillow knows."""
    from PIL import Image

    return Path(name).suffix.lower() in Image.registered_extensions()


def expanded(inputs: Iterable[Path]) -> Iterator[Path]:
    """The inputs, patterns such as ``holiday/*.jpg`` replaced by what they match: not every shell does it.

    A pattern that matches nothing stays, and is told as a file that is not there. What is named twice comes once.
    """
    known: set[Path] = set()
    for given in inputs:
        found = [] if exists(given) or not glob.has_magic(str(given)) else sorted(glob.glob(str(given), recursive=True))
        for path in map(Path, found) if found else (given,):
            place = Path(os.path.realpath(path.parent), path.name)
            if place not in known:
                known.add(place)
                yield path


def placed(
    inputs: Iterable[Path],
    output: Path,
    within: Callable[[Path], Iterable[Path]],
    renamed: Callable[[Path], Path],
) -> list[tuple[Path, Path]]:
    """Every input, and what ``within`` finds in those that are folders, with its target in the folder ``output``.

    What lies in a folder keeps its place there; ``renamed`` gives a target its ending. Where two would have one name,
    the second keeps its old ending in it, or gets a number.
    """
    tasks: list[tuple[Path, Path]] = []
    taken: set[str] = set()
    for given in inputs:
        for found in within(given) if isdir(given) else (given,):
            target = output / renamed(found.relative_to(given) if isdir(given) else Path(found.name))
            target = _free(target, found.suffix, taken)
            taken.add(_key(target))
            tasks.append((found, target))
    return tasks


def _free(result: Path, old_suffix: str, taken: set[str]) -> Path:
    """The name itself, or one with the old ending or a number in it where another picture has that name already."""
    stem, suffix = result.stem, result.suffix
    names = [result.name]
    if old_suffix.lower() != suffix.lower():
        names.append(f"{stem}{old_suffix}{suffix}")
    number = 2
    while True:
        for name in names:
            if _key(result.with_name(name)) not in taken:
                return result.with_name(name)
        names = [f"{stem}-{number}{suffix}"]
        number += 1


def _key(path: Path) -> str:
    """Equal for names that are one on systems which do not tell letters' cases, or ways to write them, apart."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def walked(given: Path, output: Path, locked: Callable[[OSError], None]) -> list[Path]:
    """The files of a folder and of all within it, in order; ``locked`` is told of those that cannot be read.

    Hidden ones (macOS puts a ``._film.mp4`` beside every film on a foreign disk), earlier results in ``output`` and
    unfinished films are left out.

    Raises:
        ArgumentError: the folder itself cannot be read.
    """
    if not os.access(given, os.R_OK | os.X_OK):
        raise ArgumentError(f"{given} cannot be read: Permission denied")
    root, results = given.resolve(), output.resolve()
    found: list[Path] = []
    for folder, folders, files in os.walk(given, onerror=locked):
        here = root / Path(folder).relative_to(given)
        folders[:] = [n for n in folders if not n.startswith(".") and here / n != results and not _unfinished(here / n)]
        for name in [name for name in folders if Path(folder, name).is_symlink()]:
            link = printable(str(Path(folder, name)))
            click.echo(f"{link} is a link to a folder and not followed: name that folder", err=True)
        found += [Path(folder, name) for name in files if not name.startswith(".")]
    return sorted(found)


def _unfinished(folder: Path) -> bool:
    return folder.name.endswith(".parts") and exists(folder / "journal.jsonl")


def place_beside(source: Path, suffix: str, asked: Mapping[str, Any]) -> Path:
    """``photo-2x.jpg`` beside ``photo.jpg``: where an enlargement goes that was given no place.

    ``asked`` are the model, scale and size of the command.
    """
    size, scale = asked["size"], asked["scale"]
    if size is not None:
        told = "x".join("" if side is None else str(side) for side in size)
    else:
        told = f"{scale or own_scale(asked['model']):g}x"
    return source.with_name(f"{source.stem}-{told}{suffix}")


def without_results(tasks: list[tuple[Path, Path]]) -> list[tuple[Path, Path]]:
    """Those whose source is not what another's enlargement is called: a pattern matches an earlier run's, too.

    Where two would have one name, as ``a-2x.png`` of ``a.png`` and ``a.jpg``, the second keeps its old ending in it.
    """
    targets = {target for _, target in tasks}
    for results in (source for source, _ in tasks if source in targets):
        click.echo(f"{printable(str(results))} is an earlier result: left out", err=True)
    taken: set[str] = set()
    apart = []
    for source, target in (task for task in tasks if task[0] not in targets):
        apart.append((source, _free(target, source.suffix, taken)))
        taken.add(_key(apart[-1][1]))
    return apart


def own_scale(model: str) -> int:
    """The scale of a model that is asked for none."""
    from sr_plugins.interface.words import AUTO, PLAIN
    from sr_plugins.plugins import plugins

    model = PLAIN if model == AUTO else model
    scales = [spec.scale for spec in plugins().models() if spec.name == model and spec.usable]
    if scales:
        return min(scales)
    from sr_plugins.weights.open_model import open_model

    return open_model(model).spec.scale
