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
from sr_plugins.engine.job import Job
from sr_plugins.interface.backend import Runner
from sr_plugins.interface.model import ModelSpec
from sr_plugins.pixels.frame import Frame, FrameFormat, Matrix

# Height and width of the frames: the largest of which a backend makes enough within its time.
SIZES = ((360, 640), (270, 480), (180, 320), (90, 160), (45, 80))
PROBE = (90, 160)
PROBE_SECONDS = 0.2
SECONDS = 0.8  # of each backend; three of them and the two probes stay within three seconds
WARM = 6  # frames before it counts: a backend may compile for a size that came four times
FEWEST = 6
ALONE = 0.85  # of the processor time that there was, to believe a measurement


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
    by its processor time whether it was alone. Where it was not, what was measured says more about the other programs:
    ``None``.

    Args:
        make: an engine that runs a candidate on a device.
        spec: of the model.
        device: where.
        candidates: the plain backend first.
    """
    plain = candidates[0].runner
    seconds, share = _probe(plain, spec, device)
    if share < ALONE:
        return None
    affordable = SECONDS / (WARM + FEWEST) / (seconds / (PROBE[0] * PROBE[1]))  # pixels of a frame
    size = next((s for s in SIZES if s[0] * s[1] <= affordable), SIZES[-1])
    results: dict[str, float] = {}
    for candidate in candidates:
        engine = make(candidate, device)
        try:
            results[candidate.name] = _frames_a_second(engine, spec, size)
        finally:
            engine.close()
    if _probe(plain, spec, device)[1] < ALONE:
        return None
    keep_speed(spec.label, max(results.values()) * size[0] * size[1] * spec.scale**2 / 1e6)
    return results


def _probe(runner: Runner, spec: ModelSpec, device: str) -> tuple[float, float]:
    """Seconds of a call on a picture of the probe's size, and which share of the processor time there was it got."""
    channels = spec.frames * spec.planes_in
    height, width = (-(-max(s, spec.minimum_size) // spec.size_multiple) * spec.size_multiple for s in PROBE)
    x = torch.rand(1, channels, height, width, device=device)
    runner(x)
    threads = min(torch.get_num_threads(), os.cpu_count() or 1)
    calls, processor, start = 0, time.process_time(), time.perf_counter()
    while calls == 0 or time.perf_counter() - start < PROBE_SECONDS:
        runner(x)
        calls += 1
    seconds = time.perf_counter() - start
    return seconds / calls, (time.process_time() - processor) / (seconds * threads)


def _frames_a_second(engine: MeasuredEngine, spec: ModelSpec, size: tuple[int, int]) -> float:
    frame = _frame(*size)
    target = size[1] * spec.scale, size[0] * spec.scale
    waiting: deque[Future[Frame]] = deque()
    done, start = 0, time.perf_counter()
    while True:
        while len(waiting) < engine.lookahead:
            job = Job((frame,) * spec.frames, target, frame.format)
            engine.queue.put(job)
            waiting.append(job.future)
        waiting.popleft().result()
        done += 1
        if done == WARM:
            start = time.perf_counter()
        elif done >= WARM + FEWEST and time.perf_counter() - start >= SECONDS / 2:
            break
    seconds = time.perf_counter() - start
    for future in waiting:
        future.cancel()
    return (done - WARM) / seconds


def _frame(height: int, width: int) -> Frame:
    random = np.random.default_rng(0)
    shapes = [(height, width), *[(-(-height // 2), -(-width // 2))] * 2]
    planes = [random.integers(16, 236, shape, np.uint8) for shape in shapes]
    return Frame(planes, FrameFormat(family="yuv", subsampling=(1, 1), matrix=Matrix.BT709))
