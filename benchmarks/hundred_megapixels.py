"""Memory of a 100-megapixel picture: 10000 x 10000 RGB to 20000 x 20000, resident size beyond the two pictures.

python benchmarks/hundred_megapixels.py [SIDE]
"""

from __future__ import annotations

import resource
import sys
import threading
import time

import numpy as np

from sr_plugins import Frame, FrameFormat, Upscaler

LIMIT_GIB = 4.0


def resident_gib() -> float:
    with open("/proc/self/statm") as file:  # noqa: PTH123
        return int(file.read().split()[1]) * resource.getpagesize() / 2**30


def main(side: int) -> int:
    rng = np.random.default_rng(0)
    row = rng.integers(0, 256, side, dtype=np.uint8)
    planes = [np.roll(np.tile(row, (side, 1)), i, axis=1) for i in range(3)]
    arrays = 3 * side * side * (1 + 4) / 2**30  # in, and twice as large out
    with Upscaler("realtime") as upscaler:
        upscaler.upscale(Frame([p[:256, :256] for p in planes], FrameFormat(family="rgb")))  # load what is loaded once
        before = resident_gib() - 3 * side * side / 2**30  # without the input, which is already there
        peak = before
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.05):
                peak = max(peak, resident_gib())

        watcher = threading.Thread(target=watch)
        watcher.start()
        start = time.perf_counter()
        result = upscaler.upscale(Frame(planes, FrameFormat(family="rgb")))
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    beyond = peak - before - arrays
    megapixels = side * side / 1e6
    print("| picture | seconds | megapixels in per second | pictures GiB | resident beyond them GiB | limit GiB |")
    print("|---|---|---|---|---|---|")
    print(
        f"| {side} x {side} to {result.width} x {result.height} | {seconds:.0f} | {megapixels / seconds:.2f} "
        f"| {arrays:.2f} | {beyond:.2f} | {LIMIT_GIB:.0f} |"
    )
    return 0 if beyond <= LIMIT_GIB else 1


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000))
