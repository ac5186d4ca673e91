"""The Pillow filter as ``srp bench`` measures it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice

from PIL import Image

from sr_plugins.images.pillow_filter import SuperResolution
from sr_plugins.pixels.frame import Frame
from sr_plugins.upscaler import Upscaler


def through_pillow(upscaler: Upscaler, pictures: Sequence[Frame], count: int) -> None:
    """``image.filter(SuperResolution())`` on ``count`` RGB images, one after the other, as programs do."""
    images = [Image.merge("RGB", [Image.fromarray(picture.planes[0])] * 3) for picture in pictures]
    enlarge = SuperResolution(upscaler=upscaler)
    for image in islice(cycle(images), count):
        image.filter(enlarge)
