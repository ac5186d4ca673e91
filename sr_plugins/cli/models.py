"""``srp models``: what can be run."""

from __future__ import annotations

import json
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sr_plugins.cli.library import add, inspect, listed, remove
from sr_plugins.errors import WeightsError
from sr_plugins.interface.model import ModelSpec
from sr_plugins.plugins import plugins
from sr_plugins.weights.safetensors_files import count_parameters, read_card


def _numbers(spec: ModelSpec) -> tuple[dict[str, Any], int | None]:
    """The card and the number of parameters, as far as the weights file tells; ``WeightsError`` if it is broken."""
    if spec.weights is None:
        return {}, None
    if spec.weights.suffix == ".safetensors":
        return read_card(spec.weights), count_parameters(spec.weights)
    if not spec.weights.is_file():
        raise WeightsError(f"no weights for {spec.label}: {spec.weights} does not exist")
    return {}, None


def described(spec: ModelSpec, problems: list[str]) -> dict[str, Any]:
    """One model as ``--json`` tells it; numbers come from the weights file, so no network is built.

    A broken file goes to ``problems`` and leaves the numbers empty: the other models are listed all the same.
    """
    card: dict[str, Any] = {}
    parameters, usable = None, spec.usable
    try:
        card, parameters = _numbers(spec)
    except WeightsError as error:
        usable = False
        problems.append(f"{spec.label} cannot be used: {error}")
    # LapSRN's x2 comes out of its x4 weights, whose card tells both
    other = "" if card.get("scale", spec.scale) == spec.scale else f" x{spec.scale}"
    metrics = card.get("metrics", {})
    return {
        "name": spec.name,
        "scale": spec.scale,
        "shape": spec.architecture,
        "channels": spec.channels,
        "parameters": parameters,
        "weights": None if spec.weights is None else str(spec.weights),
        "usable": usable,
        "metrics": {name.removesuffix(other): value for name, value in metrics.items() if name.endswith(other)},
        "license": spec.license,
    }


@click.group("models", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="A list of objects on stdout.")
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the models that are installed; look into weights files, and keep them under names."""
    if ctx.invoked_subcommand is not None:
        return
    found = plugins()
    broken: list[str] = []
    models = [described(spec, broken) for spec in found.models()]
    for problem in found.problems + broken:
        click.echo(f"srp: {' '.join(problem.split())}", err=True)
    if as_json:
        click.echo(json.dumps(models, indent=2))
        return
    table = Table(box=box.SIMPLE)
    for name in ("model", "scale", "works on", "parameters", "Set5 dB", "licence"):
        table.add_column(name, no_wrap=True)
    table.add_column("shape")  # takes what width is left
    for model in models:
        untrained = not model["usable"] and model["weights"] is None
        psnr = model["metrics"].get("Set5", {}).get("psnr")
        table.add_row(
            escape(model["name"]),
            f"x{model['scale']}",
            model["channels"],
            f"{model['parameters']:,}" if model["parameters"] else "not trained yet" if untrained else "",
            "" if psnr is None else f"{psnr:.2f}",
            escape(model["license"]),
            escape(model["shape"]),
            style=None if model["usable"] else "dim",
        )
    console = Console()
    if not console.is_terminal:  # a pipe or a file has all the width there is
        console.width = 1000
    console.print(table)


for further in (inspect, add, listed, remove):
    command.add_command(further)
