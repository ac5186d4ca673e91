"""Super-resolution inside GIMP 3 and for Pillow images.

>>> from PIL import Image
>>> from gimp_bridge import SuperResolution
>>> Image.new("RGB", (32, 24)).filter(SuperResolution(2, "tiny", device="cpu")).size
(64, 48)

Names are imported when first used: the plug-in's installer and worker need no Pillow.
"""

from typing import TYPE_CHECKING

from sr_plugins.interface.late_names import late_names

if TYPE_CHECKING:
    from sr_plugins.images.files import save_like
    from sr_plugins.images.pillow_filter import SuperResolution, upscale_image

__all__ = ["SuperResolution", "save_like", "upscale_image"]

__getattr__ = late_names(
    __name__,
    {
        "SuperResolution": "sr_plugins.images.pillow_filter",
        "save_like": "sr_plugins.images.files",
        "upscale_image": "sr_plugins.images.pillow_filter",
    },
)
