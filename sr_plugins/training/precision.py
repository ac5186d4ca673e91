"""Which number format a device trains fastest in: bfloat16, or float32."""

from __future__ import annotations

import math
import time
from functools import cache

import torch
from torch.nn import functional as F

ROUNDS = 5


def autocast(device: torch.device, bfloat16: bool) -> torch.autocast:
    """The context that a forward pass runs in: the layers compute in bfloat16, or in float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


@cache
def bfloat16_pays(device_type: str) -> bool:
    """Whether bfloat16 is the faster format to train in on ``cpu`` or ``cuda``, found once by a short measurement.

    It is on GPUs and on processors that multiply it natively, but there are processors whose bfloat16 instructions
    take longer than float32's, and others that have none.
    """
    if device_type != "cpu":
        return True
    seconds = {torch.float32: math.inf, torch.bfloat16: math.inf}
    for _ in range(ROUNDS):  # in turn, and the best of each: what else the machine does hits both
        for dtype in seconds:
            seconds[dtype] = min(seconds[dtype], _convolution_step(dtype))
    return seconds[torch.bfloat16] < seconds[torch.float32]


def _convolution_step(dtype: torch.dtype) -> float:
    """Seconds that a 3x3 convolution of the size of our networks' takes, forward and backward."""
    x, weight = torch.ones(8, 32, 48, 48, dtype=dtype), torch.ones(32, 32, 3, 3, dtype=dtype)
    x, weight = (t.to(memory_format=torch.channels_last).requires_grad_() for t in (x, weight))
    started = time.perf_counter()
    torch.autograd.grad(F.conv2d(x, weight, padding=1).sum(), (x, weight))
    return time.perf_counter() - started
