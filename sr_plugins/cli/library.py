"""``srp models inspect``, ``add``, ``list``, ``remove``: weights files of others, and the user's library of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from sr_plugins.cli import completing
from sr_plugins.errors import SRError, WeightsError, one_line
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.plugins import plugins

SIDE = 128  # pixels of the picture whose time is taken


@click.command("inspect")
@click.argument("model", metavar="FILE", shell_complete=completing.model_or_file)
@click.option("--json", "as_json", is_flag=True, help="One object on stdout.")
@click.option("--speed/--no-speed", default=True, show_default=True, help="Take the time of a small picture.")
def inspect(model: str, as_json: bool, speed: bool) -> None:
    """Tell what a weights file is and does: found out by running it on small pictures, once."""
    from sr_plugins.weights.open_model import open_model

    told = described(open_model(model))
    if speed:
        told |= _speed(model)
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    wide = max(map(len, told))
    for name, value in told.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"{name:{wide}}  {'none' if text in ('', None) else text}")


def described(loaded: LoadedModel) -> dict[str, Any]:
    """What is known of an opened model, as ``--json`` tells it."""
    from sr_plugins.weights.digest import weights_digest
    from sr_plugins.weights.library import digest_of, files_of

    spec, how = loaded.spec, loaded.card.get("how", {})
    files = [] if spec.weights is None or not spec.weights.is_file() else files_of(spec.weights)
    return {
        "name": spec.name,
        "network": spec.architecture,
        "form": loaded.network.form,
        "scale": spec.scale,
        "channels": spec.channels,
        "purpose": spec.purpose,
        "tiles": tiles_of(spec),
        "radius": spec.receptive_radius,
        "margin": spec.margin,
        "period": spec.tile_multiple,
        "sides are multiples of": how.get("size_multiple", spec.size_multiple),
        "smallest side": how.get("minimum_size", spec.minimum_size),
        "bytes at work for each input pixel": spec.working_bytes,
        "precisions": list(spec.precisions or ["all"]),
        "licence": spec.license or "unknown",
        "files": [str(file) for file in files],
        "sha256": digest_of(files) if files else None,
        "digest": weights_digest(loaded),
    }


def tiles_of(spec: ModelSpec) -> str:
    """How the tiles of a large picture join, in words."""
    if spec.averages:
        return f"exact, in {len(spec.averages) + 1} passes: {len(spec.averages)} averages over the picture"
    if spec.receptive_radius is None:
        return f"blend over {spec.overlap or 0} pixels: the network mixes the whole picture"
    if spec.margin is not None:
        return f"read {spec.margin} pixels beyond themselves: within 0.1 of a code where it was tried"
    return f"exact: read {spec.receptive_radius} pixels beyond themselves"


def _speed(model: str) -> dict[str, Any]:
    import numpy as np

    from sr_plugins.pixels.frame import Frame, FrameFormat
    from sr_plugins.upscaler import Upscaler

    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE)).astype(np.uint8)
    frame = Frame([ramp, ramp, ramp], FrameFormat(family="rgb"))
    with Upscaler(model, reuse=False) as upscaler:
        upscaler.upscale(frame)
        began = time.perf_counter()
        upscaler.upscale(frame)
        seconds = time.perf_counter() - began
    return {"runs here as": upscaler.description, "input pixels a second here": round(SIDE * SIDE / seconds)}


@click.command("add")
@click.argument("files", metavar="FILE...", nargs=-1, type=click.Path(path_type=Path))
@click.option("--package", metavar="NAME", help="All weights files that lie in an installed Python package.")
@click.option("--name", help="What to call it. [default: the file's name]")
@click.option("--license", "license", metavar="TEXT", default="", help="Of the weights, where you know it.")
def add(files: tuple[Path, ...], package: str | None, name: str | None, license: str) -> int:
    """Keep copies of weights files under names that work wherever a model's name does.

    Give the .param of an ncnn pair. Of a package's files those that cannot be used are named and left out.
    """
    from sr_plugins.weights.library import add as keep
    from sr_plugins.weights.library import packaged

    if bool(files) == bool(package):
        raise click.UsageError("name weights files, or a package with --package")
    source, declared, asked = "", license, list(files)
    if package:
        asked, told = packaged(package)
        source = f"package {package}"
        # a package's licence is not that of the weights in it
        declared = license or (f"unknown (the package: {told})" if told else "unknown")
    if name and len(asked) != 1:
        raise click.UsageError("--name is for one file")
    found, failures = plugins(), 0
    for path in asked:
        try:
            told_by = source or str(path.absolute())
            entry = keep(path, found, name=name, license=declared, source=told_by, by_folder=bool(package))
        except SRError as error:
            failures += 1
            click.echo(f"srp: {one_line(error)}", err=True)
            continue
        click.echo(f"{entry.label}  {entry.digest[:16]}  {entry.license}")
    if failures == len(asked):
        raise WeightsError(f"none of {failures} files could be added" if failures > 1 else f"{asked[0]} was not added")
    return 0 if package or not failures else 1


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="A list of objects on stdout.")
def listed(as_json: bool) -> None:
    """List the models that were added."""
    from sr_plugins.weights.library import entries

    found = entries()
    if as_json:
        names = {"sha256": "digest", "file": "path", "licence": "license", "source": "source"}
        told = [{"name": e.name, **{k: str(getattr(e, v)) for k, v in names.items()}, **e.told} for e in found]
        click.echo(json.dumps(told, indent=2))
        return
    if not found:
        click.echo("none was added yet: srp models add FILE; srp models lists the others", err=True)
    wide = max((len(entry.label) for entry in found), default=0)
    for entry in found:
        click.echo(f"{entry.label:{wide}}  {entry.digest[:16]}  {entry.license}  {entry.source}")


@click.command("remove")
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=completing.added_models)
def remove(names: tuple[str, ...]) -> None:
    """Forget models that were added, by name, by "NAME xSCALE" or by digest, and delete the copies of their files."""
    from sr_plugins.weights.library import remove as forget

    for name in names:
        for entry in forget(name):
            click.echo(f"removed {entry.label}  {entry.digest[:16]}")
