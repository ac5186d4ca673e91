"""Quality and speed of every model that has weights: a Markdown table on stdout, and a plot.

python benchmarks/models.py DATA [--plot FILE.png] [--sets Set5,BSD100]

DATA holds a folder for each test set: high-resolution pictures, the low-resolution ones in LRx2, LRx3, LRx4. PSNR and
SSIM are those of ``srp evaluate``. Multiply-adds are for an output of 1280 x 720, as papers give them. Speed is
megapixels of output a second, the best of three frames of 320 x 180 luma through the Upscaler, on this machine with as
many threads as OMP_NUM_THREADS says.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sr_plugins import Frame, FrameFormat, ModelSpec, Upscaler
from sr_plugins.evaluation.quality import bicubic, evaluate, upscale_with
from sr_plugins.evaluation.speed import multiply_adds
from sr_plugins.interface.metric import MetricSpec
from sr_plugins.plugins import plugins
from sr_plugins.weights.pretrained import load_model

# what the papers report on Set5 (dB), and the parameters of their networks, which are larger than ours
PAPERS = {
    "vdsr x2": "37.53 (666k)",
    "edsr x2": "37.99 (1370k, the baseline)",
    "lapsrn x2": "37.52 (251k)",
    "lapsrn x4": "31.54 (812k)",
    "dbpn x2": "38.09 (5.9M)",
}


@dataclass
class Row:
    spec: ModelSpec
    parameters: int
    multiply_adds: float
    speed: float
    quality: dict[str, dict[str, float]]
    trained_on_bicubic: bool  # the only ones that may be compared on bicubic test sets


def speed(upscaler: Upscaler) -> float:
    """Megapixels of output a second."""
    times = []
    for seed in range(4):  # the first warms up
        plane = np.random.default_rng(seed).integers(16, 236, (180, 320), np.uint8)
        frame = Frame([plane], FrameFormat(family="gray"))
        start = time.perf_counter()
        y = upscaler.upscale(frame).planes[0]
        times.append(time.perf_counter() - start)
    return float(y.size / min(times[1:]) / 1e6)


def measured(spec: ModelSpec, data: Path, sets: list[str], metrics: list[MetricSpec]) -> Row:
    loaded = load_model(spec)
    with Upscaler(loaded, device="cpu") as upscaler:
        quality = {}
        for name in sets:
            result = evaluate({"model": upscale_with(upscaler)}, data / name, spec.scale, metrics)["model"]
            quality[name] = {metric.name: result.mean(metric.name) for metric in metrics}
        parameters = sum(p.numel() for p in spec.build().parameters())
        bicubic_only = loaded.card.get("degradation") == [{"name": "bicubic"}]
        operations = multiply_adds(loaded) * 1280 * 720 / spec.scale**2 / 1e9
        return Row(spec, parameters, operations, speed(upscaler), quality, bicubic_only)


def plot(rows: list[Row], path: Path, name: str) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator, NullLocator, ScalarFormatter

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for row in rows:
        if row.spec.scale == 2 and row.trained_on_bicubic:
            axes.scatter(row.speed, row.quality[name]["psnr"], s=20 + row.parameters**0.5 / 2)
            axes.annotate(row.spec.name, (row.speed, row.quality[name]["psnr"]), (6, 4), textcoords="offset points")
    axes.set(xlabel="megapixels of output a second (CPU)", ylabel=f"PSNR on {name} x2, dB", xscale="log")
    axes.margins(0.15)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--sets", default="Set5,BSD100")
    arguments = parser.parse_args()
    sets = arguments.sets.split(",")
    metrics = [plugins().named("sr_metrics", "metric", name) for name in ("psnr", "ssim")]

    print("| model | shape | parameters | multiply-adds | Mpixel/s | " + " | ".join(sets) + " | paper, Set5 |")
    print("|---|---|---|---|---|" + "---|" * (len(sets) + 1))
    rows = []
    specs = [spec for spec in plugins().models() if spec.weights]
    for scale in sorted({spec.scale for spec in specs}):
        base = [evaluate({"b": bicubic(scale)}, arguments.data / name, scale, metrics)["b"] for name in sets]
        values = " | ".join(f"{r.mean('psnr'):.2f} / {r.mean('ssim'):.4f}" for r in base)
        print(f"| bicubic x{scale} | interpolation | 0 | | | {values} | |")
        for spec in specs:
            if spec.scale != scale:
                continue
            row = measured(spec, arguments.data, sets, metrics)
            rows.append(row)
            values = " | ".join(f"{q['psnr']:.2f} / {q['ssim']:.4f}" for q in row.quality.values())
            shape = spec.architecture.split(",")[0]
            print(
                f"| {spec.label} | {shape} | {row.parameters:,} | {row.multiply_adds:.1f} G | {row.speed:.2f} "
                f"| {values} | {PAPERS.get(spec.label, '')} |",
                flush=True,
            )
    if arguments.plot and rows:
        plot(rows, arguments.plot, sets[0])
        print(f"plot: {arguments.plot}", file=sys.stderr)


if __name__ == "__main__":
    main()
