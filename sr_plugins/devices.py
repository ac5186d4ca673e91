"""The devices a person can name, and what is known about each."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import torch

from sr_plugins.errors import DeviceError


def resolve_devices(asked: str | Sequence[str]) -> list[str]:
    """``auto``, one name, names separated by commas, or a list, to torch device strings that were tried.

    Raises:
        DeviceError: a name is unknown or its device is missing; says what can be used.
    """
    named = asked.split(",") if isinstance(asked, str) else list(asked) if isinstance(asked, Iterable) else [asked]
    for name in named:
        if not isinstance(name, str):  # torch would take a number for a CUDA device
            raise DeviceError(f"device {name!r} is not a name: use 'auto', 'cpu' or 'cuda'")
    names = [name.strip() for name in named]
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
    """Whether ``cpu`` or ``cuda`` computes faster in bfloat16 than in float32.

    Told by what the processor is, not by a measurement, which another program could turn over: then the same frame
    would give other bytes in the next process. Intel's AVX-512 instructions for bfloat16 take twice as long as those
    for float32, so that it pays only with AMX (which some processors lack and virtual machines may hide); AMD's pay.
    """
    if kind != "cpu":
        return True
    if not torch.cpu._is_avx512_bf16_supported():
        return False
    return torch.cpu._is_amx_tile_supported() or "Intel" not in processor("vendor_id")


def processor(field: str) -> str:
    """What Linux tells of the first processor (``vendor_id``, ``model name``); elsewhere, all that is known of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # Windows names the vendor at the end, macOS has no processor that is asked for
        lines = []
    told = next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")
    return told or platform.processor()


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
