"""Which films ``srp video`` makes, and of what."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from sr_plugins.cli.files import expanded, is_film_name, obstacle, place_beside, placed, walked
from sr_plugins.errors import PipeError, one_line
from sr_plugins.video.containers import batch_suffix
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.sequence import existing, film_name, is_picture, is_sequence, pattern_of

_SOUND = {".aac", ".ac3", ".aif", ".aiff", ".flac", ".mp2", ".mp3", ".oga", ".opus", ".wav", ".wma"}
_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


def film_obstacle(
    source: Path, target: Path, output_options: Sequence[str] = (), *, resume: bool, replace: bool
) -> str | None:
    """See :func:`obstacle`; a target that is there is none to --resume, nor where its own work is not cleared.

    ``output_options`` are ffmpeg's: one of them may name the container, which is otherwise what the target's name says.
    """
    from sr_plugins.video.journal import list_path
    from sr_plugins.video.streams import muxer_of

    unfinished = list_path(target).parent.exists()
    if is_sequence(source):
        source = existing(source) or source
    if is_sequence(target) and not (replace or resume or unfinished):
        target = existing(target) or target
    if told := obstacle(source, target, replace=replace or resume or unfinished):
        return told
    if not target.absolute().parent.is_dir():
        return f"{target}: there is no folder {target.parent}"
    try:
        muxer_of(target, OutputOptions.parse(output_options))
    except PipeError as error:
        return one_line(error)
    return None


def beside(source: Path, options: dict[str, Any]) -> tuple[Path, Path]:
    if source.is_dir():
        source = _numbered(source) or source
    if source.is_dir():
        raise click.UsageError(f"{source} is a folder: say with -o where its films go, for example -o larger/")
    check_film(source)
    name = _called(source)
    return source, place_beside(source.with_name(name.name), name.suffix, options)


def check_film(source: Path) -> None:
    """Wrong usage where one picture, not a number of them, is to be a film."""
    if is_picture(source) and source.is_file() and not _moves(source):
        raise click.UsageError(f"{source} is a picture: srp image {source}; numbered ones are a film: f_%05d.png")


def _moves(picture: Path) -> bool:
    """Whether it is an animation."""
    from PIL import Image

    try:
        with Image.open(picture) as image:
            return int(getattr(image, "n_frames", 1)) > 1
    except Exception:  # whoever reads it says more
        return True


def films_of(
    inputs: tuple[str, ...], wanted: str, failed: list[tuple[Path, str]], made: list[Path]
) -> list[tuple[Path, Path]]:
    """Each source with its target; in a folder, the target is called like its source. What looks like a film in a
    folder and cannot be read is added to ``failed``, folders that had to be made to ``made``."""
    output = Path(wanted)

    def within(folder: Path) -> Iterator[Path]:
        def locked(error: OSError) -> None:
            failed.append((Path(error.filename), f"cannot be read: {error.strerror}"))

        for path in filter(is_film_name, walked(folder, output, locked)):
            if path.is_file():
                yield path
            else:
                failed.append((path, "is no file"))

    sources = as_films([p for p in expanded(map(Path, inputs)) if p.exists() or not glob.has_magic(str(p))])
    nothing = click.UsageError(f"no video in {', '.join(inputs)}")
    if not sources:
        raise nothing
    alone = len(inputs) == 1 and (is_sequence(sources[0]) or (sources == [Path(inputs[0])] and not sources[0].is_dir()))
    if not wanted.endswith(_SEPARATORS) and not output.is_dir():
        if alone:
            check_film(sources[0])
            if output.suffix.lower() in _SOUND:
                raise click.UsageError(f"no film fits into {output.suffix}: -o {output.with_suffix('.mkv')}")
            return [(sources[0], output)]
        if output.suffix:
            raise click.UsageError(f"{output} is no folder, and several films need one")
    films = placed(sources, output, within, _called)
    if not films and not failed:
        raise nothing
    for _, target in films:
        made += _made(target.parent)
    return films


def _made(folder: Path) -> list[Path]:
    """Make a folder; returns those that were not there, the outermost first."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        told = f"this folder cannot be made ({error.strerror}): choose another with -o"
        raise PipeError(f"{folder}: {told}") from error
    return new[::-1]


def remove_empty(made: Sequence[Path]) -> None:
    """Folders that were made for films of which none came to be."""
    for folder in reversed(made):
        with contextlib.suppress(OSError):  # something is in it
            folder.rmdir()


def _called(place: Path) -> Path:
    """The name of a film in a folder of results; numbered pictures lose the place of their number."""
    if is_sequence(place):
        return Path(f"{film_name(place)}.mkv")
    return place.with_name(place.stem + batch_suffix(place.suffix))


def as_films(paths: list[Path]) -> list[Path]:
    """Folders of nothing but numbered pictures, and all pictures that were named together, by their patterns."""
    films = [(_numbered(path) if path.is_dir() else None) or path for path in paths]
    together = [path for path in films if is_picture(path) and path.is_file()]
    if len(together) < 2:
        return films
    folders = {path.parent for path in together}
    patterns = [pattern_of([path for path in together if path.parent == folder]) for folder in sorted(folders)]
    return [*(path for path in films if path not in together), *patterns]


def _numbered(folder: Path) -> Path | None:
    """The pattern of the pictures in a folder without films."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    pictures = [path for path in files if is_picture(path)]
    if len(pictures) < 2 or any(map(is_film_name, files)) or any(path.is_dir() for path in folder.iterdir()):
        return None
    return pattern_of(pictures)
