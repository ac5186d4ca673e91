"""MATLAB's part of the field's protocol, in 8 bits: ``imresize(picture, 1 / scale, 'bicubic')`` and ``rgb2ycbcr``."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sr_plugins.pixels.cubic import cubic_taps

Image = NDArray[np.uint8]
MATRIX = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
OFFSET = np.array([16.0, 128.0, 128.0])
LUMA_SPAN = 219.0  # codes from black to white


@lru_cache(maxsize=64)
def _taps(length: int, scale: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Source indices and weights, each (length / scale, taps), of one axis; the border is replicated."""
    outputs = -(-length // scale)
    center = (np.arange(outputs) + 0.5) * scale - 0.5
    first = np.floor(center - 2 * scale).astype(np.intp) + 1
    index = first[:, None] + np.arange(4 * scale + 1)[None, :]
    weight = np.array([cubic_taps(taps, at, scale) for taps, at in zip(index.tolist(), center.tolist(), strict=True)])
    weight /= scale
    weight /= weight.sum(axis=1, keepdims=True)
    keep = np.any(weight != 0, axis=0)
    return np.clip(index[:, keep], 0, length - 1), weight[:, keep]


def downscale_bicubic(picture: Image, scale: int) -> Image:
    """Shrink ``(H, W)`` or ``(H, W, C)`` 8-bit to ``(ceil(H / scale), ceil(W / scale))``, bit for bit as published.

    Keys' kernel (a = -0.5) widened by ``scale``, borders replicated, clipped and rounded to 8 bits after the vertical
    pass and again after the horizontal one. Test sets are first cropped to a multiple of the scale.
    """
    index, weight = _taps(picture.shape[0], scale)
    rows = np.zeros((index.shape[0], *picture.shape[1:]))
    for tap in range(index.shape[1]):
        rows += picture[index[:, tap]] * weight[:, tap].reshape(-1, *[1] * (picture.ndim - 1))
    rows = _round(rows)
    index, weight = _taps(picture.shape[1], scale)
    result = np.zeros((rows.shape[0], index.shape[0], *picture.shape[2:]))
    for tap in range(index.shape[1]):
        result += rows[:, index[:, tap]] * weight[:, tap].reshape(-1, *[1] * (picture.ndim - 2))
    return _round(result).astype(np.uint8)


def _round(values: NDArray[np.float64]) -> NDArray[np.float64]:
    # half away from zero as MATLAB does; numpy rounds half to even. The guard absorbs sums that miss .5 by an ulp.
    return np.clip(np.floor(values + 0.5 + 1e-9), 0, 255)


def to_8bit(picture: NDArray[np.floating[Any]]) -> Image:
    """Rounded (half up) and clipped to 0..255."""
    return np.clip(np.floor(picture + 0.5), 0, 255).astype(np.uint8)


def to_ycbcr(rgb: Image) -> Image:
    """8-bit R'G'B' (H, W, 3) to 8-bit Y'CbCr, BT.601 limited range, as MATLAB's ``rgb2ycbcr``."""
    return to_8bit(rgb @ MATRIX.T + OFFSET)


def to_luma(rgb: Image) -> Image:
    """8-bit R'G'B' (H, W, 3) to 8-bit luma (H, W), BT.601, 16..235."""
    return to_8bit(rgb @ MATRIX[0] + OFFSET[0])


def ycbcr_to_rgb(ycbcr: Image) -> Image:
    """The inverse of :func:`to_ycbcr`, rounded and clipped to 8 bits."""
    return to_8bit((ycbcr - OFFSET) @ np.linalg.inv(MATRIX).T)
