"""How near the core comes to what a device can copy and compute, from host planes to host planes.

python benchmarks/device_limits.py [--device cuda] [--model fast] [--size 1920x1080] [--seconds 5] [--rounds 3]

Frames are 8-bit YUV 4:2:0. "copy" is what moving their planes there and the larger ones back alone would allow, both
ways at once on CUDA, from page-locked memory; "arithmetic" is the device's peak in that precision over the network's
operations. On CUDA the rows without graphs launch the same kernels one by one.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from backends import streamed

from sr_plugins import Upscaler
from sr_plugins.evaluation.speed import multiply_adds, noise_pictures, peak

COPIES = 50


def copies_a_second(device: str, up: int, down: int) -> float:
    """Frames of ``up`` bytes to the device and ``down`` bytes back, per second, with nothing computed."""
    cuda = device.startswith("cuda")
    here = [torch.empty(size, dtype=torch.uint8, pin_memory=cuda) for size in (up, down)]
    there = [torch.empty(size, dtype=torch.uint8, device=device) for size in (up, down)]
    if not cuda:
        begin = time.perf_counter()
        for _ in range(COPIES):
            there[0].copy_(here[0])
            here[1].copy_(there[1])
        return COPIES / (time.perf_counter() - begin)
    streams = [torch.cuda.Stream(device), torch.cuda.Stream(device)]  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    begin = time.perf_counter()
    for _ in range(COPIES):
        with torch.cuda.stream(streams[0]):
            there[0].copy_(here[0], non_blocking=True)
        with torch.cuda.stream(streams[1]):
            here[1].copy_(there[1], non_blocking=True)
    torch.cuda.synchronize(device)
    return COPIES / (time.perf_counter() - begin)


def rate(upscaler: Upscaler, width: int, height: int, seconds: float) -> float:
    """Frames a second in steady state."""
    pictures = noise_pictures(width, height)
    for result in upscaler.stream(pictures * 16):
        del result
    return streamed(upscaler, pictures, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="fast")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    if asked.device.startswith("cuda") and not torch.cuda.is_available():
        parser.exit(1, "device_limits.py: there is no CUDA device here; try --device cpu --size 320x180\n")
    width, height = map(int, asked.size.split("x"))
    rows: dict[str, Upscaler] = {}
    for backend in ("torch", "torch-compile") if asked.device.startswith("cuda") else ("torch",):
        for batch in (4, 1):
            for graphs in (True, False) if asked.device.startswith("cuda") else (False,):
                upscaler = Upscaler(asked.model, device=asked.device, backend=backend, batch=batch)
                if not graphs:
                    for state in upscaler.devices:
                        state.graphs = None
                rows[f"{backend}, batch {batch}{', graphs' if graphs else ''}"] = upscaler
    rounds = [{row: rate(u, width, height, asked.seconds) for row, u in rows.items()} for _ in range(asked.rounds)]
    first = next(iter(rows.values()))
    device, precision = first.description.rsplit(", ", 2)[1:]
    bytes_up = width * height * 3 // 2
    copy = copies_a_second(device, bytes_up, bytes_up * first.native_scale**2)
    arithmetic = peak(device, precision) / (2 * multiply_adds(first.loaded) * width * height)
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else f"{torch.get_num_threads()} threads"
    print(f"\n{first.description}, {asked.size}, {name}, median of {asked.rounds} rounds\n")
    print(f"copy alone {copy:.1f} fps, arithmetic alone {arithmetic:.1f} fps\n")
    print("| | fps | of copy | of arithmetic |\n|---|---:|---:|---:|")
    for row in rows:
        fps = median(r[row] for r in rounds)
        print(f"| {row} | {fps:.2f} | {fps / copy:.1%} | {fps / arithmetic:.1%} |")


if __name__ == "__main__":
    main()
