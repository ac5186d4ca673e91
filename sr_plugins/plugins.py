"""Find plugins, collect what they offer, report what failed.

One broken plugin never stops the others: what went wrong is kept in :attr:`Plugins.problems`, told by ``srp doctor``
and added to the message when a model is not found.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Protocol

import pluggy

from sr_plugins.errors import PluginError, UnknownModelError, UnknownNameError, WeightsError
from sr_plugins.interface import hookspecs
from sr_plugins.interface.backend import BackendSpec
from sr_plugins.interface.model import LoadedModel, ModelSpec

ENTRY_POINT_GROUP = hookspecs.PROJECT
OUR_DISTRIBUTION = "sr-plugins"

# Registered first, so that pluggy (last registered, first called) asks an installed plugin before them.
BUILT_IN = (
    "sr_plugins.models.compact",
    "sr_plugins.models.vdsr",
    "sr_plugins.models.edsr",
    "sr_plugins.models.lapsrn",
    "sr_plugins.models.dbpn",
    "sr_plugins.training.degradations.built_in",
    "sr_plugins.training.losses.built_in",
    "sr_plugins.evaluation.metrics",
    "sr_plugins.backends.torch_eager",
    "sr_plugins.backends.torch_compile",
    "sr_plugins.backends.openvino",
    "sr_plugins.backends.onnxruntime",
    "sr_plugins.weights.safetensors_files",
    "sr_plugins.models.corrected",
)


class Named(Protocol):
    """What every spec has: a name, and the distribution it means to replace."""

    @property
    def name(self) -> str: ...
    @property
    def replaces(self) -> str | None: ...


class Plugins:
    """Everything that is registered: the built-in plugins and those of installed distributions.

    Args:
        installed: look at the entry points of installed distributions; ``False`` gives the built-ins alone.
    """

    def __init__(self, *, installed: bool = True) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.problems: list[str] = []
        self._owner: dict[int, str] = {}  # by id of the plugin; pluggy keeps it alive
        self._collected: dict[str, dict[Any, list[tuple[str, Any]]]] = {}
        for name in BUILT_IN:
            self.register(importlib.import_module(name), OUR_DISTRIBUTION)
        if installed:
            self._load_entry_points(distributions())

    def register(self, plugin: object, distribution: str) -> None:
        """Register one plugin; ``PluginError`` if pluggy refuses it or it implements a hook that does not exist."""
        try:
            self.manager.register(plugin)
            # Without this check a misspelt hook is silently never called.
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self.manager.is_registered(plugin):
                self.manager.unregister(plugin)
            raise PluginError(f"plugin {distribution}: {_first_line(error)}") from error
        self._owner[id(plugin)] = distribution
        self._collected.clear()

    def _load_entry_points(self, found: Iterable[Distribution]) -> None:
        seen: set[tuple[str, str]] = set()
        for distribution in found:
            owner = distribution.metadata["Name"] or "an unnamed distribution"
            for entry in distribution.entry_points:
                if entry.group != ENTRY_POINT_GROUP or (owner, entry.name) in seen:
                    continue
                seen.add((owner, entry.name))
                try:
                    self.register(entry.load(), owner)
                except PluginError as error:
                    self.problems.append(str(error))
                except Exception as error:  # a plugin's import may raise anything
                    reason = f"{type(error).__name__}: {_first_line(error)}"
                    self.problems.append(f"plugin {owner}: {entry.value} could not be loaded: {reason}")

    def collect(self, hook: str, key: Callable[[Any], Any]) -> dict[Any, list[tuple[str, Any]]]:
        """Call ``hook`` on every plugin; returns key -> [(distribution, spec), ...], replaced ones left out.

        More than one entry under a key is a collision; it is an error only for who asks for that key.
        """
        if hook not in self._collected:
            offers: dict[Any, list[tuple[str, Any]]] = {}
            for implementation in getattr(self.manager.hook, hook).get_hookimpls():
                owner = self._owner[id(implementation.plugin)]
                try:
                    # A generator does its work, and fails, only when it is listed.
                    specs = list(implementation.function())
                    for spec in specs:
                        offers.setdefault(key(spec), []).append((owner, spec))
                except Exception as error:
                    reason = f"{type(error).__name__}: {_first_line(error)}"
                    self.problems.append(f"plugin {owner}: {hook} failed: {reason}")
            for name, providers in offers.items():
                replaced = {spec.replaces for _, spec in providers if spec.replaces}
                offers[name] = [p for p in providers if p[0] not in replaced or p[1].replaces]
            self._collected[hook] = offers
            self.problems += [_collision(hook, name, p) for name, p in offers.items() if len(p) > 1]
        return self._collected[hook]

    def named(self, hook: str, kind: str, name: str) -> Any:
        """The one spec that ``hook`` offers under ``name``; ``UnknownNameError`` or ``PluginError`` otherwise."""
        offers = self.collect(hook, _by_name)
        if name not in offers:
            raise UnknownNameError(kind, name, offers, self._note())
        return _only(hook, name, offers[name])

    def all_named(self, hook: str) -> list[Any]:
        """Every spec offered by ``hook`` that no other collides with, sorted by name."""
        return [p[0][1] for _, p in sorted(self.collect(hook, _by_name).items()) if len(p) == 1]

    def models(self) -> list[ModelSpec]:
        """All models, sorted by name and scale, also those without weights."""
        return [p[0][1] for _, p in sorted(self.collect("sr_models", _by_name_and_scale).items()) if len(p) == 1]

    def model(self, name: str, scale: int | None = None) -> ModelSpec:
        """The model called ``name``; with several scales the smallest that has weights, or the one asked for.

        Raises:
            UnknownModelError: nothing of that name, or not at that scale.
            PluginError: two distributions offer it.
        """
        offers = self.collect("sr_models", _by_name_and_scale)
        scales = sorted(s for n, s in offers if n == name)
        if not scales:
            raise UnknownModelError(name, (n for n, _ in offers), self._note())
        if scale is None:
            usable = [s for s in scales if any(spec.usable for _, spec in offers[name, s])]
            scale = (usable or scales)[0]
        if scale not in scales:
            has = ", ".join(f"x{s}" for s in scales)
            raise UnknownModelError(f"{name} x{scale}", (), f" at this scale; {name} has {has}")
        spec: ModelSpec = _only("sr_models", f"{name} x{scale}", offers[name, scale])
        return spec

    def backends(self) -> list[BackendSpec]:
        """All backends, installed or not (see ``BackendSpec.missing``)."""
        return self.all_named("sr_backends")

    def backend(self, name: str) -> BackendSpec:
        """The backend called ``name``; raises ``PluginError`` with the cure when its library is not installed."""
        spec: BackendSpec = self.named("sr_backends", "backend", name)
        if missing := spec.missing():
            raise PluginError(f"backend {name} needs what is not installed here: {missing}")
        return spec

    def open_weights(self, path: Path) -> LoadedModel:
        """Read a weights file with the first plugin that knows its kind; ``WeightsError`` if none does."""
        if not path.is_file():
            raise WeightsError(f"no weights file at {path}")
        loaded: LoadedModel | None = self.manager.hook.sr_open_weights(path=path)
        if loaded is None:
            raise WeightsError(f"{path} is no weights file that an installed plugin can read (.safetensors expected)")
        return loaded

    def _note(self) -> str:
        return "".join(f" [{problem}]" for problem in self.problems)


@cache
def plugins() -> Plugins:
    """The plugins of this process, found once."""
    return Plugins()


def _by_name(spec: Named) -> str:
    return spec.name


def _by_name_and_scale(spec: ModelSpec) -> tuple[str, int]:
    return spec.name, spec.scale


def _only(hook: str, name: str, providers: list[tuple[str, Any]]) -> Any:
    if len(providers) > 1:
        raise PluginError(_collision(hook, name, providers))
    return providers[0][1]


def _collision(hook: str, name: object, providers: list[tuple[str, Any]]) -> str:
    label = f"{name[0]} x{name[1]}" if isinstance(name, tuple) else str(name)
    owners = " and ".join(sorted(owner for owner, _ in providers))
    return f"{hook}: {label} is offered by {owners}: uninstall one, or let one declare what it replaces"


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else "no message"
