"""Which backend ``auto`` means: of those that work here the fastest, measured once per machine, network and version."""

from __future__ import annotations

import hashlib
import logging
import math
import os
import platform
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

import torch

from sr_plugins.backends.availability import check_runs_on
from sr_plugins.backends.kept_choice import Choice, kept_choice
from sr_plugins.backends.torch_eager import NAME as PLAIN
from sr_plugins.devices import int8_is_faster, processor
from sr_plugins.errors import PluginError, UnknownNameError, one_line
from sr_plugins.interface.backend import BackendSpec, Placement, Runner
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import Network, TorchNetwork
from sr_plugins.interface.words import Precision
from sr_plugins.plugins import OUR_DISTRIBUTION, Plugins
from sr_plugins.weights.digest import fingerprint
from sr_plugins.weights.frames_as_channels import FramesAsChannels

logger = logging.getLogger("sr_plugins")

ADVANTAGE = 1.15  # times faster than torch, to be taken instead
INT8_LOSS = 0.02  # dB of PSNR by its card, up to which a network runs in 8-bit integers without being asked
TRIED = (16, 16)  # height and width of the picture that shows whether a backend works here

MEASURED = "through the core, 1"  # how: what was measured otherwise counts for nothing


class Candidate(NamedTuple):
    """A backend that works here, by name, in the precision it would have, with its runner."""

    name: str
    precision: Precision
    runner: Runner


