"""``srp image``: enlarge picture files."""

# os.path asks without raising; Path's questions raise for a name that is too long and for a locked folder.
# ruff: noqa: PTH110, PTH112, PTH113

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from os.path import exists, isdir, isfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import click
from PIL import Image

from sr_plugins.cli.files import expanded, is_film_name, obstacle, place_beside, placed, walked
from sr_plugins.cli.options import make_upscaler, upscaler_options
from sr_plugins.errors import ImageError, SRError, one_line
from sr_plugins.images.formats import format_of
from sr_plugins.images.further_formats import cure_for

if TYPE_CHECKING:
    from sr_plugins.upscaler import Upscaler

SEPARATORS = ("/", os.sep)


@click.command()
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="OUT", help="A file, or a folder for several. [default: IN-2x beside IN]")
@upscaler_options
@click.option("--format", "ending", metavar="EXT", help="Write png, jpg, webp, tiff, avif, ... [default: as the input]")
@click.option("--quality", type=click.IntRange(1, 100), help="Of JPEG, WebP and AVIF. [default: 95, 90, 90]")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    help=f"Largest picture to open. [default: {2 * (Image.MAX_IMAGE_PIXELS or 0)}]",
)
def command(
    inputs: tuple[Path, ...],
    output: str | None,
    ending: str | None,
    quality: int | None,
    overwrite: bool,
    max_pixels: int | None,
    **options: Any,
) -> int:
    """Enlarge pictures: files, and folders with everything in them.

    PNG, JPEG, WebP, TIFF, AVIF, BMP, GIF and what else Pillow reads; colour profile, EXIF, resolution and every frame
    of an animation are kept. A picture that fails does not stop the others; they are listed at the end.
    """
    failures: list[SRError] = []
    if film := next((path for path in inputs if is_film_name(path)), None):
        raise click.UsageError(f"{film} is a film: srp video {film}" + (f" -o {output}" if output else ""))
    sources = list(expanded(inputs))
    if output is None and len(sources) == 2 and not exists(sources[1]):
        output = str(sources.pop())  # as with cp: what to read, and what to write
    if output is None:
        tasks = [(path, _beside(path, ending, options)) for path in sources]
    else:
        tasks = _tasks(sources, output, ending, failures)
    count = len(tasks) + len(failures)
    if max_pixels is not None:
        Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)  # Pillow warns at this many and refuses twice as many
    ready: list[tuple[Path, Path]] = []
    for source, target in tasks:  # all of them before the upscaler, which may take half a minute to be ready
        if (told := obstacle(source, target, replace=overwrite)) is None:
            ready.append((source, target))
        elif count == 1:
            raise ImageError(told)
        else:
            failures.append(ImageError(told))
            click.echo(f"{source}: failed", err=True)
    if ready:
        _upscale_all(ready, count, quality, overwrite, options, failures)
    if failures:
        click.echo(f"{len(failures)} of {count} pictures failed:", err=True)
    for failure in failures:
        click.echo(f"  {one_line(failure)}", err=True)
    return 1 if failures else 0


def _upscale_all(
    tasks: list[tuple[Path, Path]],
    count: int,
    quality: int | None,
    overwrite: bool,
    options: dict[str, Any],
    failures: list[SRError],
) -> None:
    with make_upscaler(**options) as upscaler, _Progress(len(tasks)) as progress:
        for source, target in tasks:
            try:
                progress.finished(_upscaled(source, target, upscaler, quality, overwrite, progress.frames))
            except SRError as error:
                if count == 1:
                    raise
                failures.append(error)
                progress.finished(f"{source}: failed")


def _beside(source: Path, ending: str | None, options: dict[str, Any]) -> Path:
    if isdir(source):
        raise click.UsageError(f"{source} is a folder: say with -o where its pictures go, for example -o larger/")
    suffix = _suffix(ending) or (source.suffix if _writable(source.suffix) else ".png")
    return place_beside(source, suffix, options)


