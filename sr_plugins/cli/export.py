"""``srp export``: a network for other runtimes."""

from __future__ import annotations

from pathlib import Path

import click

from sr_plugins.cli.files import overwrite_option, refuse_existing


@click.command("export")
@click.argument("model")
@click.option("--scale", type=click.IntRange(1), help="Of the network. [default: its smallest]")
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="FILE.onnx")
@overwrite_option
def command(model: str, scale: int | None, output: Path, overwrite: bool) -> None:
    """Write MODEL (a registered name or a weights file) as ONNX with free batch, height and width.

    Input "picture" and output "enlarged" are float32 (n, channels, height, width) with values 0..1. The file is
    compared with torch before it is kept.
    """
    if output.suffix != ".onnx":
        raise click.BadParameter(f"{output} does not end in .onnx", param_hint="--output")
    refuse_existing(overwrite, output)
    from sr_plugins.evaluation.export import export
    from sr_plugins.weights.open_model import open_model

    loaded = open_model(model, scale, exact=True)
    difference = export(loaded, output)
    click.echo(f"{output}: {loaded.spec.label}, {loaded.spec.channels}, within {difference:.1g} of torch")
