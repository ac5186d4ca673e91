"""Super-resolution inside the tools people already use: the shared core.

>>> from sr_plugins import Frame, FrameFormat, Upscaler
>>> with Upscaler("fast", scale=2) as upscaler:  # doctest: +SKIP
...     larger = upscaler.upscale(Frame([luma], FrameFormat(family="gray")))
"""

from sr_plugins.errors import SRError
from sr_plugins.frame import ChromaLocation, Frame, FrameFormat, Matrix
from sr_plugins.hookspecs import hookimpl
from sr_plugins.model_spec import BackendSpec, LoadedModel, ModelSpec
from sr_plugins.upscaler import Upscaler

__version__ = "0.1.0"

__all__ = [
    "BackendSpec",
    "ChromaLocation",
    "Frame",
    "FrameFormat",
    "LoadedModel",
    "Matrix",
    "ModelSpec",
    "SRError",
    "Upscaler",
    "__version__",
    "hookimpl",
]
