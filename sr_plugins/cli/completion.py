"""``srp completion``: what a shell needs to complete commands, options and names of models."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from sr_plugins.cli.shells import register

HOW = {
    "bash": 'add to ~/.bashrc:  eval "$(srp completion bash)"',
    "zsh": 'add to ~/.zshrc:  eval "$(srp completion zsh)"',
    "fish": "srp completion fish > ~/.config/fish/completions/srp.fish",
}


@click.command("completion", epilog="\b\n" + "\n".join(f"{shell}: {line}" for shell, line in HOW.items()))
@click.argument("shell", type=click.Choice(list(HOW), case_sensitive=False))
def command(shell: str) -> None:
    """Print the completion script of SHELL: commands, options and names of models."""
    from sr_plugins.cli.main import srp

    register()
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(srp, {}, "srp", "_SRP_COMPLETE").source())
