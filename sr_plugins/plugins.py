"""Find plugins, collect what they offer, report what failed.

One broken plugin never stops the others: what went wrong is kept in :attr:`Plugins.problems`, told by ``srp doctor``
and added to the message when a model is not found. Every call into a plugin is made by :meth:`Plugins.asked`, or by
the functions of its specs, which are guarded as they are collected (:mod:`sr_plugins.interface.answers`).
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import cache
from importlib.metadata import EntryPoint, distributions
from operator import attrgetter
from pathlib import Path
from typing import Any, cast

import pluggy

from sr_plugins.errors import (
    PluginError,
    SRError,
    UnknownModelError,
    UnknownNameError,
    WeightsError,
    described,
    one_line,
    others_code,
    too_long,
)
from sr_plugins.interface import answers, hookspecs
from sr_plugins.interface.answers import checked_spec
from sr_plugins.interface.backend import BackendSpec
from sr_plugins.interface.backend_names import backend_meant
from sr_plugins.interface.entry_points import entry_points
from sr_plugins.interface.listings import Spec, all_of, collision, wrong_model
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.stdout import prints_to_stderr

ENTRY_POINT_GROUP, OUR_DISTRIBUTION = hookspecs.PROJECT, answers.OUR_DISTRIBUTION

# Registered first, so that pluggy (last registered, first called) asks an installed plugin before them.
BUILT_IN = (
    "sr_plugins.models.bicubic",
    "sr_plugins.models.compact",
    "sr_plugins.models.film",
    "sr_plugins.models.vdsr",
    "sr_plugins.models.edsr",
    "sr_plugins.models.lapsrn",
    "sr_plugins.models.dbpn",
    "sr_plugins.models.nearest",
    "sr_plugins.models.photo",
    "sr_plugins.training.degradations.built_in",
    "sr_plugins.training.losses.built_in",
    "sr_plugins.evaluation.metrics",
    "sr_plugins.backends.torch_eager",
    "sr_plugins.backends.torch_compile",
    "sr_plugins.backends.openvino",
    "sr_plugins.backends.onnxruntime",
    "sr_plugins.backends.ncnn",
    "sr_plugins.exporters.onnx",
    "sr_plugins.exporters.glsl",
    "sr_plugins.exporters.ncnn",
    "sr_plugins.models.corrected",
    "sr_plugins.models.animesr",
    "sr_plugins.weights.library",
    "sr_plugins.weights.reader",
)

_DEVICES = ("cpu", "cuda", "gpu", "mps", "vulkan")  # what people name where a backend is asked for


class Plugins:
    """Everything that is registered: the built-in plugins and those of installed distributions.

    Args:
        installed: look at the entry points of installed distributions; ``False`` gives the built-ins alone.
    """

    def __init__(self, *, installed: bool = True) -> None:
        self.manager = pluggy.PluginManager(hookspecs.PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.problems: list[str] = []
        self._distribution: dict[int, str] = {}  # by id of the plugin; pluggy keeps it alive
        self._owners: dict[int, tuple[object, str]] = {}  # of specs, by id; the spec is kept alive
        self._collected: dict[str, dict[Any, list[tuple[str, Any]]]] = {}
        for name in BUILT_IN:
            self.register(importlib.import_module(name), OUR_DISTRIBUTION)
        if installed:
            self._load_entry_points()

    def register(self, plugin: object, distribution: str) -> None:
        """Register one plugin; ``PluginError`` if pluggy refuses it or it implements a hook that does not exist."""
        try:
            self.manager.register(plugin)
            # Without this check a misspelt hook is silently never called.
            self.manager.check_pending()
        except (pluggy.PluginValidationError, ValueError) as error:
            if self.manager.is_registered(plugin):
                self.manager.unregister(plugin)
            raise PluginError(f"plugin {distribution}: {one_line(error)}") from error
        self._distribution[id(plugin)] = distribution
        self._collected.clear()

    def _load_entry_points(self) -> None:
        for owner, entry in entry_points(distributions(), ENTRY_POINT_GROUP):
            if isinstance(entry, Exception):
                self._tell(owner, f"its metadata cannot be read: {described(entry)}")
                continue

            def load(owner: str = owner, entry: EntryPoint = entry) -> None:
                self.register(entry.load(), owner)

            self.asked(owner, f"{entry.value} could not be loaded", load, None)

    # -- asking ----------------------------------------------------------------------------------------------------

    def asked[Answer](self, owner: str, what: str, call: Callable[[], Answer], default: Answer) -> Answer:
        """What a plugin's code answers; where it raises, a problem is kept and ``default`` returned.

        Whatever it raises, ``SystemExit`` too; only an interrupt by a person passes, who meant the program.
        What it prints goes to stderr: stdout belongs to data.
        """
        try:
            with nullcontext() if owner == OUR_DISTRIBUTION else prints_to_stderr(), others_code():
                return call()
        except PluginError as error:
            self._tell(owner, one_line(error))
        except Exception as error:
            self._tell(owner, f"{what}: {described(error)}")
        return default

    def _tell(self, owner: str, what: str) -> str:
        start = f"plugin {owner}: "
        problem = start + " ".join(what.removeprefix(start).split())
        if problem not in self.problems:
            self.problems.append(problem)
        return problem

    def owner_of(self, spec: object) -> str:
        """The distribution that offers ``spec``, or whose reader opened it; ours where it came by no plugin.

        For messages about what a network, a runner or a metric did.
        """
        kept = self._owners.get(id(spec))
        if kept is not None and kept[0] is spec:
            return kept[1]
        for known, owner in self._owners.values():
            if type(known) is type(spec) and known == spec:
                return owner
        return OUR_DISTRIBUTION

    def collect(self, hook: str, key: Callable[[Any], Any]) -> dict[Any, list[tuple[str, Any]]]:
        """Call ``hook`` on every plugin; returns key -> [(distribution, spec), ...], replaced ones left out.

        More than one entry under a key is a collision; it is an error only for who asks for that key.
        """
        if hook not in self._collected:
            offers: dict[Any, list[tuple[str, Any]]] = {}
            for implementation in getattr(self.manager.hook, hook).get_hookimpls():
                owner = self._distribution[id(implementation.plugin)]
                nothing: list[Any] = []
                listed = self.asked(owner, f"{hook} failed", lambda f=implementation.function: all_of(f()), nothing)  # type: ignore[misc]
                for spec in listed:
                    if (checked := self._checked(hook, spec, owner)) is not None:
                        offers.setdefault(key(checked), []).append((owner, checked))
            for name, providers in offers.items():
                replaced = {spec.replaces for _, spec in providers if spec.replaces}
                offers[name] = [p for p in providers if p[0] not in replaced or p[1].replaces]
            self._collected[hook] = offers
            self.problems += [collision(hook, name, p) for name, p in offers.items() if len(p) > 1]
        return self._collected[hook]

    def _checked(self, hook: str, spec: Any, owner: str) -> Spec | None:
        """One spec of a list, its functions guarded; ``None`` where it is none, which is told."""
        nothing: Spec | None = None
        checked = self.asked(
            owner, f"{hook}: what it listed", lambda: checked_spec(hook, spec, owner, self.problems), nothing
        )
        if checked is not None:
            self._owners[id(checked)] = checked, owner
        return checked

    # -- what there is ---------------------------------------------------------------------------------------------

    def named(self, hook: str, kind: str, name: str) -> Any:
        """The one spec that ``hook`` offers under ``name``; ``UnknownNameError`` or ``PluginError`` otherwise."""
        offers = self.collect(hook, attrgetter("name"))
        if name not in offers:
            raise UnknownNameError(kind, name, offers, self._note())
        return _only(hook, name, offers[name])

    def all_named(self, hook: str) -> list[Any]:
        """Every spec offered by ``hook`` that no other collides with, sorted by name."""
        return [p[0][1] for _, p in sorted(self.collect(hook, attrgetter("name")).items()) if len(p) == 1]

    def models(self) -> list[ModelSpec]:
        """All models, sorted by name and scale, also those without weights."""
        return list(self.models_by_name().values())

    def models_by_name(self) -> dict[tuple[str, int], ModelSpec]:
        """All models by name and scale, sorted."""
        offers = self.collect("sr_models", attrgetter("name", "scale"))
        return {key: p[0][1] for key, p in sorted(offers.items()) if len(p) == 1}

    def model(self, name: str, scale: int | None = None) -> ModelSpec:
        """The model called ``name``; with several scales the smallest that has weights, or the one asked for.

        Raises:
            UnknownModelError: nothing of that name, or not at that scale.
            PluginError: two distributions offer it.
        """
        offers = self.collect("sr_models", attrgetter("name", "scale"))
        scales = sorted(s for n, s in offers if n == name)
        if not scales:
            usable_names = (n for (n, _), p in offers.items() if any(spec.usable for _, spec in p))
            raise UnknownModelError(name, usable_names, self._note())
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
        if name.partition(":")[0] in _DEVICES:
            known = (spec.name for spec in self.backends())
            raise UnknownNameError("backend", name, known, f"; {name} is a device")
        offers = self.collect("sr_backends", attrgetter("name"))
        if name not in offers and (cure := backend_meant(name, offers)):
            raise UnknownNameError("backend", name, offers, self._note(), cure)
        spec: BackendSpec = self.named("sr_backends", "backend", name)
        if missing := spec.missing():
            raise PluginError(f"backend {name} cannot be used here: {missing}")
        return spec

    # -- weights files ---------------------------------------------------------------------------------------------

    def open_weights(self, path: Path) -> LoadedModel:
        """Read a weights file with the first plugin that knows its kind.

        Raises:
            WeightsError: there is no such file, the plugin that knows its kind refuses it, or none knows it: then with
                what went wrong in those that were asked.
        """
        if not os.path.isfile(path):  # noqa: PTH113 - Path's own raises for names that no file can have
            raise WeightsError(f"no weights file at {str(path)[:300]}{too_long(path)}")
        failures: list[str] = []
        for reader in reversed(self.manager.hook.sr_open_weights.get_hookimpls()):
            owner = self._distribution[id(reader.plugin)]
            try:
                with nullcontext() if owner == OUR_DISTRIBUTION else prints_to_stderr(), others_code():
                    given: Mapping[str, Any] = {"path": path, "models": self.models_by_name()}
                    loaded = reader.function(*(given[name] for name in reader.argnames))
                    wrong = None if loaded is None else wrong_model(loaded)
            except WeightsError as error:
                whose = "" if owner == OUR_DISTRIBUTION else f"plugin {owner}: "
                raise WeightsError(whose + one_line(error)) from error
            except Exception as error:
                if owner == OUR_DISTRIBUTION and not isinstance(error, SRError):
                    raise  # a bug of ours keeps its traceback
                loaded, wrong = None, described(error)
            if wrong is not None:
                failures.append(self._tell(owner, f"its sr_open_weights failed: {wrong}"))
            elif loaded is not None:
                opened = cast(LoadedModel, loaded)
                self._owners.setdefault(id(opened.spec), (opened.spec, owner))
                return opened
        told = "".join(f" [{failure}]" for failure in failures)
        kinds = ".safetensors, .pth, .onnx, or .param with .bin"
        raise WeightsError(f"{path} is no weights file that an installed plugin can read ({kinds} expected){told}")

    def _note(self) -> str:
        return "".join(f" [{problem}]" for problem in self.problems)


@cache
def plugins() -> Plugins:
    """The plugins of this process, found once."""
    return Plugins()


def _only(hook: str, name: str, providers: list[tuple[str, Any]]) -> Any:
    if len(providers) > 1:
        raise PluginError(collision(hook, name, providers))
    return providers[0][1]
