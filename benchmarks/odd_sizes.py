"""What odd sides and safe results cost: frames of odd sizes beside the next even ones, in turns, and OpenVINO's marks.

    python benchmarks/odd_sizes.py [--models tiny,fast] [--backends openvino,torch] [--seconds 3] [--rounds 5]

"odd / even" is the median over the rounds of the frames a second of the odd size against those of the even size in the
same round (8-bit YUV 4:2:0, conversions included; a row and a column less to do; OpenVINO computes pairs
of rows and columns). The second table is what it takes to mark the memory that OpenVINO is to fill and to look whether
all of it was filled, which is how a result is known to be of its own call: in the time of one tile.
"""

from __future__ import annotations

import argparse
import itertools
import time
from statistics import median

import numpy as np
import torch

from sr_plugins import Upscaler
from sr_plugins.backends.openvino_requests import Output
from sr_plugins.evaluation.speed import noise_pictures
from sr_plugins.plugins import plugins

SIZES = ((640, 360), (512, 288), (128, 96))  # even; the odd ones are less by one on each side


def rate(upscaler: Upscaler, width: int, height: int, seconds: float) -> float:
    """Frames a second of ``Upscaler.stream``."""
    pictures = noise_pictures(width, height)
    upscaler.upscale(pictures[0])
    start, stop = time.perf_counter(), time.perf_counter() + seconds
    endless = itertools.cycle(pictures)
    done = sum(1 for _ in upscaler.stream(itertools.takewhile(lambda _: time.perf_counter() < stop, endless)))
    return done / (time.perf_counter() - start)


def marks(height: int, width: int, calls: int = 50) -> float:
    """Seconds to mark and to check the codes (8 bits) of one call that gives ``width`` x ``height``."""
    codes = np.ones((1, 1, height, width), np.uint8)
    spent = []
    for number in range(calls):
        start = time.perf_counter()
        output = Output(codes.shape, codes.dtype, 0x1234567890ABCDEF + number)
        begun = time.perf_counter()
        output.array[...] = codes  # the runtime's work
        filled = time.perf_counter()
        assert output.written
        spent.append(begun - start + time.perf_counter() - filled)
    return median(spent)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default="tiny,fast")
    parser.add_argument("--backends", default="openvino,torch")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, {asked.rounds} rounds of {asked.seconds:g} s\n")
    print("| | even | fps | odd | fps | odd / even |\n|---|---|---:|---|---:|---:|")
    times: dict[tuple[str, int, int], float] = {}
    for model, backend in itertools.product(asked.models.split(","), asked.backends.split(",")):
        if plugins().backend(backend).missing():
            continue
        with Upscaler(model, backend=backend) as upscaler:
            for width, height in SIZES:
                sizes = ((width, height), (width - 1, height - 1))
                rounds = [[rate(upscaler, *size, asked.seconds) for size in sizes] for _ in range(asked.rounds)]
                even, odd = (median(values) for values in zip(*rounds, strict=True))
                ratio = median(b / a for a, b in rounds)
                print(
                    f"| {upscaler.description} | {width}x{height} | {even:.1f} | {width - 1}x{height - 1} | {odd:.1f} "
                    f"| {ratio:.3f} |",
                    flush=True,
                )
                if backend == "openvino":
                    times[model, width, height] = 1 / even
    if times:
        print("\n| openvino | result | frame, ms | marks, ms | share |\n|---|---|---:|---:|---:|")
    for (model, width, height), frame in times.items():
        own = marks(2 * height, 2 * width)
        size = f"{2 * width}x{2 * height}"
        print(f"| {model} | {size} | {1000 * frame:.2f} | {1000 * own:.3f} | {own / frame:.2%} |")


if __name__ == "__main__":
    main()
