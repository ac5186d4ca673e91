"""``srp models``: what can be run."""

from __future__ import annotations

import json
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from sr_plugins.model_spec import ModelSpec
from sr_plugins.plugins import plugins
from sr_plugins.weights import count_parameters, read_card


def described(spec: ModelSpec) -> dict[str, Any]:
    """One model as ``--json`` tells it; numbers come from the weights file, so no network is built."""
    card: dict[str, Any] = {}
    parameters = None
    other = ""  # LapSRN's x2 comes out of its x4 weights, whose card tells both
    if spec.weights is not None and spec.weights.suffix == ".safetensors":
        card = read_card(spec.weights)
        parameters = count_parameters(spec.weights)
        other = "" if card.get("scale", spec.scale) == spec.scale else f" x{spec.scale}"
    metrics = card.get("metrics", {})
    return {
        "name": spec.name,
        "scale": spec.scale,
        "shape": spec.architecture,
        "channels": spec.channels,
        "parameters": parameters,
        "weights": None if spec.weights is None else str(spec.weights),
        "usable": spec.usable,
        "metrics": {name.removesuffix(other): value for name, value in metrics.items() if name.endswith(other)},
        "license": spec.license,
    }


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="A list of objects on stdout.")
def command(as_json: bool) -> None:
    """List the models that are installed."""
    found = plugins()
    models = [described(spec) for spec in found.models()]
    for problem in found.problems:
        click.echo(f"srp: {problem}", err=True)
    if as_json:
        click.echo(json.dumps(models, indent=2))
        return
    table = Table(box=box.SIMPLE)
    for name in ("model", "scale", "works on", "parameters", "Set5 dB", "licence"):
        table.add_column(name, no_wrap=True)
    table.add_column("shape")  # takes what width is left
    for model in models:
        psnr = model["metrics"].get("Set5", {}).get("psnr")
        table.add_row(
            model["name"],
            f"x{model['scale']}",
            model["channels"],
            f"{model['parameters']:,}" if model["parameters"] else "" if model["usable"] else "not trained yet",
            "" if psnr is None else f"{psnr:.2f}",
            model["license"],
            model["shape"],
            style=None if model["usable"] else "dim",
        )
    console = Console()
    if not console.is_terminal:  # a pipe or a file has all the width there is
        console.width = 1000
    console.print(table)
