"""Which backend ``auto`` means for files of others: told by rule, for to measure a large network takes minutes."""

from __future__ import annotations

import logging
from collections.abc import Collection

import torch

from sr_plugins.backends.onnx_graph import INPUT, OUTPUT, written_graph
from sr_plugins.backends.precisions import chosen_precision, precision_here
from sr_plugins.backends.torch_eager import NAME as PLAIN
from sr_plugins.backends.trial import keep_ready, left_out, once, tried
from sr_plugins.errors import PluginError, others_code
from sr_plugins.interface.backend import BackendSpec
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.network import OnnxNetwork, TorchNetwork
from sr_plugins.plugins import Plugins

logger = logging.getLogger("sr_plugins")

GRAPHS = "openvino"  # networks of convolutions, on a CPU: 1.2 to 1.4 times as fast as torch where that was measured
EXACT, ROUGH = 1e-4, 1 / 255  # of the largest value: how far it may be off there, in float32 and in half precision


def backend_of_others(
    loaded: LoadedModel, plugins: Plugins, device: str, precision: str, without: Collection[str]
) -> BackendSpec:
    """The backend that a file of others is run by, told by rule: to measure a large network takes minutes.

    On a CPU that is OpenVINO for networks that read no further than some pixels, where there is a graph of them at once
    and what it computes is right; else the runtime of the file's own form, which is the one that its maker tried, else
    torch. A network that is computed in passes needs torch.
    """
    fitting = [b for b in plugins.backends() if loaded.form(b.takes) is not None and b.name not in without]
    fitting = [
        b for b in fitting if b.missing() is not None or precision_here(b, loaded, device, precision) is not None
    ]
    quick = next((b for b in fitting if b.name == GRAPHS), None)
    on_cpu = device == "cpu" and not loaded.spec.averages
    if on_cpu and quick is not None and _right_at_once(quick, loaded, plugins, device, precision):
        return quick
    own = on_cpu and loaded.network.form == "onnx"
    order = ("onnxruntime", PLAIN) if own else (PLAIN,)
    fitting.sort(key=lambda b: order.index(b.name) if b.name in order else len(order))
    for backend in fitting:
        if backend.missing() is None:
            return backend
    cures = ", ".join(cure for b in fitting if (cure := b.missing()) is not None) or "none does"
    raise PluginError(
        f"{loaded.spec.label} needs a backend for networks of the form {loaded.network.form} on {device}: {cures}"
    )


def _right_at_once(backend: BackendSpec, loaded: LoadedModel, plugins: Plugins, device: str, precision: str) -> bool:
    """Whether a backend of graphs has one without an export, and computes from it what torch computes."""
    reference = loaded.form(("torch",))
    network, written = loaded.form(backend.takes), None
    if backend.missing() is not None or loaded.spec.receptive_radius is None or not isinstance(reference, TorchNetwork):
        return False
    if isinstance(network, TorchNetwork):
        content = written_graph(network.module, loaded.spec.planes_in)
        if content is None:
            return False
        if "onnx" in backend.takes:
            written = OnnxNetwork(content.SerializeToString(), INPUT, OUTPUT)
    chosen = chosen_precision(backend, loaded, device, precision)
    if chosen == "int8":  # somebody asks for it, and knows that it is rougher
        return False
    found = tried(backend, loaded, plugins, device, chosen, written)
    if found is None:
        return False
    with torch.inference_mode():
        expected = reference.runnable().to(device)(found.picture)
    off = float((found.result.float() - expected).abs().max()) / max(1.0, float(expected.abs().max()))
    if not off <= (EXACT if chosen == "float32" else ROUGH):
        left_out(plugins, backend, PluginError(f"what it computes of {loaded.spec.label} is off by {off:.2g}"))
        return False
    keep_ready(backend, loaded, device, chosen, found.runner)
    return True


def tell_difference(backend: BackendSpec, loaded: LoadedModel, plugins: Plugins, device: str, precision: str) -> None:
    """Warn where a backend that was named computes something else of a file of others than what its maker tried.

    That is torch, or ONNX Runtime for a graph that torch does not compute alike. A backend that fails here tells why
    when it is used. int8 is asked for by who knows that it is rougher.
    """
    own = PLAIN if loaded.form(("torch",)) is not None else "onnxruntime"
    is_own = backend.name == own or (backend.name == "onnxruntime" and loaded.network.form == "onnx")
    if "how" not in loaded.card or "onnx" not in backend.takes or is_own:
        return
    try:
        chosen = chosen_precision(backend, loaded, device, precision)
        if chosen == "int8":
            return
        with others_code():
            found = once(backend, loaded, device, chosen)
            expected = once(plugins.backend(own), loaded, device, "float32").result.float()
    except Exception:
        return
    off = float((found.result.float() - expected).abs().max()) / max(1.0, float(expected.abs().max()))
    if not off <= (EXACT if chosen == "float32" else ROUGH):
        logger.warning(
            "backend %s computes something else of %s than %s does: values of a small picture are off by %.2g; "
            "backend 'auto' computes what its maker saw",
            *(backend.name, loaded.spec.label, own, off),
        )
    keep_ready(backend, loaded, device, chosen, found.runner)
