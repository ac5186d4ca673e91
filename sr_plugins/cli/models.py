"""``srp models``: what can be run, for people first; ``--all`` and ``--json`` tell the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from sr_plugins.cli.examples import examples
from sr_plugins.cli.library import add, inspect, listed, remove
from sr_plugins.cli.subcommands import Subcommands
from sr_plugins.errors import WeightsError
from sr_plugins.interface.model import ModelSpec
from sr_plugins.plugins import OUR_DISTRIBUTION, plugins
from sr_plugins.weights.safetensors_files import count_parameters, read_card

WIDTH = 80  # columns where there is no terminal

# What a model is for; those of the literature, which teach how the four shapes compare, are listed with --all.
WHAT_FOR = {
    "auto": "looks at each picture or film and takes one of these: the default",
    "fast": "clean pictures and films",
    "photo": "JPEGs from phones, cameras and the web: takes their traces away",
    "restore": "the same in gray pictures and single frames of films",
    "film": "films that were compressed: looks at five frames for each",
    "quality": "clean pictures, the best and slowest",
    "realtime": "a little less than fast, for films in a hurry",
    "tiny": "the fastest, still far better than bicubic",
}


def _numbers(spec: ModelSpec) -> tuple[dict[str, Any], int | None]:
    """The card and the number of parameters, as far as the weights file tells; ``WeightsError`` if it is broken."""
    if spec.weights is None:
        return {}, None
    if spec.weights.suffix == ".safetensors":
        return read_card(spec.weights), count_parameters(spec.weights)
    if not os.path.isfile(spec.weights):  # noqa: PTH113 - Path's own raises for names that no file can have
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


def _is_model(name: str) -> bool:
    return any(spec.name == name for spec in plugins().models())


@click.group(
    "models",
    cls=Subcommands,
    of_files="inspect",
    is_named=_is_model,
    invoke_without_command=True,
    epilog=examples(
        "srp models",
        "srp models --all",
        "srp image photo.jpg --model quality",
    ),
)
@click.option("--all", "everything", is_flag=True, help="Every model and scale, with sizes and measured quality.")
@click.option("--json", "as_json", is_flag=True, help="A list of objects on stdout.")
@click.pass_context
def command(ctx: click.Context, everything: bool, as_json: bool) -> None:
    """List the models and what each is for; look into weights files, and keep them under names."""
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
    console = Console()
    if not console.is_terminal:  # the same in a pipe, a file and on a page
        console.width = WIDTH
    ours = {spec.name for spec in found.models() if found.owner_of(spec) == OUR_DISTRIBUTION}
    console.print(_everything(models) if everything else _for_people(models, ours))
    if not everything:
        click.echo(
            "A weights file (.safetensors, .pth, .onnx, .param) is named by its path.\nsrp models --all: the rest."
        )


def _for_people(models: list[dict[str, Any]], ours: set[str]) -> Table:
    from sr_plugins.backends.kept_speed import kept_speeds

    speeds = kept_speeds()
    table = Table(box=box.SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    usable = [model for model in models if model["usable"]]
    shown = [name for name in WHAT_FOR if name == "auto" or any(m["name"] == name for m in usable)]
    shown += sorted({model["name"] for model in usable} - ours - set(WHAT_FOR))  # what plugins bring
    rows = []
    for name in shown:
        mine = [model for model in usable if model["name"] == name or (name == "auto" and model["name"] == "fast")]
        scales = sorted({model["scale"] for model in mine})
        rates = {scale: speeds[label] for scale in scales if (label := f"{name} x{scale}") in speeds}
        purpose = WHAT_FOR.get(name) or mine[0]["shape"]
        row = {"model": escape(name), "enlarges": ", ".join(f"x{scale}" for scale in scales), "here": _rate(rates)}
        licences = dict.fromkeys(m["license"] for m in mine if name != "auto")
        rows.append(row | {"licence": escape(", ".join(licences)), "what for": escape(purpose)})
    for column in rows[0] if rows else ():
        if column != "here" or any(row[column] for row in rows):  # of models that ran here
            last = column == "what for"
            table.add_column(column, no_wrap=not last, ratio=1 if last else None)
    for row in rows:
        table.add_row(*(row[str(column.header)] for column in table.columns))
    return table


def _rate(rates: dict[int, float]) -> str:
    """Megapixels of the result that come out in a second, where it was measured, at the smallest scale."""
    return f"{next(iter(rates.values())):.2g} MP/s" if rates else ""


def _everything(models: Iterable[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE, show_edge=False, padding=(0, 1, 0, 0))
    for name in ("model", "scale", "of", "parameters", "Set5 dB", "licence"):
        table.add_column(name, no_wrap=True)
    table.add_column("shape", ratio=1)
    for model in models:
        untrained = not model["usable"] and model["weights"] is None
        psnr = model["metrics"].get("Set5", {}).get("psnr")
        table.add_row(
            escape(model["name"]),
            f"x{model['scale']}",
            model["channels"],
            f"{model['parameters']:,}" if model["parameters"] else "not trained" if untrained else "",
            "" if psnr is None else f"{psnr:.2f}",
            escape(model["license"]),
            escape(model["shape"]),
            style=None if model["usable"] else "dim",
        )
    return table


for further in (inspect, add, listed, remove):
    command.add_command(further)
