"""``srp``: finds the command, runs it, and turns errors into one line and an exit status, here and nowhere else.

Status 0: done. 1: an error that was expected (``SRError``), told in one line. 2: wrong usage. 130: interrupted
(143 by SIGTERM).
Data goes to stdout, talk to stderr. A command lives in the module of its name and is imported only when called.
"""

from __future__ import annotations

import codecs
import errno
import importlib
import io
import logging
import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from sr_plugins.cli.stopping import refuse_lost, stoppable
from sr_plugins.errors import SRError, one_line
from sr_plugins.version import __version__

# name -> module that holds ``command``
COMMANDS = {
    "image": "sr_plugins.cli.image",
    "video": "sr_plugins.cli.video",
    "pipe": "sr_plugins.cli.pipe",
    "compare": "sr_plugins.cli.compare",
    "models": "sr_plugins.cli.models",
    "evaluate": "sr_plugins.cli.evaluate",
    "train": "sr_plugins.cli.train",
    "degradation": "sr_plugins.cli.degradation",
    "adapt": "sr_plugins.cli.adapt",
    "export": "sr_plugins.cli.export",
    "bench": "sr_plugins.cli.bench",
    "doctor": "sr_plugins.cli.doctor",
    "demo": "sr_plugins.cli.demo",
    "gimp": "sr_plugins.cli.gimp",
    "completion": "sr_plugins.cli.completion",
}

# Nothing leaves the machine: read by ONNX Runtime and Ray when they start, here and in every process we start.
SILENT = {"ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF)  # a disk, a quota, a limit; stdout that was closed
AS_IT_IS = "sr_plugins.as_it_is"  # how stdout treats what its encoding lacks
_NUMBERS = {"integer": "whole number", "float": "number"}


def _as_it_is(error: UnicodeError) -> tuple[bytes, int]:
    """For what stdout's encoding lacks: names of files that are no text as their bytes, of a table's lines a mark."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    return b"".join(bytes([ord(c) - 0xDC00]) if 0xDC80 <= ord(c) <= 0xDCFF else b"?" for c in lacking), error.end


class _Commands(click.Group):
    """Imports a command's module when it is called, so that ``srp --help`` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """``srp photo.jpg`` means ``srp image photo.jpg``, and ``srp film.mkv`` ``srp video film.mkv``."""
        from sr_plugins.cli.as_typed import as_typed, unknown_command

        if args and ctx.resilient_parsing:  # completed by a shell
            with suppress(click.UsageError):
                args = as_typed(args, COMMANDS)
        elif args:
            args = as_typed(args, COMMANDS)
            if args[0] not in (*COMMANDS, *ctx.help_option_names, "--version"):
                within = ((g, c) for g in COMMANDS if isinstance(c := self.get_command(ctx, g), click.Group))
                longer = {word: f"{group} {word}" for group, command in within for word in command.commands}
                raise click.UsageError(unknown_command(args[0], {name: name for name in COMMANDS} | longer), ctx)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            from sr_plugins.cli.other_words import no_such_option

            raise no_such_option(error) from None

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """A command, or a file where none begins so: ``srp pho`` is on its way to ``srp photo.jpg``."""
        return super().shell_complete(ctx, incomplete) or [CompletionItem(incomplete, type="file")]


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="srp")
def srp() -> None:
    """Super-resolution for pictures and video."""


def main() -> None:
    """What ``srp`` was before :mod:`sr_plugins.cli.entry`: scripts of a clone that was installed then call it."""
    with stoppable():
        run()


def run() -> None:
    """The command that ``sys.argv`` names; ends the process with its status."""
    _open_what_is_closed()
    codecs.register_error(AS_IT_IS, _as_it_is)
    with suppress(OSError):  # in a process that was forked with another stdout
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors=AS_IT_IS)
    if "_SRP_COMPLETE" in os.environ:  # a shell asks: its ways
        from sr_plugins.cli.shells import register

        register()
    for name, value in SILENT.items():
        os.environ.setdefault(name, value)
    _main()


def _open_what_is_closed() -> None:
    """Standard streams that whoever started us closed: else the next files would get their numbers, and what libraries
    print. stdout is opened so that data written to it is an error, as it would be lost."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            if os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY) == number and name != "stdin":
                setattr(sys, name, open(number, "w", encoding="utf-8", errors="replace", closefd=False))  # noqa: SIM115


def _main() -> None:
    logging.basicConfig(level=logging.WARNING, format="srp: %(message)s")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # names no file; what comes of it is told by us
    try:
        Path.cwd()
    except OSError as error:  # many a library asks for it, and none expects that
        click.echo(f"srp: the current folder is gone ({error.strerror}): cd to another", err=True)
        sys.exit(1)
    try:
        status = srp.main(prog_name="srp", standalone_mode=False)
        sys.exit(status if isinstance(status, int) else 0)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        click.echo(f"srp: {_told(error)}", err=True)
        sys.exit(2)
    except click.Abort:  # what click makes of it
        raise KeyboardInterrupt from None
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our stdout went away
        _give_up_stdout()
        sys.exit(1)
    except OSError as error:  # whoever writes files tells of them; what comes here is stdout's
        if error.errno not in FULL:
            raise
        _give_up_stdout()
        click.echo(f"srp: {error.filename or 'stdout'} cannot be written: {error.strerror}", err=True)
        sys.exit(1)
    except ModuleNotFoundError:  # an incomplete installation: the traceback tells who misses it
        raise
    except (ImportError, MemoryError) as error:
        refuse_lost()
        cure = "close other programs or raise the limit of memory (ulimit -v)"
        if isinstance(error, ImportError):  # a library's own: torch alone needs gigabytes of addresses
            told = f"a library cannot be loaded ({one_line(error)}): {cure} if it does not fit, else install it anew"
        else:
            told = f"there is not enough memory: {cure}"
        click.echo(f"srp: {told}", err=True)
        sys.exit(1)
    except SRError as error:
        refuse_lost()
        click.echo(f"srp: {one_line(error)}", err=True)
        sys.exit(1)


def _give_up_stdout() -> None:
    """Python writes at its end what is left, and would say that it cannot."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _told(error: click.UsageError) -> str:
    """Wrong usage in one line, with the page that helps where the line itself does not say what to type."""
    told = one_line(error if isinstance(error, SRError) else SRError(error.format_message()))
    told = re.sub(r"is not a valid (integer|float)( range)?(?=\.)", lambda kind: f"is no {_NUMBERS[kind[1]]}", told)
    command = next((word for word in sys.argv[1:] if word in COMMANDS), "")  # click gives not every error its context
    page = f"{error.ctx.command_path if error.ctx else f'srp {command}'.rstrip()} --help"
    return told if "srp " in told or re.search(r" --?\w+[^:]*[:?]| -o ", told) else f"{told.rstrip('.')} ({page})"
