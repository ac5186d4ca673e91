"""What hooks list, checked where it is taken: the types of specs and of opened models.

Nothing here knows which plugins there are; :mod:`sr_plugins.plugins` asks.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, get_args

from sr_plugins.errors import PluginError
from sr_plugins.interface.backend import BackendSpec
from sr_plugins.interface.degradation import DegradationSpec
from sr_plugins.interface.exporter import OPTIONS, ExporterSpec
from sr_plugins.interface.loss import LossSpec
from sr_plugins.interface.metric import MetricSpec
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import NcnnNetwork, OnnxNetwork, TorchNetwork
from sr_plugins.interface.words import AUTO, Channels, Form, Precision

Spec = ModelSpec | BackendSpec | DegradationSpec | LossSpec | MetricSpec | ExporterSpec

# hook -> what it lists, and the parameter that ``build`` is given by name
LISTED: dict[str, tuple[type[Spec], str]] = {
    "sr_models": (ModelSpec, ""),
    "sr_backends": (BackendSpec, ""),
    "sr_degradations": (DegradationSpec, "scale"),
    "sr_losses": (LossSpec, "channels"),
    "sr_metrics": (MetricSpec, ""),
    "sr_exporters": (ExporterSpec, ""),
}
LONGEST_NAME = 100
MOST_LISTED = 10_000  # by one plugin and hook


def plain(value: Any) -> Any:
    """``value`` without a class of the plugin's own: its text, number, path or tuple, which behaves as such."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Path):
        return Path(os.fspath(value))
    return tuple(plain(one) for one in tuple.__iter__(value)) if isinstance(value, tuple) else value


def plain_spec(hook: str, spec: object) -> object:
    """``spec`` as what ``hook`` lists itself, where it is of a class that was made from it; anything else as it is."""
    wanted, _ = LISTED[hook]
    if not isinstance(spec, wanted):
        return spec
    return wanted(**{field.name: plain(getattr(spec, field.name)) for field in fields(wanted)})


def all_of(listed: Iterable[Any]) -> list[Any]:
    """Everything that a hook lists: a generator does its work, and fails, only here; one without an end is refused."""
    found = list(islice(listed, MOST_LISTED + 1))
    if len(found) > MOST_LISTED:
        raise PluginError(f"it lists more than {MOST_LISTED} things")
    return found


def wrong_spec(hook: str, spec: object) -> str | None:
    """What is wrong with one thing that a plugin's ``hook`` listed, or ``None``."""
    wanted, given = LISTED[hook]
    if not isinstance(spec, wanted):
        return f"it listed {shown(spec)}, which is no {wanted.__name__}"
    if not isinstance(spec.name, str) or not 0 < len(spec.name) <= LONGEST_NAME:
        return f"a {wanted.__name__} has the name {shown(spec.name)}: a name is a text of 1 to {LONGEST_NAME} letters"
    if not spec.name.isprintable() or spec.name != spec.name.strip() or "," in spec.name:
        return f"the name {spec.name!r} has characters that cannot be typed or shown, or a comma"
    if isinstance(spec, ModelSpec | BackendSpec) and spec.name == AUTO:
        return f"the name {AUTO} is taken: it lets one be chosen"
    if spec.replaces is not None and not isinstance(spec.replaces, str):
        return f"replaces of {spec.name} is {shown(spec.replaces)}: it is the name of a distribution, or None"
    for name in _functions(spec):
        if not callable(getattr(spec, name)):
            return f"{name} of {spec.name} is {shown(getattr(spec, name))}: it is a function"
    if given and not _takes(spec.build, given):
        return f"build of {spec.name} does not take {given}, by this name"
    return _wrong_fields(spec)


def _functions(spec: Spec) -> tuple[str, ...]:
    """Names of the fields that hold functions."""
    if isinstance(spec, ModelSpec):
        return ("build",) if spec.build_for_training is None else ("build", "build_for_training")
    if isinstance(spec, BackendSpec):
        return ("build", "precisions", "lanes", "auto_rank", "out_of_memory", "missing")
    if isinstance(spec, ExporterSpec):
        return ("build", "missing") if spec.ready is None else ("build", "ready", "missing")
    return ("build",) if isinstance(spec, DegradationSpec) else ("build", "missing")


