"""The before/after picture of ``srp demo``: real photographs, shrunk, enlarged again, compared with the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sr_plugins.comparison.page import Scene, ShownPicture, write_comparison
from sr_plugins.errors import DataError, ImageError
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.evaluation.quality import bicubic, upscale_rgb
from sr_plugins.pixels.matlab import downscale_bicubic, to_luma
from sr_plugins.upscaler import Upscaler
from sr_plugins.version import extra_command
from sr_plugins.whole_file import whole_file

Picture = NDArray[np.uint8]

# photograph of scikit-image, and the (top, left) of the detail shown
PHOTOGRAPHS = {"astronaut": (80, 170), "chelsea": (60, 130), "coffee": (110, 330), "rocket": (120, 245)}
DETAIL = 128  # pixels of the original
ZOOM = 2
MARGIN, CAPTION = 8, 22


@dataclass(frozen=True)
class Comparison:
    """One photograph: the pictures by name, in the order shown, and the PSNR in dB of all but the original."""

    photograph: str
    pictures: dict[str, Picture]
    psnr: dict[str, float]


def photograph(name: str) -> Picture:
    """A photograph bundled with scikit-image, (H, W, 3) 8 bits, cropped to even sides."""
    try:
        import skimage.data
    except ImportError as error:
        raise DataError(f"the demo's photographs come with scikit-image: {extra_command('demo')}") from error
    picture = np.asarray(getattr(skimage.data, name)())
    return np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])


def compare(upscaler: Upscaler, name: str) -> Comparison:
    """Shrink a photograph by 2 (antialiased bicubic), enlarge it in three ways, measure luma without a border of 2."""
    original = photograph(name)
    small = downscale_bicubic(original, 2)
    ways: dict[str, Callable[[Picture], Picture]] = {
        "nearest": lambda low: low.repeat(2, 0).repeat(2, 1),
        "bicubic": bicubic(2)[1],
        upscaler.loaded.spec.label: partial(upscale_rgb, upscaler),
    }
    pictures = {way: enlarge(small) for way, enlarge in ways.items()}
    truth = to_luma(original)[2:-2, 2:-2]
    measured = {way: psnr(to_luma(picture)[2:-2, 2:-2], truth) for way, picture in pictures.items()}
    return Comparison(name, pictures | {"original": original}, measured)


def draw(comparisons: list[Comparison]) -> Image.Image:
    """One row for each photograph: the same detail of every picture, its name and PSNR underneath."""
    side = DETAIL * ZOOM
    columns = max(len(c.pictures) for c in comparisons)
    sheet = Image.new(
        "RGB", (MARGIN + columns * (side + MARGIN), MARGIN + len(comparisons) * (side + CAPTION + MARGIN)), "white"
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for row, comparison in enumerate(comparisons):
        top, left = PHOTOGRAPHS[comparison.photograph]
        y = MARGIN + row * (side + CAPTION + MARGIN)
        for column, (way, picture) in enumerate(comparison.pictures.items()):
            x = MARGIN + column * (side + MARGIN)
            detail = Image.fromarray(picture[top : top + DETAIL, left : left + DETAIL])
            sheet.paste(detail.resize((side, side), Image.Resampling.NEAREST), (x, y))
            value = comparison.psnr.get(way)
            pen.text((x, y + side + 2), way if value is None else f"{way}  {value:.2f} dB", "black", font)
    return sheet


def page_scenes(comparisons: list[Comparison]) -> list[Scene]:
    """The whole photographs, for a page: the model's enlargement and bicubic at first, the others behind them."""
    scenes = []
    for comparison in comparisons:
        shown = []
        for way, picture in comparison.pictures.items():
            value = comparison.psnr.get(way)
            shown.append(ShownPicture.of(way, picture, "" if value is None else f"{value:.2f} dB"))
        scenes.append(Scene(comparison.photograph, (*shown[1:], shown[0])))
    return scenes


def demonstrate(target: Path, upscaler: Upscaler) -> list[Comparison]:
    """Write the before/after picture to ``target`` (PNG), a page beside it (.html), and return what they show."""
    comparisons = [compare(upscaler, name) for name in PHOTOGRAPHS]
    try:
        with whole_file(target) as temporary:
            draw(comparisons).save(temporary, "PNG")
    except OSError as error:
        raise ImageError(f"cannot write {target}: {error.strerror or error}; choose another place with -o") from error
    write_comparison(target.with_suffix(".html"), page_scenes(comparisons), "srp demo: four photographs")
    return comparisons
