"""How fast backends run a network here: through the core, as frames of a film will come; and whether anything else ran.

What a runner alone does on one picture says little: lanes share the cores, a size that comes again may get a network
of its own, and planes are converted beside it.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Protocol

import numpy as np
import torch

from sr_plugins.backends.kept_speed import keep_speed
from sr_plugins.backends.selection import Candidate, Measured
from sr_plugins.backends.trial import picture_for
from sr_plugins.engine.job import Job
from sr_plugins.interface.backend import Runner
from sr_plugins.interface.model import ModelSpec
from sr_plugins.pixels.frame import Frame, FrameFormat, Matrix

IN_ALL = 3.0  # seconds after which a measurement has ended, or was given up
# Height and width of the frames: the largest of which a backend makes enough within its time.
SIZES = ((360, 640), (270, 480), (180, 320), (90, 160), (45, 80))
SMALLEST = SIZES[-1]
PROBES = SIZES[-2:]
PROBE_SECONDS = 0.2
SECONDS = 0.5  # for a backend as fast as the plain one; the others of three seconds are for what they make ready
WARM = 6  # frames before it counts: a backend may compile for a size that came four times
FEWEST = 6
ALONE = 0.85  # of the processor time that there was, to believe a measurement

BUSY = "other programs keep this machine busy"
SLOW = f"it takes longer here than the {IN_ALL:g} s that measuring may"


class MeasuredEngine(Protocol):
    """What is needed of an engine."""

    @property
    def queue(self) -> _Queue: ...
    @property
    def lookahead(self) -> int: ...
    def close(self) -> None: ...


class _Queue(Protocol):
    def put(self, job: Job, /) -> None: ...


Make = Callable[[Candidate, str], MeasuredEngine]


def speeds(make: Make, spec: ModelSpec, device: str, candidates: Sequence[Candidate]) -> Measured:
    """Frames (YUV 4:2:0, 8 bits) a second by backend, with as many in flight as the engine keeps.

    The first candidate's runner computes in this process, on all its threads: it is called before and after, and tells
    by its processor time whether it was alone. Where it was not, what was measured says more about the other programs.

    What a small picture takes says beforehand what a larger one will at most, so that nothing begins which would not
    end within ``IN_ALL``; a backend too slow for its share is given up there, and what it made until then counts.

    Args:
        make: an engine that runs a candidate on a device.
        spec: of the model.
        device: where.
        candidates: the plain backend first; all were called on the picture of the trial before.

    Returns:
        The frames a second, or why there are none: ``BUSY``, ``SLOW``.
    """
    start = time.perf_counter()
    foretold = _seconds_a_pixel(candidates[0].runner, spec, device)
    shape = next((s for s in PROBES if s[0] * s[1] * foretold <= PROBE_SECONDS), None)
    if shape is None:
        return SLOW
    before = time.perf_counter()
    seconds, share = _probe(candidates[0].runner, spec, device, shape)
    if share < ALONE:
        return BUSY
    ends = start + IN_ALL - (time.perf_counter() - before)  # the second probe will take as long as the first
    each = min(SECONDS, (ends - time.perf_counter()) / len(candidates))
    affordable = each / (WARM + FEWEST) / (seconds / (shape[0] * shape[1]))  # pixels of a frame
    size = next((s for s in SIZES if s[0] * s[1] <= affordable), None)
    if size is None:
        return SLOW
    results: dict[str, float] = {}
    for number, candidate in enumerate(candidates):
        left = (ends - time.perf_counter()) / (len(candidates) - number)
        if 4 * _seconds_a_pixel(candidate.runner, spec, device) * SMALLEST[0] * SMALLEST[1] > left:  # two come first
            results[candidate.name] = 0.0
            continue
        engine = make(candidate, device)
        try:
            results[candidate.name] = _frames_a_second(engine, spec, size, left)
        finally:
            engine.close()
    if _probe(candidates[0].runner, spec, device, shape)[1] < ALONE:
        return BUSY
    keep_speed(spec.label, max(results.values()) * size[0] * size[1] * spec.scale**2 / 1e6)
    return results


def _seconds_a_pixel(runner: Runner, spec: ModelSpec, device: str) -> float:
    """Of a small picture: more than of a larger one, for what a call costs by itself counts, too."""
    x = picture_for(spec, device)
    start = time.perf_counter()
    runner(x)
    return (time.perf_counter() - start) / (x.shape[-2] * x.shape[-1])


def _probe(runner: Runner, spec: ModelSpec, device: str, shape: tuple[int, int]) -> tuple[float, float]:
    """Seconds of a call on a picture of ``shape``, and which share of the processor time there was it got."""
    channels = spec.frames * spec.planes_in
    height, width = (-(-max(s, spec.minimum_size) // spec.size_multiple) * spec.size_multiple for s in shape)
    x = torch.rand(1, channels, height, width, device=device, dtype=torch.float32)
    runner(x)
    threads = min(torch.get_num_threads(), os.cpu_count() or 1)
    calls, processor, start = 0, time.process_time(), time.perf_counter()
    while calls == 0 or time.perf_counter() - start < PROBE_SECONDS:
        runner(x)
        calls += 1
    seconds = time.perf_counter() - start
    return seconds / calls, (time.process_time() - processor) / (seconds * threads)


def _frames_a_second(engine: MeasuredEngine, spec: ModelSpec, size: tuple[int, int], seconds: float) -> float:
    """Without the first ones, or, where ``seconds`` go by before there are enough others, without the longest wait."""
    begun, frames = time.perf_counter(), {shape: _frame(*shape) for shape in (SMALLEST, size)}

    def put(shape: tuple[int, int]) -> Future[Frame]:
        frame = frames[shape]
        job = Job((frame,) * spec.frames, (shape[1] * spec.scale, shape[0] * spec.scale), frame.format)
        engine.queue.put(job)
        return job.future

    put(SMALLEST).result()  # the first of all makes things ready
    start = time.perf_counter()
    put(SMALLEST).result()
    first = before = time.perf_counter()
    one = (first - start) * (size[0] * size[1]) / (SMALLEST[0] * SMALLEST[1])  # or less, of a larger frame
    waiting: deque[Future[Frame]] = deque()
    done, longest = 0, 0.0
    while True:
        while len(waiting) < engine.lookahead and before - begun + (len(waiting) + 1) * one <= seconds:
            waiting.append(put(size))
        if not waiting:
            break
        waiting.popleft().result()
        done, now = done + 1, time.perf_counter()
        longest, before = max(longest, now - before), now
        one = min(one, (now - first) / done)
        if done == WARM:
            start = now
        if done >= WARM + FEWEST and now - start >= SECONDS / 2:
            break
    for future in waiting:
        future.cancel()
    if done >= WARM + FEWEST:
        return (done - WARM) / (before - start)
    if done < 2:
        return 0.0
    return (done - 1) / max(before - first - longest, 1e-9)  # the longest: perhaps a network was made for this size


def _frame(height: int, width: int) -> Frame:
    random = np.random.default_rng(0)
    shapes = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    planes = [random.integers(16, 236, shape, np.uint8) for shape in shapes]
    return Frame(planes, FrameFormat(family="yuv", subsampling=(1, 1), matrix=Matrix.BT709))
