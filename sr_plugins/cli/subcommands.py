"""A command that has commands of its own, and knows what somebody meant who typed another."""

from __future__ import annotations

import click

from sr_plugins.cli.other_words import command_meant
from sr_plugins.errors import offered


class Subcommands(click.Group):
    """``srp gimp instal`` is answered with what to type, and ``srp gimp help`` with the help."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, ["--help" if args[:1] == ["help"] else word for word in args[:1]] + args[1:])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            meant = command_meant(args[0], self.commands)
            instead = f"did you mean {meant!r}?" if meant else offered(args[0], self.commands)
            raise click.UsageError(f"{ctx.command_path} has no command called {args[0]!r}: {instead}", ctx)
        return super().resolve_command(ctx, args)
