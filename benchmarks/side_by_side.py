"""Pictures beside each other with their names underneath, for the documentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

MARGIN, CAPTION = 6, 20


def draw(pictures: dict[str, NDArray[np.uint8]], path: Path, zoom: int = 1) -> None:
    """Write pictures of one size (H, W) or (H, W, 3), each pixel ``zoom`` pixels large, into a PNG or WebP file."""
    height, width = (side * zoom for side in next(iter(pictures.values())).shape[:2])
    sheet = Image.new("RGB", (MARGIN + len(pictures) * (width + MARGIN), height + CAPTION + MARGIN), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for i, (name, picture) in enumerate(pictures.items()):
        x = MARGIN + i * (width + MARGIN)
        sheet.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.NEAREST), (x, MARGIN))
        pen.text((x, MARGIN + height + 2), name, "black", font)
    sheet.save(path, quality=90)
