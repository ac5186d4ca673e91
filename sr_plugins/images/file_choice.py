"""``auto`` for picture files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from sr_plugins.estimation.choice import Choice, choose_model
from sr_plugins.images.choosing import choose_for_image
from sr_plugins.images.failures import named, told
from sr_plugins.images.files import open_image, read_pictures
from sr_plugins.pixels.frame import Frame

if TYPE_CHECKING:
    from sr_plugins.plugins import Plugins


def choose_for_file(path: Path, scale: float | None = None, plugins: Plugins | None = None) -> Choice:
    """What ``--model auto`` is for a picture file; of an animation or several pages the first decides.

    Raises:
        ImageError, FrameError: it cannot be read, or is damaged.
    """
    with open_image(path) as source, named(path, path):
        picture = next(read_pictures(path, source, "PNG"))
        with told(path, "is damaged"):
            if not isinstance(picture, Image.Image):
                frame = picture if isinstance(picture, Frame) else picture.as_frame()[0]
                return choose_model([frame], scale, plugins=plugins)
            return choose_for_image(picture, scale, plugins)
