"""``srp video FILM --preview``: some frames through several models on one page, and how long the film would take."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sr_plugins.cli.files import obstacle
from sr_plugins.cli.options import make_upscaler
from sr_plugins.errors import PipeError
from sr_plugins.interface.words import AUTO, PLAIN


def preview(
    inputs: tuple[str, ...],
    output: str | None,
    at: tuple[float, ...],
    video: dict[str, Any],
    options: dict[str, Any],
    say: Callable[[str], None],
) -> int:
    """Write the page; ``video`` holds the options of films and ``options`` those of the upscaler."""
    if len(inputs) != 1:
        raise click.UsageError("--preview looks at one film")
    source = Path(inputs[0])
    target = Path(output) if output else source.with_name(f"{source.stem}-preview.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise click.BadParameter(f"{target} is no page: with --preview its name ends in .html", param_hint="--output")
    if told := obstacle(source, target, replace=video["overwrite"]):
        raise PipeError(told)
    from sr_plugins.comparison.page import Scene, ShownPicture, write_comparison
    from sr_plugins.estimation.choice import RESTORING
    from sr_plugins.video.decode import DecodeOptions
    from sr_plugins.video.ffmpeg_process import find_ffmpeg
    from sr_plugins.video.preview import as_rgb, enlarged, stills

    decode = DecodeOptions(video["deinterlace"], video["progressive"], video["hwaccel"])
    film, found = stills(source, at, decode, find_ffmpeg(video["ffmpeg"]), video["rate"])
    shown = [[ShownPicture.of(source.name, as_rgb(still.frame))] for still in found]
    asked = options.pop("model")
    models = [PLAIN, RESTORING] if asked == AUTO else [name.strip() for name in asked.split(",")]
    for model in models:
        with make_upscaler(model=model, **options) as upscaler:
            window, own = upscaler.loaded.spec.window, found
            if window != (0, 0):
                where, cuts = (
                    (source, at, decode, find_ffmpeg(video["ffmpeg"]), video["rate"]),
                    upscaler.settings["cuts"],
                )
                _, own = stills(*where, window=window, cuts=cuts)
            results, seconds = enlarged(upscaler, own)
        note = f"{seconds:.3g} s a frame"
        for pictures, result in zip(shown, results, strict=True):
            pictures.append(ShownPicture.of(Path(model).name, as_rgb(result), note))
        say(f"{model}: {note}, {clock(seconds * len(film.timeline))} for all {len(film.timeline)} frames, but encoding")
    scenes = [Scene(_place(still.time), pictures) for still, pictures in zip(found, shown, strict=True)]
    write_comparison(target, scenes, f"{source.name}: {', '.join(models)}")
    say(f"{target}: {len(scenes)} frames, {len(models)} models; open it in a browser")
    return 0


def _place(seconds: float) -> str:
    return f"{clock(int(seconds))}.{int(seconds * 100) % 100:02d}"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
