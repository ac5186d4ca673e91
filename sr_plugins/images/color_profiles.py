"""CMYK and LAB pictures to RGB and back, for networks that know RGB alone.

With an embedded profile the conversion is Little CMS's (relative colorimetric, black point compensation), through sRGB.
CMYK without a profile has no defined colour; the formulas of PDF 1.7, 10.3.5 are used with full black generation, so
that text in black ink stays in black ink.
"""

from __future__ import annotations

import io
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from sr_plugins.errors import ImageError

INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
# Unoptimised: the tables that Little CMS puts together for speed cost up to 13 codes of 8 bits on the way LAB - sRGB.
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE

# The data colour space signatures of ICC.1:2022, table 19, and the Pillow modes they describe.
_SPACE = {"L": b"GRAY", "LA": b"GRAY", "I;16": b"GRAY", "1": b"GRAY", "CMYK": b"CMYK", "LAB": b"Lab "}


def profile_fits(profile: bytes, mode: str) -> bool:
    """Whether an ICC profile describes pictures of this mode; a gray profile in an RGB file is worse than none."""
    return profile[16:20] == _SPACE.get(mode, b"RGB ")


@cache
def srgb_profile() -> bytes:
    """An sRGB profile as stored in files."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A CMYK, LAB or gray picture as sRGB; ``profile`` is the picture's own."""
    if image.mode == "LAB":
        return _convert(image, _lab(), _open(srgb_profile()), "RGB")
    if profile and profile_fits(profile, image.mode):
        return _convert(image, _open(profile), _open(srgb_profile()), "RGB")
    return _ink_to_light(image) if image.mode == "CMYK" else image.convert("RGB")


def from_srgb(image: Image.Image, mode: str, profile: bytes | None) -> Image.Image:
    """The way back of :func:`to_srgb`, to mode CMYK or LAB."""
    if mode == "LAB":
        return _convert(image, _open(srgb_profile()), _lab(), "LAB")
    if profile and profile_fits(profile, mode):
        return _convert(image, _open(srgb_profile()), _open(profile), mode)
    return _light_to_ink(image)


def _lab() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))


def _open(profile: bytes) -> ImageCms.ImageCmsProfile:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError) as error:
        raise ImageError(f"the ICC profile in the picture is damaged ({error}): remove or replace it") from error


def _convert(
    image: Image.Image, source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, mode: str
) -> Image.Image:
    try:
        result = ImageCms.profileToProfile(image, source, target, INTENT, mode, flags=FLAGS)
    except (ImageCms.PyCMSError, ValueError) as error:
        raise ImageError(f"the ICC profile in the picture cannot convert {image.mode} to {mode} ({error})") from error
    assert result is not None  # it is None only where the conversion is in place
    return result


def _ink_to_light(image: Image.Image) -> Image.Image:
    light = 255 - np.asarray(image).astype(np.uint16)
    return Image.fromarray(((light[..., :3] * light[..., 3:] + 127) // 255).astype(np.uint8))


def _light_to_ink(image: Image.Image) -> Image.Image:
    light = np.asarray(image).astype(np.uint16)
    brightest = light.max(axis=2, keepdims=True)
    ink = 255 - (light * 255 + brightest // 2) // np.maximum(brightest, 1)
    ink[np.broadcast_to(brightest == 0, ink.shape)] = 0
    bands = np.concatenate((ink, 255 - brightest), axis=2).astype(np.uint8)
    return Image.merge("CMYK", [Image.fromarray(np.ascontiguousarray(bands[..., i])) for i in range(4)])
