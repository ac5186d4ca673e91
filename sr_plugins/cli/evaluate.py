"""``srp evaluate``: measure a model on a folder of test pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from sr_plugins.cli import completing
from sr_plugins.cli.examples import examples
from sr_plugins.cli.options import check_way, make_upscaler, upscaler_options
from sr_plugins.errors import PluginError

if TYPE_CHECKING:
    from sr_plugins.evaluation.quality import Result
    from sr_plugins.interface.metric import MetricSpec
    from sr_plugins.interface.model import ModelSpec


@click.command(
    epilog=examples(
        "srp evaluate --model fast --data Set5",
        "srp evaluate --model 4x-Any.pth --data BSD100 --metrics psnr,ssim --json",
        "srp evaluate --model restore --data BSD100 --degradation jpeg.toml",
    )
)
@upscaler_options("fast", chooses=False)
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    help="High-resolution pictures, with the low-resolution ones in LRx2, LRx3 ... beside them; made where absent. Or a"
    " film, or a folder of films and of folders with frames.",
)
@click.option(
    "--metrics",
    default="psnr,ssim",
    show_default=True,
    shell_complete=completing.metrics,
    help="Names, separated by commas.",
)
@click.option(
    "--degradation",
    type=click.Path(path_type=Path),
    help="Make the low-resolution pictures with the [[degradation]] chain of this file.",
)
@click.option("--frames", type=click.IntRange(min=1), help="Of clips: only the first so many.")
@click.option(
    "--crf", type=click.IntRange(0, 51), help="Of clips: code the small frames as H.264 of this quality first."
)
@click.option("--write-card", is_flag=True, help="Note the means in the weights file's model card.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def command(
    data: Path,
    metrics: str,
    degradation: Path | None,
    frames: int | None,
    crf: int | None,
    write_card: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure PSNR, SSIM and more on test pictures or clips, with bicubic interpolation beside.

    The protocol is the literature's: luma (BT.601, 8 bits), a border of SCALE pixels left out. To models that see
    other frames, a folder of pictures is one clip.
    """
    from sr_plugins.evaluation import clips
    from sr_plugins.evaluation import quality as evaluation
    from sr_plugins.plugins import plugins
    from sr_plugins.training.degradations.chain import read_chain, read_tables
    from sr_plugins.training.picture_files import list_pictures

    if options["size"] is not None:
        raise click.UsageError("--size makes no sense here: test pictures have their own; use --scale")
    check_way(options)
    # each once: the values of a metric named twice would stand in one column
    names = list(dict.fromkeys(name.strip() for name in metrics.split(",") if name.strip()))
    if not names:
        raise click.UsageError("--metrics names no metric; leave it out for PSNR and SSIM")
    specs: list[MetricSpec] = [plugins().named("sr_metrics", "metric", name) for name in names]
    for spec in specs:
        if missing := spec.missing():
            raise PluginError(f"metric {spec.name} cannot be used: {missing}")
    if not clips.find_clips(data, frames_of_one=False):  # told before the upscaler takes its time
        list_pictures(data)
    if degradation is not None:
        read_tables(degradation)
    with make_upscaler(**options) as upscaler:
        factor = upscaler.native_scale if upscaler.scale is None else upscaler.scale
        if factor != int(factor):
            raise click.UsageError(f"--scale {factor}: test pictures have whole scales")
        scale, spec_of_model = int(factor), upscaler.loaded.spec
        card = _card_file(options["model"], spec_of_model) if write_card else None
        found = clips.find_clips(data, frames_of_one=spec_of_model.window != (0, 0))
        _check_kind(found, specs, degradation, frames, crf)
        with Console(stderr=True).status(f"{upscaler.description}, {data}") as status:
            done = lambda name: status.update(f"{name} done")  # noqa: E731
            if found:
                enlarge = {spec_of_model.name: clips.enlarge_with(upscaler), "bicubic": clips.bicubic(scale)}
                read = (clips.read_clip(path, scale, frames=frames, crf=crf) for path in found)
                results = clips.evaluate_clips(enlarge, read, scale, specs, done)
            else:
                shrink = read_chain(degradation, scale).seeded(seed=1) if degradation else None
                ways = {spec_of_model.name: evaluation.upscale_with(upscaler), "bicubic": evaluation.bicubic(scale)}
                results = evaluation.evaluate(ways, data, scale, specs, shrink=shrink, done=done)

    name = data.resolve().name + (f" {degradation.stem}" if degradation else "")
    name += ("" if crf is None else f" H.264 {crf}") + ("" if frames is None else f" {frames} frames")
    name += " self-ensemble" if options["self_ensemble"] else ""
    name += " int8" if options["precision"] == "int8" else ""
    if as_json:
        told = {way: _told(result, specs) for way, result in results.items()}
        click.echo(json.dumps({"scale": scale, "data": str(data), "results": told}, indent=2))
    else:
        Console(soft_wrap=True).print(_table(f"{name} x{scale}", results, specs))
    if card is not None:  # last: what was measured is not lost where the file cannot be written
        means = {s.name: _rounded(results[spec_of_model.name].mean(s.name), s) for s in specs}
        evaluation.write_card(card, name, scale, means)


