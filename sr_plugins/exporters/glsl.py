"""GLSL: user shaders for mpv, IINA, Jellyfin's player, VLC and ffmpeg's libplacebo filter."""

from __future__ import annotations

from collections.abc import Iterable

from sr_plugins.errors import ArgumentError
from sr_plugins.exporters.compact_layers import compact_layers
from sr_plugins.exporters.shader import Levels, Passes, Precision, ShaderWriter
from sr_plugins.exporters.shipped import described, shipped
from sr_plugins.interface.exporter import Exported, ExporterSpec
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec


def build(
    loaded: LoadedModel, *, passes: Passes = "compute", precision: Precision = "half", levels: Levels = "limited"
) -> Exported:
    """A shader with a hook on LUMA, weights inside.

    Raises:
        PluginError: the network is none of the compact family.
        ArgumentError: full precision without compute passes.
    """
    if precision == "full" and passes == "fragment":
        raise ArgumentError("a shader of full precision needs compute passes: fragment passes save half precision")
    writer = ShaderWriter(loaded.spec, compact_layers(loaded, "glsl"), passes, precision, levels)
    text = writer.text()
    return Exported({".glsl": text.encode()}, described(text))


def ready(
    spec: ModelSpec, *, passes: Passes = "compute", precision: Precision = "half", levels: Levels = "limited"
) -> Exported | None:
    """The shader that lies in the package, if it is the one that was asked for."""
    return shipped(spec) if (passes, precision, levels) == ("compute", "half", "limited") else None


@hookimpl
def sr_exporters() -> Iterable[ExporterSpec]:
    options = ("precision", "passes", "levels")
    yield ExporterSpec(name="glsl", suffixes=(".glsl",), build=build, options=options, ready=ready)
