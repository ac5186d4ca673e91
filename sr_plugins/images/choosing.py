"""``auto`` for pictures: the model that suits one, seen before it is enlarged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from sr_plugins.estimation.choice import Choice, choose_model
from sr_plugins.estimation.compression import jpeg_of
from sr_plugins.images.modes import image_to_frame
from sr_plugins.images.tiff_reader import black_of, no_data_shown, page_of
from sr_plugins.images.upright import settled_image, upright
from sr_plugins.settings import OtherSettings, checked

if TYPE_CHECKING:
    from sr_plugins.plugins import Plugins


def choose_for_image(image: Image.Image, scale: float | None = None, plugins: Plugins | None = None) -> Choice:
    """The model for an image of Pillow's; one that a JPEG file was opened as tells its quality."""
    page, jpeg = page_of(image), jpeg_of(image)  # asked now: Pillow forgets the file when it loads
    turned = upright(settled_image(image))
    frame, _ = image_to_frame(turned, negative=black_of(page), no_data=no_data_shown(page))
    quality = None if jpeg is None else jpeg.stored
    return choose_model([frame], scale, quality=quality, plugins=plugins)


def scale_of(scale: float | None, settings: OtherSettings) -> float | None:
    """The scale that a host asks for which enlarges by two where it is told nothing."""
    asked = checked({"scale": scale, **settings})
    return 2 if asked["scale"] is None and asked["size"] is None else asked["scale"]