def _check_kind(
    clips: list[Path], specs: list[MetricSpec], degradation: Path | None, frames: int | None, crf: int | None
) -> None:
    """What was asked for must be of the kind of data that is there."""
    if not clips and (frames is not None or crf is not None):
        raise click.UsageError("--frames and --crf are for clips: a film, or a folder of films and folders of frames")
    if clips and degradation is not None:
        raise click.UsageError("--degradation is for pictures; --crf codes clips")
    for spec in specs if clips else []:
        if spec.channels != "luma":
            raise click.UsageError(f"metric {spec.name} looks at colours, and of clips luma alone is measured")


def _card_file(model: str, spec: ModelSpec) -> Path:
    """The weights file that the measured model came from, seen to be one that can take a card."""
    from sr_plugins.plugins import plugins
    from sr_plugins.weights.open_model import weights_file
    from sr_plugins.weights.safetensors_files import check_weights_name

    path = weights_file(model) or spec.weights
    if path is None:
        raise click.UsageError("--write-card needs a model with a weights file")
    check_weights_name(path)
    plugins().open_weights(path)
    return path


def _rounded(value: float, spec: MetricSpec) -> float | None:
    """Two digits more than are worth printing; JSON has no infinity."""
    return round(value, spec.decimals + 2) if math.isfinite(value) else None


def _told(result: Result, specs: list[MetricSpec]) -> dict[str, Any]:
    pictures = [
        {"name": name} | {s.name: _rounded(result.values[s.name][i], s) for s in specs if _each(result, s)}
        for i, name in enumerate(result.names)
    ]
    return {"mean": {s.name: _rounded(result.mean(s.name), s) for s in specs}, "pictures": pictures}


def _each(result: Result, spec: MetricSpec) -> bool:
    """Whether there is a value for each name: a metric of clips has one for all pictures together."""
    return len(result.values[spec.name]) == len(result.names)


def _table(title: str, results: dict[str, Result], specs: list[MetricSpec]) -> Table:
    table = Table(title=title)
    table.add_column("picture")
    for spec in specs:
        for way in results:
            table.add_column(f"{spec.name} {'↑' if spec.larger_is_better else '↓'}\n{way}", justify="right")
    for i, name in enumerate(next(iter(results.values())).names):
        cells = [
            f"{result.values[spec.name][i]:.{spec.decimals}f}" if _each(result, spec) else ""
            for spec in specs
            for result in results.values()
        ]
        table.add_row(name, *cells)
    table.add_section()
    table.add_row("mean", *(f"{r.mean(s.name):.{s.decimals}f}" for s in specs for r in results.values()))
    return table
