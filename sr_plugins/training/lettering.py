"""Small letters, black on white and the like: the strongest edges that pictures have, of which photographs have few."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from sr_plugins.pixels.matlab import downscale_bicubic

SIZES = (9, 30)  # pixels of a line in the high-resolution picture
LEAST_CONTRAST = 60  # code values between letters and paper


def lettering(count: int, side: int, scale: int, seed: int = 0) -> Tensor:
    """Low-resolution luma (count, 1, side, side) in [0, 1], shrunk by the literature's bicubic; the same every time.

    Half of the pictures are pure black and white, half of the others light on dark.
    """
    rng = np.random.default_rng(seed)
    pictures = [downscale_bicubic(_page(rng, side * scale), scale) for _ in range(count)]
    return torch.from_numpy(np.stack(pictures)[:, None].astype(np.float32) / 255)


def _page(rng: np.random.Generator, side: int) -> NDArray[np.uint8]:
    line = int(rng.integers(*SIZES, endpoint=True))
    font = ImageFont.load_default(size=line)
    page = Image.new("L", (side, side), 255)
    draw = ImageDraw.Draw(page)
    for y in range(-int(rng.integers(line)), side, line):
        letters = "".join(map(chr, rng.integers(33, 127, side // 2)))
        draw.text((-int(rng.integers(line)), y), letters, fill=0, font=font)
    paper, ink = 255.0, 0.0
    if rng.random() < 0.5:
        ink = float(rng.uniform(0, 255 - LEAST_CONTRAST))
        paper = float(rng.uniform(ink + LEAST_CONTRAST, 255))
    if rng.random() < 0.5:
        paper, ink = ink, paper
    return (np.asarray(page) / 255 * (paper - ink) + ink).round().astype(np.uint8)
