"""Models on clips that move: quality, steadiness and speed, before and after a codec.

    python benchmarks/temporal.py DATA [--scale 2] [--models fast,restore,film] [--frames 20] [--json FILE]

DATA holds clips as folders of high-resolution frames, as Vid4 has them (``calendar``, ``city``, ``foliage``, ``walk``).
Each is made small with the field's exact bicubic, its luma put into H.264 (libx264, preset medium) at CRF 23 and 28,
and enlarged with the neighbours that a model sees. PSNR of luma as ``srp evaluate`` measures it, the warping error, and
frames a second of the core on one device, the models taking turns; "speed" is beside the first model's.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import numpy as np
from side_by_side import draw

from sr_plugins.evaluation.clips import Clip, Enlarge, enlarge_with, evaluate_clips, find_clips, read_clip
from sr_plugins.evaluation.clips import bicubic as enlarge_bicubic
from sr_plugins.evaluation.psnr import psnr
from sr_plugins.pixels.matlab import downscale_bicubic, to_8bit, to_luma
from sr_plugins.plugins import plugins
from sr_plugins.training.picture_files import read_rgb
from sr_plugins.training.sequences.coding import code
from sr_plugins.training.sequences.scenes import Layer, render
from sr_plugins.training.sequences.scenes import Path as Course
from sr_plugins.upscaler import Upscaler

STATES: Mapping[str, int | None] = {"clean": None, "CRF 23": 23, "CRF 28": 28}
KEPT_BACK = ("foliage", "walk")  # apart: what moves by itself
ROUNDS = 3


def speeds(ways: Mapping[str, Enlarge], clip: Clip, rounds: int) -> dict[str, tuple[float, float]]:
    """Frames a second, and the median over rounds of the ratio to the first way's."""
    low = clip.low[:8]
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for enlarge in ways.values():
        enlarge(low[:2])
    for _ in range(rounds):
        for name, enlarge in ways.items():
            start = time.perf_counter()
            enlarge(low)
            rates[name].append(len(low) / (time.perf_counter() - start))
    first = rates[next(iter(ways))]
    return {
        name: (median(found), median(a / b for a, b in zip(found, first, strict=True))) for name, found in rates.items()
    }


def picture(models: Mapping[str, Enlarge], scale: int, photograph: Path, target: Path) -> None:
    """One frame of the photograph as it pans, H.264 at CRF 28, by each model, beside the true one."""
    luma = to_luma(read_rgb(photograph)).astype(np.float32)
    layer = Layer(luma, (luma.shape[1] / 2, luma.shape[0] / 2), 1.5, Course(velocity=(1.4, 0.6)))
    high = to_8bit(render([layer], 256, 13))
    low = code(np.stack([downscale_bicubic(frame, scale) for frame in high]), "h264", {"crf": "28", "preset": "medium"})
    part = slice(64, 192), slice(48, 208)
    ways = {"bicubic": enlarge_bicubic(scale), **models}
    frames = {name: enlarge(low)[6][part] for name, enlarge in ways.items()} | {"original": high[6][part]}
    for name, frame in frames.items():
        if name != "original":
            print(f"{name}: {psnr(frame, high[6][part]):.2f} dB in {target.name}")
    draw({name: to_8bit((frame - 16.0) * 255 / 219) for name, frame in frames.items()}, target, zoom=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--scale", type=int, default=2)
    parser.add_argument("--models", default="fast,restore,film")
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of timing; 0: none")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", nargs=2, type=Path, metavar=("PHOTOGRAPH", "TARGET"), help="draw this instead")
    options = parser.parse_args()
    metrics = [plugins().named("sr_metrics", "metric", name) for name in ("psnr", "ssim", "warping")]
    upscalers = {
        name: Upscaler(
            name,
            options.scale,
            device=options.device,
            backend=options.backend,
            precision=options.precision,
            reuse=False,
        )
        for name in options.models.split(",")
    }
    models = {name: enlarge_with(upscaler) for name, upscaler in upscalers.items()}
    if options.picture:
        picture(models, options.scale, *options.picture)
        return
    paths = find_clips(options.data, frames_of_one=True)
    kept: dict[str, object] = {}
    for title, names in (
        ("", [p for p in paths if p.stem not in KEPT_BACK]),
        ("kept back", [p for p in paths if p.stem in KEPT_BACK]),
    ):
        if not names:
            continue
        clips = ", ".join(path.stem for path in names)
        print(f"\n{clips}{f' ({title})' if title else ''}: dB of each, mean dB, SSIM, warping error\n")
        print("| model | " + " | ".join(STATES) + " |\n|---|" + "---:|" * len(STATES))
        cells: dict[str, list[str]] = {}
        for state, crf in STATES.items():
            read = (read_clip(path, options.scale, frames=options.frames, crf=crf) for path in names)
            ways = {"bicubic": enlarge_bicubic(options.scale), **models}
            for way, result in evaluate_clips(ways, read, options.scale, metrics).items():
                each = " / ".join(f"{value:.2f}" for value in result.values["psnr"])
                means = f"**{result.mean('psnr'):.2f}**, {result.mean('ssim'):.4f}, {result.mean('warping'):.3f}"
                cells.setdefault(way, []).append(f"{each}, {means}" if len(names) > 1 else means)
                kept[f"{clips}, {state}, {way}"] = {"clips": result.names} | result.values
        for way, columns in cells.items():
            print(f"| {way} | " + " | ".join(columns) + " |")
    if options.rounds:
        clip = read_clip(paths[0], options.scale, frames=8)
        height, width = clip.low.shape[1:]
        print(
            f"\nFrames of {width} x {height}, {options.device}:\n\n| model | frames a second | speed |\n|---|---:|---:|"
        )
        for name, (rate, ratio) in speeds(models, clip, options.rounds).items():
            print(f"| {name} | {rate:.2f} | {ratio:.2f} |")
            kept[f"speed, {name}"] = {"fps": rate, "ratio": ratio}
    if options.json:
        options.json.write_text(json.dumps(kept, indent=1, default=lambda value: np.asarray(value).tolist()))
    for upscaler in upscalers.values():
        upscaler.close()


if __name__ == "__main__":
    main()
