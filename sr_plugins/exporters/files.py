"""A model into the files of a foreign format: which format, what is passed to it, and writing it whole."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sr_plugins.errors import ArgumentError, PluginError, SRError
from sr_plugins.interface.exporter import OPTIONS, Exported, ExporterSpec
from sr_plugins.interface.model import LoadedModel
from sr_plugins.plugins import Plugins
from sr_plugins.plugins import plugins as installed
from sr_plugins.weights.open_model import open_model, weights_file
from sr_plugins.whole_file import whole_file


def format_of(path: Path, name: str | None = None, plugins: Plugins | None = None) -> ExporterSpec:
    """The format called ``name``, or the one that ``path`` ends in; ``path`` must end as its format does.

    Raises:
        ArgumentError: it does not.
        UnknownNameError, PluginError: no such format, or what it needs is not installed.
    """
    found = plugins or installed()
    if name is None:
        specs = found.all_named("sr_exporters")
        named = [spec for spec in specs if path.name.lower().endswith(tuple(spec.suffixes))]
        if len(named) != 1:
            endings = " or ".join(dict.fromkeys(spec.suffixes[0] for spec in specs))
            raise ArgumentError(f"{path} does not end in {endings}: give it such a name, or name one with --format")
        name = named[0].name
    spec: ExporterSpec = found.named("sr_exporters", "format", name)
    if not path.name.lower().endswith(tuple(spec.suffixes)):
        raise ArgumentError(f"{path} does not end in {spec.suffixes[0]}, as files of format {name} do")
    if missing := spec.missing():
        raise PluginError(f"format {name} needs what is not installed here: {missing}")
    return spec


def paths_of(spec: ExporterSpec, path: Path) -> dict[str, Path]:
    """Every file that a format makes under the name of ``path``, by suffix."""
    ending = next(s for s in spec.suffixes if path.name.lower().endswith(s))
    stem = path.name[: -len(ending)]
    return {s: path if s == ending else path.with_name(stem + s) for s in spec.suffixes}


def export(
    model: str | LoadedModel,
    path: Path,
    *,
    scale: int | None = None,
    format: str | None = None,
    plugins: Plugins | None = None,
    **options: Any,
) -> tuple[str, Exported]:
    """Write ``model`` (a name or the path of a weights file) in a foreign format to ``path`` and what belongs to it.

    Args:
        model: what :func:`~sr_plugins.weights.open_model.open_model` takes.
        path: its ending names the format where ``format`` does not.
        scale: of the network; ``None``: its smallest.
        format: name of the format.
        plugins: those to look among; those of this process by default.
        options: of the format (``OPTIONS``); ``None`` is as if it were not there.

    Returns:
        The model's label and what was written.

    Raises:
        ArgumentError: the name does not end as the format does, or the format does not take an option.
        PluginError: the format cannot hold this network, or needs what is not installed.
        ModelOutputError: what was made does not compute what the network does.
        SRError: the file cannot be written.
    """
    found = plugins or installed()
    spec = format_of(path, format, found)
    asked = {name: value for name, value in options.items() if value is not None}
    for name in asked:
        if name not in spec.options:
            takes = ", ".join(f"--{o}" for o in spec.options) or "no options"
            raise ArgumentError(
                f"format {spec.name} does not take --{name} ({OPTIONS.get(name, '?')}); it takes {takes}"
            )
    label, exported = _exported(model, scale, spec, asked, found)
    _write({paths_of(spec, path)[suffix]: content for suffix, content in exported.files.items()})
    return label, exported


def _exported(
    model: str | LoadedModel, scale: int | None, spec: ExporterSpec, asked: Mapping[str, Any], plugins: Plugins
) -> tuple[str, Exported]:
    if spec.ready is not None and isinstance(model, str) and weights_file(model, plugins) is None:
        known = plugins.model(model, scale)
        if (ready := spec.ready(known, **asked)) is not None:
            return known.label, ready
    loaded = open_model(model, scale, plugins, exact=True)
    exported: Exported = spec.build(loaded, **asked)
    return loaded.spec.label, exported


def _write(files: Mapping[Path, bytes]) -> None:
    """All files or none: each gets its name when all are written."""
    path = next(iter(files))
    try:
        with ExitStack() as stack:
            for path, content in files.items():
                stack.enter_context(whole_file(path)).write_bytes(content)
    except OSError as error:
        raise SRError(f"cannot write {path}: {error.strerror or error}") from error
