"""Which backend ``auto`` means: of those that work here the fastest, measured once per machine, network and version."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import platform
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import torch

from sr_plugins.backends.files_of_others import backend_of_others
from sr_plugins.backends.kept_choice import Choice, kept_choice
from sr_plugins.backends.precisions import chosen_precision, precision_here
from sr_plugins.backends.torch_eager import NAME as PLAIN
from sr_plugins.backends.trial import keep_ready, left_out, tried
from sr_plugins.devices import processor
from sr_plugins.errors import DeviceError, others_code
from sr_plugins.interface.backend import BackendSpec, Runner
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.words import Precision
from sr_plugins.plugins import OUR_DISTRIBUTION, Plugins
from sr_plugins.weights.digest import fingerprint

logger = logging.getLogger("sr_plugins")

ADVANTAGE = 1.15  # times faster than torch, to be taken instead

MEASURED = "through the core, 1"  # how: what was measured otherwise counts for nothing


class Candidate(NamedTuple):
    """A backend that works here, by name, in the precision it would have, with its runner."""

    name: str
    precision: Precision
    runner: Runner


Measured = dict[str, float] | str  # frames a second by backend, or why there are none
Measure = Callable[[ModelSpec, str, Sequence[Candidate]], Measured]


def choose(
    loaded: LoadedModel,
    plugins: Plugins,
    device: str,
    precision: str,
    *,
    measure: Measure,
    without: Collection[str] = (),
) -> BackendSpec:
    """The backend to use for ``auto``.

    ``$SR_PLUGINS_BACKEND`` names it without measuring. Otherwise those that have a rank on this device and are not in
    ``without`` are each made ready and called once; one that fails, whatever it raises, is left out, told, and kept in
    ``plugins.problems``. What remains is measured against torch once per machine, network and version, and the first
    process that has a result decides for all. Where nothing can be measured (the machine is busy, or too slow for this
    network) or kept, the one that is asked first is taken: by rule, so that every process takes the same. ``measure``
    is told the model, the device and the candidates, the plain one first.
    """
    if named := os.environ.get("SR_PLUGINS_BACKEND"):
        return plugins.backend(named)
    if "how" in loaded.card:
        return backend_of_others(loaded, plugins, device, precision, without)
    ranked = _ranked(loaded, plugins, device, precision, without)
    working: dict[str, Runner] = {}

    def works(backend: BackendSpec) -> bool:
        if backend.name not in working:
            found = tried(backend, loaded, plugins, device, chosen_precision(backend, loaded, device, precision))
            if found is None:
                return False
            working[backend.name] = found.runner
        return True

    def taken(backend: BackendSpec) -> BackendSpec:
        keep_ready(
            backend, loaded, device, chosen_precision(backend, loaded, device, precision), working.get(backend.name)
        )
        return backend

    plain = next((b for b in ranked if b.name == PLAIN), None)
    others = [b for b in ranked if b.name != PLAIN]
    if plain is None:  # in no precision that was asked for, or no form that it takes: speed is no question
        found = next((taken(b) for b in others if works(b)), plugins.backend(PLAIN))
        if not found.precisions(device):
            there = [
                f"{b.name} (networks of {' or '.join(b.takes)})" for b in plugins.backends() if b.precisions(device)
            ]
            raise DeviceError(
                f"{loaded.spec.label}, a network of {loaded.network.form}, cannot run on {device}: only "
                f"{', '.join(there) or 'nothing'} does there; use device 'cpu'"
            )
        return found

    def by_rule() -> str:
        return next((b.name for b in others if works(b)), PLAIN)

    def decide() -> Choice:
        those = [b for b in others if works(b)]
        if not those or not works(plain):
            return Choice(by_rule(), False)
        logger.warning("measuring once which backend runs %s fastest on this machine", loaded.spec.label)
        candidates = [
            Candidate(b.name, chosen_precision(b, loaded, device, precision), working[b.name]) for b in (plain, *those)
        ]
        try:
            with others_code():
                found = measure(loaded.spec, device, candidates)
        except Exception as error:  # a runner of a plugin ends here, too
            left_out(plugins, plain, error)
            found = "measuring failed"
        if isinstance(found, str):
            logger.warning("%s: taking %s by rule", found, by_rule())
            return Choice(by_rule(), False)
        best = max(those, key=lambda b: found.get(b.name, 0.0))
        faster = found.get(best.name, 0.0) > ADVANTAGE * found.get(PLAIN, math.inf)
        working.clear()  # they hold what they compiled for the frames that were measured
        return Choice(best.name if faster else PLAIN, True)

    if not others:
        return plain
    asked = repr([(b.name, precision_here(b, loaded, device, precision)) for b in ranked])
    network = fingerprint(loaded.network, device, asked, machine(), MEASURED, _versions(others))
    if network is None:  # nobody can tell it from another
        return taken(_named(ranked, by_rule()))
    name = hashlib.sha256(f"{network} {loaded.spec.label}".encode()).hexdigest()
    found = _named(ranked, kept_choice(name, [b.name for b in ranked], decide, by_rule))
    if found is plain or works(found):
        return taken(found)
    return taken(_named(ranked, by_rule()))


def _ranked(
    loaded: LoadedModel, plugins: Plugins, device: str, precision: str, without: Collection[str]
) -> list[BackendSpec]:
    """Backends that ``auto`` may take here, in the order in which they are asked."""
    found: list[tuple[int, str, BackendSpec]] = []
    for backend in plugins.backends():
        try:
            rank = None if backend.name in without else backend.auto_rank(device)
            if rank is None or precision_here(backend, loaded, device, precision) is None:
                continue
            if loaded.form(backend.takes) is None:
                continue
            # ours load what is installed to tell whether it works, which takes a while: only when they are tried
            later = plugins.owner_of(backend) == OUR_DISTRIBUTION and _version(backend) is not None
            if not later and backend.missing() is not None:
                continue
        except Exception as error:
            left_out(plugins, backend, error)
            continue
        found.append((rank, backend.name, backend))
    return [backend for _, _, backend in sorted(found, key=lambda one: one[:2])]


def _named(backends: Iterable[BackendSpec], name: str) -> BackendSpec:
    return next(backend for backend in backends if backend.name == name)


def machine() -> str:
    """What speed depends on: the processor, its instructions and the threads in use."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {processor('model name')} {capability} {torch.get_num_threads()}"


def _versions(backends: Iterable[BackendSpec]) -> str:
    return ", ".join(sorted(f"{backend.name} {_version(backend) or ''}" for backend in backends))


def _version(backend: BackendSpec) -> str | None:
    """Of the installed distribution that has the backend's name, if there is one."""
    try:
        return version(backend.name)
    except (PackageNotFoundError, ValueError):
        return None
