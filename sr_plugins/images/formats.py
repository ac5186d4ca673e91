"""What each file format can hold, and how pictures are made to fit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sr_plugins.errors import ImageError
from sr_plugins.images.color_profiles import profile_fits, srgb_profile, to_srgb
from sr_plugins.images.further_formats import register
from sr_plugins.images.light_files import ENDINGS, LIGHT_FORMATS, LightFile
from sr_plugins.images.losses import is_lossless, jpeg2000_ratio
from sr_plugins.images.own_formats import ICON_TYPES
from sr_plugins.images.tiff_writer import PHOTOMETRIC
from sr_plugins.pixels.frame import eight_bits

logger = logging.getLogger("sr_plugins")

ANIMATIONS = ("GIF", "PNG", "WEBP", "AVIF")
MOVING = (*ANIMATIONS, "FLI")  # whose frames Pillow reads
_LONGEST_SIDE = {
    **{"JPEG": 65500, "WEBP": 16383, "GIF": 65535, "AVIF": 65536, "ICO": 256, "ICNS": 1024},
    **{"TGA": 65535, "PCX": 65535, "SGI": 65535},
}

_ANY_8_BIT = ("1", "L", "LA", "RGB", "RGBA")
_SIXTEEN_BIT_GRAY = ("I;16", "I;16B")
# Every format that can be written. The endings of the portable maps are formats of their own.
_MODES: dict[str, tuple[str, ...]] = {
    "AVIF": ("RGB", "RGBA"),
    "BMP": ("1", "L", "RGB", "RGBA"),
    "DDS": ("L", "LA", "RGB", "RGBA"),
    "DIB": ("1", "L", "RGB"),
    "EPS": ("L", "RGB", "CMYK"),
    "EXR": (),
    "GIF": ("1", "L", "P", "RGB", "RGBA"),
    "HDR": (),
    "HEIF": ("RGB", "RGBA"),
    "ICNS": ("RGB", "RGBA"),
    "ICO": ("RGB", "RGBA"),
    "J2K": ("L", "LA", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "JPEG2000": ("L", "LA", "RGB", "RGBA", "I;16", "YCbCr"),
    "JXL": ("L", "LA", "RGB", "RGBA", "I;16"),
    "PBM": ("1",),
    "PCX": ("1", "L", "RGB"),
    "PDF": ("1", "L", "RGB", "CMYK"),
    "PFM": ("L", "RGB", "F"),
    "PGM": ("L", "I;16"),
    "PNG": (*_ANY_8_BIT, "P", *_SIXTEEN_BIT_GRAY),
    "PPM": ("1", "L", "RGB", "I;16"),
    "QOI": ("RGB", "RGBA"),
    "SGI": ("L", "RGB", "RGBA"),
    "TGA": _ANY_8_BIT,
    "TIFF": tuple(PHOTOMETRIC),
    "WEBP": ("RGB", "RGBA"),
}
_CODESTREAMS = dict.fromkeys((".j2k", ".j2c", ".jpc"), "J2K")  # JPEG 2000 without the boxes that tell of it
_PORTABLE = {".pbm": "PBM", ".pgm": "PGM", ".ppm": "PPM", ".pnm": "PPM", ".pfm": "PFM"}
_BY_THEIR_ENDING = ("PBM", "PGM", "PFM", "EXR", "HDR", "J2K")
_NOT_32_BIT = "{} cannot hold samples of 32 bits, floats or numbers below zero: write .tiff, or convert it first"
_NO_COLOURS = "{} holds no colours: use .ppm or .png"
_COLOURED = ("RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "RGBa")
_CURE = "use .png, .jpg, .webp, .tiff, .avif or .bmp"


def format_of(path: Path) -> str:
    """The format that this file name asks for; ``ImageError`` where it cannot be written.

    Names are Pillow's, and ``PBM``, ``PGM`` and ``PFM`` for portable maps of one bit, of gray and of floats.
    """
    register()
    ending = path.suffix.lower()
    format = _PORTABLE.get(ending) or _CODESTREAMS.get(ending) or ENDINGS.get(ending) or Image.EXTENSION.get(ending, "")
    format = "JPEG" if format == "MPO" else format
    if format not in _MODES or (format not in _BY_THEIR_ENDING and format not in Image.SAVE):
        what = f"{path.suffix} pictures cannot be written" if path.suffix else "a name without ending says no format"
        raise ImageError(f"{path}: {what}: {_CURE}")
    return format


def pillow_name(format: str) -> str:
    """What Pillow calls a format."""
    if format == "J2K":
        return "JPEG2000"
    return "PPM" if format in _BY_THEIR_ENDING else format


def check_fits(source: Image.Image, sizes: Sequence[tuple[int, int]], format: str) -> None:
    """Raise ``ImageError``, before any work, where ``format`` cannot hold pictures of these ``sizes``."""
    if format in ("EXR", "HDR") and not isinstance(source, LightFile):
        raise ImageError(f"{format} holds light in float, and this picture does not: write .png or .tiff")
    if isinstance(source, LightFile) and format not in (*LIGHT_FORMATS, "TIFF"):
        raise ImageError(f"{format} does not hold light in float: write .exr, .hdr, .pfm or .tiff")
    modes = set(_MODES[format])
    is_deep_map = source.format == "PPM" and source.mode == "I"  # of 16 bits
    if (
        source.mode in ("I", "F")
        and not is_deep_map
        and not modes & {source.mode, "I;16" if source.mode == "I" else source.mode}
    ):
        raise ImageError(_NOT_32_BIT.format(format))
    if source.mode in _COLOURED and not modes & {"RGB", "RGBA"} and format not in LIGHT_FORMATS:
        raise ImageError(_NO_COLOURS.format(format))
    longest, count = _LONGEST_SIDE.get(format), len(sizes)
    most = max(map(max, sizes))
    if longest and most > longest:
        raise ImageError(f"{format} holds at most {longest} pixels a side, the result would have {most}: use .png")
    if format == "ICNS" and any(width != height or width not in ICON_TYPES for width, height in sizes):
        sides = ", ".join(map(str, ICON_TYPES))
        wrong = next(size for size in sizes if size[0] != size[1] or size[0] not in ICON_TYPES)
        raise ImageError(f"ICNS holds squares of {sides} pixels, the result would be {wrong[0]} x {wrong[1]}: use .png")
    if count == 1 or format in ("ICO", "ICNS"):
        return
    if source.format == "TIFF" and format != "TIFF":
        raise ImageError(f"{count} pages do not go into one {format} picture: use .tiff")
    if source.format != "TIFF" and format not in ANIMATIONS:
        raise ImageError(f"{count} frames of an animation do not go into {format}: use .webp, .png, .gif or .avif")


def fitted(image: Image.Image, format: str, target: Path) -> Image.Image:
    """The image in a mode that ``format`` holds; its ``info["icc_profile"]`` is the one that then applies.

    Transparency that cannot be kept is put on white, and that is said of the file ``target``. Float and 32-bit samples
    are refused where the format would cut them off, and so are colours where it knows gray alone.
    """
    modes = _MODES[format]
    if format == "GIF" and image.mode in ("LA", "RGBA"):
        return _with_hard_edges(image)
    if image.mode in modes:
        return image
    mode, info = image.mode, image.info
    if mode in ("I", "F"):
        if mode == "I" and "I;16" in modes and _holds(image, 65535):
            return _like(Image.fromarray(np.asarray(image).astype(np.uint16)), info)
        raise ImageError(_NOT_32_BIT.format(format))
    if mode in _SIXTEEN_BIT_GRAY:
        logger.warning("%s holds 8 bits: 16 became 8", target)
        return fitted(_like(Image.fromarray(eight_bits(np.asarray(image))), info), format, target)
    if mode in ("CMYK", "LAB"):
        return fitted(_in_srgb(image), format, target)
    if mode == "1":
        return fitted(image.convert("L"), format, target)
    if not {"LA", "RGBA"} & set(modes) and (image.has_transparency_data or mode in ("La", "RGBa")):
        return fitted(_on_white(image, format, target), format, target)
    if format == "PBM" and mode == "L":
        if sum(image.histogram()[1:255]):
            logger.warning("%s: PBM holds black and white alone, gray was decided at the middle", target)
        return image.point([0] * 128 + [255] * 128, "1")
    if not {"RGB", "RGBA"} & set(modes):
        raise ImageError(_NO_COLOURS.format(format))
    if mode in ("L", "LA") and (profile := info.get("icc_profile")) and profile_fits(profile, "L"):
        return fitted(_in_srgb(image), format, target)
    straight = image.convert({"La": "LA", "RGBa": "RGBA"}.get(mode, mode))
    if straight.mode in modes:
        return straight
    alpha = straight.has_transparency_data or mode == "RGBa"
    return straight.convert("RGBA" if alpha and "RGBA" in modes else "RGB")


def encoder_arguments(format: str, source: Image.Image, quality: int | None, name: str) -> dict[str, Any]:
    """Arguments of ``Image.save`` that say how to compress; what was lossless stays so, what was not too."""
    if format == "JPEG":
        progressive = bool(source.info.get("progressive"))
        return {"quality": quality or 95, "subsampling": "4:4:4", "progressive": progressive}
    if format == "WEBP":
        if quality is None and is_lossless(source, "WEBP"):
            return {"lossless": True, "exact": True}
        return {"quality": quality or 90, "exact": True}  # colours under full transparency stay, too
    if format == "HEIF":
        return {"quality": quality or 90, "chroma": 444}
    if format == "JXL":
        return {"quality": quality or (100 if is_lossless(source, "JXL") else 90)}
    if format == "AVIF":
        return {
            "quality": quality or (100 if is_lossless(source, "AVIF") else 90),
            "subsampling": "4:4:4",
        }
    if format in ("JPEG2000", "J2K"):
        arguments: dict[str, Any] = {"no_jp2": format == "J2K"}
        if ratio := jpeg2000_ratio(source):  # as much smaller as it was
            arguments |= {"irreversible": True, "quality_mode": "rates", "quality_layers": [max(1.0, ratio)]}
        return arguments
    return {"title": name} if format == "PDF" else {}


def _like(image: Image.Image, info: dict[Any, Any]) -> Image.Image:
    image.info = dict(info)
    return image


def _holds(image: Image.Image, most: int) -> bool:
    samples = np.asarray(image)
    return bool(samples.min() >= 0 and samples.max() <= most)


def _in_srgb(image: Image.Image) -> Image.Image:
    colour = image.convert("L") if image.mode == "LA" else image
    result = to_srgb(colour, image.info.get("icc_profile"))
    if image.mode == "LA":
        result.putalpha(image.getchannel("A"))
    return _like(result, {**image.info, "icc_profile": srgb_profile()})


def _on_white(image: Image.Image, format: str, target: Path) -> Image.Image:
    straight = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
    bare = straight.convert("L" if straight.mode == "LA" else "RGB")
    if not straight.getchannel("A").getbbox() and bare.getbbox():  # as in old bitmaps, whose fourth byte means nothing
        return _like(bare, image.info)
    logger.warning("%s: %s holds no transparency, the picture was put on white", target, format)
    opaque = Image.new("L" if straight.mode == "LA" else "RGB", image.size, "white")
    opaque.paste(straight.convert(opaque.mode), mask=straight.getchannel("A"))
    return _like(opaque, image.info)


def _with_hard_edges(image: Image.Image) -> Image.Image:
    """GIF pixels are there or not: half transparent ones are decided, so that shapes keep their size."""
    result = image.convert("RGBA")
    result.putalpha(result.getchannel("A").point([0] * 128 + [255] * 128))
    return result
