"""How fast a model runs on this machine: each case in a process of its own, from start to steady state.

Frames are noise in YUV 4:2:0 of 8 bits, in host memory before and after; none follows itself, so nothing is reused.
They reach the core through a function that the caller names: through the core itself, a pipe, or an adapter.
"""

from __future__ import annotations

import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from io import BytesIO
from itertools import cycle, islice
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from sr_plugins.errors import SRError
from sr_plugins.interface.model import LoadedModel
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.settings import OtherSettings

if TYPE_CHECKING:
    from sr_plugins.upscaler import Upscaler

# enlarges ``count`` frames, the pictures in turn: (upscaler, pictures, count)
Through = Callable[["Upscaler", Sequence[Frame], int], None]
YUV420P8 = FrameFormat(family="yuv", subsampling=(1, 1))
PICTURES = 4
WARM = 6  # frames before any is timed: whatever is compiled for a size is compiled then
FEWEST_FRAMES = 4  # timed, however slow; and always a multiple of it, so that no lane idles for long at the end
PEAK_SIDE = {"cpu": 1536, "cuda": 8192}  # of the matrix product that shows what the device can do


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is measured: the arguments of :class:`~.upscaler.Upscaler`, and the size of the frames."""

    model: str
    scale: int
    width: int
    height: int
    settings: OtherSettings


@dataclass(frozen=True, kw_only=True)
class Speed:
    """What came out.

    Attributes:
        description: model, backend, device and precision in use.
        fps: frames a second, the first ones left out.
        first_frame: seconds from the start of a cold Python to the first enlarged frame.
        memory: largest resident size of the process, MiB; on CUDA of the device's memory.
        share_of_peak: arithmetic of the network per second, relative to :func:`peak` in the same precision on the
            same threads; not a number for int8.
    """

    description: str
    fps: float
    first_frame: float
    memory: float
    share_of_peak: float = math.nan


def measure(case: Case, seconds: float, through: Through) -> Speed:
    """Measure for about ``seconds`` in a fresh process; ``SRError`` as the process raised it.

    ``through`` is found there by its module and name.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(case, seconds, through, time.time(), sender))
    with _deaf_to_the_terminal():
        process.start()
    sender.close()
    try:
        result = receiver.recv()
    except EOFError:
        process.join()  # its exit code is known then
        raise SRError(f"the process that measured {case.model} on {case.settings} ended: {process.exitcode}") from None
    except BaseException:  # an interrupt: what would be measured is of no use
        process.kill()
        raise
    finally:
        process.join()
    if isinstance(result, str):
        raise SRError(result)
    speed: Speed = result
    # here, once for all cases: each child would import torch's compiler to count with
    arithmetic = 2 * _of_model(case.model, case.scale) * case.width * case.height * speed.fps
    return replace(speed, share_of_peak=arithmetic / _peak_of(*speed.description.rsplit(", ", 2)[1:]))


@contextmanager
def _deaf_to_the_terminal() -> Iterator[None]:
    """A child that is started here does not hear Ctrl-C: we do, and decide how it ends."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@cache
def _of_model(model: str, scale: int) -> float:
    from sr_plugins.weights.open_model import open_model

    return multiply_adds(open_model(model, scale))


@cache
def _peak_of(device: str, precision: str) -> float:
    return peak(device, precision)


def _child(case: Case, seconds: float, through: Through, started: float, sender: Connection) -> None:
    try:
        sender.send(_measured(case, seconds, through, started))
    except SRError as error:
        sender.send(str(error))


def _measured(case: Case, seconds: float, through: Through, started: float) -> Speed:
    from sr_plugins.upscaler import Upscaler

    pictures = noise_pictures(case.width, case.height)
    with Upscaler(case.model, case.scale, **case.settings) as upscaler:
        through(upscaler, pictures, 1)
        first_frame = time.time() - started
        begin = time.perf_counter()
        through(upscaler, pictures, WARM)
        guess = seconds * WARM / (time.perf_counter() - begin)
        frames = FEWEST_FRAMES * math.ceil(guess / FEWEST_FRAMES)
        begin = time.perf_counter()
        through(upscaler, pictures, frames)
        fps = frames / (time.perf_counter() - begin)
        description = upscaler.description
    memory = _peak_memory(description.rsplit(", ", 2)[1])
    return Speed(description=description, fps=fps, first_frame=first_frame, memory=memory)


def through_core(upscaler: Upscaler, pictures: Sequence[Frame], count: int) -> None:
    """``Upscaler.stream``: planes in, planes out."""
    for result in upscaler.stream(islice(cycle(pictures), count)):
        del result


def through_pipe(upscaler: Upscaler, pictures: Sequence[Frame], count: int) -> None:
    """``srp pipe``: YUV4MPEG2 in and out, in memory."""
    from sr_plugins.video.pipe import upscale_pipe

    header = f"YUV4MPEG2 W{pictures[0].width} H{pictures[0].height} F24:1 Ip A1:1 C420mpeg2\n".encode()
    frames = [b"FRAME\n" + b"".join(plane.tobytes() for plane in picture.planes) for picture in pictures]
    upscale_pipe(BytesIO(header + b"".join(islice(cycle(frames), count))), BytesIO(), upscaler)


def noise_pictures(width: int, height: int) -> list[Frame]:
    """A few frames of 4:2:0, 8 bits, of which no part could be left out."""
    from sr_plugins.video.pace import noise

    return [noise(YUV420P8, width, height, seed) for seed in range(PICTURES)]


def multiply_adds(loaded: LoadedModel) -> float:
    """Of the network, for each pixel of its input."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    side, spec = 64, loaded.spec
    frames = (spec.frames,) if any(spec.window) else ()
    x = torch.zeros(1, *frames, spec.planes_in, side, side, dtype=torch.float32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        loaded.torch().runnable()(x)
    return float(counter.get_total_flops()) / 2 / side**2


def peak(device: str, precision: str) -> float:
    """Operations a second at best: in a large matrix product, or in a convolution that stays in the cache.

    The matrix libraries do not use every processor's widest vectors, so the product alone would show too little.
    """
    import torch
    from torch.nn.functional import conv2d

    if precision == "int8":  # torch has no product that comes near what the processor does in integers
        return math.nan
    dtype = getattr(torch, precision)
    side = PEAK_SIDE.get(torch.device(device).type, PEAK_SIDE["cpu"])
    a = torch.randn(side, side, device=device).to(dtype)
    features = torch.randn(1, 64, 64, 64, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(64, 64, 3, 3, device=device).to(dtype).contiguous(memory_format=torch.channels_last)
    kinds: list[tuple[int, Callable[[], object]]] = [
        (2 * side**3, lambda: a @ a),
        (2 * features.numel() * 9 * 64, lambda: conv2d(features, kernel, padding=1)),
    ]
    best = 0.0
    for operations, work in kinds * 8:
        start = time.perf_counter()
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        best = max(best, operations / (time.perf_counter() - start))
    return best


def _peak_memory(device: str) -> float:
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated(device) / 2**20
    if sys.platform == "win32":
        return float("nan")
    import resource

    # Linux counts in KiB, macOS in bytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
