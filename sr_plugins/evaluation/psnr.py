"""Peak signal-to-noise ratio."""

import math

import numpy as np
from numpy.typing import NDArray

PEAK = 255


def psnr(picture: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
    """PSNR in dB of 8-bit pictures of one shape, peak 255; infinite where they are equal."""
    error = np.mean((picture.astype(np.float64) - reference) ** 2)
    return math.inf if error == 0 else float(10 * np.log10(PEAK**2 / error))
