"""The devices a person can name, and what is known about each."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from sr_plugins.errors import DeviceError, one_line
from sr_plugins.version import extra_command, torch_command


def resolve_devices(asked: str | Sequence[str]) -> list[str]:
    """``auto``, one name, names separated by commas, or a list, to torch device strings that were tried.

    Raises:
        DeviceError: a name is unknown or its device is missing; says what can be used.
    """
    named = asked.split(",") if isinstance(asked, str) else list(asked) if isinstance(asked, Iterable) else [asked]
    for name in named:
        if not isinstance(name, str):  # torch would take a number for a CUDA device
            raise DeviceError(f"device {name!r} is not a name: use 'auto', 'cpu' or 'cuda'")
    names = [name.strip().lower() for name in named]  # OpenVINO and its users write CPU
    if names == ["auto"]:
        return ["cuda:0" if torch.cuda.is_available() else "cpu"]
    if not names:
        raise DeviceError("no device was named: use 'auto', 'cpu' or 'cuda'")
    return [_tried(name) for name in names]


def device_of_torch(asked: str) -> str:
    """The one device of torch that ``asked`` means, for training, which uses no other.

    Raises:
        DeviceError: it is unknown or missing, several were named, or torch does not compute on it.
    """
    names = resolve_devices(asked)
    if len(names) > 1 or names[0].startswith("vulkan"):
        raise DeviceError(f"device {asked!r}: training runs on one device of PyTorch: use 'auto', 'cpu' or 'cuda'")
    return names[0]


def _tried(name: str) -> str:
    cure = "use 'auto', 'cpu' or 'cuda'"
    if name == "vulkan" or name.startswith("vulkan:"):
        return _vulkan(name)
    try:
        kind = torch.device(name).type
    except RuntimeError as error:  # its text lists two dozen words of torch's
        raise DeviceError(f"no device called {name!r}: {cure}") from error
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {name!r} cannot be used: no CUDA device was found; use 'cpu' or 'auto'")
    if kind == "meta":  # it takes tensors and computes nothing
        raise DeviceError(f"device {name!r} computes no pixels: {cure}")
    try:
        torch.ones(1, device=name).cpu()
    except Exception as error:  # every device's library raises its own, at length
        reason = one_line(error) if kind == "cuda" else f"torch {torch.__version__} finds none here"
        raise DeviceError(f"device {name!r} cannot be used: {reason}; {cure}") from error
    return "cuda:0" if name == "cuda" else name


def _vulkan(name: str) -> str:
    """A graphics card by its number among those that ncnn sees through Vulkan."""
    try:
        import ncnn
    except ImportError as error:
        raise DeviceError(f"device {name!r} needs {extra_command('ncnn')}; or use 'auto', 'cpu'") from error
    number, count = name.partition(":")[2] or "0", ncnn.get_gpu_count()
    if not number.isdecimal() or int(number) >= count:
        raise DeviceError(
            f"device {name!r} cannot be used: Vulkan has {count} here, from vulkan:0; use 'auto', 'cpu' or one"
        )
    return f"vulkan:{int(number)}"


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


@cache
def int8_is_faster(kind: str) -> bool:
    """Whether ``kind`` multiplies 8-bit integers several times as fast as floats: processors with VNNI.

    Told by what the processor is, as :func:`bfloat16_is_faster`. ARM's dot products were not tried.
    """
    return kind == "cpu" and (torch.cpu._is_vnni_supported() or "avx_vnni" in processor("flags").split())


def all_memory() -> int:
    """Bytes of memory that this machine has; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return 0


def processors() -> int:
    """How many processors this process may use."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()) or 1


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
            ("VNNI", int8_is_faster("cpu")),
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


def unused_gpus(devices: Path = Path("/sys/bus/pci/devices")) -> Iterator[str]:
    """A line for each maker of GPUs in this machine (Linux) that torch does not use, with what to do about it."""
    if torch.cuda.is_available():
        return
    makers = set()
    for device in devices.glob("*"):
        with suppress(OSError):
            if (device / "class").read_text().startswith("0x03"):  # display controllers
                makers.add((device / "vendor").read_text().strip())
    if "0x10de" in makers:
        cure = "install NVIDIA's driver until nvidia-smi works"
        if torch.version.cuda is None:
            cure = torch_command("cu126")
        yield f"an NVIDIA GPU is there and not used: {cure}"
    if "0x1002" in makers:
        yield f"an AMD GPU is there and not used; where ROCm knows it: {torch_command('rocm6.4')}"
