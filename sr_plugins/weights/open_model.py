"""The one rule for what ``model`` means, a name or a file, and for which trained scale of a name is taken."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sr_plugins.errors import UnknownModelError
from sr_plugins.interface.model import LoadedModel
from sr_plugins.plugins import Plugins
from sr_plugins.plugins import plugins as installed
from sr_plugins.weights.pretrained import load_model


def is_file_name(text: str) -> bool:
    """Whether ``text`` that is no registered name means a file: it has a separator or a suffix."""
    separators = {"/", os.sep, os.altsep or "/"}
    return any(s in text for s in separators) or re.search(r"[^.]\.[^\W\d]\w*$", text) is not None


def weights_file(model: str | os.PathLike[str], plugins: Plugins | None = None) -> Path | None:
    """The path that ``model`` means, its ``~`` resolved; ``None`` where it is a name."""
    names = {spec.name for spec in (plugins or installed()).models()}
    if isinstance(model, str) and (model in names or not is_file_name(model)):
        return None
    try:
        return Path(model).expanduser()
    except RuntimeError:  # a ~name of nobody here
        return Path(model)


def open_model(
    model: str | os.PathLike[str] | LoadedModel,
    scale: float | None = None,
    plugins: Plugins | None = None,
    *,
    exact: bool = False,
) -> LoadedModel:
    """Open a model by its registered name or the path of its weights file.

    Args:
        model: a text is a registered name first, else a file where it holds a separator or a suffix; a path is a file;
            an opened model is returned as it is.
        scale: of a name the smallest trained network that suffices is taken, or the largest there is; ``None``: the
            smallest. A file has the scale it has.
        plugins: those to look among; those of this process by default.
        exact: accept only a network of this very scale.

    Raises:
        UnknownModelError: no such name, or with ``exact`` none of that scale.
        WeightsError: no such file, one that no plugin reads, or a model without weights.
        PluginError: two distributions offer the name.
    """
    found = plugins or installed()
    if isinstance(model, LoadedModel):
        loaded = model
    elif not isinstance(model, str | os.PathLike):
        raise UnknownModelError(str(model), (spec.name for spec in found.models()))
    elif (path := weights_file(model, found)) is not None:
        loaded = found.open_weights(path)
    else:
        assert isinstance(model, str)
        native = int(scale) if exact and scale is not None else _trained(model, scale, found)
        loaded = load_model(found.model(model, native))
    if exact and scale not in (None, loaded.spec.scale):
        raise UnknownModelError(f"{model} x{scale}", (), f" at this scale; {model} is for x{loaded.spec.scale}")
    return loaded


def _trained(name: str, scale: float | None, plugins: Plugins) -> int | None:
    plugins.model(name)  # raises for an unknown name before scales are looked at
    trained = sorted(spec.scale for spec in plugins.models() if spec.name == name and spec.usable)
    enough = [s for s in trained if scale is None or s >= scale]
    return next(iter(enough or trained[-1:]), None)
