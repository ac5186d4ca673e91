"""``srp degradation``: find out how pictures came about, or learn it."""

from __future__ import annotations

from pathlib import Path

import click

from sr_plugins.cli.examples import examples
from sr_plugins.cli.files import check_targets, overwrite_option
from sr_plugins.cli.options import training_device
from sr_plugins.cli.subcommands import Subcommands
from sr_plugins.errors import DataError


@click.group(
    cls=Subcommands,
    of_files="estimate",
    epilog=examples(
        "srp degradation estimate film.mkv -o film.toml",
        "srp degradation estimate scans/ -o scans.toml --plot scans.png",
        "srp degradation learn tape.mkv --clean PICTURES -o tape.safetensors",
    ),
)
def command() -> None:
    """Find out how pictures or a film became what they are."""


@command.command("estimate")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The degradation recipe (TOML).")
@click.option("--scale", type=click.IntRange(2, 8), default=2, show_default=True, help="The upscaling it is meant for.")
@click.option("--frames", type=click.IntRange(1), default=12, show_default=True, help="Frames of each film to look at.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw kernel and spectrum into this picture file.")
@overwrite_option
def estimate_command(
    inputs: tuple[Path, ...], output: Path, scale: int, frames: int, plot: Path | None, overwrite: bool
) -> None:
    """Estimate blur, noise, compression and earlier enlargement from pictures, films or folders of them alone.

    The result is a list of [[degradation]] steps for srp train, srp adapt and srp evaluate --degradation.
    """
    _check_targets(inputs, output, plot)
    check_targets(overwrite, output, plot)
    if plot is not None:
        from sr_plugins.training.estimation.plot import check_plot

        check_plot(plot)
    from sr_plugins.training.estimation.estimation import estimate, write_estimate
    from sr_plugins.training.estimation.source import read_source, sources_in

    inputs = tuple(sources_in(inputs))
    _check_targets(inputs, output, plot)
    sources = [read_source(path, frames) for path in inputs]
    found = estimate(sources, scale)
    write_estimate(found, output)
    if plot is not None:
        from sr_plugins.training.estimation.plot import plot_estimate

        plot_estimate(found, sources, plot)
    for line in found.lines():
        click.echo(line, err=True)
    click.echo(output)


def _check_targets(inputs: tuple[Path, ...], output: Path, plot: Path | None) -> None:
    """``DataError`` where a result would replace a source or the other result; to be asked before any work."""
    if output.suffix.lower() != ".toml":
        raise DataError(f"{output}: recipes are written as .toml, name the file so")
    for target, option in ((output, "-o"), (plot, "--plot")):
        if target is not None and any(_same_file(target, path) for path in inputs):
            raise DataError(f"{target} is one of the inputs and would be replaced: give {option} another name")
    if plot is not None and _same_file(output, plot):
        raise DataError(f"{plot} is the recipe that -o names: give --plot another name")


def _same_file(a: Path, b: Path) -> bool:
    # samefile sees what names do not tell: hard links, and case where the file system ignores it
    return a.resolve() == b.resolve() or (a.exists() and b.exists() and a.samefile(b))


@command.command("learn")
@click.argument("targets", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--clean", required=True, type=click.Path(path_type=Path), help="A folder of clean, large pictures.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The generator (.safetensors).")
@click.option("--scale", type=click.IntRange(2, 4), default=2, show_default=True)
@click.option("--iterations", type=click.IntRange(1), default=1500, show_default=True)
@click.option("--frames", type=click.IntRange(1), default=24, show_default=True, help="Frames of each film to look at.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@training_device
@overwrite_option
def learn_command(
    targets: tuple[Path, ...],
    clean: Path,
    output: Path,
    scale: int,
    iterations: int,
    frames: int,
    seed: int,
    device: str,
    overwrite: bool,
) -> None:
    """Learn to degrade clean pictures as TARGETS (pictures or films of anything) were, against a discriminator.

    The result is used by a recipe's step: [[degradation]] name = "learned", weights = "FILE.safetensors".
    """
    from sr_plugins.devices import device_of_torch
    from sr_plugins.training.degradations.learning import Learning, learn_degradation, write_generator
    from sr_plugins.training.estimation.source import read_source, sources_in
    from sr_plugins.training.picture_files import list_pictures, read_rgb
    from sr_plugins.weights.safetensors_files import check_weights_name

    check_weights_name(output)
    check_targets(overwrite, output)
    place = device_of_torch(device)
    pictures = [read_rgb(path) for path in list_pictures(clean)]
    wanted = [frame for path in sources_in(targets) for frame in read_source(path, frames).frames]

    def report(learning: Learning) -> None:
        click.echo(
            f"{learning.iteration} / {learning.iterations}  {learning.distance:.1f} dB from the target (best "
            f"{learning.best:.1f})  the discriminator is right in {learning.told_apart:.0%}",
            err=True,
        )

    generator = learn_degradation(
        pictures, wanted, scale, iterations=iterations, seed=seed, device=place, report=report
    )
    data = f"{len(pictures)} clean pictures of {clean.name}, {len(wanted)} target pictures"
    write_generator(generator, output, {"data": data, "iterations": iterations, "seed": seed})
    click.echo(output)
