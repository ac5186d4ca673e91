"""``srp video FILM --preview``: some frames through several models on one page, and how long the film would take.
``--tune``: which model keeps up with the film here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sr_plugins.cli.files import expanded, obstacle
from sr_plugins.cli.films import as_films
from sr_plugins.cli.options import check_model, checked_options, make_upscaler
from sr_plugins.errors import PipeError
from sr_plugins.interface.words import AUTO, PLAIN
from sr_plugins.video.sequence import existing, film_name, is_sequence

if TYPE_CHECKING:
    from sr_plugins.upscaler import Upscaler
    from sr_plugins.video.preview import Still, Stills


def preview(
    inputs: tuple[str, ...],
    output: str | None,
    at: tuple[float, ...],
    video: dict[str, Any],
    options: dict[str, Any],
    say: Callable[[str], None],
) -> int:
    """Write the page; ``video`` holds the options of films and ``options`` those of the upscaler."""
    source = _one(inputs, "--preview")
    name = film_name(source) if is_sequence(source) else source.stem
    target = Path(output) if output else source.with_name(f"{name}-preview.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"{target} is no page: with --preview its name ends in .html", param_hint="--output")
    if told := obstacle(existing(source) or source, target, replace=video["overwrite"]):
        raise PipeError(told)
    from sr_plugins.comparison.page import Scene, ShownPicture, write_comparison
    from sr_plugins.estimation.choice import MOVING
    from sr_plugins.video.pace import pace
    from sr_plugins.video.preview import as_rgb

    asked = options.pop("model")
    models = (PLAIN, MOVING) if asked == AUTO else _named(asked)
    film = _stills(source, at, video)
    if film.told:
        say(film.told)
    found, count = film.seen(), film.count
    all_of = f"all {count} frames" if count > 1 else "its only frame"
    shown = [[ShownPicture.of(source.name, as_rgb(still.frame))] for still in found]
    for model, upscaler, stills in _through(models, film, options):
        results, seconds = pace(upscaler, [still.seen for still in stills])
        note = f"{seconds:.3g} s a frame"
        for pictures, result in zip(shown, results, strict=True):
            pictures.append(ShownPicture.of(Path(model).name, as_rgb(result), note))
        say(f"{model}: {note}, {clock(seconds * count)} for {all_of}, but encoding")
    scenes = [Scene(_place(still.time), pictures) for still, pictures in zip(found, shown, strict=True)]
    write_comparison(target, scenes, f"{source.name}: {', '.join(models)}")
    say(f"{target}: {_so_many(len(scenes), 'frame')}, {_so_many(len(models), 'model')}; open it in a browser")
    return 0


def tune(
    inputs: tuple[str, ...],
    at: tuple[float, ...],
    video: dict[str, Any],
    options: dict[str, Any],
    say: Callable[[str], None],
) -> int:
    """Print how many frames a second each model makes, and the best that keeps up with the film.

    Without ``--model`` ours are tried, from the best for what the film shows to the cheapest; else those that it
    names, in its order.
    """
    source = _one(inputs, "--tune")
    from sr_plugins.estimation.choice import BEST_FIRST
    from sr_plugins.video.choosing import choose_for_film
    from sr_plugins.video.pace import estimated_pace
    from sr_plugins.video.tuning import Measured, line, running_least, table

    asked = options.pop("model")
    models = () if asked == AUTO else _named(asked)
    film = _stills(source, at, video)
    if asked == AUTO:
        choice = choose_for_film(source, options["scale"])
        say(f"{source.name}: {choice.seen}")
        size = film.source.width, film.source.height
        models = running_least(BEST_FIRST[choice.model], checked_options(options), size)
    rate = float(film.source.rate)
    found: list[Measured] = []
    for model, upscaler, stills in _through(models, film, options):
        seconds, whole = estimated_pace(upscaler, [still.seen for still in stills])
        found.append(Measured(model, upscaler.description, 1 / seconds, whole))
    click.echo("\n".join([*table(found, rate), line(found, rate)]))
    return 0


def _one(inputs: tuple[str, ...], option: str) -> Path:
    films = as_films(list(expanded(map(Path, inputs))))
    if len(films) != 1:
        raise click.UsageError(f"{option} looks at one film, not at {len(films)}")
    if films[0].is_dir():
        raise click.UsageError(f"{option} looks at one film, and {films[0]} is a folder: name a film in it")
    return films[0]


def _named(models: str) -> tuple[str, ...]:
    found = tuple(name.strip() for name in models.split(","))
    for model in found:  # before the first of them begins to work
        check_model(model)
    return found


def _stills(source: Path, at: tuple[float, ...], video: dict[str, Any]) -> Stills:
    from sr_plugins.video.decode import DecodeOptions
    from sr_plugins.video.ffmpeg_process import find_ffmpeg
    from sr_plugins.video.preview import Stills

    decode = DecodeOptions(video["deinterlace"], video["progressive"], video["hwaccel"])
    cut = video["start"], video["end"]
    return Stills(source, at, decode, find_ffmpeg(video["ffmpeg"]), video["rate"], cut)


def _through(
    models: tuple[str, ...], film: Stills, options: dict[str, Any]
) -> Iterator[tuple[str, Upscaler, list[Still]]]:
    """Each model with its upscaler and the frames as it sees them; to be measured, nothing is remembered."""
    for model in models:
        with make_upscaler(model=model, **{**options, "reuse": False}) as upscaler:
            yield model, upscaler, film.seen(upscaler.loaded.spec.window, upscaler.settings["cuts"])


def _so_many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _place(seconds: float) -> str:
    return f"{clock(int(seconds))}.{int(seconds * 100) % 100:02d}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