def _takes(build: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(build).parameters.values()
    except (TypeError, ValueError):  # written in C: nobody can tell
        return True
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return any(p.kind is p.VAR_KEYWORD or (p.name == name and p.kind in by_name) for p in parameters)


def _wrong_fields(spec: Spec) -> str | None:
    flags: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    if isinstance(spec, ModelSpec):  # the rest was checked when it was made
        flags, texts = ("needs_weights",), ("architecture", "license")
        if spec.precisions is not None and not all_in(spec.precisions, get_args(Precision)):
            return f"precisions of {spec.name} is {shown(spec.precisions)}: a tuple of {listed(Precision)}, or None"
    elif isinstance(spec, BackendSpec):
        flags = ("fixed_shapes", "forks", "recordable")
        if not all_in(spec.takes, get_args(Form)) or not spec.takes:
            return f"takes of {spec.name} is {shown(spec.takes)}: it is a tuple of {listed(Form)}"
    elif isinstance(spec, DegradationSpec):
        flags = ("random",)
    elif isinstance(spec, ExporterSpec):
        return _wrong_exporter(spec)
    elif isinstance(spec, MetricSpec):
        flags = ("larger_is_better", "reference", "clip")
        if spec.channels not in get_args(Channels):
            return f"channels of {spec.name} is {shown(spec.channels)}: it is {listed(Channels)}"
        if not isinstance(spec.decimals, int) or isinstance(spec.decimals, bool) or not 0 <= spec.decimals <= 12:
            return f"decimals of {spec.name} is {shown(spec.decimals)}: it is a whole number from 0 to 12"
    for name in flags:
        if not isinstance(getattr(spec, name), bool):
            return f"{name} of {spec.name} is {shown(getattr(spec, name))}: it is True or False"
    for name in texts:
        if not isinstance(getattr(spec, name), str):
            return f"{name} of {spec.name} is {shown(getattr(spec, name))}: it is a text"
    return None


def _wrong_exporter(spec: ExporterSpec) -> str | None:
    endings = spec.suffixes if isinstance(spec.suffixes, tuple | list) else ()
    if not endings or not all(isinstance(e, str) and re.fullmatch(r"\.[\w.]*\w", e) for e in endings):
        return f"suffixes of {spec.name} is {shown(spec.suffixes)}: it is a tuple of suffixes such as '.onnx'"
    if not all_in(spec.options, tuple(OPTIONS)):
        return f"options of {spec.name} is {shown(spec.options)}: it is a tuple of {', '.join(OPTIONS)}"
    return None


def wrong_model(loaded: object) -> str | None:
    """What is wrong with the answer of a reader of weights, or ``None``; its networks are put into eval mode."""
    if not isinstance(loaded, LoadedModel):
        return f"it answered {shown(loaded)}, which is no LoadedModel"
    if wrong := wrong_spec("sr_models", loaded.spec):
        return wrong
    networks = (loaded.network, *loaded.others) if isinstance(loaded.others, tuple) else (None,)
    for network in networks:
        if not isinstance(network, TorchNetwork | OnnxNetwork | NcnnNetwork):
            return f"its LoadedModel holds {shown(network)}, which is no TorchNetwork, OnnxNetwork or NcnnNetwork"
        if isinstance(network, TorchNetwork) and not is_module(network.module):
            return f"its TorchNetwork holds {shown(network.module)}, which is no torch.nn.Module"
        if isinstance(network, TorchNetwork):
            network.module.eval()
        if wrong := _wrong_parts(network):
            return f"its {type(network).__name__} has {wrong}"
    return None if isinstance(loaded.card, dict) else f"its card is {shown(loaded.card)}: it is a dict"


def _wrong_parts(network: TorchNetwork | OnnxNetwork | NcnnNetwork) -> str | None:
    """The first attribute of a network that is not of the type written at it."""
    kinds = {"str": str, "bytes": bytes, "int": int, "bool": bool}
    for field in fields(network):
        kind, value = kinds.get(str(field.type)), getattr(network, field.name)
        if kind is not None and type(value) is not kind:
            return f"{field.name} {shown(value)}: it is of type {kind.__name__}"
    return None


def is_module(value: object) -> bool:
    """Whether ``value`` is a torch module; told without importing torch, which takes seconds."""
    return (
        callable(value)
        and not isinstance(value, type)
        and all(hasattr(value, name) for name in ("state_dict", "forward", "eval"))
    )


def all_in(values: Any, words: tuple[Any, ...]) -> bool:
    """Whether it is a tuple or list of such words."""
    return isinstance(values, tuple | list) and all(isinstance(v, str) and v in words for v in values)


def listed(words: Any) -> str:
    """The words of a literal type, for a message."""
    return ", ".join(get_args(words))


def shown(value: object) -> str:
    """A short text for a message, whatever ``value`` is."""
    try:
        shape = getattr(value, "shape", None)
        text = f"{type(value).__name__} of shape {tuple(shape)}" if shape is not None else repr(value)
    except Exception:  # a plugin's object
        text = f"a {type(value).__name__}"
    return " ".join(text.split())[:80]


def collision(hook: str, name: object, providers: list[tuple[str, Any]]) -> str:
    """What to say where several distributions offer one name."""
    label = f"{name[0]} x{name[1]}" if isinstance(name, tuple) else str(name)
    owners = " and ".join(sorted(owner for owner, _ in providers))
    return f"{hook}: {label} is offered by {owners}: uninstall one, or let one declare what it replaces"
