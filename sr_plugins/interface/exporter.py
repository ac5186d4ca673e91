"""What a plugin tells us about one format that networks are exported to, and what it hands out: the files' content."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

# What ``srp export`` passes on where a person says it, and what each is.
OPTIONS = {
    "channels": "luma, or rgb: colour goes in and comes out",
    "precision": "full or half",
    "size": "(width, height) of the only input that will be taken",
    "opset": "version of ONNX's operators, an int",
    "passes": "of a shader: compute or fragment",
    "levels": "of the video a shader is for: limited or full",
}


@dataclass(frozen=True)
class Exported:
    """A network in a foreign format.

    Attributes:
        files: content by suffix, in the order of ``ExporterSpec.suffixes``: all are written beside each other, under
            one name.
        note: what was checked and found, in a few words for the person who exports.
    """

    files: Mapping[str, bytes]
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class ExporterSpec:
    """One format that networks can be exported to.

    Attributes:
        name: what users type after ``--format``.
        suffixes: of the files it makes, each with its dot. The first is what users name.
        build: ``build(loaded, **options)`` returns the :class:`Exported` network, or raises ``PluginError`` for one
            that the format cannot hold. Only options that a person gave are passed.
        options: which of :data:`OPTIONS` it takes.
        ready: ``ready(spec, **options)`` returns what lies ready for a registered model, so that no network needs to
            be opened, or ``None``.
        missing: returns what to install when the format's library is absent, else ``None``.
        replaces: the distribution whose format of the same name this one stands in for.
    """

    name: str
    suffixes: tuple[str, ...]
    build: Callable[..., Exported]
    options: tuple[str, ...] = ()
    ready: Callable[..., Exported | None] | None = None
    missing: Callable[[], str | None] = lambda: None
    replaces: str | None = None
