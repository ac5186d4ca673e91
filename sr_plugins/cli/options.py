"""The options that every upscaling command shares, made from :mod:`sr_plugins.settings`, which all hosts share."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from sr_plugins.errors import ArgumentError
from sr_plugins.settings import DEFAULTS, HELP, PRECISIONS, Settings, checked

if TYPE_CHECKING:
    from sr_plugins.upscaler import Upscaler

Command = Callable[..., Any]


def _auto_or_int(ctx: click.Context, parameter: click.Parameter, value: str) -> int | str:
    return int(value) if re.fullmatch(r"[0-9]+", value) else value


def _scale(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """``2``, ``2x`` and ``x2``: people type all of them."""
    if value is None:
        return None
    try:
        return float(value.lower().strip().removeprefix("x").removesuffix("x"))
    except ValueError:
        raise click.BadParameter(f"{value!r} is no number, such as 2 or 1.5") from None


def parse_size(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int | None, int | None] | None:
    """``1920x1080``, ``1920x``, ``x1080``, and ``1080p`` for a height."""
    if value is None:
        return None
    sides = re.fullmatch(r"([0-9]*)x([0-9]*)|([0-9]+)p", value.strip().lower())
    if sides is None or not any(sides.groups()):
        raise click.BadParameter(f"{value!r} is not WIDTHxHEIGHT, WIDTHx, xHEIGHT or HEIGHTp")
    width, height, lines = (int(side) if side else None for side in sides.groups())
    return width, lines or height


# What click has to know beyond name, default and help.
_KINDS: dict[str, dict[str, Any]] = {
    "scale": {"callback": _scale, "metavar": "TIMES"},
    "size": {"callback": parse_size, "metavar": "WxH"},
    "device": {"metavar": "NAMES"},
    "backend": {"metavar": "NAME"},
    "precision": {"type": click.Choice(PRECISIONS)},
    "tile": {"callback": _auto_or_int, "metavar": "N"},
    "batch": {"callback": _auto_or_int, "metavar": "N"},
    "strength": {"type": float, "metavar": "0..1"},
    "overlap": {"callback": _auto_or_int, "metavar": "N"},
}


def _model_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """For the shell: names of models with weights, and whatever file is begun."""
    from sr_plugins.plugins import plugins

    names = sorted({spec.name for spec in plugins().models() if spec.usable})
    found = [CompletionItem(name) for name in names if name.startswith(incomplete)]
    return found or [CompletionItem(incomplete, type="file")]


def setting_options(*names: str) -> Callable[[Command], Command]:
    """Adds an option for each of these settings, in this order."""

    def added(command: Command) -> Command:
        for name in reversed(names):
            default = DEFAULTS[name]  # type: ignore[literal-required]
            option = f"--{name.replace('_', '-')}"
            if isinstance(default, bool):
                told = f"{option}/--no-{name.replace('_', '-')}" if default else option
                add = click.option(told, is_flag=True, default=default, help=HELP[name])
            else:
                add = click.option(
                    option, default=default, show_default=default is not None, help=HELP[name], **_KINDS[name]
                )
            command = add(command)
        return command

    return added


def upscaler_options(command: Command) -> Command:
    """Adds --model and an option for every setting; see :func:`make_upscaler`."""
    model = click.option(
        "--model",
        default="fast",
        show_default=True,
        help="A registered name or a weights file.",
        shell_complete=_model_names,
    )
    return model(setting_options(*DEFAULTS)(command))


def checked_options(settings: Mapping[str, object]) -> Settings:
    """What :func:`setting_options` gave, checked as every host does; wrong usage (status 2) where it is refused."""
    try:
        return checked(settings)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error


def make_upscaler(*, model: str, **settings: Any) -> Upscaler:
    """The Upscaler that the shared options ask for; the parameters are those options' values."""
    asked = checked_options(settings)
    from sr_plugins.upscaler import Upscaler

    return Upscaler(model, **asked)
