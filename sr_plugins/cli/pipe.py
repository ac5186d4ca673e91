"""``srp pipe``: raw frames from stdin to stdout, for vspipe, ffmpeg, x265 and SVT-AV1."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any, Literal

import click

from sr_plugins.cli.examples import examples
from sr_plugins.cli.film_progress import say
from sr_plugins.cli.options import Upscalers, check_way, upscaler_options
from sr_plugins.interface.words import AUTO
from sr_plugins.pixels.frame import ChromaLocation
from sr_plugins.pixels.matrix import NAMES

_PLACES = {"left": ChromaLocation.LEFT, "center": ChromaLocation.CENTER, "topleft": ChromaLocation.TOP_LEFT}


@click.command(
    epilog=examples(
        "vspipe -c y4m script.vpy - | srp pipe | x265 --y4m - -o out.hevc",
        "vspipe -c y4m s.vpy - | srp pipe --model auto | x265 --y4m - -o a.hevc",
        "ffmpeg -i a.mkv -f nut -c:v rawvideo - | srp pipe --format nut > a.nut",
    )
)
@click.option(
    "--format", "format_", type=click.Choice(["y4m", "nut"]), default="y4m", show_default=True, help="In and out."
)
@click.option(
    "--range", "range_", type=click.Choice(["limited", "full"]), help="Of the samples, if the stream is silent."
)
@click.option("--matrix", type=click.Choice(list(NAMES)), help="YUV matrix, for models that work in RGB.")
@click.option(
    "--chroma-location",
    type=click.Choice(list(_PLACES)),
    help="Of YUV with halved chroma, if the stream is silent or wrong.",
)
@click.argument("files", nargs=-1, metavar="")
@upscaler_options("fast")
def command(
    files: tuple[str, ...],
    format_: Literal["y4m", "nut"],
    range_: str | None,
    matrix: str | None,
    chroma_location: str | None,
    **options: Any,
) -> None:
    """Upscale raw frames from stdin to stdout.

    With --model auto the first frames decide for all.
    """
    if files:
        raise click.UsageError(f"frames come from stdin and go to stdout: srp pipe < {files[0]} > larger.{format_}")
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise click.UsageError("stdin and stdout are pipes here: vspipe -c y4m s.vpy - | srp pipe | x265 --y4m - ...")
    check_way(options)
    from sr_plugins.video.pipe import upscale_pipe

    full = None if range_ is None else range_ == "full"
    with Upscalers(**options) as upscalers:
        model = options["model"]
        count = upscale_pipe(
            # NUT is read on a thread, which may wait when we end: Python's buffered files are then in its way.
            getattr(sys.stdin.buffer, "raw", sys.stdin.buffer) if format_ == "nut" else sys.stdin.buffer,
            sys.stdout.buffer,
            partial(upscalers.for_stream, say=say) if model == AUTO else upscalers.named(model),
            format_,
            full_range=full,
            matrix=NAMES[matrix] if matrix else None,
            chroma_location=_PLACES[chroma_location] if chroma_location else None,
            notice=say,
        )
    say(f"{count} frames")
