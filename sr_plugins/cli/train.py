"""``srp train``: run a training recipe."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--data", required=True, type=click.Path(path_type=Path), help="A folder of pictures to learn from.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run. [default: runs/RECIPE]")
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this long; --resume goes on.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:1.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Of the forward pass; auto: the faster one.",
)
def command(
    recipe: Path, data: Path, out: Path | None, resume: bool, minutes: float | None, device: str, precision: str
) -> None:
    """Train the network that RECIPE describes on the pictures of a folder.

    The run's folder receives the weights, checkpoints, log.jsonl and a plot of the loss. SIGTERM and Ctrl-C save a
    checkpoint first. On several GPUs: torchrun --nproc-per-node=4 --no-python srp train RECIPE ...
    """
    from sr_plugins.training.run.recipe import read_recipe
    from sr_plugins.training.run.run_folder import Progress
    from sr_plugins.training.run.trainer import train

    def report(progress: Progress) -> None:
        psnr = "" if progress.psnr is None else f"  validation {progress.psnr:.3f} dB"
        rest = (progress.iterations - progress.iteration) * progress.seconds / progress.iteration
        click.echo(
            f"{progress.iteration:>8} / {progress.iterations}  loss {progress.loss:.5f}{psnr}"
            f"  {progress.seconds / 60:.1f} min, {rest / 60:.1f} to go",
            err=True,
        )

    plan = read_recipe(recipe)
    weights = train(
        plan,
        data,
        out or Path("runs") / recipe.stem,
        resume=resume,
        minutes=minutes,
        device=device,
        precision=precision,
        report=report,
    )
    click.echo(weights)
