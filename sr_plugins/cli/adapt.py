"""``srp adapt``: fit a trained network to one source."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sr_plugins.cli import completing
from sr_plugins.cli.examples import examples
from sr_plugins.cli.files import check_targets, overwrite_option
from sr_plugins.cli.options import training_device


@click.command(
    epilog=examples(
        "srp adapt film.mkv -o film.safetensors",
        "srp adapt scans/ -o scans.safetensors --iterations 400",
        "srp adapt film.mkv -o film.safetensors --degradation film.toml",
    )
)
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The weights (.safetensors).")
@click.option(
    "--model",
    default="fast",
    show_default=True,
    shell_complete=completing.model_or_file,
    help="A registered name or a weights file to start from.",
)
@click.option("--scale", type=click.IntRange(2, 8), help="Which of the model's scales. [default: its first]")
@click.option(
    "--degradation",
    type=click.Path(path_type=Path),
    help="What srp degradation estimate wrote, or any [[degradation]] steps. [default: estimated now]",
)
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=10, show_default=True, help="At most.")
@click.option("--iterations", type=click.IntRange(0), default=1000, show_default=True, help="0: the filter alone.")
@click.option(
    "--frames", type=click.IntRange(1), default=24, show_default=True, help="Frames of each film to learn from."
)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@training_device
@overwrite_option
def command(
    inputs: tuple[Path, ...],
    output: Path,
    model: str,
    scale: int | None,
    degradation: Path | None,
    minutes: float,
    iterations: int,
    frames: int,
    seed: int,
    device: str,
    overwrite: bool,
) -> None:
    """Adapt a model to pictures, films or folders of them, from them alone.

    The weights go into --model of every command.

    Some frames are held out (not trained on, but judged by); on those the result is never worse than the model it
    began with.
    """
    from sr_plugins.training.adaptation.adapt_source import adapt_source
    from sr_plugins.training.adaptation.adaptation import Step
    from sr_plugins.weights.safetensors_files import check_weights_name

    check_weights_name(output)
    check_targets(overwrite, output)

    def report(step: Step) -> None:
        end = "\r" if sys.stderr.isatty() else "\n"
        text = f"{step.progress:4.0%}  {step.iteration} iterations  held-out frames {step.best:.3f} dB"
        click.echo(text + end, nl=False, err=True)

    found = adapt_source(
        list(inputs),
        output,
        model=model,
        scale=scale,
        degradation=degradation,
        minutes=minutes,
        iterations=iterations,
        frames=frames,
        seed=seed,
        device=device,
        talk=lambda line: click.echo(line, err=True),
        report=report,
    )
    if found.way == "unchanged":
        click.echo(f"nothing gained: {found.reason}; the weights are those of {found.loaded.spec.label}", err=True)
    else:
        how = "its filter alone" if found.way == "filter" else "training"
        click.echo(f"gained {found.gain:.2f} dB on frames held out ({how}), now {found.after:.2f} dB", err=True)
    click.echo(output)
