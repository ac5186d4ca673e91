"""Pillow images of every mode as frames, and back.

A mode whose samples a network understands travels as it is; the others go by the nearest one that it does:

====================================  ==============================================================================
1, L, LA, RGB, RGBA, RGBX             gray or RGB of 8 bits; 1 becomes L, RGBX becomes RGB
P, PA, transparency by colour         the colours they stand for: L, LA, RGB or RGBA
La, RGBa                              straight alpha while being enlarged
YCbCr                                 Y'CbCr of BT.601, full range, 4:4:4: no conversion at all
CMYK, LAB                             through sRGB, by the picture's profile (:mod:`.color_profiles`)
HSV                                   through RGB
I;16                                  gray of 16 bits
I, F                                  gray in float, by the range that holds the values (:func:`_range`)
====================================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.errors import FrameError
from sr_plugins.images.color_profiles import from_srgb, profile_fits, to_srgb
from sr_plugins.pixels.frame import Frame, FrameFormat, Matrix, frame_of

Back = Callable[[Frame], Image.Image]

GRAY = FrameFormat(family="gray")
GRAY16 = FrameFormat(family="gray", bits=16)
GRAY_FLOAT = FrameFormat(family="gray", bits=32, is_float=True)
RGB = FrameFormat(family="rgb")
JPEG_YUV = FrameFormat(family="yuv", full_range=True, matrix=Matrix.SMPTE170M)

# mode -> format; a last band beyond the format's planes is alpha
_DIRECT = {"L": GRAY, "LA": GRAY, "RGB": RGB, "RGBA": RGB, "YCbCr": JPEG_YUV}
# mode -> the direct mode it is converted to; converted back where that is possible without a loss
_BY_WAY_OF = {"1": "L", "RGBX": "RGB", "La": "LA", "RGBa": "RGBA", "HSV": "RGB"}
_STRIP_ROWS = 256
_CONVERTED_BACK = ("La", "RGBa", "HSV")


def image_to_frame(image: Image.Image) -> tuple[Frame, Back]:
    """The picture as a frame, and what turns the enlarged frame into an image again.

    The image that comes back has the mode of the given one, except that 1 comes back as L, P and PA as the colours they
    stand for, and a colour marked as transparent (``info["transparency"]``) as alpha. It carries no ``info``.

    Raises:
        FrameError: the image has no pixels, or a mode that is not known.
        ImageError: its ICC profile is unusable.
    """
    if 0 in image.size:
        raise FrameError(f"the picture is {image.width} x {image.height}: there is nothing to enlarge")
    mode = image.mode
    if mode.startswith("I;16"):
        return _sixteen_bit(image)
    if mode in ("I", "F"):
        return _float(image)
    if mode in ("P", "PA") or (mode in ("1", "L", "RGB") and "transparency" in image.info):
        return image_to_frame(_plain(image))
    if mode in ("CMYK", "LAB"):
        profile = image.info.get("icc_profile")
        frame, back = image_to_frame(to_srgb(image, profile))
        return frame, lambda result: from_srgb(back(result), mode, profile)
    if mode in _BY_WAY_OF:
        frame, back = image_to_frame(image.convert(_BY_WAY_OF[mode]))
        return frame, (lambda result: back(result).convert(mode)) if mode in _CONVERTED_BACK else back
    if mode not in _DIRECT:
        raise FrameError(f"pictures of mode {mode} are not supported: convert to RGB first")
    return _direct(image, _DIRECT[mode])


def _direct(image: Image.Image, format: FrameFormat) -> tuple[Frame, Back]:
    bands = np.asarray(image)
    planes = [bands] if bands.ndim == 2 else [bands[..., i] for i in range(bands.shape[2])]
    mode = image.mode
    return frame_of(format, planes), lambda result: _merged(mode, result.samples())


def _merged(mode: str, planes: Sequence[NDArray[Any]]) -> Image.Image:
    """An image of these bands, made strip by strip: of a large picture no further copy is in memory."""
    height, width = planes[0].shape
    result = Image.new(mode, (width, height))
    for top in range(0, height, _STRIP_ROWS):
        bands = [Image.fromarray(np.ascontiguousarray(plane[top : top + _STRIP_ROWS])) for plane in planes]
        result.paste(bands[0] if len(bands) == 1 else Image.merge(mode, bands), (0, top))
    return result


def _plain(image: Image.Image) -> Image.Image:
    """The picture without palette and transparent colour; gray where every colour is."""
    transparent = image.mode == "PA" or image.has_transparency_data
    if image.mode in ("1", "L"):
        return image.convert("LA")
    plain = image.convert("RGBA" if transparent else "RGB")
    profile = image.info.get("icc_profile")
    if image.mode == "RGB" or (profile and not profile_fits(profile, "L")):
        return plain
    red, green, blue = (plain.getchannel(band) for band in "RGB")
    if red.tobytes() == green.tobytes() == blue.tobytes():
        return Image.merge("LA", (red, plain.getchannel("A"))) if transparent else red
    return plain


def _sixteen_bit(image: Image.Image) -> tuple[Frame, Back]:
    samples = np.asarray(image).astype(np.uint16, copy=False)  # native byte order
    mode = image.mode

    def back(result: Frame) -> Image.Image:
        values = np.ascontiguousarray(result.planes[0])
        enlarged = Image.fromarray(values)
        if mode == "I;16B":  # Pillow converts to it from I alone
            enlarged = Image.frombytes(mode, enlarged.size, values.astype(">u2").tobytes())
        return enlarged

    return Frame([samples], GRAY16), back


def _float(image: Image.Image) -> tuple[Frame, Back]:
    samples = np.asarray(image).astype(np.float64)
    if not np.isfinite(samples).all():
        raise FrameError("the picture holds samples that are not a number or infinite")
    low, high = _range(image.mode, samples)
    frame = Frame([((samples - low) / (high - low)).astype(np.float32)], GRAY_FLOAT)

    def back(result: Frame) -> Image.Image:
        values = result.planes[0].astype(np.float64) * (high - low) + low
        if image.mode == "F":
            return Image.fromarray(values.astype(np.float32))
        limits = np.iinfo(np.int32)
        return Image.fromarray(np.clip(np.rint(values), limits.min, limits.max).astype(np.int32))

    return frame, back


def _range(mode: str, samples: NDArray[Any]) -> tuple[float, float]:
    """(black, white) of a picture that does not say: the smallest usual range that holds it, or its own extremes."""
    low, high = float(samples.min()), float(samples.max())
    usual = (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)
    if low >= 0:
        for white in usual:
            if high <= white:
                return 0.0, white
    return min(low, 0.0), max(high, low + 1.0, 1.0)
