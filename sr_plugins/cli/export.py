"""``srp export``: a network for players, other runtimes and the programs around them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sr_plugins.cli import completing
from sr_plugins.cli.examples import examples
from sr_plugins.cli.files import check_targets, overwrite_option
from sr_plugins.cli.options import parse_size
from sr_plugins.errors import ArgumentError


@click.command(
    "export",
    epilog=examples(
        "srp export tiny -o tiny-x2.glsl",
        "srp export fast --scale 4 -o fast-x4.param",
        "srp export 4x-Any.pth -o any.onnx --half",
    ),
)
@click.argument("model", shell_complete=completing.model_or_file)
@click.option("--scale", type=click.IntRange(1), help="Of the network. [default: its smallest]")
@click.option(
    "--format",
    metavar="NAME",
    shell_complete=completing.formats,
    help="onnx, glsl, ncnn, or a plugin's. [default: by the file's name]",
)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path), help="FILE.onnx ...")
@click.option("--channels", type=click.Choice(["luma", "rgb"]), help="onnx: rgb takes colour. [default: the network's]")
@click.option("--precision", type=click.Choice(["full", "half"]), help="[default: onnx full, glsl and ncnn half]")
@click.option("--half", is_flag=True, help="The same as --precision half.")
@click.option("--size", callback=parse_size, metavar="WxH", help="onnx: the only size it will take. [default: any]")
@click.option("--opset", type=click.IntRange(1), help="onnx: version of the operators.")
@click.option("--passes", type=click.Choice(["compute", "fragment"]), help="glsl: fragment for old OpenGL.")
@click.option("--levels", type=click.Choice(["limited", "full"]), help="glsl: of the video. [default: limited]")
@overwrite_option
def command(model: str, output: Path, half: bool, overwrite: bool, scale: int | None, **options: Any) -> None:
    """Write MODEL (a registered name or a weights file) for other programs.

    \b
    onnx  ONNX Runtime, OpenVINO, vs-mlrt, chaiNNer, VideoJaNai
    glsl  mpv and whatever runs its user shaders
    ncnn  Upscayl and its kin: FILE.param and FILE.bin beside it

    docs/players.md says what goes where. What is written was compared with the network first, where that can be done
    here.
    """
    from sr_plugins.exporters.files import export, format_of, paths_of

    if half and options["precision"] == "full":
        raise ArgumentError("--half and --precision full exclude each other")
    options["precision"] = "half" if half else options["precision"]
    if options["size"] is not None and None in options["size"]:
        raise ArgumentError("--size of a network is WIDTHxHEIGHT: both sides")
    written = paths_of(format_of(output, options["format"]), output)
    check_targets(overwrite, *written.values())
    label, exported = export(model, output, scale=scale, **options)
    click.echo(f"{' and '.join(map(str, written.values()))}: {label}, {exported.note}".removesuffix(", "))
