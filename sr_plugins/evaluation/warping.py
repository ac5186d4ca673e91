"""Warping error: what differs from the frame before once the true motion is taken out."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import DataError
from sr_plugins.version import extra_command

LEAST = 16  # pixels of a side that the optical flow needs
Clip = NDArray[np.uint8]
Flow = NDArray[np.float32]  # (H, W, 2), x and y


def missing() -> str | None:
    """What to install, or ``None``: the optical flow is OpenCV's."""
    if find_spec("cv2") is None:
        return f"its optical flow is OpenCV's: {extra_command('flow')}"
    return None


def build() -> Callable[[Clip, Clip], float]:
    """E_warp of Lai et al., "Learning blind video temporal consistency" (ECCV 2018), times 1000; 0 is steadiest.

    Both clips are 8-bit luma (T, H, W), T >= 2, sides of at least 16 (``DataError`` otherwise). For each pair of frames
    the later one is warped onto the earlier one, and the squared difference, values in [0, 1], is averaged over the
    pixels that are seen in both; then the mean over pairs. The flow is that of the true clip, by dense inverse search
    (Kroeger et al., ECCV 2016), the same for everything that is compared; a pixel is seen in both where
    ``|f + b|^2 <= 0.01 (|f|^2 + |b|^2) + 0.5`` of the flow forward and, there, backward (Ruder, Dosovitskiy and Brox,
    GCPR 2016). Softness lowers it as steadiness does: read it beside PSNR, and beside the true clip's own.
    """
    import cv2

    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flow(first: Clip, second: Clip) -> Flow:
        return np.asarray(search.calc(first, second, np.zeros((*first.shape, 2), np.float32)), np.float32)

    def warp(picture: NDArray[np.float32], along: Flow) -> NDArray[np.float32]:
        height, width = along.shape[:2]
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        return np.asarray(
            cv2.remap(picture, x + along[..., 0], y + along[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        )

    def measure(clip: Clip, reference: Clip) -> float:
        if len(clip) < 2 or min(clip.shape[1:]) < LEAST:
            raise DataError(f"warping is measured between frames: at least two, with sides of at least {LEAST}")
        height, width = clip.shape[1:]
        errors = []
        for t in range(len(clip) - 1):
            forward = flow(reference[t], reference[t + 1])
            backward = warp(flow(reference[t + 1], reference[t]), forward)
            apart = np.square(forward + backward).sum(-1)
            size = np.square(forward).sum(-1) + np.square(backward).sum(-1)
            seen = apart <= 0.01 * size + 0.5
            x, y = np.meshgrid(np.arange(width), np.arange(height))
            across, down = x + forward[..., 0], y + forward[..., 1]
            seen &= (across >= 0) & (across <= width - 1) & (down >= 0) & (down <= height - 1)
            if not seen.any():
                continue
            later = warp(clip[t + 1].astype(np.float32), forward)
            errors.append(float(np.square((later - clip[t]) / 255)[seen].mean()))
        if not errors:
            raise DataError("no pixel is seen in two frames: warping cannot be measured")
        return 1000 * float(np.mean(errors))

    return measure
