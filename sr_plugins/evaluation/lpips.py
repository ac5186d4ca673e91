"""LPIPS (Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018)."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sr_plugins.version import package_command

if TYPE_CHECKING:
    from torch import Tensor


def missing() -> str | None:
    """What to install, or ``None``: the metric is its authors' trained weights, which come with their package."""
    if find_spec("lpips") is None:
        cure = package_command("lpips")
        return f"LPIPS is its authors' trained weights: {cure}, which fetches AlexNet's on first use"
    return None


def build() -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]:
    """LPIPS v0.1 with AlexNet, of 8-bit R'G'B' pictures (H, W, 3)."""
    import lpips

    with warnings.catch_warnings():  # it asks torchvision for its weights in an outdated way
        warnings.simplefilter("ignore", UserWarning)
        network = lpips.LPIPS(net="alex", verbose=False).eval()
    return compared_by(network)


def compared_by(network: Callable[..., Tensor]) -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]:
    """What a network of two pictures (1, 3, H, W) in [-1, 1] says of 8-bit ones (H, W, 3)."""
    import torch

    def measure(picture: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
        pair = (
            torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1)))[None].float() / 127.5 - 1
            for p in (picture, reference)
        )
        with torch.inference_mode():
            return float(network(*pair))

    return measure
