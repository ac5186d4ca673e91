"""The one rule for what ``model`` means, a name or a file, and for which trained scale of a name is taken."""

# os.path asks without raising; Path's question raises for a name that is too long.
# ruff: noqa: PTH110

from __future__ import annotations

import logging
import math
import os
import re
from os.path import exists
from pathlib import Path

from sr_plugins.errors import UnknownModelError
from sr_plugins.interface.model import LoadedModel
from sr_plugins.interface.words import AUTO
from sr_plugins.plugins import Plugins
from sr_plugins.plugins import plugins as installed
from sr_plugins.weights.library import opened as kept_model
from sr_plugins.weights.pretrained import load_model

logger = logging.getLogger("sr_plugins")

TOLD = 60  # letters of what was given as a model and is none

# models that were shipped once: what stands in, their own scale, and why they went
TAKEN_OUT = {"perceptual": ("fast", 4, "it drew dotted stitches along edges")}


def is_file_name(text: str) -> bool:
    """Whether ``text`` that is no registered name means a file: it has a separator or a suffix."""
    separators = {"/", os.sep, os.altsep or "/"}
    return any(s in text for s in separators) or re.search(r"[^.]\.[^\W\d]\w*$", text) is not None


def weights_file(model: str | os.PathLike[str], plugins: Plugins | None = None) -> Path | None:
    """The path that ``model`` means, its ``~`` resolved; ``None`` where it is a name, or several (:func:`links_of`)."""
    names = {spec.name for spec in (plugins or installed()).models()}
    if isinstance(model, str) and (model in names or not is_file_name(model)):
        return None
    try:
        path = Path(model).expanduser()
    except RuntimeError:  # a ~name of nobody here
        path = Path(model)
    return None if isinstance(model, str) and "," in model and not exists(path) else path


def links_of(model: object, plugins: Plugins) -> list[str]:
    """The models of a chain, ``a,b``; empty where ``model`` is one: a registered name or a file may hold a comma."""
    if not isinstance(model, str) or "," not in model or model in {spec.name for spec in plugins.models()}:
        return []
    return [] if weights_file(model, plugins) is not None else [link.strip() for link in model.split(",")]


def located(model: str | Path, plugins: Plugins | None = None) -> str | Path:
    """``model`` with the absolute paths of its files, for other working folders."""
    found = plugins or installed()
    if links := links_of(model, found):
        return ",".join(str(located(link, found)) for link in links)
    file = weights_file(model, found)
    return model if file is None else file.absolute()


def open_model(
    model: str | os.PathLike[str] | LoadedModel,
    scale: float | None = None,
    plugins: Plugins | None = None,
    *,
    exact: bool = False,
) -> LoadedModel:
    """Open a model by its registered name or the path of its weights file.

    Args:
        model: a text is a registered name first, else a file where it holds a separator or a suffix; several with
            commas between them are run one after the other; a path is a file; an opened model is returned as it is.
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
        told = str(model)
        told = told if len(told) <= TOLD else f"{told[:TOLD]} ..."
        raise UnknownModelError(told, (spec.name for spec in found.models()))
    elif model == AUTO:
        known = (spec.name for spec in found.models() if spec.usable)
        note = "; auto chooses for pictures and films, and in Python choose_model(frames) says what"
        raise UnknownModelError(AUTO, known, note)
    elif links := links_of(model, found):
        loaded = _chain(links, scale, found)
    elif (path := weights_file(model, found)) is not None:
        loaded = found.open_weights(path)
    else:
        assert isinstance(model, str)
        if model in TAKEN_OUT and not any(spec.name == model and spec.usable for spec in found.models()):
            model, scale = _stand_in(model, scale)
        native = int(scale) if exact and scale is not None else trained_scale(model, scale, found)
        spec = found.model(model, native)
        loaded = kept_model(spec, found) or load_model(spec)
    if exact and scale not in (None, loaded.spec.scale):
        raise UnknownModelError(f"{model} x{scale}", (), f" at this scale; {model} is for x{loaded.spec.scale}")
    return loaded


def _chain(links: list[str], scale: float | None, plugins: Plugins) -> LoadedModel:
    """Each opened; of those that were trained for several scales the last takes what is left of ``scale``."""
    from sr_plugins.weights.chain import chained

    if not all(links):
        known = (spec.name for spec in plugins.models() if spec.usable)
        raise UnknownModelError(",".join(links), known, "; a comma stands between two models")
    scales = {link: {spec.scale for spec in plugins.models() if spec.name == link and spec.usable} for link in links}
    free = next((i for i in reversed(range(len(links))) if len(scales[links[i]]) > 1), None)
    opened = [None if i == free else open_model(link, None, plugins) for i, link in enumerate(links)]
    if free is not None:
        others = math.prod(one.spec.scale for one in opened if one is not None)
        opened[free] = open_model(links[free], None if scale is None else scale / others, plugins)
    return chained([one for one in opened if one is not None])


def _stand_in(name: str, scale: float | None) -> tuple[str, float]:
    """What is taken for a model that is no longer shipped, at the scale it had; a line says so."""
    stand_in, own, why = TAKEN_OUT[name]
    logger.warning("%s was taken out: %s; %s stands in for it", name, why, stand_in)
    return stand_in, scale or own


def trained_scale(name: str, scale: float | None, plugins: Plugins) -> int | None:
    """The factor of the network of this name that is taken for ``scale``; ``None``: it has none that is usable.

    Raises:
        UnknownModelError: nothing is called so.
    """
    plugins.model(name)  # raises for an unknown name before scales are looked at
    trained = sorted(spec.scale for spec in plugins.models() if spec.name == name and spec.usable)
    enough = [s for s in trained if scale is None or s >= scale]
    return next(iter(enough or trained[-1:]), None)
