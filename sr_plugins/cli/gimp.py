"""``srp gimp``: install the GIMP 3 plug-in, see whether it works, remove it."""

from __future__ import annotations

from pathlib import Path

import click

from sr_plugins.cli import completing
from sr_plugins.cli.examples import examples
from sr_plugins.cli.options import check_way
from sr_plugins.cli.subcommands import Subcommands
from sr_plugins.errors import PluginError
from sr_plugins.version import __version__

gimp_dir = click.option(
    "--gimp-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="GIMP's profile folder, such as ~/.config/GIMP/3.0. [default: all that are found]",
)


@click.group(
    cls=Subcommands,
    epilog=examples(
        "srp gimp install",
        "srp gimp status",
        "srp gimp install --gimp-dir ~/.config/GIMP/3.0 --device cpu",
    ),
)
def command() -> None:
    """The GIMP 3 plug-in: install it, check it, remove it."""


@command.command()
@gimp_dir
@click.option(
    "--python",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Interpreter with sr-plugins that GIMP shall start. [default: this one]",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    shell_complete=completing.device,
    help="What the networks run on: auto, cpu, cuda ...",
)
def install(gimp_dir: Path | None, python: Path | None, device: str) -> None:
    """Install or update the plug-in in your GIMP 3 profiles. Run it again after you installed new models."""
    from gimp_bridge.install import find_profiles, make_bridge, warnings, worker_command
    from gimp_bridge.install import install as install_into

    profiles = find_profiles(gimp_dir)
    if python is None:  # another one's PyTorch may see other devices
        check_way({"device": device})
    bridge = make_bridge(worker_command(python, device))
    for profile in profiles:
        changed = install_into(profile, bridge)
        click.echo(f"{'installed in' if changed else 'already up to date in'} {profile.plug_in}")
        for warning in warnings(profile, bridge):
            click.echo(f"warning: {warning}", err=True)
    click.echo("restart GIMP, then: Image > Super-resolution upscale...", err=True)


@command.command()
@gimp_dir
def status(gimp_dir: Path | None) -> None:
    """Check the files, the worker, and, where gimp-console is found, the plug-in in the real GIMP."""
    from gimp_bridge.check import check_gimp, check_worker, find_console
    from gimp_bridge.install import find_profiles, problems, read_bridge, warnings

    profiles = find_profiles(gimp_dir)
    installed = [profile for profile in profiles if profile.installed]
    for profile in profiles:
        click.echo(f"{'installed' if profile.installed else 'not installed'}: {profile.folder} ({profile.kind})")
    if not installed:
        raise PluginError("the plug-in is not installed: run 'srp gimp install'")
    wrong = [problem for profile in installed for problem in problems(profile, __version__)]
    if wrong:
        raise PluginError("; ".join(wrong))
    for profile in installed:
        bridge = read_bridge(profile)
        click.echo(f"worker: {check_worker(bridge)} ({bridge['argv'][0]})")
        for warning in warnings(profile, bridge):
            click.echo(f"warning: {warning}", err=True)
    console = find_console()
    if console is None:
        click.echo("GIMP itself was not checked: gimp-console is not on PATH")
    else:
        click.echo(f"GIMP {check_gimp(console)}: the plug-in upscaled an image ({console})")


@command.command()
@gimp_dir
def uninstall(gimp_dir: Path | None) -> None:
    """Remove what 'srp gimp install' wrote, and nothing else."""
    from gimp_bridge.install import find_profiles
    from gimp_bridge.install import uninstall as uninstall_from

    installed = [profile for profile in find_profiles(gimp_dir) if profile.installed]
    if not installed:
        click.echo("the plug-in is not installed")
    for profile in installed:
        left = uninstall_from(profile)
        click.echo(f"removed from {profile.plug_in}")
        for path in left:
            click.echo(f"left, because it is not as we wrote it: {path}", err=True)
