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

Pixels without a value (NoData of GeoTIFF) are kept from the network as transparent ones are. A picture without any
visible pixel is enlarged as an opaque one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.errors import FrameError
from sr_plugins.images.color_profiles import from_srgb, profile_fits, to_srgb
from sr_plugins.images.wide_samples import within_its_kind
from sr_plugins.pixels.frame import Frame, FrameFormat, Matrix, Plane, frame_of

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
_MAY_HAVE_HOLES = ("L", "RGB", "I;16", "I;16B", "I", "F")
_CONVERTED_BACK = ("La", "RGBa", "HSV")


def image_to_frame(
    image: Image.Image, *, negative: int = 0, no_data: float | None = None, colored: bool = False
) -> tuple[Frame, Back]:
    """The picture as a frame, and what turns the enlarged frame into an image again.

    Args:
        image: of any mode.
        negative: the number that stands for black in samples of I;16, I and F whose 0 is white; 0: 0 is black.
        no_data: a pixel all of whose samples are this has no value.
        colored: a palette stands for R'G'B' even where it is gray: as the other frames of an animation come.

    The image that comes back has the mode of the given one, except that 1 comes back as L, P and PA as the colours they
    stand for, and a colour marked as transparent (``info["transparency"]``) as alpha. It carries no ``info``.

    Raises:
        FrameError: the image has no pixels, or a mode that is not known.
        ImageError: its ICC profile is unusable.
    """
    if 0 in image.size:
        raise FrameError(f"the picture is {image.width} x {image.height}: there is nothing to enlarge")
    mode = image.mode
    if no_data is not None and mode in _MAY_HAVE_HOLES and (holes := _holes(image, no_data)).any():
        return _with_holes(image, holes, no_data, negative)
    if mode.startswith("I;16"):
        return _sixteen_bit(image, negative)
    if mode in ("I", "F"):
        return _float(image, negative)
    if mode in ("P", "PA") or (mode in ("1", "L", "RGB") and "transparency" in image.info):
        return image_to_frame(_plain(image, colored))
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
    frame = frame_of(format, planes)
    if frame.alpha is None or frame.alpha.any():
        return frame, lambda result: _merged(mode, result.samples())
    # as an opaque one: there is nothing that its colours could be hidden from
    colours = Frame(frame.planes, format)
    return colours, lambda result: _merged(mode, (*result.planes, np.zeros_like(result.planes[0])))


def _holes(image: Image.Image, no_data: float) -> NDArray[np.bool]:
    samples = np.asarray(image)
    if samples.dtype.kind != "f" and not _is_held(no_data, samples.dtype):
        return np.zeros(samples.shape[:2], bool)
    empty = np.isnan(samples) if np.isnan(no_data) else samples == samples.dtype.type(no_data)
    found: NDArray[np.bool] = empty if empty.ndim == 2 else empty.all(axis=2)
    return found


def _is_held(number: float, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return number.is_integer() and limits.min <= number <= limits.max


def _with_holes(image: Image.Image, holes: NDArray[np.bool], no_data: float, negative: int) -> tuple[Frame, Back]:
    """Holes as transparency, so that no number that means nothing reaches the network; in the result as they were."""
    samples = np.array(image)
    samples[holes] = samples[~holes].min() if not holes.all() else 0
    filled = Image.fromarray(samples) if not image.mode.startswith("I;16") else _deep_gray(samples, image.mode)
    frame, back = image_to_frame(filled, negative=negative)
    top = 1 if frame.format.is_float else (1 << frame.format.bits) - 1
    alpha: Plane = np.where(holes, 0, top).astype(frame.format.dtype)

    def restored(result: Frame) -> Image.Image:
        rows = (np.arange(result.height) * holes.shape[0]) // result.height
        columns = (np.arange(result.width) * holes.shape[1]) // result.width
        values = np.array(back(Frame(result.planes, result.format)))
        values[holes[rows][:, columns]] = values.dtype.type(no_data)
        return _deep_gray(values, image.mode) if image.mode.startswith("I;16") else Image.fromarray(values)

    return Frame(frame.planes, frame.format, None if holes.all() else alpha), restored


def _merged(mode: str, planes: Sequence[NDArray[Any]]) -> Image.Image:
    """An image of these bands, made strip by strip: of a large picture no further copy is in memory."""
    height, width = planes[0].shape
    result = Image.new(mode, (width, height))
    for top in range(0, height, _STRIP_ROWS):
        bands = [Image.fromarray(np.ascontiguousarray(plane[top : top + _STRIP_ROWS])) for plane in planes]
        result.paste(bands[0] if len(bands) == 1 else Image.merge(mode, bands), (0, top))
    return result


def _plain(image: Image.Image, colored: bool) -> Image.Image:
    """The picture without palette and transparent colour; gray where every colour is, unless ``colored``."""
    transparent = image.mode == "PA" or image.has_transparency_data
    if image.mode in ("1", "L"):
        return image.convert("LA")
    plain = image.convert("RGBA" if transparent else "RGB")
    profile = image.info.get("icc_profile")
    if colored or image.mode == "RGB" or (profile and not profile_fits(profile, "L")):
        return plain
    red, green, blue = (plain.getchannel(band) for band in "RGB")
    if red.tobytes() == green.tobytes() == blue.tobytes():
        return Image.merge("LA", (red, plain.getchannel("A"))) if transparent else red
    return plain


def _sixteen_bit(image: Image.Image, negative: int) -> tuple[Frame, Back]:
    samples = np.asarray(image).astype(np.uint16, copy=False)  # native byte order
    if negative:
        samples = (negative - np.minimum(samples, negative)).astype(np.uint16)
    mode = image.mode
    return Frame([samples], GRAY16), lambda result: _deep_gray(result.planes[0], mode)


def _deep_gray(samples: NDArray[Any], mode: str) -> Image.Image:
    values = np.ascontiguousarray(samples)
    if mode == "I;16B":  # Pillow converts to it from I alone
        return Image.frombytes(mode, values.shape[::-1], values.astype(">u2").tobytes())
    return Image.fromarray(values.astype(np.uint16, copy=False))


def _float(image: Image.Image, negative: int) -> tuple[Frame, Back]:
    samples = np.asarray(image).astype(np.float64)
    if not np.isfinite(samples).all():
        raise FrameError("the picture holds samples that are not a number or infinite")
    low, high = _range(image.mode, samples)
    if negative:
        samples = low + high - samples
    kind = np.dtype(np.float32 if image.mode == "F" else np.int32)
    frame = Frame([((samples - low) / (high - low)).astype(np.float32)], GRAY_FLOAT)

    def back(result: Frame) -> Image.Image:
        values = result.planes[0].astype(np.float64) * (high - low) + low
        if image.mode == "F":
            return Image.fromarray(values.astype(np.float32))
        limits = np.iinfo(np.int32)
        values = within_its_kind(values, kind, low, high)
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
