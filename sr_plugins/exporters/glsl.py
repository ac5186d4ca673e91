"""GLSL: user shaders for mpv, IINA, Jellyfin's player, VLC and ffmpeg's libplacebo filter."""

from __future__ import annotations

from collections.abc import Iterable

from sr_plugins.errors import ArgumentError
from sr_plugins.exporters.compact_layers import compact_layers
from sr_plugins.exporters.shader import Levels, Passes, Precision, ShaderWriter
from sr_plugins.interface.exporter import Exported, ExporterSpec
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel


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
    return Exported({".glsl": text.encode()}, f"{text.count('//!HOOK')} passes, {precision} precision, {levels} levels")


@hookimpl
def sr_exporters() -> Iterable[ExporterSpec]:
    yield ExporterSpec(name="glsl", suffixes=(".glsl",), build=build, options=("precision", "passes", "levels"))
