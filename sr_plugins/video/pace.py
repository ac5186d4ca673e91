"""How long a model takes for a frame, here: measured in one way for previews, ``--tune`` and the hint of a quicker one.

The upscalers that are measured are made with ``reuse=False``: frames come again, and would be remembered.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from sr_plugins.engine.windows import Seen
from sr_plugins.pixels.frame import Frame, FrameFormat, empty_frame
from sr_plugins.upscaler import Upscaler

LASTING = 0.5  # seconds that rounds go on for at least
SMALL = (320, 180)  # width and height of a picture that tells whether a whole frame can be waited for
PATIENCE = 20.0  # seconds that measuring whole frames may take, by that


def pace(upscaler: Upscaler, frames: Sequence[Seen], size: tuple[int, int] | None = None) -> tuple[list[Frame], float]:
    """The frames, larger (of ``size``), and how many seconds one takes.

    A first round readies all; of those that follow, one at least, the quickest counts: the others say what else runs.
    """
    begun, quickest = 0.0, float("inf")
    results = _round(upscaler, frames, size)
    lasting = time.perf_counter() + LASTING
    while begun < lasting:
        begun = time.perf_counter()
        results = _round(upscaler, frames, size)
        quickest = min(quickest, time.perf_counter() - begun)
    return results, quickest / len(frames)


def estimated_pace(upscaler: Upscaler, frames: Sequence[Seen]) -> tuple[float, bool]:
    """How many seconds a frame takes, and whether whole frames were measured.

    Where those would take too long, a small picture was, and the result is its time for so many pixels.
    """
    frame = frames[0].frame
    (width, height), share = SMALL, frame.width * frame.height / (SMALL[0] * SMALL[1])
    if share > 1:
        wide, high = upscaler.output_size(frame.width, frame.height, frame.format)
        size = max(1, wide * width // frame.width), max(1, high * height // frame.height)
        _, seconds = pace(upscaler, [Seen(noise(frame.format, width, height), (), ())], size)
        if 2 * len(frames) * seconds * share > PATIENCE:
            return seconds * share, False
    return pace(upscaler, frames)[1], True


def noise(format: FrameFormat, width: int, height: int, seed: int = 0) -> Frame:
    """A picture of nothing that could be left out, another for each seed."""
    frame, random = empty_frame(format, width, height), np.random.default_rng(seed)
    for plane in frame.planes:
        plane[:] = random.random(plane.shape) if format.is_float else random.integers(0, 1 << format.bits, plane.shape)
    return frame


def _round(upscaler: Upscaler, frames: Sequence[Seen], size: tuple[int, int] | None) -> list[Frame]:
    futures = [upscaler.submit(seen.frame, seen.before, seen.after, size=size) for seen in frames]
    return [future.result() for future in futures]
