"""What perceptual losses gain and cost: ``perceptual`` x4 beside ``realtime`` x4, the same network trained for PSNR.

python benchmarks/perceptual.py BSD100 [--picture FILE.webp]

Prints the means over the test set (a folder with LRx4 beside it), LPIPS where its package is installed, and draws
details of photographs of scikit-image.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from side_by_side import draw

from sr_plugins import Upscaler
from sr_plugins.evaluation.demonstration import photograph
from sr_plugins.evaluation.lpips import missing
from sr_plugins.evaluation.quality import bicubic, evaluate, upscale_rgb, upscale_with
from sr_plugins.pixels.matlab import downscale_bicubic
from sr_plugins.plugins import plugins

SCALE, DETAIL = 4, 128
METRICS = {
    "psnr": "PSNR, dB (higher is better)",
    "ssim": "SSIM (higher)",
    "niqe": "NIQE (lower)",
    "lpips": "LPIPS (lower)",
}
PHOTOGRAPHS = {"chelsea": (60, 130), "coffee": (110, 330)}  # (top, left) of the detail


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args()
    metrics = [plugins().named("sr_metrics", "metric", name) for name in METRICS if name != "lpips" or not missing()]
    with Upscaler("realtime", SCALE) as realtime, Upscaler("perceptual", SCALE) as perceptual:
        models = {upscaler.loaded.spec.label: upscaler for upscaler in (realtime, perceptual)}
        ways = {"bicubic": bicubic(SCALE)} | {name: upscale_with(upscaler) for name, upscaler in models.items()}
        results = evaluate(ways, asked.data, SCALE, metrics)
        print("| | " + " | ".join(METRICS[metric.name] for metric in metrics) + " |")
        print("|---|" + "---:|" * len(metrics))
        for name, result in results.items():
            print(f"| {name} | " + " | ".join(f"{result.mean(metric.name):.4g}" for metric in metrics) + " |")
        if asked.picture is None:
            return
        columns: dict[str, list[np.ndarray]] = {}
        for name, (top, left) in PHOTOGRAPHS.items():
            whole = photograph(name)
            original = whole[: whole.shape[0] // SCALE * SCALE, : whole.shape[1] // SCALE * SCALE]
            small = downscale_bicubic(original, SCALE)
            pictures = {"bicubic": bicubic(SCALE)[1](small)}
            for label, upscaler in models.items():
                pictures[label] = upscale_rgb(upscaler, small)
            for label, picture in (pictures | {"original": original}).items():
                columns.setdefault(label, []).append(picture[top : top + DETAIL, left : left + DETAIL])
        draw({label: np.concatenate(details) for label, details in columns.items()}, asked.picture, zoom=2)


if __name__ == "__main__":
    main()
