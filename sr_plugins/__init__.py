"""Super-resolution inside the tools people already use: the shared core.

>>> from sr_plugins import Frame, FrameFormat, Upscaler
>>> with Upscaler("fast", scale=2) as upscaler:  # doctest: +SKIP
...     larger = upscaler.upscale(Frame([luma], FrameFormat(family="gray")))
"""

from typing import TYPE_CHECKING, Any

from sr_plugins.errors import SRError
from sr_plugins.interface.backend import BackendSpec
from sr_plugins.interface.degradation import DegradationSpec
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.loss import LossSpec
from sr_plugins.interface.metric import MetricSpec
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.pixels.frame import ChromaLocation, Frame, FrameFormat, Matrix
from sr_plugins.version import __version__

if TYPE_CHECKING:
    from sr_plugins.upscaler import Upscaler

__all__ = [
    "BackendSpec",
    "ChromaLocation",
    "DegradationSpec",
    "Frame",
    "FrameFormat",
    "LoadedModel",
    "LossSpec",
    "Matrix",
    "MetricSpec",
    "ModelSpec",
    "SRError",
    "Upscaler",
    "__version__",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    # Upscaler brings torch, which takes seconds to import: only who asks for it waits.
    if name == "Upscaler":
        from sr_plugins.upscaler import Upscaler

        return Upscaler
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
