"""A teacher for training: what a trained network makes of the training pictures, in the mean of eight positions.

The mean is better than any one position and holds none of the detail that nobody can know from the small picture, so
that a network learns from it with less noise than from the true pictures: distillation (Hinton, Vinyals and Dean 2015)
from an ensemble of transformed inputs (Radosavovic et al., "Data distillation", CVPR 2018).
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from sr_plugins.errors import RecipeError
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.training.run.pictures import Pictures
from sr_plugins.upscaler import Upscaler

logger = logging.getLogger(__name__)


def teach(pictures: Pictures, weights: Path, device: str) -> None:
    """Set ``pictures.taught``: each low-resolution picture enlarged by the network of a weights file, on ``device``.

    Raises:
        RecipeError: the network is one of another scale.
        WeightsError, DeviceError: it cannot be opened, or not run there.
    """
    format = FrameFormat(family="gray" if pictures.channels == "luma" else "rgb", bits=16)
    with Upscaler(weights, device=device, self_ensemble=True) as teacher:
        if teacher.native_scale != pictures.scale:
            raise RecipeError(f"{weights} enlarges x{teacher.native_scale}: it cannot teach x{pictures.scale}")
        logger.info("%s enlarges %d pictures, each in eight positions", teacher.description, len(pictures.pairs))
        frames = (Frame(list(low), format) for low, _ in pictures.pairs)
        pictures.taught = [np.stack(result.planes) for result in teacher.stream(frames, film=False)]
