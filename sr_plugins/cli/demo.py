"""``srp demo``: see on real photographs what the default model does."""

from __future__ import annotations

from pathlib import Path

import click

from sr_plugins.cli import completing
from sr_plugins.cli.examples import examples
from sr_plugins.cli.files import check_targets, overwrite_option
from sr_plugins.cli.options import check_way, make_upscaler, setting_options


@click.command(
    "demo",
    epilog=examples(
        "srp demo",
        "srp demo --model quality",
        "srp demo -o before-after.png",
    ),
)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("demo-output/before-after.png"),
    show_default=True,
    help="The picture to write.",
)
@click.option(
    "--model",
    default="fast",
    show_default=True,
    shell_complete=completing.model_or_file,
    help="A registered x2 model or a weights file.",
)
@overwrite_option
@setting_options("device")
def command(output: Path, model: str, overwrite: bool, device: str) -> None:
    """Shrink real photographs by 2, enlarge them again and draw the result beside the original."""
    if output.suffix.lower() != ".png":
        raise click.BadParameter(f"{output} is no picture as this one: its name ends in .png", param_hint="--output")
    check_way({"device": device})
    from sr_plugins.evaluation.demonstration import demonstrate

    check_targets(overwrite, output, output.with_suffix(".html"))
    with make_upscaler(model=model, scale=2, device=device) as upscaler:
        click.echo(f"srp: {upscaler.description}", err=True)
        comparisons = demonstrate(output, upscaler)
    for comparison in comparisons:
        values = ", ".join(f"{way} {value:.2f} dB" for way, value in comparison.psnr.items())
        click.echo(f"{comparison.photograph}: {values}")
    click.echo(f"The picture is {output.resolve()}")
    click.echo(f"To compare them, open {output.resolve().with_suffix('.html')} in a browser")
