"""Ranges for 8-bit integers, taken of photographs for weights that were trained without, and what those integers cost.

python -m sr_plugins.evaluation.int8_ranges WEIGHTS.safetensors PICTURES [TEST_SET ...]

Kernels stay as they are. The test sets are measured in exact integers, as processors with VNNI compute them, and noted
in the card: where they cost little, ``auto`` takes them (:data:`~sr_plugins.backends.selection.INT8_LOSS`).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sr_plugins.errors import DataError
from sr_plugins.evaluation.quality import evaluate, upscale_with, write_card
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.plugins import plugins
from sr_plugins.training.picture_files import list_pictures, read_rgb, to_channels
from sr_plugins.upscaler import Upscaler
from sr_plugins.weights.safetensors_files import check_weights_name, write_weights

PICTURES, SIDE = 24, 96  # crops, and pixels of each side that the network sees
METRICS = ("psnr", "ssim")


def take_ranges(weights: Path, folder: Path, seed: int = 0) -> None:
    """Write into ``weights`` the ranges that its layers have on crops of pictures in ``folder``, made small.

    Raises:
        DataError: the folder has fewer pictures than are needed, or the network is not one of ours that has ranges.
    """
    check_weights_name(weights)
    loaded = plugins().open_weights(weights)
    module, scale = loaded.torch().module, loaded.spec.scale
    take = getattr(module, "take_int8_ranges", None)
    if not callable(take):
        raise DataError(f"{weights}: {loaded.spec.label} has no ranges for 8-bit integers")
    random, crops, side = np.random.default_rng(seed), [], SIDE * scale
    paths = list_pictures(folder)
    for number in random.permutation(len(paths)):
        picture = read_rgb(paths[number])
        height, width = picture.shape[:2]
        if min(height, width) >= side:
            y, x = random.integers(height - side + 1), random.integers(width - side + 1)
            small = downscale_bicubic(picture[y : y + side, x : x + side], scale)
            crops.append(to_channels(small, loaded.spec.channels))
        if len(crops) == PICTURES:
            break
    else:
        raise DataError(f"{folder} holds {len(crops)} pictures of at least {side} pixels a side: {PICTURES} are needed")
    take(torch.from_numpy(np.stack(crops).astype(np.float32) / 65535))
    write_weights(weights, module, loaded.card)


def measure(weights: Path, folder: Path) -> None:
    """Note in the card of ``weights`` what the network reaches on a test set in exact integers.

    Raises:
        DataError: the weights have no ranges, or the test set cannot be used.
    """
    loaded = plugins().open_weights(weights)
    module, spec = loaded.torch().module, loaded.spec
    if getattr(module, "int8_ranges", None) is None:
        raise DataError(f"{weights} holds no ranges for 8-bit integers")
    module.int8 = True  # type: ignore[assignment]  # rounds as a backend does
    metrics = [plugins().named("sr_metrics", "metric", name) for name in METRICS]
    with Upscaler(replace(loaded, network=TorchNetwork(module)), backend="torch", precision="float32") as upscaler:
        result = evaluate({spec.name: upscale_with(upscaler)}, folder, spec.scale, metrics)[spec.name]
    means = {metric.name: round(result.mean(metric.name), metric.decimals + 2) for metric in metrics}
    write_card(weights, f"{folder.resolve().name} int8", spec.scale, dict(means))


if __name__ == "__main__":
    take_ranges(Path(sys.argv[1]), Path(sys.argv[2]))
    for test_set in sys.argv[3:]:
        measure(Path(sys.argv[1]), Path(test_set))
