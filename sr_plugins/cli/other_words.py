"""Options, commands and values by the names that other programs give them, and what they are called here.

Those of waifu2x, Real-ESRGAN and its ports, of cp and ffmpeg; a name that resembles one of ours may mean another.
"""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

import click

from sr_plugins.cli.values_meant import option_meant

_OPTIONS = {
    "--scale": ("-s", "--outscale", "--upscale", "--factor", "--ratio", "--times", "--zoom"),
    "--model": ("-n", "--model-name", "--model-path", "--network", "--weights"),
    "--tile": ("-t", "--tile-size", "--tilesize"),
    "--format": ("-f", "--ext", "--output-format"),
    "--device": ("-g", "--gpu", "--gpu-id", "--cuda", "--cpu"),
    "--self-ensemble": ("--tta", "--tta-mode"),
    "--overwrite": ("-y", "--yes", "--force", "--replace"),
    "--output": ("--out", "--outdir", "--out-dir", "--output-dir", "--dest"),
    "--size": ("--width", "--height", "--resolution"),
    "--precision": ("--fp16", "--half", "--fp32", "--bf16"),
}
_MEANT = {theirs: [ours] for ours, names in _OPTIONS.items() for theirs in names} | {
    "-x": ["--scale", "--self-ensemble"]
}
_INPUT = ("-i", "--input", "--in", "--infile", "--file")
_COMMANDS = {
    "remove": ("delete", "rm", "del", "uninstall", "forget", "drop", "erase", "unregister"),
    "uninstall": ("remove", "delete", "rm", "del"),
    "inspect": ("info", "show", "describe", "details", "view", "about", "probe", "check", "explain", "identify"),
    "status": ("info", "show", "check", "list", "state"),
    "list": ("ls", "dir", "all", "index"),
    "add": ("install", "import", "register", "new", "get", "download", "pull", "fetch", "load", "keep"),
    "install": ("add", "setup", "update", "upgrade", "register"),
    "doctor": ("diagnose", "check", "info", "debug"),
    "bench": ("benchmark", "speed", "perf"),
    "compare": ("diff", "view"),
}
_ALIKE = 0.82  # of names that are misspelt; click's own 0.6 takes --tta for --output

_PRECISIONS = {
    "half": "float16",
    "fp16": "float16",
    "f16": "float16",
    "bf16": "bfloat16",
    "fp32": "float32",
    "f32": "float32",
    "single": "float32",
    "full": "float32",
}


def ours(name: str, options: Collection[str]) -> list[str]:
    """Of a command's ``options`` those that somebody may mean who typed ``name``."""
    meant = [option for option in _MEANT.get(name.replace("_", "-"), ()) if option in options]
    return meant or get_close_matches(name, options, cutoff=_ALIKE) or _with_value(name, options)


def _with_value(name: str, options: Collection[str]) -> list[str]:
    """``--4x`` and ``--fast``: the value of an option in place of its name."""
    option = option_meant(name.lstrip("-")) or ""
    return [option] if option.partition(" ")[0] in options else []


def command_meant(word: str, commands: Collection[str]) -> str | None:
    """The command of ``commands`` that somebody may mean who typed ``word``, as it is called by other programs."""
    return next((ours for ours, names in _COMMANDS.items() if ours in commands and word.lower() in names), None)


def no_such_option(error: click.NoSuchOption) -> click.UsageError:
    """The same with what to type instead, where that is known."""
    if (ctx := error.ctx) is None:
        return error
    takes_files = any(isinstance(p, click.Argument) and p.nargs != 0 for p in ctx.command.params)
    if error.option_name in _INPUT and takes_files:
        return click.UsageError(f"no option {error.option_name}: files need none, as in {ctx.command_path} FILE", ctx)
    known = [option for p in ctx.command.params for option in (*p.opts, *p.secondary_opts) if option.startswith("-")]
    meant = " or ".join(f"'{option}'" for option in ours(error.option_name, known))
    told = f"No such option '{error.option_name}'."
    return click.UsageError(f"{told} Did you mean {meant}?" if meant else told, ctx)


class Precisions(click.Choice[str]):
    """Names of precisions; those of other programs are answered with ours."""

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if (meant := _PRECISIONS.get(str(value).lower())) is not None:
            self.fail(f"{value!r} is called {meant} here", param, ctx)
        return super().convert(value, param, ctx)
