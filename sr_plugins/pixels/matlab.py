"""The field's standard degradation: antialiased bicubic as MATLAB's ``imresize(picture, 1 / scale, 'bicubic')``."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from sr_plugins.pixels.cubic import cubic_weight


@lru_cache(maxsize=64)
def _taps(length: int, scale: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Source indices and weights, each (length / scale, taps), of one axis; the border is replicated."""
    outputs = -(-length // scale)
    center = (np.arange(outputs) + 0.5) * scale - 0.5
    first = np.floor(center - 2 * scale).astype(np.intp) + 1
    index = first[:, None] + np.arange(4 * scale + 1)[None, :]
    weight = np.vectorize(cubic_weight)((index - center[:, None]) / scale) / scale
    weight /= weight.sum(axis=1, keepdims=True)
    keep = np.any(weight != 0, axis=0)
    return np.clip(index[:, keep], 0, length - 1), weight[:, keep]


def downscale_bicubic(picture: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
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
