"""The devices a person can name, and what is known about each."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import cache

import torch

from sr_plugins.errors import DeviceError

ROUNDS = 6


def resolve_devices(asked: str | Sequence[str]) -> list[str]:
    """``auto``, one name, names separated by commas, or a list, to torch device strings that were tried.

    Raises:
        DeviceError: a name is unknown or its device is missing; says what can be used.
    """
    names = [n.strip() for n in asked.split(",")] if isinstance(asked, str) else list(asked)
    if names == ["auto"]:
        return ["cuda:0" if torch.cuda.is_available() else "cpu"]
    if not names:
        raise DeviceError("no device was named: use 'auto', 'cpu' or 'cuda'")
    result = []
    for name in names:
        try:
            if torch.device(name).type == "cuda" and not torch.cuda.is_available():
                raise DeviceError(f"device {name!r} cannot be used: no CUDA device was found; use 'cpu' or 'auto'")
            torch.zeros(1, device=name)
        except DeviceError:
            raise
        except (RuntimeError, AssertionError, ValueError, NotImplementedError) as error:
            reason = str(error).splitlines()[0]
            raise DeviceError(f"device {name!r} cannot be used ({reason}); use 'auto', 'cpu' or 'cuda'") from error
        result.append("cuda:0" if name == "cuda" else name)
    return result


@cache
def bfloat16_is_faster(kind: str) -> bool:
    """Whether ``cpu`` or ``cuda`` computes faster in bfloat16 than in float32, found once by a short measurement.

    There are processors whose bfloat16 instructions take longer than those of float32 (Intel's where AMX is missing or
    hidden by a virtual machine), and others that have none. Takes a fiftieth of a second.
    """
    if kind != "cpu":
        return True
    if not torch.cpu._is_avx512_bf16_supported():
        return False
    seconds = {torch.float32: math.inf, torch.bfloat16: math.inf}
    for _ in range(ROUNDS):  # in turn, and the best of each: what else the machine does hits both
        for dtype in seconds:
            seconds[dtype] = min(seconds[dtype], _convolution_seconds(dtype))
    return seconds[torch.bfloat16] < seconds[torch.float32]


def _convolution_seconds(dtype: torch.dtype) -> float:
    """How long a 3x3 convolution as in our networks takes."""
    with torch.inference_mode():
        x, weight = torch.ones(1, 32, 96, 96, dtype=dtype), torch.ones(32, 32, 3, 3, dtype=dtype)
        x, weight = x.to(memory_format=torch.channels_last), weight.to(memory_format=torch.channels_last)
        started = time.perf_counter()
        torch.nn.functional.conv2d(x, weight, padding=1)
        return time.perf_counter() - started


def describe_devices() -> list[str]:
    """One line for each device, for ``srp doctor``."""
    features = [
        name
        for name, supported in (
            ("AVX2", torch.cpu._is_avx2_supported()),
            ("AVX-512", torch.cpu._is_avx512_supported()),
            ("AVX-512 bfloat16", torch.cpu._is_avx512_bf16_supported()),
            ("AMX", torch.cpu._is_amx_tile_supported()),
        )
        if supported
    ]
    lines = [f"cpu: {torch.get_num_threads()} threads, {', '.join(features) or 'no wide vectors'}"]
    if not torch.cuda.is_available():
        return [*lines, f"cuda: none found (torch {torch.__version__})"]
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        lines.append(f"cuda:{i}: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    return lines
