"""``srp train``: run a training recipe, or a queue of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sr_plugins.cli import completing
from sr_plugins.cli.examples import examples
from sr_plugins.cli.options import training_device

if TYPE_CHECKING:
    from sr_plugins.training.run.run_folder import Progress

LOWEST_PRIORITY = 19


@click.command(
    epilog=examples(
        "srp train fast-x2 --data PICTURES",
        "srp train mine.toml --data PICTURES --out runs/mine --resume",
        "srp train --queue queue.toml --data PICTURES --minutes 60",
    )
)
@click.argument("recipe", required=False, type=click.Path(path_type=Path), shell_complete=completing.recipe)
@click.option("--queue", type=click.Path(path_type=Path), help="Go through the recipes that this TOML file lists.")
@click.option("--data", type=click.Path(path_type=Path), help="A folder of pictures to learn from.")
@click.option("--out", type=click.Path(path_type=Path), help="The run's folder, or the runs'. [default: runs/RECIPE]")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint. A queue always does.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this long; --resume goes on.")
@training_device
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of the forward pass; auto: the faster one.",
)
def command(
    recipe: Path | None,
    queue: Path | None,
    data: Path | None,
    out: Path | None,
    resume: bool,
    minutes: float | None,
    device: str,
    precision: str,
) -> None:
    """Train the network that RECIPE describes on the pictures of a folder.

    RECIPE is a TOML file, or the name of one that we ship, such as fast-x2.
    The run's folder receives the weights, checkpoints, log.jsonl and a plot of the loss. SIGTERM and Ctrl-C save a
    checkpoint first. On several GPUs: torchrun --nproc-per-node=4 --no-python srp train RECIPE ...

    With --queue, run after run on one core at the lowest priority. The same command goes on after any stop.
    """
    if (recipe is None) == (queue is None):
        raise click.UsageError("give either a RECIPE or --queue FILE")
    if queue is None and data is None:
        raise click.UsageError("--data is missing: a folder of pictures, as in srp train fast-x2 --data PICTURES")
    from sr_plugins.devices import device_of_torch

    device_of_torch(device)
    signals: list[int] = []
    if queue is not None:
        from sr_plugins.training.run.queue import run_queue

        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, 0, LOWEST_PRIORITY)
        done = run_queue(
            queue,
            data,
            out or Path("runs"),
            minutes=minutes,
            device=device,
            precision=precision,
            report=lambda run, progress: _report(progress, f"{run.recipe.path.stem}  "),
            stopped=signals.append,
        )
        for run in done:
            click.echo(run.weights)
        if signals:
            raise SystemExit(128 + signals[0])
        return
    assert recipe is not None
    assert data is not None
    from sr_plugins.training.run.recipe import find_recipe, read_recipe
    from sr_plugins.training.run.trainer import train

    seen: list[Progress] = []

    def report(progress: Progress) -> None:
        seen.append(progress)
        _report(progress)

    weights = train(
        read_recipe(find_recipe(recipe)),
        data,
        out or Path("runs") / recipe.stem,
        resume=resume,
        minutes=minutes,
        device=device,
        precision=precision,
        report=report,
        stopped=signals.append,
    )
    click.echo(weights)
    if seen and (last := seen[-1]).iteration < last.iterations:
        click.echo(f"srp: stopped after {last.iteration} of {last.iterations} iterations: --resume goes on", err=True)
    if signals:
        raise SystemExit(128 + signals[0])


def _report(progress: Progress, before: str = "") -> None:
    psnr = "" if progress.psnr is None else f"  validation {progress.psnr:.3f} dB"
    rest = (progress.iterations - progress.iteration) * progress.seconds / progress.iteration
    click.echo(
        f"{before}{progress.iteration:>8} / {progress.iterations}  loss {progress.loss:.5f}{psnr}"
        f"  {progress.seconds / 60:.1f} min, {rest / 60:.1f} to go",
        err=True,
    )
