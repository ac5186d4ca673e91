"""The options that every upscaling command shares, declared once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sr_plugins import Upscaler

Command = Callable[..., Any]


def _auto_or_int(ctx: click.Context, parameter: click.Parameter, value: str) -> int | str:
    if value == "auto":
        return value
    try:
        number = int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise click.BadParameter(f"{value!r} is neither 'auto' nor a whole number of at least 1")
    return number


def _size(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int | None, int | None] | None:
    if value is None:
        return None
    width, cross, height = value.lower().partition("x")
    try:
        if not cross:
            raise ValueError
        size = (int(width) if width else None, int(height) if height else None)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT, WIDTHx or xHEIGHT") from None
    if size == (None, None) or any(s is not None and s < 1 for s in size):
        raise click.BadParameter(f"{value!r} is not a picture size")
    return size


def upscaler_options(command: Command) -> Command:
    """Adds --model, --scale, --size, --device, --backend, --precision, --tile,
    --self-ensemble; see :func:`make_upscaler`."""
    for option in reversed(
        (
            click.option("--model", default="fast", show_default=True, help="A registered name or a weights file."),
            click.option("--scale", type=click.FloatRange(1, 16), help="Times larger. [default: the model's own]"),
            click.option("--size", callback=_size, metavar="WxH", help="Reach this size; Wx or xH keeps the aspect."),
            click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or a list a,b."),
            click.option("--backend", default="auto", show_default=True, help="How the network runs; see srp doctor."),
            click.option(
                "--precision",
                type=click.Choice(["auto", "float32", "bfloat16", "float16", "int8"]),
                default="auto",
                show_default=True,
                help="What the layers compute in.",
            ),
            click.option(
                "--tile", default="auto", show_default=True, callback=_auto_or_int, help="Largest tile side in pixels."
            ),
            click.option("--self-ensemble", is_flag=True, help="Mean of eight positions (TTA): up to 8 times slower."),
        )
    ):
        command = option(command)
    return command


def make_upscaler(
    *,
    model: str,
    scale: float | None,
    size: tuple[int | None, int | None] | None,
    device: str,
    backend: str,
    precision: str,
    tile: int | str,
    self_ensemble: bool = False,
) -> Upscaler:
    """The Upscaler that the shared options ask for; the parameters are those options' values."""
    check_size(scale, size)
    from sr_plugins import Upscaler

    return Upscaler(
        model,
        scale,
        size=size,
        device=device,
        backend=backend,
        precision=precision,
        tile=tile,
        self_ensemble=self_ensemble,
    )


def check_size(scale: float | None, size: tuple[int | None, int | None] | None) -> None:
    """Refuse to be told a size twice."""
    if scale is not None and size is not None:
        raise click.UsageError("--scale and --size exclude each other")
