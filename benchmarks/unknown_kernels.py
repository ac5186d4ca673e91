"""How well unknown kernels are estimated, and what knowing them gains: ``python benchmarks/unknown_kernels.py BSD100``.

Every picture is blurred by its own random anisotropic Gaussian (sigma 0.6 to 3 pixels, any angle), subsampled by two,
made noisy (sigma 2 of 255) and rounded to 8 bits. From that alone its degradation is estimated, then ``realtime`` is
adapted to it: in closed form (no iterations) and, with ``--iterations``, by training; the same with the true kernel.

Columns, in dB: ``kernel`` PSNR of the kernel, its largest value as the peak; ``again`` PSNR of the true picture
degraded by the estimate against that degraded by the truth, no noise; luma PSNR (border of two left out) of
``realtime`` as it is, then what adapting gains with the estimated and with the true kernel. ``sigma`` is the noise that
was found.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sr_plugins import LoadedModel
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.pixels.matlab import to_8bit, to_luma
from sr_plugins.plugins import plugins
from sr_plugins.training.adaptation.adaptation import adapt
from sr_plugins.training.degradations.blur import filtered
from sr_plugins.training.estimation.estimation import estimate
from sr_plugins.training.estimation.kernel import BICUBIC_VARIANCE, gaussian_kernel_of
from sr_plugins.training.estimation.source import Source
from sr_plugins.training.picture_files import list_pictures, read_rgb
from sr_plugins.training.spectrum import Floats
from sr_plugins.weights.pretrained import load_model

NOISE = 2.0


def true_covariance(rng: np.random.Generator) -> Floats:
    """Of a random kernel, in small pixels squared."""
    long, short = rng.uniform(0.6, 3, 2)
    turn = rng.uniform(0, np.pi)
    axis, across = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
    return np.asarray((long**2 * np.outer(axis, axis) + short**2 * np.outer(across, across)) / 4, np.float64)


def kernel_psnr(kernel: Floats, truth: Floats) -> float:
    """PSNR of ``kernel`` with the truth's largest value as the peak, both on the larger support."""
    side = max(len(kernel), len(truth))
    a, b = (np.pad(k, (side - len(k)) // 2) for k in (kernel, truth))
    return float(10 * np.log10(b.max() ** 2 / np.mean((a - b) ** 2)))


def enlarged(loaded: LoadedModel, small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    with torch.no_grad():
        y = loaded.torch().module(torch.from_numpy(small.astype(np.float32) / 255)[None, None])[0, 0]
    return to_8bit(y.numpy() * 255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="high-resolution pictures")
    parser.add_argument("--pictures", type=int, default=100, help="how many, evenly spread")
    parser.add_argument("--iterations", type=int, default=0, help="of training for each picture")
    arguments = parser.parse_args()
    paths = list_pictures(arguments.folder)
    shipped = load_model(plugins().model("realtime", 2))
    rows: list[list[float]] = []
    print(f"{'picture':12}  kernel   again  shipped  estimated   true   sigma")
    for i in np.unique(np.linspace(0, len(paths) - 1, arguments.pictures).astype(int)):
        rng = np.random.default_rng([7, i])
        covariance = true_covariance(rng)
        kernel = gaussian_kernel_of(covariance, 2)
        high = to_luma(read_rgb(paths[i]))
        high = high[: high.shape[0] // 2 * 2, : high.shape[1] // 2 * 2]
        clean = filtered(high[..., None].astype(np.float32), kernel)[::2, ::2, 0]
        small = to_8bit(clean + rng.normal(0, NOISE, clean.shape))

        def quality(loaded: LoadedModel, small: NDArray[np.uint8] = small, high: NDArray[np.uint8] = high) -> float:
            return psnr(enlarged(loaded, small)[2:-2, 2:-2], high[2:-2, 2:-2])

        frame = np.repeat(small[..., None], 3, 2)
        found = estimate([Source(paths[i].name, [frame], None)])
        guess = gaussian_kernel_of(found.blur.covariance if found.blur else BICUBIC_VARIANCE * np.eye(2), 2)
        again = filtered(high[..., None].astype(np.float32), guess)[::2, ::2, 0]
        truth: list[dict[str, Any]] = [
            {"name": "kernel", "values": kernel.tolist()},
            {"name": "subsample"},
            {"name": "gaussian_noise", "sigma": NOISE, "gray": 1.0},
        ]
        gains = []
        base = quality(shipped)
        for tables in (found.tables(), truth):
            adapted = adapt(shipped, [frame], tables, paths[i], iterations=arguments.iterations)
            gains.append(quality(adapted.loaded) - base)
        redone = float(10 * np.log10(255**2 / np.mean((again - clean) ** 2)))
        rows.append([kernel_psnr(guess, kernel), redone, base, *gains, found.noise.sigma])
        print(f"{paths[i].stem:12}  " + "  ".join(f"{v:6.2f}" for v in rows[-1]), flush=True)
    mean = np.mean(rows, axis=0)
    print(f"{'mean':12}  " + "  ".join(f"{v:6.2f}" for v in mean))
    print(f"{mean[3] / mean[4]:.0%} of what the true kernel gains")


if __name__ == "__main__":
    main()
