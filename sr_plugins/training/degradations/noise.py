"""Sensor noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from sr_plugins.interface.degradation import Degradation, Picture
from sr_plugins.training.picture_files import LUMA
from sr_plugins.training.tables import check_range, draw


def gaussian_noise(scale: int, sigma: Any, gray: float = 0.4) -> Degradation:
    """Additive Gaussian noise of ``sigma`` code values, with the probability ``gray`` the same in R, G and B."""
    check_range("sigma", sigma, 0, 255)
    check_range("gray", gray, 0, 1)

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        strength = draw(rng, sigma)
        channels = 1 if rng.random() < gray else picture.shape[2]
        noise = rng.standard_normal((*picture.shape[:2], channels), np.float32)
        return picture + noise * np.float32(strength)

    return step


def poisson_noise(scale: int, photons: Any, gray: float = 0.4) -> Degradation:
    """Shot noise of a sensor that counts ``photons`` at white: fewer make it stronger."""
    check_range("photons", photons, 1, 1e7)
    check_range("gray", gray, 0, 1)

    def step(picture: Picture, rng: np.random.Generator) -> Picture:
        peak = draw(rng, photons)
        clean = np.clip(picture, 0, 255)
        if rng.random() < gray:
            clean = (clean @ LUMA)[..., None]
        noise = rng.poisson(clean * (peak / 255)) * (255 / peak) - clean
        return np.asarray(picture + noise, np.float32)

    return step
