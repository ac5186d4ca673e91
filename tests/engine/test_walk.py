"""The way of a frame: few enough named calls that a reader can follow it."""

import sys
from types import FrameType

import numpy as np
import pytest
from fakes import with_backend
from torch import Tensor

from sr_plugins import BackendSpec, Frame, FrameFormat, Upscaler
from sr_plugins.engine.job import Job
from sr_plugins.engine.job_queue import JobQueue
from sr_plugins.interface.backend import Placement, Runner
from sr_plugins.interface.network import TorchNetwork

MOST = 9


def named_calls(frame: FrameType | None) -> list[str]:
    """Functions of ours on the stack, innermost first; a decorator's wrapper and a thread's start are not ours."""
    calls = []
    while frame is not None:
        code = frame.f_code
        if "/sr_plugins/" in code.co_filename and not code.co_name.startswith("<") and code.co_name != "run":
            calls.append(code.co_qualname)
        frame = frame.f_back
    return calls


@pytest.mark.parametrize("format", [FrameFormat(family="gray"), FrameFormat(family="yuv", subsampling=(1, 1))])
def test_a_frame_passes_few_named_calls(format: FrameFormat, monkeypatch: pytest.MonkeyPatch) -> None:
    lane: list[str] = []
    caller: list[str] = []

    def build(network: TorchNetwork, placement: Placement) -> Runner:
        module = network.runnable()

        def runner(x: Tensor) -> Tensor:
            lane[:] = named_calls(sys._getframe(1))
            y: Tensor = module(x)
            return y

        return runner

    spec = BackendSpec(name="watched", build=build, precisions=lambda device: ("float32",))  # type: ignore[arg-type]
    planes = [np.zeros(format.plane_size(i, 20, 16)[::-1], np.uint8) for i in range(format.planes)]
    with Upscaler("tiny", plugins=with_backend(spec), backend="watched") as upscaler:
        put = JobQueue.put

        def watched(queue: JobQueue, job: Job) -> None:
            caller[:] = ["JobQueue.put", *named_calls(sys._getframe(1))]
            put(queue, job)

        monkeypatch.setattr(JobQueue, "put", watched)
        upscaler.upscale(Frame(planes, format))
    way = [*reversed(caller), "JobQueue.take", *reversed(lane)]
    assert way[:4] == ["Upscaler.upscale", "Upscaler.submit", "JobQueue.put", "JobQueue.take"]
    assert way[-1] == "PlacedNetwork.__call__"
    assert len(way) <= MOST, way
