"""Picture files as a browser shows them: their own bytes where it can, upright and without loss where it cannot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sr_plugins.comparison.page import MEDIA, ShownPicture
from sr_plugins.images.exif import orientation_of
from sr_plugins.images.failures import told
from sr_plugins.images.files import count_pictures, open_image, read_pictures
from sr_plugins.images.modes import image_to_frame
from sr_plugins.images.pillow_filter import Picture
from sr_plugins.images.tiff_reader import black_of, page_of
from sr_plugins.images.upright import settled_image, upright
from sr_plugins.images.wide_samples import WideSamples
from sr_plugins.pixels.frame import Frame

_AS_THEY_ARE = ("1", "L", "LA", "P", "RGB", "RGBA")


def shown_picture(path: Path, name: str | None = None) -> ShownPicture:
    """A picture file for a page of comparison; of an animation or several pages the first.

    Raises:
        ImageError: it cannot be read, or is damaged.
    """
    with open_image(path) as source:
        note = f"{source.format}, {_bytes(path.stat().st_size)}"
        plain = source.format in MEDIA and source.mode in _AS_THEY_ARE
        plain = plain and count_pictures(source) == 1 and orientation_of(source) == 1
        picture = next(iter(read_pictures(path, source, "PNG")))
        with told(path, "is damaged"):
            image = _visible(picture)
            if plain and isinstance(picture, Image.Image):
                size = f"{image.width} x {image.height}"
                data = path.read_bytes()
                return ShownPicture(name or path.stem, data, MEDIA[source.format or ""], *image.size, f"{size}, {note}")
            return ShownPicture.of(name or path.stem, image, note)


def _visible(picture: Picture) -> Image.Image:
    """Upright, 8 bits, L, LA, RGB or RGBA."""
    if isinstance(picture, WideSamples):
        return _eight_bits(picture.as_frame()[0])
    if not isinstance(picture, Image.Image):
        return _eight_bits(picture if isinstance(picture, Frame) else picture.as_frame()[0])
    page = page_of(picture)
    turned = upright(settled_image(picture))
    if turned.mode in _AS_THEY_ARE:
        return turned
    if turned.mode == "YCbCr":
        return turned.convert("RGB")
    return _eight_bits(image_to_frame(turned, negative=black_of(page))[0])


def _eight_bits(frame: Frame) -> Image.Image:
    peak = 1 if frame.format.is_float else (1 << frame.format.bits) - 1
    bands = [Image.fromarray(np.rint(p.astype(np.float32) * (255 / peak)).astype(np.uint8)) for p in frame.samples()]
    mode = ("L" if frame.format.family == "gray" else "RGB") + ("" if frame.alpha is None else "A")
    return bands[0] if len(bands) == 1 else Image.merge(mode, bands)


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{max(1, round(count / 1e3))} kB"
