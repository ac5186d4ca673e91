"""Temporal flicker: change between frames that the true clip does not have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import DataError


def flicker(clip: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """Mean absolute excess of frame-to-frame change, in 8-bit code values; 0 is as steady as the true clip.

    Both are (T, H, W) with T >= 2 (``DataError`` otherwise): mean over time and pixels of
    ``|(clip[t] - clip[t-1]) - (reference[t] - reference[t-1])|``. An error that stays from frame to frame,
    such as softness, counts nothing: only what comes and goes is seen as flicker.
    """
    if clip.shape[0] < 2:
        raise DataError("flicker is measured between frames: a clip of at least two is needed")
    error = clip.astype(np.int16) - reference
    return float(np.mean(np.abs(np.diff(error, axis=0))))
