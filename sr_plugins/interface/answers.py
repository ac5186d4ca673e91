"""What plugins hand out, checked where it is taken: the types of their specs, and what their functions answer.

Nothing here knows which plugins there are; :mod:`sr_plugins.plugins` asks.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, get_args

from sr_plugins.errors import PluginError, SRError, one_line
from sr_plugins.interface.backend import BackendSpec
from sr_plugins.interface.degradation import DegradationSpec
from sr_plugins.interface.loss import LossSpec
from sr_plugins.interface.metric import MetricSpec
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.interface.network import NcnnNetwork, OnnxNetwork, TorchNetwork
from sr_plugins.interface.words import Channels, Form, Precision

Spec = ModelSpec | BackendSpec | DegradationSpec | LossSpec | MetricSpec

# hook -> what it lists, and the parameter that ``build`` is given by name
LISTED: dict[str, tuple[type[Spec], str]] = {
    "sr_models": (ModelSpec, ""),
    "sr_backends": (BackendSpec, ""),
    "sr_degradations": (DegradationSpec, "scale"),
    "sr_losses": (LossSpec, "channels"),
    "sr_metrics": (MetricSpec, ""),
}
LONGEST_NAME = 100


def wrong_spec(hook: str, spec: object) -> str | None:
    """What is wrong with one thing that a plugin's ``hook`` listed, or ``None``."""
    wanted, given = LISTED[hook]
    if not isinstance(spec, wanted):
        return f"it listed {_shown(spec)}, which is no {wanted.__name__}"
    if not isinstance(spec.name, str) or not 0 < len(spec.name) <= LONGEST_NAME:
        return f"a {wanted.__name__} has the name {_shown(spec.name)}: a name is a text of 1 to {LONGEST_NAME} letters"
    if not spec.name.isprintable() or spec.name != spec.name.strip() or "," in spec.name:
        return f"the name {spec.name!r} has characters that cannot be typed or shown, or a comma"
    if spec.replaces is not None and not isinstance(spec.replaces, str):
        return f"replaces of {spec.name} is {_shown(spec.replaces)}: it is the name of a distribution, or None"
    for name in _functions(spec):
        if not callable(getattr(spec, name)):
            return f"{name} of {spec.name} is {_shown(getattr(spec, name))}: it is a function"
    if given and not _takes(spec.build, given):
        return f"build of {spec.name} does not take {given}, by this name"
    return _wrong_fields(spec)


def _functions(spec: Spec) -> tuple[str, ...]:
    """Names of the fields that hold functions."""
    if isinstance(spec, ModelSpec):
        return ("build",) if spec.build_for_training is None else ("build", "build_for_training")
    if isinstance(spec, BackendSpec):
        return ("build", "precisions", "lanes", "auto_rank", "out_of_memory", "missing")
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
        if spec.precisions is not None and not _all_in(spec.precisions, get_args(Precision)):
            return f"precisions of {spec.name} is {_shown(spec.precisions)}: a tuple of {_listed(Precision)}, or None"
    elif isinstance(spec, BackendSpec):
        flags = ("fixed_shapes", "forks", "recordable")
        if not _all_in(spec.takes, get_args(Form)) or not spec.takes:
            return f"takes of {spec.name} is {_shown(spec.takes)}: it is a tuple of {_listed(Form)}"
    elif isinstance(spec, DegradationSpec):
        flags = ("random",)
    elif isinstance(spec, MetricSpec):
        flags = ("larger_is_better", "reference", "clip")
        if spec.channels not in get_args(Channels):
            return f"channels of {spec.name} is {_shown(spec.channels)}: it is {_listed(Channels)}"
        if not isinstance(spec.decimals, int) or isinstance(spec.decimals, bool) or not 0 <= spec.decimals <= 12:
            return f"decimals of {spec.name} is {_shown(spec.decimals)}: it is a whole number from 0 to 12"
    for name in flags:
        if not isinstance(getattr(spec, name), bool):
            return f"{name} of {spec.name} is {_shown(getattr(spec, name))}: it is True or False"
    for name in texts:
        if not isinstance(getattr(spec, name), str):
            return f"{name} of {spec.name} is {_shown(getattr(spec, name))}: it is a text"
    return None


def wrong_model(loaded: object) -> str | None:
    """What is wrong with the answer of a reader of weights, or ``None``."""
    if not isinstance(loaded, LoadedModel):
        return f"it answered {_shown(loaded)}, which is no LoadedModel"
    if wrong := wrong_spec("sr_models", loaded.spec):
        return wrong
    networks = (loaded.network, *loaded.others) if isinstance(loaded.others, tuple) else (None,)
    for network in networks:
        if not isinstance(network, TorchNetwork | OnnxNetwork | NcnnNetwork):
            return f"its LoadedModel holds {_shown(network)}, which is no TorchNetwork, OnnxNetwork or NcnnNetwork"
        if isinstance(network, TorchNetwork) and not is_module(network.module):
            return f"its TorchNetwork holds {_shown(network.module)}, which is no torch.nn.Module"
    return None if isinstance(loaded.card, dict) else f"its card is {_shown(loaded.card)}: it is a dict"


def is_module(value: object) -> bool:
    """Whether ``value`` is a torch module; told without importing torch, which takes seconds."""
    return callable(value) and all(hasattr(value, name) for name in ("state_dict", "forward", "eval"))