def _suffix(ending: str | None) -> str | None:
    suffix = f".{ending.lower().lstrip('.')}" if ending else None
    if suffix and not _writable(suffix):
        raise click.BadParameter(f"{ending!r} is no picture format that can be written", param_hint="--format")
    return suffix


def _upscaled(
    source: Path,
    target: Path,
    upscaler: Upscaler,
    quality: int | None,
    overwrite: bool,
    done: Callable[[Path, int, int], None],
) -> str:
    """Do one picture and say what was done."""
    from sr_plugins.images.files import upscale_file

    if exists(target) and not overwrite:
        raise ImageError(f"{target} exists: --overwrite replaces it")
    started = time.monotonic()
    before, after = upscale_file(source, target, upscaler, quality=quality, done=partial(done, source))
    seconds = time.monotonic() - started
    return f"{source} {before[0]}x{before[1]} -> {target} {after[0]}x{after[1]}, {seconds:.1f} s"


def _tasks(inputs: Sequence[Path], output: str, ending: str | None, failures: list[SRError]) -> list[tuple[Path, Path]]:
    """Every picture and where its enlargement goes; wrong usage is found here, before any work.

    Folders within the given ones that cannot be read are added to ``failures``.
    """
    suffix = _suffix(ending)
    target = Path(output)
    if (
        len(inputs) == 1
        and target.suffix
        and not isdir(inputs[0])
        and not isdir(target)
        and not output.endswith(SEPARATORS)
    ):
        if not _writable(target.suffix):
            raise click.BadParameter(
                f"{target.suffix} pictures cannot be written: use .png, .jpg, .webp, .tiff, .avif or .bmp, "
                "or end a folder with /",
                param_hint="--output",
            )
        if suffix and format_of(target) != format_of(Path("picture" + suffix)):
            raise click.UsageError(f"--format {ending} and --output {target} contradict each other")
        return [(inputs[0], target)]
    if exists(target) and not isdir(target):
        raise click.BadParameter(f"{target} is a file: several pictures need a folder", param_hint="--output")

    def renamed(place: Path) -> Path:
        return place.with_suffix(suffix or (place.suffix if _writable(place.suffix) else ".png"))

    tasks = placed(inputs, target, lambda folder: _pictures(folder, target, failures), renamed)
    if not tasks and failures:
        raise failures[0]
    if not tasks:
        raise click.UsageError(f"no pictures in {', '.join(str(p) for p in inputs)}")
    return tasks


def _pictures(given: Path, target: Path, failures: list[SRError]) -> Iterator[Path]:
    """What is in the folder by its ending."""

    def locked(error: OSError) -> None:
        failures.append(ImageError(f"{error.filename} cannot be read: {error.strerror}"))

    Image.init()
    for path in walked(given, target, locked):
        if cure := cure_for(path):
            failures.append(ImageError(f"{path} cannot be read: {cure}"))
        elif path.suffix.lower() in Image.EXTENSION:
            if isfile(path):
                yield path
            else:
                failures.append(ImageError(f"{path} is no file"))


def _writable(suffix: str) -> bool:
    try:
        format_of(Path("picture" + suffix))
    except ImageError:
        return False
    return True


class _Progress:
    """A line on stderr for each finished picture; on a terminal a bar below them."""

    def __init__(self, count: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True, soft_wrap=True, highlight=False)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("upscaling", total=count)

    def frames(self, source: Path, ready: int, count: int) -> None:
        """So many of a picture's frames are ready."""
        if count > 1:
            self._bar.update(self._task, description=f"{source.name}, frame {ready} of {count}")

    def finished(self, line: str) -> None:
        """One more picture is done; ``line`` says how."""
        if self._bar.disable:
            click.echo(line, err=True)
        else:
            self._bar.console.print(line, markup=False)
        self._bar.advance(self._task)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()
