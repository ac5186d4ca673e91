"""``srp pipe``: raw frames from stdin to stdout, for vspipe, ffmpeg, x265 and SVT-AV1."""

from __future__ import annotations

import sys
from typing import Any, Literal

import click

from sr_plugins.cli.options import make_upscaler, upscaler_options
from sr_plugins.pixels.matrix import NAMES


@click.command()
@click.option(
    "--format", "format_", type=click.Choice(["y4m", "nut"]), default="y4m", show_default=True, help="In and out."
)
@click.option(
    "--range", "range_", type=click.Choice(["limited", "full"]), help="Of the samples, if the stream is silent."
)
@click.option("--matrix", type=click.Choice(list(NAMES)), help="YUV matrix, for models that work in RGB.")
@upscaler_options
def command(format_: Literal["y4m", "nut"], range_: str | None, matrix: str | None, **options: Any) -> None:
    """Upscale raw frames from stdin to stdout.

    vspipe -c y4m script.vpy - | srp pipe | x265 --y4m - -o out.hevc
    """
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise click.UsageError("stdin and stdout are pipes here: vspipe -c y4m s.vpy - | srp pipe | x265 --y4m - ...")
    from sr_plugins.video.pipe import upscale_pipe

    full = None if range_ is None else range_ == "full"
    with make_upscaler(**options) as upscaler:
        count = upscale_pipe(
            sys.stdin.buffer,
            sys.stdout.buffer,
            upscaler,
            format_,
            full_range=full,
            matrix=NAMES[matrix] if matrix else None,
        )
    click.echo(f"srp: {count} frames", err=True)
