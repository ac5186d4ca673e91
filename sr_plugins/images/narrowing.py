"""What a format cannot hold of a picture's samples, in words: bits, colours, degrees of transparency."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image

from sr_plugins.images.avif_file import bits_for, bits_of
from sr_plugins.images.jpeg_2000_samples import bits_of_jpeg_2000
from sr_plugins.images.pillow_filter import Picture
from sr_plugins.images.tiff_reader import pages_of
from sr_plugins.images.wide_samples import WideSamples
from sr_plugins.pixels.frame import Frame

_BITS = 258  # TIFF 6.0
_HEIF_BITS = 10
_GIF_COLOURS = 256
_FEW = 0.25  # of the pixels without visibility: where no more differ from the rest, nothing is drawn there


def narrowed(
    pictures: Sequence[Picture], ready: Sequence[Picture], source: Image.Image, format: str, *, lossless: bool
) -> Iterator[str]:
    """The ends of lines that begin with the file's name.

    Args:
        pictures: what is to be written, made from ``source``.
        ready: the same as ``format`` holds it.
        source: an animation of a format says once what it is: nothing new is told of a GIF that stays one.
        format: of the file.
        lossless: whether it is written without loss.
    """
    if isinstance(pictures[0], Frame):
        held = _bits_held(ready[0], source, format)
        if held < (bits := _bits_of(source)):
            yield f"holds {held} bits{' of colour' if held == 8 else ''}: {bits} became {held}"
    images = [image for image in ready if isinstance(image, Image.Image)]
    if _is_wide(pictures[0]) and images and images[0].mode == "I;16":
        largest = max(int(np.asarray(image).max()) for image in images)
        yield f"keeps the numbers of the samples: the largest, {largest}, is {largest / 65535:.0%} of white"
    if format == "GIF" and source.format != "GIF":
        if any(map(_is_half_transparent, pictures)):
            yield "knows no half transparent pixels: from one half on they are opaque"
        if any(i.mode in ("RGB", "RGBA") and i.convert("RGB").getcolors(_GIF_COLOURS) is None for i in images):
            yield f"holds {_GIF_COLOURS} colours of a picture: there are more"
    if format == "JXL" and not lossless and any(map(_has_hidden_colours, images)):
        yield "does not keep the colours under full transparency: --quality 100 does"


def _is_wide(picture: Picture) -> bool:
    """Whether its samples are of a type whose largest number is not white: signed, or of 32 bits."""
    return isinstance(picture, WideSamples) or (isinstance(picture, Image.Image) and picture.mode == "I")


def _bits_held(picture: Picture, source: Image.Image, format: str) -> int:
    if not isinstance(picture, Frame):
        return 8
    return {"AVIF": bits_for(source), "HEIF": _HEIF_BITS}.get(format, 16)


def _bits_of(source: Image.Image) -> int:
    """Bits of a sample of what is read as a picture of 16."""
    if source.format == "AVIF":
        return bits_of(source)
    if source.format == "HEIF":
        return int(source.info.get("bit_depth", _HEIF_BITS))
    if source.format == "JPEG2000":
        return bits_of_jpeg_2000(source)
    if pages := pages_of(source):
        return min(16, max(int(page.value(_BITS, 8)) for page in pages))
    return 16


def _is_half_transparent(image: Picture) -> bool:
    if isinstance(image, Frame):
        return image.alpha is not None and bool(((image.alpha > 0) & (image.alpha < image.alpha.max())).any())
    if not isinstance(image, Image.Image):
        return False
    if not image.has_transparency_data and image.mode not in ("La", "RGBa"):
        return False
    alpha = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    return sum(alpha.getchannel("A").histogram()[1:255]) > 0


def _has_hidden_colours(image: Image.Image) -> bool:
    """Whether something is drawn where nothing is to be seen, as in textures of games."""
    if image.mode not in ("LA", "RGBA"):
        return False
    samples = np.asarray(image)
    hidden = samples[samples[..., -1] == 0][:, :-1]
    return bool(len(hidden)) and bool((hidden != np.median(hidden, axis=0)).any(axis=1).mean() > _FEW)
