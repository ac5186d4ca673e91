"""What a shell is offered for the values of options and arguments; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

import click
from click.shell_completion import CompletionItem

from sr_plugins.interface.words import AUTO
from sr_plugins.settings import CUTS

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def completed(names: Callable[[], Iterable[str]], *, several: bool = False, files: bool = False) -> Completer:
    """Offers names, of lists with commas the last one (``several``), and ``files`` where no name begins so."""

    def offered(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        before, comma, last = begun.rpartition(",") if several else ("", "", begun)
        known: set[str] = set()
        with suppress(Exception):  # a shell shows no errors while somebody types; the command itself will tell
            known = set(names())
        found = [CompletionItem(before + comma + name) for name in sorted(known) if name.startswith(last)]
        return found or ([CompletionItem(begun, type="file")] if files else [])

    return offered


def _models() -> Iterable[str]:
    from sr_plugins.plugins import plugins

    return (spec.name for spec in plugins().models() if spec.usable)


def _named(hook: str) -> Callable[[], Iterable[str]]:
    def names() -> Iterable[str]:
        from sr_plugins.plugins import plugins

        return (spec.name for spec in plugins().all_named(hook))

    return names


def _recipes() -> Iterable[str]:
    from sr_plugins.training.run.recipe import RECIPES

    return (path.stem for path in RECIPES.glob("*.toml"))


def _added() -> Iterable[str]:
    from sr_plugins.weights.library import entries

    return (entry.name for entry in entries())


files = completed(lambda: (), files=True)
model = completed(lambda: (AUTO, *_models()), several=True, files=True)
model_or_file = completed(_models, files=True)
models = completed(_models, several=True)
added_models = completed(_added)
backend = completed(lambda: (AUTO, *_named("sr_backends")()))
backends = completed(lambda: (AUTO, *_named("sr_backends")()), several=True)
device = completed(lambda: (AUTO, "cpu", "cuda", "mps", "xpu"), several=True)
metrics = completed(_named("sr_metrics"), several=True)
formats = completed(_named("sr_exporters"))
cuts = completed(lambda: CUTS)
endings = completed(lambda: ("png", "jpg", "webp", "tiff", "avif"))
recipe = completed(_recipes, files=True)
