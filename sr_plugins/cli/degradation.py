"""``srp degradation``: find out how pictures came about, or learn it."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Find out how pictures or a film became what they are."""


@command.command("estimate")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The degradation recipe (TOML).")
@click.option("--scale", type=click.IntRange(2, 8), default=2, show_default=True, help="The upscaling it is meant for.")
@click.option("--frames", type=click.IntRange(1), default=12, show_default=True, help="Frames of each film to look at.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw kernel and spectrum into this picture file.")
def estimate_command(inputs: tuple[Path, ...], output: Path, scale: int, frames: int, plot: Path | None) -> None:
    """Estimate blur, noise, compression and earlier enlargement from pictures or films alone.

    The result is a list of [[degradation]] steps for srp train, srp adapt and srp evaluate --degradation.
    """
    from sr_plugins.training.estimation import estimate, write_estimate
    from sr_plugins.training.source_pictures import read_source

    sources = [read_source(path, frames) for path in inputs]
    found = estimate(sources, scale)
    write_estimate(found, output)
    if plot is not None:
        from sr_plugins.training.estimation_plot import plot_estimate

        plot_estimate(found, sources, plot)
    for line in found.lines():
        click.echo(line, err=True)
    click.echo(output)
