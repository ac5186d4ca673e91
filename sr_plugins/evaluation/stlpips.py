"""ST-LPIPS: Ghildyal and Liu, "Shift-tolerant perceptual similarity metric", ECCV 2022, with AlexNet.

The metric is its authors' trained weights, which come whole in their package: nothing is fetched when it is measured,
unlike LPIPS. Only tensors are read from it and none of its code runs, for that imports what it does not need.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import DataError
from sr_plugins.evaluation.lpips import compared_by
from sr_plugins.version import package_command

PACKAGE, WEIGHTS = "stlpips_pytorch", "weights/vST0.0/alex_shift_tolerant.pth"
LEAST = 21  # pixels of a side, of which three are left where the last filter mirrors two


def missing() -> str | None:
    """What to install, or ``None``."""
    if find_spec(PACKAGE) is None:
        return f"ST-LPIPS is its authors' trained weights: {package_command('stlpips-pytorch')}"
    return None


def build() -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]:
    """ST-LPIPS of 8-bit R'G'B' pictures (H, W, 3), sides of at least 21 (``DataError`` otherwise); 0 for the same.

    Raises:
        WeightsError: the package's file holds other weights.
    """
    from sr_plugins.evaluation.stlpips_network import STLPIPS
    from sr_plugins.weights.torch_files import read_checkpoint

    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    tensors = read_checkpoint(Path(spec.submodule_search_locations[0]) / WEIGHTS)
    metric = STLPIPS()
    metric.load_state_dict(
        {
            name.replace("scaling_layer.", "").replace("lin", "weights.").replace(".model.1.weight", ""): tensor
            for name, tensor in tensors.items()
        }
    )

    compare = compared_by(metric)

    def measure(picture: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
        if min(picture.shape[:2]) < LEAST:
            raise DataError(f"stlpips is measured on pictures with sides of at least {LEAST}")
        return compare(picture, reference)

    return measure
