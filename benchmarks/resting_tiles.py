"""What exact reuse gains: milliseconds a frame with and without it, by how much of the picture rests.

python benchmarks/resting_tiles.py [--size 640x360] [--frames 60] [--backend auto]

The lower part of each frame is new noise, the rest stays. Both ways see the same frames; their results are compared
byte for byte, and the exit status is 1 if they differ.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np

from sr_plugins import Frame, Upscaler
from sr_plugins.evaluation.speed import noise_pictures

WARM = 16  # frames until reuse has proved itself and sizes that come often are compiled for


def clip(width: int, height: int, count: int, moving: float) -> list[Frame]:
    random = np.random.default_rng(2)
    still = noise_pictures(width, height)[0]
    frames = []
    for _ in range(count):
        frame = still.copied()
        for plane in frame.planes:
            part = plane[plane.shape[0] - round(plane.shape[0] * moving) :]
            part[...] = random.integers(16, 236, part.shape)
        frames.append(frame)
    return frames


def run(frames: list[Frame], backend: str, *, reuse: bool) -> tuple[float, list[Frame]]:
    """Seconds a frame after the first few, and all results."""
    with Upscaler("realtime", backend=backend, reuse=reuse) as upscaler:
        results = list(upscaler.stream(frames[:WARM]))
        start = time.perf_counter()
        results += upscaler.stream(frames[WARM:])
        return (time.perf_counter() - start) / (len(frames) - WARM), results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--backend", default="auto")
    asked = parser.parse_args()
    width, height = map(int, asked.size.split("x"))
    with Upscaler("realtime", backend=asked.backend) as upscaler:
        print(f"{upscaler.description}, {asked.size}\n")
    print("| resting | without, ms | with, ms | gain | same bytes |\n|---:|---:|---:|---:|---|")
    differ = False
    for resting in (0.0, 0.5, 0.8, 0.95, 1.0):
        frames = clip(width, height, WARM + asked.frames, 1 - resting)
        without, plain = run(frames, asked.backend, reuse=False)
        with_reuse, reused = run(frames, asked.backend, reuse=True)
        same = all(a.same_samples(b) for a, b in zip(plain, reused, strict=True))
        differ |= not same
        gain = without / with_reuse
        verdict = "yes" if same else "NO"
        print(f"| {resting:.0%} | {without * 1e3:.1f} | {with_reuse * 1e3:.1f} | {gain:.2f} | {verdict} |", flush=True)
    return int(differ)


if __name__ == "__main__":
    sys.exit(main())
