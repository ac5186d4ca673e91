"""The filter that makes a picture look as if bicubic had shrunk it, in closed form.

Networks learn on bicubic pictures. Where another kernel made the picture, the best linear guess of its bicubic version
is a Wiener filter (the idea is Hussein, Tirer and Giryes, "Correction filter for single image super-resolution", CVPR
2020; the formula here also counts aliasing and noise, with the power law of natural pictures as the prior)::

                sum over aliases of  S(f) conj(K(f)) B(f)
    H(f)  =  -----------------------------------------------        S(f) = c / |f|^2.2
              sum over aliases of  S(f) |K(f)|^2  +  noise
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sr_plugins.pixels.cubic import cubic_taps

Floats = NDArray[np.float64]
GRID = 48  # samples of the spectrum at low resolution
SLOPE = 2.2  # of the power spectrum of natural pictures


def correction_filter(kernel: Floats, scale: int, noise: float, power: float, radius: int = 7) -> Floats:
    """A (2 * radius + 1) square filter for the small picture, correlated with it; it sums to one.

    Args:
        kernel: what blurred the large picture before every ``scale``-th pixel was taken (correlation, odd sides).
        noise: variance of the small picture's noise.
        power: variance of the small picture without its noise, in the same unit.
    """
    size = GRID * scale
    fy, fx = np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None]
    prior = np.maximum(np.hypot(fy, fx), 1 / size) ** -SLOPE
    blur, bicubic = _response(kernel, size), _response(_bicubic_kernel(scale), size)
    shared = _folded(prior * np.conj(bicubic) * blur, scale)
    own = _folded(prior * np.abs(blur) ** 2, scale)
    level = max(noise, 1e-6) * own.mean() / max(power, 1e-6)
    response = np.conj(shared) / (own + level)
    taps = np.fft.fftshift(np.fft.ifft2(response).real)
    middle = GRID // 2
    taps = taps[middle - radius : middle + radius + 1, middle - radius : middle + radius + 1]
    taps = taps[::-1, ::-1]  # correlation
    fade = np.cos(np.linspace(-1, 1, 2 * radius + 3)[1:-1] * np.pi / 2) ** 0.5
    taps = taps * fade[:, None] * fade
    return np.asarray(taps / taps.sum(), np.float64)


def _bicubic_kernel(scale: int) -> Floats:
    """Antialiased bicubic as a kernel of odd sides for taking every ``scale``-th pixel."""
    radius = 2 * scale + scale // 2
    line = np.array(cubic_taps(range(-radius, radius + 1), (scale - 1) / 2, scale))
    line /= line.sum()
    return np.asarray(line[:, None] * line, np.float64)


def _response(kernel: Floats, size: int) -> NDArray[np.complex128]:
    """The transfer function of correlation with ``kernel``, (size, size)."""
    ry, rx = (side // 2 for side in kernel.shape)
    canvas = np.zeros((size, size))
    for y in range(-ry, ry + 1):
        for x in range(-rx, rx + 1):
            canvas[y % size, x % size] += kernel[y + ry, x + rx]
    return np.asarray(np.conj(np.fft.fft2(canvas)), np.complex128)


def _folded(spectrum: NDArray[np.generic], scale: int) -> NDArray[np.complex128]:
    """What subsampling makes of a spectrum: the sum over its ``scale`` x ``scale`` aliases."""
    return np.asarray(spectrum.reshape(scale, GRID, scale, GRID).sum((0, 2)), np.complex128)
