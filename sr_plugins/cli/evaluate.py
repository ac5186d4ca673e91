"""``srp evaluate``: measure a model on a folder of test pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from sr_plugins.cli.options import make_upscaler, upscaler_options
from sr_plugins.errors import PluginError


@click.command()
@upscaler_options
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="High-resolution pictures, with the low-resolution ones in LRx2, LRx3 ... beside them; made where absent.",
)
@click.option("--metrics", default="psnr,ssim", show_default=True, help="Names, separated by commas.")
@click.option(
    "--degradation",
    type=click.Path(path_type=Path),
    help="Make the low-resolution pictures with the [[degradation]] chain of this file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(data: Path, metrics: str, degradation: Path | None, as_json: bool, **options: object) -> None:
    """Measure PSNR, SSIM and more on test pictures, with bicubic interpolation beside.

    The protocol is the literature's: luma (BT.601, 8 bits), a border of SCALE pixels left out.
    """
    from sr_plugins.metrics.evaluation import Result, bicubic, evaluate, upscale_with
    from sr_plugins.plugins import plugins

    if options["size"] is not None:
        raise click.UsageError("--size makes no sense here: test pictures have their own; use --scale")
    specs = [plugins().named("sr_metrics", "metric", name.strip()) for name in metrics.split(",") if name.strip()]
    for spec in specs:
        if missing := spec.missing():
            raise PluginError(f"metric {spec.name} cannot be used: {missing}")
    with make_upscaler(**options) as upscaler:  # type: ignore[arg-type]
        scale = upscaler.native_scale if upscaler.scale is None else upscaler.scale
        if scale != int(scale):
            raise click.UsageError(f"--scale {scale}: test pictures have whole scales")
        scale = int(scale)
        shrink = None
        if degradation is not None:
            from sr_plugins.training.degradation_chain import read_chain

            shrink = read_chain(degradation, scale).seeded(seed=1)
        talk = Console(stderr=True)
        with talk.status(f"{upscaler.description}, {data}") as status:
            ways = {upscaler.loaded.spec.name: upscale_with(upscaler), "bicubic": bicubic(scale)}
            results = evaluate(ways, data, scale, specs, shrink=shrink, done=lambda name: status.update(f"{name} done"))

    def rounded(value: float, decimals: int) -> float | None:
        return round(value, decimals) if math.isfinite(value) else None

    def told(result: Result) -> dict[str, object]:
        pictures = [
            {"name": name} | {s.name: rounded(result.values[s.name][i], s.decimals + 2) for s in specs if not s.clip}
            for i, name in enumerate(result.names)
        ]
        return {"mean": {s.name: rounded(result.mean(s.name), s.decimals + 2) for s in specs}, "pictures": pictures}

    if as_json:
        means = {way: told(result) for way, result in results.items()}
        click.echo(json.dumps({"scale": scale, "data": str(data), "results": means}, indent=2))
        return
    table = Table(title=f"{data} x{scale}")
    table.add_column("picture")
    for spec in specs:
        for way in results:
            table.add_column(f"{spec.name} {'↑' if spec.larger_is_better else '↓'}\n{way}", justify="right")
    for i, name in enumerate(next(iter(results.values())).names):
        cells = [
            "" if spec.clip else f"{result.values[spec.name][i]:.{spec.decimals}f}"
            for spec in specs
            for result in results.values()
        ]
        table.add_row(name, *cells)
    table.add_section()
    table.add_row("mean", *(f"{r.mean(s.name):.{s.decimals}f}" for s in specs for r in results.values()))
    Console(soft_wrap=True).print(table)