# -- what a plugin's functions answer -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Guarded:
    """A plugin's function whose every exception and answer becomes one line with its distribution's name.

    With ``default`` nothing is raised: the problem is kept in ``problems`` once, and the default answered.
    ``PluginError`` otherwise. What was raised on purpose (``SRError``) and lack of memory pass.
    """

    owner: str
    what: str
    function: Callable[..., Any]
    accept: Callable[[Any], Any]  # the checked answer; ValueError says what is wrong with it
    problems: list[str] = field(default_factory=list, compare=False, repr=False)
    default: Callable[[str], Any] | None = None

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        """Its signature is the plugin's own."""
        return self.function

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        try:
            answer = self.function(*arguments, **options)
        except (Exception, SystemExit) as error:
            if self.default is None and (isinstance(error, SRError | MemoryError) or _no_memory(error)):
                raise
            return self._failed(f"raised {described(error)}", error)
        try:
            return self.accept(answer)
        except ValueError as error:
            return self._failed(str(error), error)

    def _failed(self, how: str, error: BaseException) -> Any:
        problem = f"plugin {self.owner}: {self.what} {how}"
        if self.default is None:
            raise PluginError(problem) from error
        if problem not in self.problems:
            self.problems.append(problem)
        return self.default(problem)


def guarded(spec: Spec, owner: str, problems: list[str]) -> Spec:
    """``spec`` with every function of it guarded."""

    def ask(name: str, accept: Callable[[Any], Any], default: Callable[[str], Any] | None = None) -> Any:
        function = getattr(spec, name)
        return Guarded(owner, f"{name} of {spec.name}", function, accept, problems, default)

    changed: dict[str, Any] = {}
    if isinstance(spec, ModelSpec):
        changed["build"] = ask("build", _module)
        if spec.build_for_training is not None:
            changed["build_for_training"] = ask("build_for_training", _module)
    elif isinstance(spec, BackendSpec):
        changed["build"] = ask("build", _function)
        changed["precisions"] = ask("precisions", _precisions, lambda problem: ())
        changed["lanes"] = ask("lanes", _lanes, lambda problem: 1)
        changed["auto_rank"] = ask("auto_rank", _rank, lambda problem: None)
        changed["out_of_memory"] = ask("out_of_memory", bool, lambda problem: False)
    else:
        accept: Callable[[Any], Any] = _module
        if not isinstance(spec, LossSpec):
            accept = _Inner(owner, spec.name, _number if isinstance(spec, MetricSpec) else _picture)
        changed["build"] = ask("build", accept)
    if not isinstance(spec, ModelSpec | DegradationSpec):
        changed["missing"] = ask("missing", _missing, lambda problem: problem)
    return replace(spec, **changed)


@dataclass(frozen=True)
class _Inner:
    """Accepts a function, and guards it."""

    owner: str
    name: str
    accept: Callable[[Any], Any]

    def __call__(self, answer: Any) -> Any:
        return Guarded(self.owner, self.name, _function(answer), self.accept)


def described(error: BaseException) -> str:
    """Type and first line of an exception."""
    return f"{type(error).__name__}: {one_line(error)}"


def _no_memory(error: BaseException) -> bool:
    """``torch.OutOfMemoryError``, where torch is there at all."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _module(answer: Any) -> Any:
    if not is_module(answer):
        raise ValueError(f"returned {_shown(answer)}, which is no torch.nn.Module")
    return answer


def _function(answer: Any) -> Any:
    if not callable(answer):
        raise ValueError(f"returned {_shown(answer)}, which is no function")
    return answer


def _precisions(answer: Any) -> tuple[Any, ...]:
    if not isinstance(answer, tuple | list) or not _all_in(answer, get_args(Precision)):
        raise ValueError(f"returned {_shown(answer)}, which is no tuple of {_listed(Precision)}")
    return tuple(answer)


def _lanes(answer: Any) -> int:
    if not isinstance(answer, Integral) or isinstance(answer, bool) or answer < 1:
        raise ValueError(f"returned {_shown(answer)}, which is no number of lanes")
    return int(answer)


def _rank(answer: Any) -> int | None:
    if answer is not None and (not isinstance(answer, Integral) or isinstance(answer, bool)):
        raise ValueError(f"returned {_shown(answer)}, which is neither a whole number nor None")
    return None if answer is None else int(answer)


def _missing(answer: Any) -> str | None:
    if answer is not None and not isinstance(answer, str):
        raise ValueError(f"returned {_shown(answer)}, which is neither a text nor None")
    return answer or None


def _number(answer: Any) -> float:
    if isinstance(answer, bool) or not isinstance(answer, Real):
        raise ValueError(f"returned {_shown(answer)}, which is no number")
    return float(answer)


def _picture(answer: Any) -> Any:
    import numpy as np

    if not isinstance(answer, np.ndarray) or answer.ndim != 3 or answer.shape[2] != 3 or answer.dtype.kind not in "fiu":
        raise ValueError(f"returned {_shown(answer)}, which is no picture (H, W, 3)")
    if not np.isfinite(answer).all():
        raise ValueError("returned a picture with values that are not finite")
    return answer


def _all_in(values: Any, words: tuple[Any, ...]) -> bool:
    return isinstance(values, tuple | list) and all(isinstance(v, str) and v in words for v in values)


def _listed(words: Any) -> str:
    return ", ".join(get_args(words))


def _shown(value: object) -> str:
    """A short text for a message, whatever ``value`` is."""
    shape = getattr(value, "shape", None)
    try:
        text = f"{type(value).__name__} of shape {tuple(shape)}" if shape is not None else repr(value)
    except Exception:  # a plugin's object
        text = f"a {type(value).__name__}"
    return " ".join(text.split())[:80]
