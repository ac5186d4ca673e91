"""Super-resolution inside the tools people already use: the shared core, under its public names.

>>> import numpy as np
>>> from sr_plugins import Frame, FrameFormat, Upscaler
>>> luma = np.full((24, 32), 120, np.uint8)
>>> with Upscaler("tiny", scale=2, device="cpu") as upscaler:
...     larger = upscaler.upscale(Frame([luma], FrameFormat(family="gray")))
>>> larger.width, larger.height
(64, 48)

All but ``SRError`` are imported when they are first asked for, with what they bring: numpy, torch, Pillow, PyAV.
"""

from sr_plugins.errors import SRError
from sr_plugins.interface.late_names import late_names

TYPE_CHECKING = False  # as typing's, see late_names
if TYPE_CHECKING:
    from sr_plugins.estimation.choice import choose_model
    from sr_plugins.images.files import upscale_file
    from sr_plugins.interface.backend import BackendSpec, Coding, CodingRunner, Placement, Runner
    from sr_plugins.interface.degradation import DegradationSpec
    from sr_plugins.interface.exporter import Exported, ExporterSpec
    from sr_plugins.interface.hookspecs import hookimpl
    from sr_plugins.interface.loss import LossSpec
    from sr_plugins.interface.metric import MetricSpec
    from sr_plugins.interface.model import LoadedModel, ModelSpec
    from sr_plugins.interface.network import NcnnNetwork, OnnxNetwork, TorchNetwork
    from sr_plugins.pixels.frame import ChromaLocation, Frame, FrameFormat, Matrix
    from sr_plugins.upscaler import Upscaler
    from sr_plugins.version import __version__
    from sr_plugins.video.cluster import Cluster
    from sr_plugins.video.transcode import upscale_video
    from sr_plugins.weights.open_model import open_model
    from sr_plugins.weights.safetensors_files import write_weights

__all__ = [
    "BackendSpec",
    "ChromaLocation",
    "Cluster",
    "Coding",
    "CodingRunner",
    "DegradationSpec",
    "Exported",
    "ExporterSpec",
    "Frame",
    "FrameFormat",
    "LoadedModel",
    "LossSpec",
    "Matrix",
    "MetricSpec",
    "ModelSpec",
    "NcnnNetwork",
    "OnnxNetwork",
    "Placement",
    "Runner",
    "SRError",
    "TorchNetwork",
    "Upscaler",
    "__version__",
    "choose_model",
    "hookimpl",
    "open_model",
    "upscale_file",
    "upscale_video",
    "write_weights",
]

__getattr__ = late_names(
    __name__,
    {
        "BackendSpec": "sr_plugins.interface.backend",
        "ChromaLocation": "sr_plugins.pixels.frame",
        "Cluster": "sr_plugins.video.cluster",
        "Coding": "sr_plugins.interface.backend",
        "CodingRunner": "sr_plugins.interface.backend",
        "DegradationSpec": "sr_plugins.interface.degradation",
        "Exported": "sr_plugins.interface.exporter",
        "ExporterSpec": "sr_plugins.interface.exporter",
        "Frame": "sr_plugins.pixels.frame",
        "FrameFormat": "sr_plugins.pixels.frame",
        "LoadedModel": "sr_plugins.interface.model",
        "LossSpec": "sr_plugins.interface.loss",
        "Matrix": "sr_plugins.pixels.frame",
        "MetricSpec": "sr_plugins.interface.metric",
        "ModelSpec": "sr_plugins.interface.model",
        "NcnnNetwork": "sr_plugins.interface.network",
        "OnnxNetwork": "sr_plugins.interface.network",
        "Placement": "sr_plugins.interface.backend",
        "Runner": "sr_plugins.interface.backend",
        "TorchNetwork": "sr_plugins.interface.network",
        "Upscaler": "sr_plugins.upscaler",
        "__version__": "sr_plugins.version",
        "choose_model": "sr_plugins.estimation.choice",
        "hookimpl": "sr_plugins.interface.hookspecs",
        "open_model": "sr_plugins.weights.open_model",
        "upscale_file": "sr_plugins.images.files",
        "upscale_video": "sr_plugins.video.transcode",
        "write_weights": "sr_plugins.weights.safetensors_files",
    },
)
