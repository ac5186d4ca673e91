"""The random second-order chain for unknown real pictures.

Blur, resize, noise and JPEG twice over, with ringing at the end (Wang et al., "Real-ESRGAN", ICCVW 2021; the random
order of the last steps follows Zhang et al., "BSRGAN", ICCV 2021). The ranges default to Real-ESRGAN's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sr_plugins.interface.degradation import Degradation, Picture
from sr_plugins.pixels.antialiased import KERNELS, resize
from sr_plugins.training.degradations.blur import filtered, gaussian_kernel, ringing, sinc_kernel
from sr_plugins.training.degradations.compression import jpeg
from sr_plugins.training.degradations.noise import gaussian_noise, poisson_noise
from sr_plugins.training.tables import check_range, draw

RESIZE_KERNELS = ("area", "bilinear", "bicubic")


def second_order(
    scale: int,
    blur: Any = (0.2, 3.0),
    noise: Any = (1.0, 30.0),
    quality: Any = (30, 95),
    resize_range: Any = (0.15, 1.5),
    second: Any = 0.8,
    strength: Any = 1.0,
) -> Degradation:
    """The whole chain, from the clean picture to the small one.

    Args:
        scale: how much smaller the result is.
        blur: sigma of the first blur in pixels; the second draws from half the range.
        noise: sigma of Gaussian noise in code values.
        quality: of JPEG.
        resize_range: factors of the first random resize; the second stays nearer to one.
        second: probability of the second blur.
        strength: 1 for the paper's; smaller values narrow blur, noise and resize towards none.
    """
    for name, value, least, most in (
        ("blur", blur, 0.05, 20),
        ("noise", noise, 0, 255),
        ("resize_range", resize_range, 0.05, 4),
        ("second", second, 0, 1),
        ("strength", strength, 0, 1),
    ):
        check_range(name, value, least, most)
    blur, noise, resize_range = (v if isinstance(v, (list, tuple)) else (v, v) for v in (blur, noise, resize_range))
    compress, ring = jpeg(scale, quality), ringing(scale)

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        height, width = (-(-side // scale) for side in picture.shape[:2])
        narrowing, chance = draw(rng, strength), draw(rng, second)

        def resized(x: Picture, low: float, high: float, chances: tuple[float, float, float]) -> Picture:
            """Larger, smaller or as it is, with these chances."""
            way = rng.choice(3, p=chances)
            if way == 2:
                return x
            factor = rng.uniform(1, high) if way == 0 else rng.uniform(low, 1)
            factor = 1 + (factor - 1) * narrowing
            kernel = str(rng.choice(RESIZE_KERNELS))
            return resize(x, max(1, round(x.shape[0] * factor)), max(1, round(x.shape[1] * factor)), kernel)

        def blurred(x: Picture, top: float) -> Picture:
            if rng.random() < 0.1:
                return filtered(x, sinc_kernel(float(rng.uniform(np.pi / 3, np.pi))))
            sigma_x, sigma_y = (max(float(rng.uniform(blur[0], top)) * narrowing, 0.05) for _ in range(2))
            if rng.random() < 0.6:
                sigma_y = sigma_x
            return filtered(x, gaussian_kernel(sigma_x, sigma_y, float(rng.uniform(0, 180))))

        def noisy(x: Picture) -> Picture:
            if rng.random() < 0.5:
                return gaussian_noise(scale, [v * narrowing for v in noise])(x, rng)
            return poisson_noise(scale, [80.0 / max(narrowing, 0.01), 5000.0 / max(narrowing, 0.01)])(x, rng)

        x = compress(noisy(resized(blurred(picture, blur[1]), resize_range[0], resize_range[1], (0.2, 0.7, 0.1))), rng)
        if rng.random() < chance:
            x = blurred(x, (blur[0] + blur[1]) / 2)
        x = noisy(resized(x, max(0.3, resize_range[0]), min(1.2, resize_range[1]), (0.3, 0.4, 0.3)))
        kernel = str(rng.choice(list(KERNELS)))
        x = resize(x, height, width, kernel)
        last = [compress]
        if rng.random() < 0.8:
            last.insert(int(rng.integers(2)), ring)
        for final in last:
            x = final(x, rng)
        return x

    return step
