"""What the functions of plugins' specs answer, checked where it is taken.

Nothing here knows which plugins there are; :mod:`sr_plugins.plugins` asks.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, cast, get_args

from sr_plugins.errors import PluginError, SRError, described, one_line, others_code
from sr_plugins.interface.backend import BackendSpec
from sr_plugins.interface.degradation import DegradationSpec
from sr_plugins.interface.exporter import Exported, ExporterSpec
from sr_plugins.interface.listings import (
    Spec,
    all_in,
    is_module,
    listed,
    plain,
    plain_spec,
    shown,
    wrong_spec,
)
from sr_plugins.interface.loss import LossSpec
from sr_plugins.interface.metric import MetricSpec
from sr_plugins.interface.model import ModelSpec
from sr_plugins.interface.words import Broken, NoAnswer, Precision

OUR_DISTRIBUTION = "sr-plugins"
MOST_LANES = 256  # each is a thread


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
            with others_code():
                answer = self.function(*arguments, **options)
        except Exception as error:
            if self.default is None and (isinstance(error, SRError | MemoryError) or _no_memory(error)):
                raise
            return self._failed(f"raised {described(error)}", error)
        try:
            return self.accept(answer)
        except ValueError as error:
            return self._failed(one_line(error), error)
        except Exception as error:  # the plugin's own object, when it was looked at
            return self._failed(f"returned what cannot be looked at ({described(error)})", error)

    def _failed(self, how: str, error: BaseException) -> Any:
        problem = f"plugin {self.owner}: {self.what} {how}"
        if self.default is None:
            raise PluginError(problem) from error
        if problem not in self.problems:
            self.problems.append(problem)
        return self.default(problem)


def checked_spec(hook: str, spec: object, owner: str, problems: list[str]) -> Spec:
    """What the plugin ``owner`` listed for ``hook``, with every function of it guarded if it is not one of ours.

    Raises:
        PluginError: it is no such spec.
    """
    plain = cast(Spec, plain_spec(hook, spec))
    if wrong := wrong_spec(hook, plain):
        raise PluginError(f"{hook}: {wrong}")
    return cast(Spec, spec) if owner == OUR_DISTRIBUTION else guarded(plain, owner, problems)


def guarded(spec: Spec, owner: str, problems: list[str]) -> Spec:
    """``spec`` with every function of it guarded."""

    def ask(name: str, accept: Callable[[Any], Any], default: Callable[[str], Any] | None = None) -> Any:
        function = getattr(spec, name)
        return Guarded(owner, f"{name} of {spec.name}", function, accept, problems, default)

    changed: dict[str, Any] = {}
    if isinstance(spec, ModelSpec):
        changed["build"] = ask("build", evaluating)
        if spec.build_for_training is not None:
            changed["build_for_training"] = ask("build_for_training", _module)
    elif isinstance(spec, BackendSpec):
        changed["build"] = ask("build", _function)
        changed["precisions"] = ask("precisions", _precisions, _no_precisions)
        changed["lanes"] = ask("lanes", _lanes, lambda problem: 1)
        changed["auto_rank"] = ask("auto_rank", _rank, lambda problem: None)
        changed["out_of_memory"] = ask("out_of_memory", bool, lambda problem: False)
    elif isinstance(spec, ExporterSpec):
        changed["build"] = ask("build", _Files(spec.suffixes))
        if spec.ready is not None:
            changed["ready"] = ask("ready", lambda answer: answer if answer is None else _Files(spec.suffixes)(answer))
    else:
        accept: Callable[[Any], Any] = _module
        if not isinstance(spec, LossSpec):
            accept = _Inner(owner, spec.name, _number if isinstance(spec, MetricSpec) else _picture)
        changed["build"] = ask("build", accept)
    if not isinstance(spec, ModelSpec | DegradationSpec):
        changed["missing"] = ask("missing", _missing, lambda problem: problem)
    return replace(spec, **changed)


@dataclass(frozen=True)
class _Files:
    """Accepts an exported network that has the files of its format, and no others."""

    suffixes: tuple[str, ...]

    def __call__(self, answer: Any) -> Any:
        if not isinstance(answer, Exported):
            raise ValueError(f"returned {shown(answer)}, which is no Exported")
        files = answer.files if isinstance(answer.files, Mapping) else {}
        if set(files) != set(self.suffixes) or not all(isinstance(f, bytes) for f in files.values()):
            raise ValueError(f"returned files {shown(answer.files)}: bytes for each of {', '.join(self.suffixes)}")
        return answer


@dataclass(frozen=True)
class _Inner:
    """Accepts a function, and guards it."""

    owner: str
    name: str
    accept: Callable[[Any], Any]

    def __call__(self, answer: Any) -> Any:
        return Guarded(self.owner, self.name, _function(answer), self.accept)


def _no_memory(error: BaseException) -> bool:
    """``torch.OutOfMemoryError``, where torch is there at all."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _module(answer: Any) -> Any:
    if not is_module(answer):
        raise ValueError(f"returned {shown(answer)}, which is no torch.nn.Module")
    return answer


def evaluating(answer: Any) -> Any:
    """A network in eval mode: some layers make of one picture another each time where they are left in training."""
    _module(answer).eval()
    return answer


def _function(answer: Any) -> Any:
    if not callable(answer):
        raise ValueError(f"returned {shown(answer)}, which is no function")
    return answer


def _precisions(answer: Any) -> tuple[Any, ...]:
    if not isinstance(answer, tuple | list) or not all_in(answer, get_args(Precision)):
        raise ValueError(f"returned {shown(answer)}, which is no tuple of {listed(Precision)}")
    return tuple(plain(tuple(answer)))


def _no_precisions(problem: str) -> NoAnswer:
    nothing = NoAnswer()
    nothing.problem = problem
    return nothing


def _lanes(answer: Any) -> int:
    if not isinstance(answer, Integral) or isinstance(answer, bool) or not 1 <= int(answer) <= MOST_LANES:
        raise ValueError(f"returned {shown(answer)}, which is no number of lanes (1 to {MOST_LANES})")
    return int(answer)


def _rank(answer: Any) -> int | None:
    if answer is not None and (not isinstance(answer, Integral) or isinstance(answer, bool)):
        raise ValueError(f"returned {shown(answer)}, which is neither a whole number nor None")
    return None if answer is None else int(answer)


def _missing(answer: Any) -> str | None:
    if answer is not None and not isinstance(answer, str):
        raise ValueError(f"returned {shown(answer)}, which is neither a text nor None")
    return answer if isinstance(answer, Broken) else plain(answer) or None


def _number(answer: Any) -> float:
    if isinstance(answer, bool) or not isinstance(answer, Real):
        raise ValueError(f"returned {shown(answer)}, which is no number")
    try:
        return float(answer)
    except OverflowError:
        raise ValueError(f"returned {shown(answer)}, which is beyond every float") from None


def _picture(answer: Any) -> Any:
    import numpy as np

    if not isinstance(answer, np.ndarray) or answer.ndim != 3 or answer.shape[2] != 3 or answer.dtype.kind not in "fiu":
        raise ValueError(f"returned {shown(answer)}, which is no picture (H, W, 3)")
    if not np.isfinite(answer).all():
        raise ValueError("returned a picture with values that are not finite")
    return answer
