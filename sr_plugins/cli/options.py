"""The options that every upscaling command shares, made from :mod:`sr_plugins.settings`, which all hosts share."""

# os.path asks without raising; Path's question raises for a name that is too long.
# ruff: noqa: PTH110

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from os.path import exists
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import click

from sr_plugins.backends.loading import import_torch
from sr_plugins.cli import completing
from sr_plugins.cli.other_words import Precisions
from sr_plugins.cli.values_meant import size_meant
from sr_plugins.errors import ArgumentError, SRError, WeightsError
from sr_plugins.interface.words import AUTO
from sr_plugins.settings import DEFAULTS, HELP, PRECISIONS, Settings, checked

if TYPE_CHECKING:
    from sr_plugins.pixels.frame import Frame
    from sr_plugins.upscaler import Upscaler

Command = Callable[..., Any]


def _auto_or_int(ctx: click.Context, parameter: click.Parameter, value: str) -> int | str:
    if value != AUTO and not re.fullmatch(r"-?[0-9]+", value):
        raise click.BadParameter(f"{value!r} is neither auto nor a whole number")
    return value if value == AUTO else int(value)


def _scale(ctx: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """``2``, ``2x`` and ``x2``: people type all of them."""
    if value is None:
        return None
    try:
        return float(value.lower().strip().removeprefix("x").removesuffix("x"))
    except ValueError:
        percent = re.fullmatch(r"\s*(\d+)\s*%\s*", value)
        told = f"no number of times: {int(percent[1]) / 100:g} is {value}" if percent else "no number, such as 2 or 1.5"
        raise click.BadParameter(f"{value!r} is {told}") from None


def parse_size(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[int | None, int | None] | None:
    """``1920x1080``, ``1920x``, ``x1080``, and ``1080p`` for a height."""
    if value is None:
        return None
    sides = re.fullmatch(r"([0-9]*)x([0-9]*)|([0-9]+)p", value.strip().lower())
    if sides is None or not any(sides.groups()):
        meant = size_meant(value.strip())
        raise click.BadParameter(
            f"{value!r} is not WIDTHxHEIGHT, WIDTHx, xHEIGHT or HEIGHTp" + (f": {meant}" if meant else "")
        )
    width, height, lines = (int(side) if side else None for side in sides.groups())
    return width, lines or height


# What click has to know beyond name, default and help.
_KINDS: dict[str, dict[str, Any]] = {
    "scale": {"callback": _scale, "metavar": "TIMES"},
    "size": {"callback": parse_size, "metavar": "WxH"},
    "device": {"metavar": "NAMES", "shell_complete": completing.device},
    "backend": {"metavar": "NAME", "shell_complete": completing.backend},
    "precision": {"type": Precisions(PRECISIONS)},
    "tile": {"callback": _auto_or_int, "metavar": "N"},
    "batch": {"callback": _auto_or_int, "metavar": "N"},
    "strength": {"type": float, "metavar": "0..1"},
    "overlap": {"callback": _auto_or_int, "metavar": "N"},
    "cuts": {"metavar": "WAY", "shell_complete": completing.cuts},
}


training_device = click.option(
    "--device", default="auto", show_default=True, shell_complete=completing.device, help="auto, cpu, cuda or cuda:1."
)


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


def upscaler_options(default: str, *, chooses: bool = True) -> Callable[[Command], Command]:
    """Adds --model, with its default, and an option for every setting; ``chooses``: the model may be ``auto``."""

    def added(command: Command) -> Command:
        model = click.option(
            "-m",
            "--model",
            default=default,
            show_default=True,
            help="A registered name, a weights file, or auto: look at what comes, and choose."
            if chooses
            else "A registered name or a weights file.",
            shell_complete=completing.model if chooses else completing.model_or_file,
        )
        return model(setting_options(*DEFAULTS)(command))

    return added


def checked_options(settings: Mapping[str, object]) -> Settings:
    """What :func:`setting_options` gave, checked as every host does; wrong usage (status 2) where it is refused."""
    try:
        return checked(settings)
    except ArgumentError as error:
        raise click.UsageError(str(error)) from error


def check_model(model: str) -> None:
    """Refuse a name that nothing has and a weights file that is not there; nothing is opened.

    Raises:
        UnknownModelError, WeightsError: as when it is opened.
    """
    from sr_plugins.plugins import plugins
    from sr_plugins.weights.open_model import TAKEN_OUT, links_of, weights_file

    found = plugins()
    for link in links_of(model, found) or [model]:
        file = weights_file(link, found)
        if file is not None and not exists(file):
            raise WeightsError(f"no weights file at {file}")
        if file is None and link not in (AUTO, *TAKEN_OUT):
            found.model(link)


def check_way(options: Mapping[str, object]) -> None:
    """Refuse a model, devices, a backend and a precision that are not here; to be asked before any file is looked at.

    Where none is named nothing can be wrong, and nothing is imported.

    Raises:
        UnknownModelError, WeightsError: see :func:`check_model`.
        DeviceError, PluginError, UnknownNameError: see :func:`~.backends.availability.check_way`.
    """
    asked = checked_options({name: value for name, value in options.items() if name in DEFAULTS})
    device, backend, precision = asked["device"], asked["backend"], asked["precision"]
    from sr_plugins.plugins import plugins

    if "model" in options and "," not in str(options["model"]):
        check_model(str(options["model"]))
    if name := os.environ.get("SR_PLUGINS_BACKEND") if backend == AUTO else backend:
        plugins().backend(name)  # one that is not there is told before torch is imported
    if device in (AUTO, "cpu") and backend == precision == AUTO:
        return
    import_torch()
    from sr_plugins.backends.availability import check_way as check

    check(plugins(), device, backend, precision)


def make_upscaler(*, model: str, **settings: Any) -> Upscaler:
    """The Upscaler that the shared options ask for; the parameters are those options' values."""
    asked = checked_options(settings)
    import_torch()
    from sr_plugins.upscaler import Upscaler

    return Upscaler(model, **asked)


class Upscalers:
    """One Upscaler for each model that comes to be needed, all of the same settings; made when first asked for, a
    named one at once unless it is to be ``late``."""

    def __init__(
        self, *, model: str, make: Callable[..., Any] = make_upscaler, late: bool = False, **settings: Any
    ) -> None:
        checked_options(settings)
        self._late = late
        self._model, self._make, self._settings = model, make, settings
        self._made: dict[str, Any] = {}
        self._open, self._making = ExitStack(), threading.Lock()

    def for_picture(self, source: Path, say: Callable[[str], None]) -> Any:
        """That for a picture file; with ``auto`` a line tells which and why.

        Raises:
            ImageError, FrameError: the file cannot be read.
        """
        if self._model != AUTO:
            return self.named(self._model)
        from sr_plugins.images.file_choice import choose_for_file

        choice = choose_for_file(source, self._settings["scale"])
        say(f"{source}: {choice.line()}")
        return self.named(choice.model)

    def for_film(self, source: Path, target: Path, say: Callable[[str], None]) -> Any:
        """That for a film; with ``auto`` a line tells which and why. A film that was begun stays with its model."""
        if self._model != AUTO:
            return self.named(self._model)
        from sr_plugins.interface.words import PLAIN
        from sr_plugins.video.choosing import choose_for_film, model_before

        if begun := model_before(target):
            say(f"{source.name}: goes on with {begun}, as it was begun")
            return self.named(begun)
        try:
            choice = choose_for_film(source, self._settings["scale"])
        except SRError:  # whoever plans the film says more about it
            return self.named(PLAIN)
        say(f"{source.name}: {choice.line()}")
        return self.named(choice.model)

    def for_stream(self, first: list[Frame], say: Callable[[str], None]) -> Any:
        """That for a stream that begins with these frames, all of which it will make; a line tells which and why."""
        from sr_plugins.estimation.choice import choose_model
        from sr_plugins.interface.words import PLAIN

        if not first:
            return self.named(PLAIN)
        choice = choose_model(first, self._settings["scale"], film=True)
        say(f"the first frames: {choice.line()}")
        return self.named(choice.model)

    def named(self, model: str) -> Any:
        """That of a model."""
        with self._making:  # several pictures may be looked at at once
            if model not in self._made:
                self._made[model] = self._open.enter_context(self._make(model=model, **self._settings))
            return self._made[model]

    def __enter__(self) -> Self:
        if self._model != AUTO and not self._late:  # what is wrong with it is told before the first file is opened
            self.named(self._model)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)
