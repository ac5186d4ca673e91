"""What the VapourSynth filter costs on top of the core: frames per second of both on the same frames, and memory.

python benchmarks/vapoursynth_overhead.py [--size 640x360] [--frames 30] [--rounds 7] [--memory 2000] [--model NAME] ...

"core" is Upscaler.stream() on planes already in memory; "filter" is upscale() in a VapourSynth core with a source that
costs nothing; "network" calls the bare network from as many threads as there are lanes. They take turns, round by
round; "filter / core" is the median of the rounds' ratios, fps the medians. "by processor time" is the same ratio by
what all threads used, which a busy machine disturbs less. "outside the network" is the share of the filter's processor
time that the network alone does not need: conversion, copies, VapourSynth and Python. The exit status is 1 below 95 %.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import numpy as np
import torch
import vapoursynth as vs

from sr_plugins import Frame, Upscaler
from sr_plugins.engine.threads import compute_in_this_thread_alone
from sr_plugins.pixels.conversion import Conversion, output_coding
from sr_plugins.pixels.matrix import resolved
from vapoursynth_filter import upscale
from vapoursynth_filter.frames import to_frame

FORMATS = ("YUV420P8", "YUV420P10", "RGB24", "RGBS")
ENOUGH = 0.95


def clip_at_no_cost(format: vs.VideoFormat, width: int, height: int, length: int) -> vs.VideoNode:
    """A clip that hands out a few pictures of noise in turn; none follows itself, for a still could be skipped."""
    blank = vs.core.std.BlankClip(format=format, width=width, height=height, length=length, keep=True)
    pictures = [blank.get_frame(0).copy() for _ in range(4)]
    random = np.random.default_rng(1)
    for picture in pictures:
        for i in range(format.num_planes):
            plane = np.asarray(picture[i])
            top = 1.0 if format.sample_type == vs.FLOAT else (1 << format.bits_per_sample) - 1
            plane[:] = random.random(plane.shape) * top
    return blank.std.ModifyFrame(blank, lambda n, f: pictures[n % len(pictures)])


def seconds(frames: Iterator[object]) -> tuple[float, float]:
    """(elapsed, of all processors) for all frames after the first, which waits for whatever is made once."""
    next(frames)
    start, used = time.perf_counter(), time.process_time()
    for frame in frames:
        del frame
    return time.perf_counter() - start, time.process_time() - used


def bare_calls(upscaler: Upscaler, frame: Frame, count: int) -> Iterator[torch.Tensor]:
    """The network's results for this frame, by as many threads as serve the device."""
    state, spec = upscaler.devices[0], upscaler.loaded.spec
    format = resolved(frame.format, frame.width, frame.height)
    planes = [torch.from_numpy(plane.copy())[None] for plane in frame.planes]
    x, _ = Conversion(format, spec.channels, spec.scale).to_model(planes, None, 0)
    coding = output_coding(format, spec.channels)

    def call(_: int) -> torch.Tensor:
        with torch.inference_mode():
            return state.network(x, coding)

    prepare = compute_in_this_thread_alone if state.lanes > 1 else None
    with ThreadPoolExecutor(state.lanes, initializer=prepare) as threads:
        yield from threads.map(call, range(count))


def compare(format: str, upscaler: Upscaler, size: tuple[int, int], frames: int, rounds: int) -> float:
    """Print one line; returns filter / core."""
    clip = clip_at_no_cost(vs.core.get_video_format(getattr(vs, format)), *size, frames + 1)
    source: list[Frame] = [to_frame(clip.get_frame(n)) for n in range(4)]
    core, filtered, network = [], [], []
    for _ in range(rounds):
        core.append(seconds(upscaler.stream(islice(cycle(source), frames + 1))))
        filtered.append(seconds(upscale(clip, upscaler).frames(close=True)))
        network.append(seconds(bare_calls(upscaler, source[0], frames + 1)))
    elapsed, processor = (median(c[i] / f[i] for c, f in zip(core, filtered, strict=True)) for i in (0, 1))
    outside = 1 - median(n[1] / f[1] for n, f in zip(network, filtered, strict=True))
    print(
        f"| {format} | {frames / median(c[0] for c in core):.2f} | {frames / median(f[0] for f in filtered):.2f} "
        f"| {elapsed:.1%} | {processor:.1%} | {outside:.1%} |",
        flush=True,
    )
    return elapsed


def memory(upscaler: Upscaler, size: tuple[int, int], frames: int) -> None:
    """Print the resident size along a run of many frames."""
    clip = upscale(clip_at_no_cost(vs.core.get_video_format(vs.YUV420P8), *size, frames), upscaler)
    print(f"\nResident MB over {frames} frames of YUV420P8:", end="")
    for n, frame in enumerate(clip.frames(close=True)):
        if (n + 1) % max(1, frames // 10) == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            print(f" {pages * os.sysconf('SC_PAGE_SIZE') / 1e6:.0f}", end="", flush=True)
        del frame
    print()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="640x360")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", type=int, default=0, metavar="FRAMES")
    parser.add_argument("--formats", default=",".join(FORMATS))
    for name in ("device", "backend", "precision", "batch"):
        parser.add_argument(f"--{name}", default="auto")
    parser.add_argument("--model", default="realtime")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    batch = arguments.batch if arguments.batch == "auto" else int(arguments.batch)
    where = {name: getattr(arguments, name) for name in ("device", "backend", "precision")}
    with Upscaler(arguments.model, batch=batch, **where) as upscaler:
        print(f"{upscaler.description}, {width}x{height}, {arguments.frames} frames, {arguments.rounds} rounds\n")
        print("| format | core fps | filter fps | filter / core | by processor time | outside the network |")
        print("|---|---|---|---|---|---|")
        shares = [
            compare(format, upscaler, (width, height), arguments.frames, arguments.rounds)
            for format in arguments.formats.split(",")
        ]
        if arguments.memory:
            memory(upscaler, (width, height), arguments.memory)
    return 0 if min(shares) >= ENOUGH else 1


if __name__ == "__main__":
    raise SystemExit(main())
