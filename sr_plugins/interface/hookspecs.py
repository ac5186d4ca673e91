"""Every hook a plugin can implement. docs/hooks.md tells the same with examples; a test holds the two together.

A plugin is a module (or object) registered under the entry-point group ``sr_plugins``::

    [project.entry-points.sr_plugins]
    mymodels = "sr_plugins_mymodels"

Its functions carry ``@sr_plugins.hookimpl`` and the names below. Hooks return frozen dataclasses, never take
callbacks, and import heavy code (torch) only inside the ``build`` they return.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from sr_plugins.interface.backend import BackendSpec
    from sr_plugins.interface.degradation import DegradationSpec
    from sr_plugins.interface.exporter import ExporterSpec
    from sr_plugins.interface.loss import LossSpec
    from sr_plugins.interface.metric import MetricSpec
    from sr_plugins.interface.model import LoadedModel, ModelSpec


PROJECT = "sr_plugins"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def sr_models() -> Iterable[ModelSpec]:
    """Return the models this plugin offers, one :class:`~sr_plugins.interface.model.ModelSpec` per name and scale."""
    raise NotImplementedError


@hookspec
def sr_backends() -> Iterable[BackendSpec]:
    """Return the ways to run a network that this plugin offers."""
    raise NotImplementedError


@hookspec
def sr_degradations() -> Iterable[DegradationSpec]:
    """Return the degradation steps this plugin offers to the ``[[degradation]]`` tables of recipes."""
    raise NotImplementedError


@hookspec
def sr_losses() -> Iterable[LossSpec]:
    """Return the losses this plugin offers to the ``[stage.losses]`` tables of recipes."""
    raise NotImplementedError


@hookspec
def sr_metrics() -> Iterable[MetricSpec]:
    """Return the measures of quality this plugin offers to ``srp evaluate``."""
    raise NotImplementedError


@hookspec
def sr_exporters() -> Iterable[ExporterSpec]:
    """Return the formats this plugin offers to ``srp export --format``."""
    raise NotImplementedError


@hookspec(firstresult=True)
def sr_open_weights(path: Path, models: Mapping[tuple[str, int], ModelSpec]) -> LoadedModel | None:
    """Read the weights file at ``path``, or return ``None`` if it is not of a kind this plugin knows.

    Called with an existing file, and with all installed models by name and scale, for files that name one; a plugin
    that needs none leaves ``models`` out. Installed plugins are asked before the built-in readers, those with
    ``tryfirst`` before others; the first that does not return ``None`` is taken. Nothing in the file may be executed:
    read safetensors, or ``torch.load(weights_only=True)``. Raise ``WeightsError`` for a file that is of the known kind
    but damaged: it is told and nobody else is asked. Any other exception is kept as a problem of the plugin, and the
    next one is asked.
    """
    raise NotImplementedError
