"""``srp image``: enlarge picture files."""

# os.path asks without raising; Path's questions raise for a name that is too long and for a locked folder.
# ruff: noqa: PTH110

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from os.path import exists
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from PIL import Image

from sr_plugins.backends.loading import import_torch
from sr_plugins.cli import completing
from sr_plugins.cli.as_typed import target_among
from sr_plugins.cli.examples import examples
from sr_plugins.cli.files import expanded, is_film_name, obstacle, own_scale, without_results
from sr_plugins.cli.options import Upscalers, check_way, checked_options, upscaler_options
from sr_plugins.cli.picture_progress import PictureProgress
from sr_plugins.cli.picture_tasks import STREAM, place_for, stream_copy, suffix_of, tasks_for, without_copies
from sr_plugins.errors import FrameError, ImageError, SRError, one_line, printable
from sr_plugins.interface.words import AUTO
from sr_plugins.settings import output_size

if TYPE_CHECKING:
    from sr_plugins.upscaler import Upscaler

LEAST_PIXELS = 60_000_000  # of results that may be under way together on any machine
_BYTES = 16  # that a pixel of a result takes on its way, with what it is made of and written as
_SHARE = 8  # of the machine's memory, one part is for pictures under way


@click.command(
    epilog=examples(
        "srp image photo.jpg",
        "srp image photo.jpg -o poster.png --model quality --scale 4",
        "srp image holiday/ -o larger/ --format webp --skip-existing",
    )
)
@click.argument("inputs", metavar="IN...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "-o",
    "--output",
    metavar="OUT",
    shell_complete=completing.files,
    help="A file, or a folder for several; - for stdout. [default: IN-2x beside IN]",
)
@upscaler_options(AUTO)
@click.option("--wrap", is_flag=True, help="For textures that repeat: edges fit together afterwards, too.")
@click.option(
    "--format",
    "ending",
    metavar="EXT",
    shell_complete=completing.endings,
    help="Write png, jpg, webp, tiff, avif, ... [default: as the input]",
)
@click.option("--quality", type=click.IntRange(1, 100), help="Of JPEG, WebP and AVIF. [default: 95, 90, 90]")
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--skip-existing", is_flag=True, help="Leave out what is done already, after an interrupted run.")
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    help=f"Largest picture to open. [default: {2 * (Image.MAX_IMAGE_PIXELS or 0)}]",
)
def command(
    inputs: tuple[str, ...],
    output: str | None,
    ending: str | None,
    skip_existing: bool,
    max_pixels: int | None,
    overwrite: bool,
    quality: int | None,
    wrap: bool,
    **options: Any,
) -> int:
    """Enlarge pictures: files, and folders with everything in them; - is stdin.

    PNG, JPEG, WebP, TIFF, AVIF, BMP, GIF and what else Pillow reads; colour profile, EXIF, resolution and every frame
    of an animation are kept. A picture that fails does not stop the others; they are listed at the end.
    """
    words, output = target_among(inputs, output)
    if film := next(filter(is_film_name, words), None):
        raise click.UsageError(f"{film} is a film: srp video {film}" + (f" -o {output}" if output else ""))
    if skip_existing and overwrite:
        raise click.UsageError("--skip-existing and --overwrite contradict each other")
    check_way(options)
    sources = list(expanded(map(Path, words)))
    to_stdout = output == str(STREAM) or (output is None and sources == [STREAM])
    if to_stdout and len(sources) > 1:
        raise click.UsageError("stdout holds one picture: name a folder with -o")
    if max_pixels is not None:
        Image.MAX_IMAGE_PIXELS = -(-max_pixels // 2)  # Pillow warns at this many and refuses twice as many
    failures: list[SRError] = []
    with tempfile.TemporaryDirectory(prefix="srp-image-") as folder, _told_without(Path(folder)):
        # pictures of a folder keep their names; a stream has none, and is copied to a file that has one
        sources = [stream_copy(path, Path(folder)) for path in sources]
        if to_stdout:
            output = str(
                Path(folder, "stdout").with_suffix(suffix_of(ending) or place_for(sources[0], None, options).suffix)
            )
        if output is None:
            tasks = without_results([(path, place_for(path, ending, options)) for path in sources])
        else:
            tasks = tasks_for(sources, output, ending, failures)
        skipped = [task for task in tasks if skip_existing and exists(task[1])]
        tasks = [task for task in tasks if task not in skipped]
        if skipped:
            those = "1 picture is" if len(skipped) == 1 else f"{len(skipped)} pictures are"
            click.echo(f"{those} there already: skipped", err=True)
        count = len(tasks) + len(failures)
        ready: list[tuple[Path, Path]] = []
        size_of = _size_rule(options, wrap=wrap)
        for source, target in tasks:  # all of them before the upscaler, which takes its time to be ready
            try:
                _check(source, target, size_of, replace=overwrite)
                ready.append((source, target))
            except SRError as error:
                if count == 1:
                    raise
                failures.append(error)
                click.echo(printable(without_copies(f"{source}: failed", Path(folder))), err=True)
        if ready:
            work = partial(_upscaled, quality=quality, overwrite=overwrite, wrap=wrap)
            plain = partial(without_copies, folder=Path(folder))
            _upscale_all(ready, count, work, size_of, options, failures, plain)
        if to_stdout and output:
            with Path(output).open("rb") as result:
                shutil.copyfileobj(result, sys.stdout.buffer)
            sys.stdout.buffer.flush()
    if failures:
        click.echo(f"{len(failures)} of {count} pictures failed:", err=True)
    for failure in failures:
        click.echo(f"  {without_copies(one_line(failure), Path(folder))}", err=True)
    return 1 if failures else 0


@contextmanager
def _told_without(folder: Path) -> Iterator[None]:
    """Errors call what was copied into ``folder`` by the names of its streams."""
    try:
        yield
    except (ImageError, FrameError) as error:
        raise type(error)(without_copies(str(error), folder)) from error


def _upscale_all(
    tasks: list[tuple[Path, Path]],
    count: int,
    work: Callable[..., str],
    size_of: Callable[[int, int], tuple[int, int]],
    options: dict[str, Any],
    failures: list[SRError],
    plain: Callable[[str], str],
) -> None:
    with Upscalers(**options) as upscalers, PictureProgress(len(tasks), plain) as progress:
        if count == 1:
            upscaler = upscalers.for_picture(tasks[0][0], progress.told)
            upscaler.watch_tiles(progress.tiles)
            progress.finished(work(*tasks[0], upscaler, progress.frames))
            return
        room = _Room(most_pixels())

        def one(source: Path, target: Path) -> str:
            with room.taken(_result_pixels(source, size_of)):
                upscaler = upscalers.for_picture(source, progress.told)
                return work(source, target, upscaler, progress.frames)

        pool = ThreadPoolExecutor(min(at_once(), len(tasks)), thread_name_prefix="picture")
        told: list[tuple[int, SRError]] = []

        def finished(number: int, source: Path, future: Future[str]) -> None:
            try:
                progress.finished(future.result())
            except SRError as error:
                told.append((number, error))
                progress.finished(f"{source}: failed")

        with warnings.catch_warnings():  # once for all threads, because what is ignored is the process's affair
            warnings.simplefilter("ignore")
            futures = [pool.submit(one, *task) for task in tasks]
            try:
                for number, (future, (source, _)) in enumerate(zip(futures, tasks, strict=True)):
                    finished(number, source, future)
            except BaseException:  # interrupted: nobody waits for what is under way
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            pool.shutdown()
        failures += [error for _, error in sorted(told, key=lambda pair: pair[0])]


def _size_rule(options: Mapping[str, Any], *, wrap: bool) -> Callable[[int, int], tuple[int, int]]:
    """What a picture of this width and height becomes, without a model where the command says it."""
    settings = checked_options({name: value for name, value in options.items() if name != "model"})
    asked = settings["scale"] is not None or settings["size"] is not None
    native = 1 if asked else own_scale(options["model"])
    if wrap:
        from sr_plugins.images.pixel_art import border_for

        border_for(None if settings["size"] is not None else settings["scale"] or native)
    return partial(output_size, settings, native)


def _check(source: Path, target: Path, size_of: Callable[[int, int], tuple[int, int]], *, replace: bool) -> None:
    """``ImageError`` or ``FrameError`` for whatever shows without the work that ``target`` cannot be made."""
    if told := obstacle(source, target, replace=replace):
        raise ImageError(told)
    import_torch()
    from sr_plugins.images.files import check_file

    check_file(source, target, size_of)


def at_once() -> int:
    """Pictures under way: each processor may read or write one, one is in the network, and one waits for it.

    So the network has work as long as reading and writing do not take all processors, however slow the format is.
    """
    from sr_plugins.devices import processors

    return processors() + 2


def most_pixels() -> int:
    """Of results under way together; a picture with more is alone."""
    from sr_plugins.devices import all_memory

    return max(LEAST_PIXELS, all_memory() // _SHARE // _BYTES)


def _result_pixels(source: Path, size_of: Callable[[int, int], tuple[int, int]]) -> int:
    """How large a result will be, by the file's head; 0 where that cannot be told, which is told when it is read."""
    from sr_plugins.images.files import count_pictures

    try:
        with Image.open(source) as image:
            width, height = size_of(*image.size)
            return width * height * count_pictures(image)
    except Exception:
        return 0


class _Room:
    """Lets so much be under way together, and whatever is larger alone."""

    def __init__(self, size: int) -> None:
        self._size, self._used = size, 0
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        amount = min(amount, self._size)
        with self._changed:
            self._changed.wait_for(lambda: self._used + amount <= self._size)
            self._used += amount
        try:
            yield
        finally:
            with self._changed:
                self._used -= amount
                self._changed.notify_all()


def _upscaled(
    source: Path,
    target: Path,
    upscaler: Upscaler,
    done: Callable[[Path, int, int], None],
    *,
    quality: int | None,
    overwrite: bool,
    wrap: bool,
) -> str:
    """Do one picture and say what was done."""
    from sr_plugins.images.files import upscale_file

    if exists(target) and not overwrite:
        raise ImageError(f"{target} exists: --overwrite replaces it")
    started = time.monotonic()
    before, after = upscale_file(source, target, upscaler, quality=quality, wrap=wrap, done=partial(done, source))
    seconds = time.monotonic() - started
    return f"{source} {before[0]}x{before[1]} -> {target} {after[0]}x{after[1]}, {seconds:.1f} s"
