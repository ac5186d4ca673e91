"""Runtimes' packages: torch imported quickly, and whether another can be used here: installed is not enough."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Sequence

from sr_plugins.errors import one_line
from sr_plugins.interface.words import Broken
from sr_plugins.weights.without_telemetry import import_onnxruntime, import_openvino

_IMPORTS: dict[str, Callable[[str], object]] = {
    "openvino": lambda name: import_openvino(),
    "onnxruntime": lambda name: import_onnxruntime(),
}


def import_torch() -> None:
    """``import torch``, a tenth quicker.

    It makes half a million objects that stay: nothing looks for garbage among them, now and ever after.
    """
    if "torch" in sys.modules:
        return
    collects = gc.isenabled()
    gc.disable()
    try:
        importlib.import_module("torch")
    finally:
        gc.freeze()
        if collects:
            gc.enable()


def cannot_load(packages: Sequence[str]) -> Broken | None:
    """Why one of ``packages`` cannot be imported in this process, and what to do; ``None`` where all can.

    A library of the system may be gone, or a plugin of the host have loaded another build of the same runtime before.
    """
    for package in packages:
        try:
            _IMPORTS.get(package, importlib.import_module)(package)
        except Exception as error:  # whatever its libraries raise
            reason = f"{type(error).__name__}: {one_line(error)}"
            return Broken(
                f"package {package} is installed but cannot be loaded here ({reason}); "
                "use backend torch, or install it anew; another build of it in this process, as a plugin of the host "
                "may bring, causes this too"
            )
    return None
