"""What can be had on this machine, whatever the model: devices, backends, precisions."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sr_plugins.devices import resolve_devices
from sr_plugins.errors import DeviceError, UnknownNameError
from sr_plugins.interface.backend import BackendSpec
from sr_plugins.interface.words import NoAnswer
from sr_plugins.plugins import Plugins


def check_way(plugins: Plugins, device: str | Sequence[str], backend: str, precision: str) -> None:
    """Refuse what no upscaler could be made with here, whatever its model; to be asked before anything that takes long.

    Raises:
        DeviceError: a device is unknown or not here, or the backend does not run on it.
        PluginError, UnknownNameError: the backend cannot be had, or not in this precision.
    """
    specs = plugins.backends() if backend == "auto" else [plugins.backend(backend)]
    whose = "" if backend == "auto" else f" of backend {backend}"
    for name in resolve_devices(device):
        if backend != "auto":
            check_runs_on(specs[0], name)
        known = {one for spec in specs for one in spec.precisions(name)}
        if precision != "auto" and precision not in known:
            raise no_precision(f"{whose} on {name}", name, precision, known)


def check_runs_on(backend: BackendSpec, device: str) -> None:
    """``DeviceError`` unless the backend computes on this device."""
    found = backend.precisions(device)
    if not found:
        why = f" ({found.problem})" if isinstance(found, NoAnswer) else ""
        raise DeviceError(
            f"backend {backend.name} does not run on {device}{why}: use another device, or backend 'auto'"
        )


def no_precision(whose: str, device: str, asked: str, known: Collection[str]) -> UnknownNameError:
    """What to raise for a precision that is not among the ``known``, which look alike and are no misspelling of it."""
    there = f"there is {', '.join(sorted(known)) or 'none'}"
    needs = "float16 needs a GPU, " if (asked, device) == ("float16", "cpu") else ""
    return UnknownNameError(f"precision{whose}", asked, known, cure=needs + there)
