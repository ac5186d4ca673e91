"""GLSL: user shaders for mpv, IINA, Jellyfin's player, VLC and ffmpeg's libplacebo filter."""

from __future__ import annotations

import json
from collections.abc import Iterable

from sr_plugins.errors import ArgumentError
from sr_plugins.exporters.compact_layers import compact_layers
from sr_plugins.exporters.shader import Levels, Passes, Precision, ShaderWriter
from sr_plugins.exporters.shipped import MADE_OF, NAMES, SHADERS, described, digest_of_file, shipped
from sr_plugins.interface.exporter import Exported, ExporterSpec
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.whole_file import whole_file


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


def make_shipped() -> None:
    """Make the shaders in the package anew: ``make shaders``."""
    from sr_plugins.plugins import Plugins
    from sr_plugins.weights.pretrained import PRETRAINED, load_model

    plugins, made_of = Plugins(installed=False), {}
    for name, scales in NAMES.items():
        for scale in scales:
            spec = plugins.model(name, scale)
            assert spec.weights is not None
            assert spec.weights.parent == PRETRAINED, "SR_PLUGINS_WEIGHTS is set"
            path = SHADERS / f"{name}-x{scale}.glsl"
            with whole_file(path) as temporary:
                temporary.write_bytes(build(load_model(spec)).files[".glsl"])
            made_of[path.name] = digest_of_file(spec.weights)
    with whole_file(SHADERS / MADE_OF) as temporary:
        temporary.write_text(json.dumps(made_of, indent=1) + "\n")
