"""``srp video``: films, larger."""

from __future__ import annotations

import functools
import re
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sr_plugins.cli import completing
from sr_plugins.cli.as_typed import target_among
from sr_plugins.cli.examples import examples
from sr_plugins.cli.files import expanded, without_results
from sr_plugins.cli.film_progress import reporter, say, summary, with_cheaper_way
from sr_plugins.cli.films import beside, film_obstacle, films_of, remove_empty
from sr_plugins.cli.options import Upscalers, check_way, checked_options, make_upscaler, upscaler_options
from sr_plugins.cli.other_words import ours
from sr_plugins.cli.preview import preview
from sr_plugins.cli.preview import tune as tuned
from sr_plugins.cli.stopping import refuse_lost
from sr_plugins.errors import PipeError, SRError, one_line
from sr_plugins.interface.words import AUTO

if TYPE_CHECKING:
    from sr_plugins.video.cluster import Cluster

_OPTIONS_KEY = "ffmpeg output options"


class _WithFfmpegOptions(click.Command):
    """Everything after ``--`` is for ffmpeg and is not looked at here."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if "--" in args:
            split = args.index("--")
            args, ctx.meta[_OPTIONS_KEY] = args[:split], args[split + 1 :]
        typed = list(args)  # click empties its own
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            # as it was typed: of -crf click tells -c alone
            name = next((word for word in typed if word.startswith(error.option_name)), error.option_name)
            meant = ours(name, [o for p in self.params for o in p.opts])
            if name in ("-i", "-y") or (meant and name.startswith("--")):
                raise
            told = f"no option {name}" + (f": did you mean '{meant[0]}'?" if meant else ";")
            cure = "those of ffmpeg stand after --, as in: srp video film.mkv -- -c:v libx265"
            raise click.UsageError(f"{told} {cure}", ctx) from None

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


def _times(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[float, ...]:
    found = [_seconds(ctx, parameter, part) for part in value.split(",")] if value else []
    return tuple(time for time in found if time is not None)


def _rate_of(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Fraction | None:
    try:
        rate = None if value is None else Fraction(value)
    except (ValueError, ZeroDivisionError):
        raise click.BadParameter(f"{value!r} is no number of frames a second") from None
    if rate is not None and not 0 < rate <= 1000:
        raise click.BadParameter(f"{value} frames a second are not possible")
    return rate


@click.command(
    cls=_WithFfmpegOptions,
    epilog=examples(
        "srp video film.mkv",
        "srp video season1/ -o larger/ --resume",
        "srp video film.mkv -o film-4k.mkv --size 2160p -- -c:v libx265 -crf 18",
        more="Options after -- go to ffmpeg as output options and win.",
    ),
)
@click.argument("inputs", nargs=-1, required=True, metavar="IN...", shell_complete=completing.files)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    shell_complete=completing.files,
    help="A file, or a folder (newfolder/) for several. [default: IN-2x beside IN]",
)
@click.option("--start", callback=_seconds, metavar="TIME", help="Begin here: seconds or [H:]M:S.")
@click.option("--end", callback=_seconds, metavar="TIME", help="End before this time.")
@click.option("--deinterlace", is_flag=True, help="Deinterlace with bwdif before upscaling.")
@click.option("--progressive", is_flag=True, help="Take a film marked interlaced as progressive.")
@click.option(
    "--fps",
    "rate",
    callback=_rate_of,
    metavar="RATE",
    help="Of pictures or a bare .h264, as 24000/1001. [default: 25, its own]",
)
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
@click.option("--keep-playable", is_flag=True, help="If stopped, also leave what is finished as a film beside OUT.")
@click.option("--resume", is_flag=True, help="Continue a batch: films that are there already are done.")
@click.option("--restart", is_flag=True, help="Begin anew instead of continuing an unfinished film.")
@click.option("--overwrite", is_flag=True, help="Replace films that are there already.")
@click.option("--ffmpeg", type=click.Path(dir_okay=False), help="The ffmpeg to use. [default: the system's]")
@click.option("--preview", "look", is_flag=True, help="Write a page with some frames through --model A,B,... instead.")
@click.option("--tune", is_flag=True, help="Say how fast models are here, and the best that is real time, instead.")
@click.option("--at", callback=_times, metavar="TIMES", help="Of both: frames at 1:30,12:00. [default: three]")
@upscaler_options(AUTO)
@click.pass_context
def command(
    ctx: click.Context,
    /,
    inputs: tuple[str, ...],
    output: str | None,
    resume: bool,
    chunk: int,
    jobs: str,
    look: bool,
    tune: bool,
    at: tuple[float, ...],
    **options: Any,
) -> int:
    """Upscale video files; sound, subtitles, chapters and everything else stay as they are.

    IN is a file, a folder, a pattern such as 'season1/*.mkv', or numbered pictures: frames/f_%05d.png, which OUT may
    be as well. Stop it at any moment: the same command continues.
    """
    names = ["start", "end", "deinterlace", "progressive", "hwaccel", "restart", "overwrite", "ffmpeg", "rate"]
    names += ["keep_playable"]
    video = {name: options.pop(name) for name in names}
    video |= {"options": ctx.meta.get(_OPTIONS_KEY, ()), "chunk_frames": chunk}
    _check_apart(video, resume)
    from sr_plugins.video.ffmpeg_process import check_hwaccel, find_ffmpeg

    if jobs == "local":  # other machines have devices and backends of their own
        check_way(options)
        check_hwaccel(find_ffmpeg(video["ffmpeg"]), video["hwaccel"])
    if look or tune:
        if jobs != "local" or (look and tune) or (tune and output):
            raise click.UsageError("--preview writes a page, --tune measures and writes nothing, both here alone")
        if look:
            return preview(inputs, output, at, video, options, say)
        return tuned(inputs, at, video, options, say)
    if at:
        raise click.UsageError("--at names the frames of --preview and --tune")
    if output == "-" or "-" in inputs:
        raise click.UsageError("films are files here: srp pipe takes frames from stdin and writes them to stdout")
    words, output = target_among(inputs, output)
    inputs = tuple(words)
    failed: list[tuple[Path, str]] = []
    made: list[Path] = []
    ctx.call_on_close(functools.partial(remove_empty, made))
    try:
        if output is None:
            films = without_results([beside(path, options) for path in expanded(map(Path, inputs))])
        else:
            films = films_of(inputs, output, failed, made)
    except OSError as error:
        raise PipeError(f"{error.filename}: {error.strerror}") from error
    obstacle = functools.partial(
        film_obstacle, output_options=video["options"], resume=resume, replace=video["overwrite"]
    )
    count = len(films) + len(failed)
    for source, target in films:  # before the upscaler takes its time to be ready, and the first film its hours
        if line := obstacle(source, target):
            if count == 1:
                raise PipeError(line)
            failed.append((source, line))
            say(line)
    films = [film for film in films if film[0] not in {path for path, _ in failed}]
    if not films:
        if count == 1:
            raise PipeError("{}: {}".format(*failed[0]))
        _tell_failed(failed)
        return 1
    from sr_plugins.video.journal import BusyError, clear_finished
    from sr_plugins.video.transcode import upscale_video

    finished, skipped, elsewhere = 0, 0, 0
    there = {target for _, target in films if target.exists()}
    make = functools.partial(_cluster, ffmpeg=video["ffmpeg"]) if jobs == "ray" else make_upscaler
    with Upscalers(make=make, late=count == 1, **options) as upscalers:
        for source, target in films:
            if resume and target.exists():
                clear_finished(target)
                skipped += 1
                if count == 1:
                    say(f"{target} is there already")
                continue
            try:
                chosen = functools.cache(functools.partial(upscalers.for_film, source, target, say))
                with reporter(source.name) as report:
                    tell = with_cheaper_way(source.name, chosen, report) if jobs == "local" else report
                    result = upscale_video(source, target, chosen, progress=tell, notice=say, **video)
            except BusyError as error:
                if count == 1:
                    raise
                elsewhere += 1
                say(f"{error}: left to it")
            except Exception as error:
                if count == 1:
                    raise
                refuse_lost()
                if target not in there and target.exists():
                    elsewhere += 1
                    say(f"{target}: another process made it in the meantime")
                    continue
                failed.append((source, _reason(error)))
                say(_naming(*failed[-1]))
            except (KeyboardInterrupt, SystemExit):
                say(f"interrupted: the same command continues {target}")
                raise
            else:
                finished += 1
                say(summary(result))
    if count > 1:
        others = f", {elsewhere} by another process" if elsewhere else ""
        _tell_failed(failed, f"{finished} done, {skipped} there already{others}")
    return 1 if failed else 0


def _tell_failed(failed: list[tuple[Path, str]], others: str = "0 done, 0 there already") -> None:
    say(f"{others}, {len(failed)} failed")
    for source, reason in failed:
        say(f"  {_naming(source, reason)}")


def _naming(source: Path, reason: str) -> str:
    return reason if str(source) in reason else f"{source}: {reason}"


def _check_apart(video: dict[str, Any], resume: bool) -> None:
    """Wrong usage where two options say what cannot both be."""
    for one, other, both in (
        ("--resume", "--overwrite", resume and video["overwrite"]),
        ("--deinterlace", "--progressive", video["deinterlace"] and video["progressive"]),
    ):
        if both:
            raise click.UsageError(f"{one} and {other} contradict each other")
    if video["end"] is not None and video["end"] <= (video["start"] or 0):
        raise click.UsageError("--end is not after --start: no frame lies between them")


def _reason(error: Exception) -> str:
    """One line; what is not raised on purpose is named as what it is, and does not end a batch."""
    return (
        str(error)
        if isinstance(error, SRError)
        else f"a bug, please report it: {type(error).__name__}: {one_line(error)}"
    )


def _cluster(*, model: str, ffmpeg: str | None, **settings: Any) -> Cluster:
    from sr_plugins.video.cluster import Cluster

    cluster = Cluster(model, ffmpeg=ffmpeg, **checked_options(settings))
    say(f"{cluster.workers} at work: {cluster.description}")
    return cluster
