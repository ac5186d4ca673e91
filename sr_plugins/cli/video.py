"""``srp video``: films, larger."""

from __future__ import annotations

import functools
import glob
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from sr_plugins.cli.files import obstacle, place_beside
from sr_plugins.cli.options import checked_options, make_upscaler, upscaler_options
from sr_plugins.errors import PipeError, SRError, one_line
from sr_plugins.video.containers import FILM_SUFFIXES, batch_suffix

if TYPE_CHECKING:
    from sr_plugins.video.cluster import Cluster
    from sr_plugins.video.transcode import FilmProgress, VideoResult

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))
_OPTIONS_KEY = "ffmpeg output options"
_LINE_EVERY = 10.0  # seconds between progress lines where stderr is no terminal


class _WithFfmpegOptions(click.Command):
    """Everything after ``--`` is for ffmpeg and is not looked at here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            split = args.index("--")
            args, ctx.meta[_OPTIONS_KEY] = args[:split], args[split + 1 :]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- FFMPEG OUTPUT OPTIONS]"]


def _seconds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", value):
        raise click.BadParameter(f"{value!r} is neither seconds nor [hours:]minutes:seconds")
    total = 0.0
    for part in value.split(":"):
        total = total * 60 + float(part)
    return total


@click.command(
    cls=_WithFfmpegOptions,
    epilog="Options after -- go to ffmpeg as output options and win: -- -c:v libx265 -crf 18 -c:a libopus",
)
@click.argument("inputs", nargs=-1, required=True, metavar="IN...")
@click.option(
    "-o", "--output", metavar="PATH", help="A file, or a folder (newfolder/) for several. [default: IN-2x beside IN]"
)
@click.option("--start", callback=_seconds, metavar="TIME", help="Begin here: seconds or [H:]M:S.")
@click.option("--end", callback=_seconds, metavar="TIME", help="End before this time.")
@click.option("--deinterlace", is_flag=True, help="Deinterlace with bwdif before upscaling.")
@click.option("--progressive", is_flag=True, help="Take a film marked interlaced as progressive.")
@click.option("--hwaccel", metavar="NAME", help="Decode with this hardware interface: auto, cuda, vaapi, ...")
@click.option(
    "--chunk", type=click.IntRange(1), default=500, show_default=True, help="Frames that are kept as one unit."
)
@click.option(
    "--jobs",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Work here, or on all machines of a Ray cluster.",
)
@click.option("--resume", is_flag=True, help="Continue a batch: films that are there already are done.")
@click.option("--restart", is_flag=True, help="Begin anew instead of continuing an unfinished film.")
@click.option("--overwrite", is_flag=True, help="Replace films that are there already.")
@click.option("--ffmpeg", type=click.Path(dir_okay=False), help="The ffmpeg to use. [default: the system's]")
@upscaler_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    inputs: tuple[str, ...],
    output: str | None,
    resume: bool,
    chunk: int,
    jobs: str,
    **options: Any,
) -> int:
    """Upscale video files; sound, subtitles, chapters and everything else stay as they are.

    IN is a file, a folder or a pattern such as 'season1/*.mkv'. Stop it at any moment: the same command continues.
    """
    names = ("start", "end", "deinterlace", "progressive", "hwaccel", "restart", "overwrite", "ffmpeg")
    video = {name: options.pop(name) for name in names}
    video |= {"options": ctx.meta.get(_OPTIONS_KEY, ()), "chunk_frames": chunk}
    try:
        films = _films(inputs, output) if output is not None else [_beside(Path(name), options) for name in inputs]
    except OSError as error:
        raise PipeError(f"{error.filename}: {error.strerror}") from error
    told = [_obstacle(source, target, resume=resume, replace=video["overwrite"]) for source, target in films]
    obstacles = [line for line in told if line is not None]
    if films and len(obstacles) == len(films):  # told before the upscaler takes its time to be ready
        if len(films) == 1:
            raise PipeError(obstacles[0])
        for line in (*obstacles, f"0 done, 0 there already, {len(films)} failed"):
            _say(line)
        return 1
    from sr_plugins.video.journal import BusyError, clear_finished
    from sr_plugins.video.transcode import upscale_video

    finished, skipped, elsewhere, failed = 0, 0, 0, list[tuple[Path, str]]()
    make = functools.partial(_cluster, ffmpeg=video["ffmpeg"]) if jobs == "ray" else make_upscaler
    with make(**options) as upscaler, _terminable():
        for source, target in films:
            if resume and target.exists():
                clear_finished(target)
                skipped += 1
                if len(films) == 1:
                    _say(f"{target} is there already")
                continue
            try:
                with _reporter(source.name) as report:
                    result = upscale_video(source, target, upscaler, progress=report, notice=_say, **video)
            except BusyError as error:
                if len(films) == 1:
                    raise
                elsewhere += 1
                _say(f"{error}: left to it")
            except Exception as error:
                if len(films) == 1:
                    raise
                if resume and target.exists():  # another process made it in the meantime
                    elsewhere += 1
                    continue
                failed.append((source, _reason(error)))
                _say(f"{source}: {_reason(error).removeprefix(f'{source}: ')}")
            except (KeyboardInterrupt, SystemExit):
                _say(f"interrupted: the same command continues {target}")
                raise
            else:
                finished += 1
                _say(_summary(result))
    if len(films) > 1:
        others = f", {elsewhere} by another process" if elsewhere else ""
        _say(f"{finished} done, {skipped} there already{others}, {len(failed)} failed")
        for source, reason in failed:
            _say(f"  {source}: {reason.removeprefix(f'{source}: ')}")
    return 1 if failed else 0


def _reason(error: Exception) -> str:
    """One line; what is not raised on purpose is named as what it is, and does not end a batch."""
    return (
        str(error)
        if isinstance(error, SRError)
        else f"a bug, please report it: {type(error).__name__}: {one_line(error)}"
    )


def _obstacle(source: Path, target: Path, *, resume: bool, replace: bool) -> str | None:
    """See :func:`obstacle`; a target that is there is none to --resume, nor where its own work is not cleared."""
    unfinished = target.with_name(target.name + ".parts").exists()
    return obstacle(source, target, replace=replace or resume or unfinished)


def _beside(source: Path, options: dict[str, Any]) -> tuple[Path, Path]:
    if source.is_dir():
        raise click.UsageError(f"{source} is a folder: say with -o where its films go, for example -o larger/")
    return source, place_beside(source, batch_suffix(source.suffix), options)


def _films(inputs: tuple[str, ...], wanted: str) -> list[tuple[Path, Path]]:
    """Each source with its target; in a folder, the target is called like its source."""
    output = Path(wanted)
    sources: list[Path] = []
    several = len(inputs) > 1
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            several = True
            sources += sorted(p for p in path.iterdir() if _is_film(p))
        elif not path.exists() and glob.has_magic(name):
            several = True
            sources += sorted(Path(p) for p in glob.glob(name, recursive=True) if Path(p).is_file())  # noqa: PTH207
        else:
            sources.append(path)
    if not sources:
        raise click.UsageError(f"no video in {', '.join(inputs)}")
    if not wanted.endswith(_SEPARATORS) and not output.is_dir():
        if not several:
            return [(sources[0], output)]
        if output.suffix:
            raise click.UsageError(f"{output} is no folder, and there are {len(sources)} inputs")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PipeError(f"{output}: this folder cannot be made ({error.strerror}): choose another with -o") from error
    films = [(s, output / (s.stem + batch_suffix(s.suffix))) for s in sources]
    targets = [target for _, target in films]
    if double := next((t for t in targets if targets.count(t) > 1), None):
        raise click.UsageError(f"two inputs would both become {double}: give them different folders")
    return films


def _is_film(path: Path) -> bool:
    """Hidden files are none: macOS puts a ``._film.mp4`` beside every film on a foreign disk."""
    return path.suffix.lower() in FILM_SUFFIXES and not path.name.startswith(".") and path.is_file()


def _cluster(*, model: str, ffmpeg: str | None, **settings: Any) -> Cluster:
    from sr_plugins.video.cluster import Cluster

    cluster = Cluster(model, ffmpeg=ffmpeg, **checked_options(settings))
    _say(f"{cluster.workers} at work: {cluster.description}")
    return cluster


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does: children are ended, what is finished stays."""

    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _reporter(name: str) -> Iterator[Callable[[FilmProgress], None]]:
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = ("{task.description}", "{task.completed}/{task.total} frames", "{task.fields[rest]}")
        texts = [TextColumn(text, markup=False) for text in columns]
        with Bar(texts[0], BarColumn(), *texts[1:], console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=None, rest="")
            yield lambda p: bar.update(task, completed=p.done, total=p.total, rest=_rate(p))
        return
    last = -_LINE_EVERY

    def line(progress: FilmProgress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _LINE_EVERY or progress.done == progress.total:
            last = now
            _say(f"{name}: {progress.done}/{progress.total} frames, {_rate(progress)}")

    yield line


def _rate(progress: FilmProgress) -> str:
    eta = "" if progress.eta == float("inf") else f"{_clock(progress.eta)} left, "
    return f"{progress.fps:.1f} fps, {eta}chunk {progress.chunk + 1}/{progress.chunks}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _summary(result: VideoResult) -> str:
    notes = [f"{result.frames} frames in {_clock(result.seconds)}"]
    if result.resumed:
        notes.append(f"{result.resumed} of them from before")
    if result.reused:
        notes.append(f"{result.reused} repeated frames reused")
    return f"{result.target}: {', '.join(notes)}"


def _say(text: str) -> None:
    click.echo(f"srp: {text}", err=True)
