"""``srp bench``: how fast models and backends are on this machine."""

from __future__ import annotations

import json
import math
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from typing import TYPE_CHECKING

import click

from sr_plugins.cli import completing
from sr_plugins.cli.examples import examples
from sr_plugins.cli.options import check_way, setting_options
from sr_plugins.cli.values_meant import size_meant
from sr_plugins.errors import SRError, UnknownNameError

if TYPE_CHECKING:
    from sr_plugins.evaluation.speed import Through
    from sr_plugins.pixels.frame import Frame
    from sr_plugins.upscaler import Upscaler

SIZES = "640x360,1280x720,1920x1080"
_SIZE = r"([0-9]+)x([0-9]+)"


def core(upscaler: Upscaler, pictures: Sequence[Frame], count: int) -> None:
    """``Upscaler.stream``."""
    from sr_plugins.evaluation.speed import through_core

    through_core(upscaler, pictures, count)


def pipe(upscaler: Upscaler, pictures: Sequence[Frame], count: int) -> None:
    """``srp pipe``."""
    from sr_plugins.evaluation.speed import through_pipe

    through_pipe(upscaler, pictures, count)


def vapoursynth(upscaler: Upscaler, pictures: Sequence[Frame], count: int) -> None:
    """The VapourSynth filter."""
    from vapoursynth_filter.speed import through_filter

    through_filter(upscaler, pictures, count)


def pillow(upscaler: Upscaler, pictures: Sequence[Frame], count: int) -> None:
    """The Pillow filter."""
    from sr_plugins.images.speed import through_pillow

    through_pillow(upscaler, pictures, count)


# How frames reach the core. The process that measures finds a way here by its name and imports what that needs alone.
WAYS: dict[str, Through] = {way.__name__: way for way in (core, pipe, vapoursynth, pillow)}


def _sizes(ctx: click.Context, parameter: click.Parameter, value: str) -> list[tuple[int, int]]:
    found = [re.fullmatch(_SIZE, part.strip().lower()) for part in value.split(",")]
    sizes = [(int(one[1]), int(one[2])) for one in found if one is not None]
    if len(sizes) < len(found):
        meant = next((m for m in map(size_meant, (value, *value.split(","))) if re.fullmatch(_SIZE, m)), SIZES)
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT, or several with commas, such as {meant}")
    if any(w < 2 or h < 2 for w, h in sizes):
        raise click.BadParameter(f"{value!r} holds a size below 2x2")
    return sizes


@click.command(
    "bench",
    epilog=examples(
        "srp bench",
        "srp bench --model tiny,fast --size 640x360 --backend openvino,torch",
        "srp bench --model fast --size 1920x1080 --precision int8",
    ),
)
@click.option(
    "-m",
    "--model",
    "--models",
    "names",
    default="",
    metavar="A,B",
    shell_complete=completing.models,
    help="[default: all that have weights]",
)
@click.option(
    "--backend",
    "--backends",
    "backends",
    default="",
    metavar="A,B",
    shell_complete=completing.backends,
    help="auto included. [default: all that are installed]",
)
@click.option(
    "--ways",
    default="core",
    show_default=True,
    metavar="A,B",
    help="How frames reach the core: core, pipe (srp pipe), vapoursynth, pillow, or all.",
)
@click.option(
    "--size", "--sizes", "sizes", default=SIZES, show_default=True, callback=_sizes, help="Of the frames that go in."
)
@setting_options("device", "precision")
@click.option("--seconds", type=click.FloatRange(0.1), default=3.0, show_default=True, help="For each case.")
@click.option("--json", "as_json", is_flag=True, help="An object on stdout.")
def command(
    names: str,
    backends: str,
    ways: str,
    sizes: list[tuple[int, int]],
    device: str,
    precision: str,
    seconds: float,
    as_json: bool,
) -> None:
    """Measure frames per second, first-frame delay, memory, and the share of what the machine can compute.

    Each case runs in a process of its own on YUV 4:2:0 frames of 8 bits. Run it while the machine does nothing else.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from sr_plugins.evaluation.speed import Case, measure
    from sr_plugins.plugins import plugins

    found = plugins()
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        found.model(name)  # an unknown one is told before work
    specs = [s for s in found.models() if s.usable and (not wanted or s.name in wanted)]
    runtimes = [name.strip() for name in backends.split(",") if name.strip()]
    for runtime in runtimes:
        if runtime != "auto":
            found.backend(runtime)
    check_way({"device": device, "precision": precision})
    runtimes = runtimes or [b.name for b in found.backends() if b.missing() is None]
    through = list(WAYS) if ways == "all" else [name.strip() for name in ways.split(",")]
    for way in through:
        if way not in WAYS:
            raise UnknownNameError("way", way, list(WAYS))
    table = Table("model", "size", "runs on", "way", box=box.SIMPLE, show_edge=False)
    for title in ("fps", "first frame s", "memory MiB", "of peak"):
        table.add_column(title, justify="right")
    cases = list(product(specs, sizes, runtimes, through))
    results = []
    talk = Console(stderr=True)
    with talk.status("") as status:
        for i, (spec, (width, height), runtime, way) in enumerate(cases):
            status.update(f"{i + 1} of {len(cases)}: {spec.label}, {width}x{height}, {runtime}, {way}")
            case = Case(
                model=spec.name,
                scale=spec.scale,
                settings={"backend": runtime, "precision": precision, "device": device},
                width=width,
                height=height,
            )
            try:
                speed = measure(case, seconds, WAYS[way])
            except SRError as error:
                talk.print(f"{spec.label}, {runtime}, {way}: {error}")
                continue
            memory = None if math.isnan(speed.memory) else round(speed.memory)
            share = None if math.isnan(speed.share_of_peak) else speed.share_of_peak
            told = asdict(case)
            told |= told.pop("settings") | {"way": way}
            results.append(told | asdict(speed) | {"memory": memory, "share_of_peak": share})
            table.add_row(
                spec.label,
                f"{width}x{height}",
                speed.description.partition(" on ")[2],
                way,
                f"{speed.fps:.2f}",
                f"{speed.first_frame:.2f}",
                "" if memory is None else str(memory),
                "" if share is None else f"{share:.0%}",
            )
    if as_json:
        click.echo(json.dumps({"machine": platform.platform(), "results": results}, indent=2))
    else:
        Console().print(table)
    if not results:
        raise SRError("nothing could be measured")
