"""Pictures beside each other on one page: a divider, a lens and names; one file that opens from disk, without network.

>>> left = ShownPicture.of("black", np.zeros((8, 8, 3), np.uint8))
>>> right = ShownPicture.of("white", np.full((8, 8, 3), 255, np.uint8))
>>> "white" in comparison_page([Scene("a square", (left, right))], "black or white")
True
"""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.errors import ArgumentError, ImageError
from sr_plugins.whole_file import whole_file

WEBP_SIDE = 16383  # pixels: the longest side that WebP holds
MEDIA = {"PNG": "image/png", "WEBP": "image/webp", "JPEG": "image/jpeg", "AVIF": "image/avif"}


@dataclass(frozen=True)
class ShownPicture:
    """A picture as a browser gets it.

    ``data`` is a whole file of the type ``media``; ``note`` a line below the name. ``width`` and ``height`` are in
    pixels, its own: pictures of a scene are shown at the size of the largest.
    """

    name: str
    data: bytes
    media: str
    width: int
    height: int
    note: str = ""

    @classmethod
    def of(cls, name: str, picture: NDArray[np.uint8] | Image.Image, note: str = "") -> Self:
        """Of samples (H, W), (H, W, 3) or (H, W, 4), sRGB, or an upright image of 8 bits; encoded without loss."""
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        file, small = io.BytesIO(), max(image.size) <= WEBP_SIDE
        if image.mode not in ("L", "RGB", "RGBA"):
            image = image.convert("RGBA" if image.has_transparency_data else "RGB")
        profile = image.info.get("icc_profile")
        if small:
            image.save(file, "WEBP", lossless=True, method=0, exact=True, icc_profile=profile)
        else:
            image.save(file, "PNG", icc_profile=profile)
        size = f"{image.width} x {image.height}"
        kind = MEDIA["WEBP" if small else "PNG"]
        return cls(name, file.getvalue(), kind, *image.size, f"{size}, {note}" if note else size)


@dataclass(frozen=True)
class Scene:
    """What is compared at once: two or more pictures of one thing. The first is on the left to begin with."""

    title: str
    pictures: Sequence[ShownPicture]


def comparison_page(scenes: Sequence[Scene], title: str) -> str:
    """The page as HTML: everything is in it, and its own policy forbids it to load anything.

    Raises:
        ArgumentError: no scene, or one of fewer than two pictures.
    """
    if not scenes:
        raise ArgumentError("there is nothing to compare")
    for scene in scenes:
        if len(scene.pictures) < 2:
            raise ArgumentError(f"{scene.title}: a comparison needs two pictures or more")
    told = [
        {
            "title": scene.title,
            "pictures": [
                {
                    "name": picture.name,
                    "note": picture.note,
                    "width": picture.width,
                    "height": picture.height,
                    "data": f"data:{picture.media};base64,{base64.b64encode(picture.data).decode()}",
                }
                for picture in scene.pictures
            ],
        }
        for scene in scenes
    ]
    data = json.dumps(told).replace("<", "\\u003c")  # a name must not end the script
    page = files("sr_plugins.comparison").joinpath("page.html").read_text("utf-8")
    return page.replace("@TITLE@", html.escape(title)).replace("@DATA@", data)


def write_comparison(target: Path, scenes: Sequence[Scene], title: str) -> None:
    """Write :func:`comparison_page` to a file, whole or not at all.

    Raises:
        ArgumentError: as there.
        ImageError: the file cannot be written.
    """
    page = comparison_page(scenes, title)
    try:
        with whole_file(target) as temporary:
            temporary.write_text(page, "utf-8", errors="replace")  # names of files need not be text
    except OSError as error:
        raise ImageError(f"{target} cannot be written: {error.strerror or error}") from error
