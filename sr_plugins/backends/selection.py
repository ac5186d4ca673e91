"""Which backend ``auto`` means: the fastest of those installed, measured once per machine, network and version."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Collection, Iterable
from importlib.metadata import PackageNotFoundError, version

import torch

from sr_plugins.backends.torch_eager import NAME as PLAIN
from sr_plugins.devices import processor
from sr_plugins.errors import DeviceError, PluginError, SRError, UnknownNameError
from sr_plugins.folders import read_or_make
from sr_plugins.interface.backend import BackendSpec, Placement
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import Network
from sr_plugins.interface.words import Precision
from sr_plugins.plugins import Plugins
from sr_plugins.weights.digest import fingerprint

logger = logging.getLogger("sr_plugins")

# Backends whose start takes no longer than the work they save; torch-compile is for who asks for it.
MEASURED = ("openvino", "onnxruntime")
SIZE = (180, 320)  # height and width of the picture that is measured
ADVANTAGE = 1.15  # times faster than torch, to be taken instead
SECONDS = 0.3  # for each round of each backend
ROUNDS = 3
MOST_CALLS = 8


def choose(
    loaded: LoadedModel, plugins: Plugins, device: str, precision: str, without: Collection[str] = ()
) -> BackendSpec:
    """The backend to use for ``auto``.

    ``$SR_PLUGINS_BACKEND`` names it without measuring. On CUDA it is torch. A backend that fails here, or is not
    clearly faster than torch, is not taken; nor are those in ``without``.
    """
    if named := os.environ.get("SR_PLUGINS_BACKEND"):
        return plugins.backend(named)
    plain = plugins.backend(PLAIN)
    if "how" in loaded.card:  # of others: to export it only in order to measure it may take minutes
        return _of_its_form(loaded, plugins, plain)
    others = [b for b in plugins.backends() if b.name in MEASURED and b.name not in without and b.missing() is None]
    others = [b for b in others if device == "cpu" and _precision(b, device, precision) is not None]
    if not others:
        return plain
    if _precision(plain, device, precision) is None:
        return others[0]

    def measure() -> bytes:
        logger.warning("measuring once which backend runs %s fastest on this machine", loaded.spec.label)
        return json.dumps(speeds(loaded, [plain, *others], device, precision)).encode()

    chosen = repr([_precision(b, device, precision) for b in (plain, *others)])
    network = fingerprint(loaded.network, device, chosen, machine(), repr(SIZE), _versions(others))
    name = hashlib.sha256(f"{network} {loaded.spec.label}".encode()).hexdigest()
    try:
        measured = json.loads(measure() if network is None else read_or_make("speed", f"{name}.json", measure))
        best = max(others, key=lambda b: measured.get(b.name, 0.0))
        faster = measured.get(best.name, 0.0) > ADVANTAGE * measured[PLAIN]
    except (ValueError, KeyError, TypeError, AttributeError):  # a damaged file
        return plain
    return best if faster else plain


def _of_its_form(loaded: LoadedModel, plugins: Plugins, plain: BackendSpec) -> BackendSpec:
    """The plain backend where it takes the network, or else the first that does."""
    fitting = [b for b in (plain, *plugins.backends()) if loaded.form(b.takes) is not None]
    ready = [b for b in fitting if b.missing() is None]
    if not ready:
        cures = ", ".join(str(b.missing()) for b in fitting) or "none does"
        raise PluginError(
            f"{loaded.spec.label} needs a backend for networks of the form {loaded.network.form}: {cures}"
        )
    return ready[0]


def speeds(loaded: LoadedModel, backends: Iterable[BackendSpec], device: str, precision: str) -> dict[str, float]:
    """Pictures of 320x180 a second by backend, with as many calls at once as the engine makes; failures left out."""
    results = {}
    for backend in backends:
        chosen = _precision(backend, device, precision)
        if chosen is None:
            continue
        try:
            results[backend.name] = _speed(loaded, backend, device, chosen)
        except (SRError, RuntimeError, MemoryError) as error:
            logger.info("backend %s failed while it was measured: %s", backend.name, error)
    return results


def _speed(loaded: LoadedModel, backend: BackendSpec, device: str, precision: Precision) -> float:
    runner = backend.build(network_for(backend, loaded), Placement(device=device, precision=precision))
    x = torch.rand(1, loaded.spec.planes_in, *SIZE, device=device)
    runner(x)  # compiles
    start = time.perf_counter()
    runner(x)
    calls = max(1, min(MOST_CALLS, int(SECONDS / (time.perf_counter() - start))))
    # the best of several rounds: other programs make a round slower, never faster
    return max(_round(backend.lanes(device), calls, lambda: runner(x)) for _ in range(ROUNDS))


def _round(lanes: int, calls: int, call: Callable[[], object]) -> float:
    """Calls a second, made by ``lanes`` threads at once."""
    failures: list[Exception] = []

    def work() -> None:
        try:
            for _ in range(calls):
                call()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(lanes)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return calls * len(threads) / (time.perf_counter() - start)


def machine() -> str:
    """What speed depends on: the processor, its instructions and the threads in use."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {processor('model name')} {capability} {torch.get_num_threads()}"


def _precision(backend: BackendSpec, device: str, asked: str) -> Precision | None:
    available = backend.precisions(device)
    return next((p for p in available if asked in ("auto", p)), None)


def _versions(backends: Iterable[BackendSpec]) -> str:
    found = []
    for backend in backends:
        try:
            found.append(f"{backend.name} {version(backend.name)}")
        except PackageNotFoundError:
            found.append(backend.name)  # a plugin of another name
    return ", ".join(sorted(found))


def network_for(backend: BackendSpec, loaded: LoadedModel) -> Network:
    """The model's network in the form that ``backend`` runs best; ``PluginError`` where it takes none there is."""
    network = loaded.form(backend.takes)
    if network is None:
        raise PluginError(
            f"backend {backend.name} runs networks in the form of {' or '.join(backend.takes)}, and "
            f"{loaded.spec.label} is one of {loaded.network.form}: use backend 'auto'"
        )
    return network


def precision_for(backend: BackendSpec, spec: ModelSpec, device: str, asked: str) -> Precision:
    """The precision to run in: the one asked for, or for ``auto`` the backend's best in which the model stays right.

    Raises:
        DeviceError: the backend does not run on the device.
        UnknownNameError: not in the precision asked for.
    """
    offered = backend.precisions(device)
    available = tuple(p for p in offered if spec.precisions is None or p in spec.precisions)
    if not offered:
        raise DeviceError(f"backend {backend.name} does not run on {device}: use another device, or backend 'auto'")
    if asked == "auto" and available:
        return available[0]
    if asked not in available:
        raise UnknownNameError(f"precision of backend {backend.name} on {device} for {spec.label}", asked, available)
    return next(p for p in available if p == asked)
