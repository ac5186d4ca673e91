"""Super-resolution inside GIMP 3 and for Pillow images.

>>> from PIL import Image
>>> from gimp_bridge import SuperResolution
>>> Image.new("RGB", (32, 24)).filter(SuperResolution(2, "tiny", device="cpu")).size
(64, 48)

Names are imported when first used: the plug-in's installer and worker need no Pillow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sr_plugins.images.files import save_like
    from sr_plugins.images.pillow_filter import SuperResolution, upscale_image

__all__ = ["SuperResolution", "save_like", "upscale_image"]

_WHERE = {
    "SuperResolution": "sr_plugins.images.pillow_filter",
    "save_like": "sr_plugins.images.files",
    "upscale_image": "sr_plugins.images.pillow_filter",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
