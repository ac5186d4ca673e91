"""A command that has commands of its own, and knows what somebody meant who typed another."""

from __future__ import annotations

from collections.abc import Callable
from os.path import exists, splitext
from typing import Any

import click

from sr_plugins.cli.other_words import command_meant
from sr_plugins.errors import offered


class Subcommands(click.Group):
    """``srp gimp instal`` is answered with what to type, and ``srp gimp help`` with the help.

    ``of_files``: the command that is meant where a file stands in its place, or a name that is no command's and
    ``is_named`` knows.
    """

    def __init__(self, *args: Any, of_files: str = "", is_named: Callable[[str], bool] | None = None, **options: Any):
        super().__init__(*args, **options)
        self._of_files, self._is_named = of_files, is_named

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["--help" if args[:1] == ["help"] else word for word in args[:1]] + args[1:])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            meant = command_meant(args[0], self.commands)
            instead = f"did you mean {meant!r}?" if meant else offered(args[0], self.commands)
            if self._of_files and not meant and self._is_file(args[0]):
                instead = f"did you mean {ctx.command_path} {self._of_files} {args[0]}?"
            raise click.UsageError(f"{ctx.command_path} has no command called {args[0]!r}: {instead}", ctx)
        return super().resolve_command(ctx, args)

    def _is_file(self, word: str) -> bool:
        is_named = self._is_named is not None and self._is_named(word)
        return is_named or exists(word) or bool(splitext(word)[1])  # noqa: PTH110, PTH122
