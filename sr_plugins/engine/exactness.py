"""Whether a network computes the very same numbers in a part of a picture as in the whole."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sr_plugins.engine.tiling import ALIGN, outer_span
from sr_plugins.interface.model import ModelSpec

PROBE = 320  # pixels: exactness is tried on a picture of about this height and width, unless frames are smaller
PROBES = 8


def exact_in_parts(run: Callable[[Tensor], Tensor], spec: ModelSpec, size: tuple[int, int]) -> bool:
    """Whether the network computes the very same numbers in a part as in the whole, tried on noise.

    Some libraries choose another order of additions for another size; the last bit of a float then decides how a tie
    rounds. ``size`` is (height, width) of the frames: parts begin on their grid, and may end with them.
    """
    generator = torch.Generator().manual_seed(1)
    height, width = (length if length <= PROBE else PROBE + length % ALIGN for length in size)
    radius, scale = spec.reads, spec.scale
    frames = (spec.frames,) if any(spec.window) else ()
    x = torch.rand(1, *frames, spec.planes_in, height, width, generator=generator, dtype=torch.float32)
    whole = run(x)
    for _ in range(PROBES):
        spans = []
        for length in (height, width):
            start, stop = sorted(torch.randint(0, length + 1, (2,), generator=generator).tolist())
            stop = length if stop > length - ALIGN else stop // ALIGN * ALIGN
            spans.append(outer_span(start // ALIGN * ALIGN, stop, length, radius))
        y, across = spans
        if y.start == y.stop or across.start == across.stop:
            continue
        part = run(x[..., y.outer_start : y.outer_stop, across.outer_start : across.outer_stop])
        rows, columns = (slice((s.start - s.outer_start) * scale, (s.stop - s.outer_start) * scale) for s in spans)
        all_rows, all_columns = (slice(s.start * scale, s.stop * scale) for s in spans)
        if not torch.equal(part[..., rows, columns], whole[..., all_rows, all_columns]):
            return False
    return True