Measured = dict[str, float] | None  # frames a second by backend; None: the machine was busy
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
    process that has a result decides for all. Where nothing can be measured (the machine is busy) or kept, the one that
    is asked first is taken: by rule, so that every process takes the same. ``measure`` is told the model, the device
    and the candidates, the plain one first.
    """
    if named := os.environ.get("SR_PLUGINS_BACKEND"):
        return plugins.backend(named)
    if "how" in loaded.card:  # of others: to export it only in order to measure it may take minutes
        return _of_its_form(loaded, plugins, device, precision)
    ranked = _ranked(loaded, plugins, device, precision, without)
    working: dict[str, Runner] = {}

    def works(backend: BackendSpec) -> bool:
        if backend.name not in working:
            runner = _tried(backend, loaded, plugins, device, _chosen(backend, loaded, device, precision))
            if runner is None:
                return False
            working[backend.name] = runner
        return True

    def taken(backend: BackendSpec) -> BackendSpec:
        _keep_ready(backend, loaded, device, _chosen(backend, loaded, device, precision), working.get(backend.name))
        return backend

    plain = next((b for b in ranked if b.name == PLAIN), None)
    others = [b for b in ranked if b.name != PLAIN]
    if plain is None:  # in no precision that was asked for, or no form that it takes: speed is no question
        return next((taken(b) for b in others if works(b)), plugins.backend(PLAIN))

    def by_rule() -> str:
        return next((b.name for b in others if works(b)), PLAIN)

    def decide() -> Choice:
        those = [b for b in others if works(b)]
        if not those or not works(plain):
            return Choice(by_rule(), False)
        logger.warning("measuring once which backend runs %s fastest on this machine", loaded.spec.label)
        candidates = [
            Candidate(b.name, _chosen(b, loaded, device, precision), working[b.name]) for b in (plain, *those)
        ]
        try:
            found = measure(loaded.spec, device, candidates)
        except Exception as error:
            _left_out(plugins, plain, error)
            found = None
        if found is None:
            logger.warning("other programs keep this machine busy: taking %s by rule", by_rule())
            return Choice(by_rule(), False)
        best = max(those, key=lambda b: found.get(b.name, 0.0))
        faster = found.get(best.name, 0.0) > ADVANTAGE * found.get(PLAIN, math.inf)
        working.clear()  # they hold what they compiled for the frames that were measured
        return Choice(best.name if faster else PLAIN, True)

    if not others:
        return plain
    asked = repr([(b.name, _precision(b, loaded, device, precision)) for b in ranked])
    network = fingerprint(loaded.network, device, asked, machine(), MEASURED, _versions(others))
    if network is None:  # nobody can tell it from another
        return taken(_named(ranked, by_rule()))
    name = hashlib.sha256(f"{network} {loaded.spec.label}".encode()).hexdigest()
    found = _named(ranked, kept_choice(name, [b.name for b in ranked], decide, by_rule))
    if found is plain or works(found):
        return taken(found)
    return taken(_named(ranked, by_rule()))


def _of_its_form(loaded: LoadedModel, plugins: Plugins, device: str, precision: str) -> BackendSpec:
    """The backend that a file of others is run by, told by rule: in its own form on a CPU, else in torch's.

    Its own runtime is then the one that its maker tried. A network that is computed in passes needs torch.
    """
    own = device == "cpu" and loaded.network.form == "onnx" and not loaded.spec.averages
    order = ("onnxruntime", PLAIN) if own else (PLAIN,)
    fitting = [b for b in plugins.backends() if loaded.form(b.takes) is not None]
    fitting.sort(key=lambda b: order.index(b.name) if b.name in order else len(order))
    for backend in fitting:
        if backend.missing() is None and _precision(backend, loaded, device, precision) is not None:
            return backend
    cures = ", ".join(cure for b in fitting if (cure := b.missing()) is not None) or "none does"
    raise PluginError(
        f"{loaded.spec.label} needs a backend for networks of the form {loaded.network.form} on {device}: {cures}"
    )


def _ranked(
    loaded: LoadedModel, plugins: Plugins, device: str, precision: str, without: Collection[str]
) -> list[BackendSpec]:
    """Backends that ``auto`` may take here, in the order in which they are asked."""
    found: list[tuple[int, str, BackendSpec]] = []
    for backend in plugins.backends():
        try:
            rank = None if backend.name in without else backend.auto_rank(device)
            if rank is None or _precision(backend, loaded, device, precision) is None:
                continue
            if loaded.form(backend.takes) is None:
                continue
            # ours load what is installed to tell whether it works, which takes a while: only when they are tried
            later = plugins.owner_of(backend) == OUR_DISTRIBUTION and _version(backend) is not None
            if not later and backend.missing() is not None:
                continue
        except Exception as error:
            _left_out(plugins, backend, error)
            continue
        found.append((rank, backend.name, backend))
    return [backend for _, _, backend in sorted(found, key=lambda one: one[:2])]


def _named(backends: Iterable[BackendSpec], name: str) -> BackendSpec:
    return next(backend for backend in backends if backend.name == name)


def _chosen(backend: BackendSpec, loaded: LoadedModel, device: str, asked: str) -> Precision:
    chosen = _precision(backend, loaded, device, asked)
    assert chosen is not None
    return chosen


def _tried(
    backend: BackendSpec, loaded: LoadedModel, plugins: Plugins, device: str, precision: Precision
) -> Runner | None:
    """The backend's runner, called once; ``None`` where that fails."""
    spec = loaded.spec
    side = max(TRIED[0], spec.minimum_size)
    side = -(-side // spec.size_multiple) * spec.size_multiple
    channels = spec.frames * spec.planes_in
    shapes = ((side, side),) if backend.fixed_shapes else ()
    try:
        if cure := backend.missing():
            raise PluginError(cure)
        placement = Placement(device=device, precision=precision, shapes=shapes)
        runner = backend.build(network_for(backend, loaded), placement)
        result = runner(torch.full((1, channels, side, side), 0.5, device=device))
        if tuple(result.shape[-2:]) != (side * spec.scale, side * spec.scale):
            raise PluginError(f"backend {backend.name} returned a picture of shape {tuple(result.shape)}")
    except Exception as error:
        _left_out(plugins, backend, error)
        return None
    return runner


def _left_out(plugins: Plugins, backend: BackendSpec, error: Exception) -> None:
    problem = f"backend {backend.name} is left out by 'auto': {type(error).__name__}: {one_line(error)}"
    if problem not in plugins.problems:
        plugins.problems.append(problem)
        logger.warning(problem)


# -- what was made ready while it was tried ----------------------------------------------------------------------------

_ready = threading.local()  # of the thread that chooses and then makes an upscaler


def _keep_ready(
    backend: BackendSpec, loaded: LoadedModel, device: str, precision: Precision, runner: Runner | None
) -> None:
    kept = runner is not None and not backend.fixed_shapes
    placement = Placement(device=device, precision=precision)
    _ready.one = (backend, loaded.form(backend.takes), placement, runner) if kept else None


def made_ready(backend: BackendSpec, network: Network, placement: Placement) -> Runner:
    """``backend.build(network, placement)``, or the same runner that was made when ``auto`` tried it just now."""
    kept, _ready.one = getattr(_ready, "one", None), None
    if kept is not None and kept[0] is backend and kept[1] is network and kept[2] == placement:
        ready: Runner = kept[3]
        return ready
    return backend.build(network, placement)


def machine() -> str:
    """What speed depends on: the processor, its instructions and the threads in use."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} {processor('model name')} {capability} {torch.get_num_threads()}"


def _precision(backend: BackendSpec, loaded: LoadedModel, device: str, asked: str) -> Precision | None:
    return next((p for p in _precisions(backend, loaded, device) if asked in ("auto", p)), None)


def _precisions(backend: BackendSpec, loaded: LoadedModel, device: str) -> tuple[Precision, ...]:
    """In which the model stays right on this backend, best first.

    8-bit integers come first where the processor has instructions for them and the card says that they cost next to
    nothing, else where the backend has them: last.
    """
    stays = loaded.spec.precisions
    right = tuple(p for p in backend.precisions(device) if stays is None or p in stays)
    loss = loaded.int8_loss
    if "int8" in right and loss is not None and loss <= INT8_LOSS and int8_is_faster(device):
        return ("int8", *(p for p in right if p != "int8"))
    return right


def _versions(backends: Iterable[BackendSpec]) -> str:
    return ", ".join(sorted(f"{backend.name} {_version(backend) or ''}" for backend in backends))


def _version(backend: BackendSpec) -> str | None:
    """Of the installed distribution that has the backend's name, if there is one."""
    try:
        return version(backend.name)
    except (PackageNotFoundError, ValueError):
        return None


def network_for(backend: BackendSpec, loaded: LoadedModel) -> Network:
    """The model's network in the form that ``backend`` runs best; ``PluginError`` where it takes none there is."""
    network = loaded.form(backend.takes)
    if network is None:
        raise PluginError(
            f"backend {backend.name} runs networks in the form of {' or '.join(backend.takes)}, and "
            f"{loaded.spec.label} is one of {loaded.network.form}: use backend 'auto'"
        )
    if loaded.spec.window != (0, 0) and isinstance(network, TorchNetwork):  # runners take frames as channels
        return TorchNetwork(FramesAsChannels(network.runnable(), loaded.spec.frames))
    return network


def precision_for(backend: BackendSpec, loaded: LoadedModel, device: str, asked: str) -> Precision:
    """The precision to run in: the one asked for, or for ``auto`` the backend's best in which the model stays right.

    Raises:
        DeviceError: the backend does not run on the device.
        UnknownNameError: not in the precision asked for.
    """
    check_runs_on(backend, device)
    chosen = _precision(backend, loaded, device, asked)
    if chosen is None:
        what = f"precision of backend {backend.name} on {device} for {loaded.spec.label}"
        raise UnknownNameError(what, asked, _precisions(backend, loaded, device))
    return chosen
