"""CUDA: what can be shown of it without a device, and the rest where there is one.

Without one, tensors of a pretended CUDA device (torch's ``FakeTensorMode``) compute shapes, types and devices, and
raise where a computation would wait for a value.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from fakes import Blur, blur
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sr_plugins import Frame, FrameFormat, LoadedModel, Upscaler
from sr_plugins.engine.computation import enlarged_unchecked
from sr_plugins.engine.cuda_graphs import WORTHWHILE
from sr_plugins.engine.device_state import DeviceState
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.interface.words import Channels
from sr_plugins.pixels.conversion import Conversion
from sr_plugins.pixels.frame import empty_frame
from sr_plugins.pixels.matrix import resolved
from sr_plugins.plugins import plugins
from sr_plugins.weights.pretrained import load_model

FORMATS = [
    FrameFormat(family="gray"),
    FrameFormat(family="gray", bits=16),
    FrameFormat(family="rgb"),
    FrameFormat(family="rgb", bits=10),
    FrameFormat(family="yuv", subsampling=(1, 1)),
    FrameFormat(family="yuv", subsampling=(1, 1), bits=10, chroma_location=2),
    FrameFormat(family="yuv", subsampling=(1, 0), full_range=True),
    FrameFormat(family="yuv", bits=12),
    FrameFormat(family="yuv", subsampling=(2, 2)),
]
WIDTH, HEIGHT = 62, 46


def name_of(format: FrameFormat) -> str:
    return f"{format.family}{format.bits}-{format.subsampling[0]}{format.subsampling[1]}"


def noise(seed: int, format: FrameFormat, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    frame = empty_frame(format, width, height)
    random = np.random.default_rng(seed)
    for plane in frame.planes:
        plane[:] = random.integers(0, 1 << format.bits, plane.shape)
    return frame


# -- without a device --------------------------------------------------------------------------------------------------


class StaysOnTheDevice(TorchDispatchMode):
    """Raises where samples would cross from the host, for which the device would have to be waited."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        before, after = ({str(t.device) for t in tree_leaves(x) if isinstance(t, Tensor)} for x in (args, result))
        assert before <= {"cuda:0"}, f"{func} takes tensors of {before}"
        assert after <= {"cuda:0"}, f"{func} makes tensors of {after}"
        return result


def pretended(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """The module with weights of a pretended CUDA device."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    state = {name: torch.empty(t.shape, dtype=t.dtype, device="cuda") for name, t in tensors}
    return lambda x: functional_call(module, state, (x,))


@pytest.mark.parametrize("channels", ["luma", "rgb"])
@pytest.mark.parametrize("format", FORMATS, ids=name_of)
def test_nothing_of_a_tile_waits_for_the_device(format: FrameFormat, channels: Channels) -> None:
    conversion = Conversion(resolved(format, WIDTH, HEIGHT), channels, 2)
    frame, larger = noise(1, format), empty_frame(format, 2 * WIDTH, 2 * HEIGHT)
    with FakeTensorMode(), torch.inference_mode():
        runner = pretended(Blur(2, 1 if channels == "luma" else 3))
        planes = [torch.empty((3, *p.shape), dtype=torch.from_numpy(p[:0]).dtype, device="cuda") for p in frame.planes]
        with StaysOnTheDevice():
            finite, *results = enlarged_unchecked(conversion, runner, planes)
    assert (finite.shape, finite.dtype) == ((), torch.bool)
    for result, plane in zip(results, larger.planes, strict=True):
        assert result.shape == (3, *plane.shape)
        assert result.dtype == torch.from_numpy(plane[:0]).dtype


SHIPPED = [spec for spec in plugins().models() if spec.usable]


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: f"{spec.name}-x{spec.scale}")
def test_no_shipped_network_waits_for_the_device(spec: Any) -> None:
    module = load_model(spec).torch().runnable()
    channels, frames = 1 if spec.channels == "luma" else 3, (spec.frames,) if any(spec.window) else ()
    with FakeTensorMode(), torch.inference_mode():
        runner, x = pretended(module), torch.empty(2, *frames, channels, 24, 40, device="cuda")
        with StaysOnTheDevice():
            assert runner(x).shape == (2, channels, 24 * spec.scale, 40 * spec.scale)


def test_waiting_would_be_noticed() -> None:
    with FakeTensorMode():
        x = torch.ones(3, device="cuda")
        with pytest.raises(DataDependentOutputException):
            bool(x.sum() > 0)
        with StaysOnTheDevice(), pytest.raises(AssertionError, match="tensors of"):
            x[torch.tensor([0, 1])]


class Immediately:
    """Graphs that are launched by computing, which is what a launch must equal."""

    def __init__(self) -> None:
        self.kinds: list[Hashable] = []

    def launch(self, kind: Hashable, compute: Callable[..., list[Tensor]], inputs: Sequence[Tensor]) -> list[Tensor]:
        self.kinds.append(kind)
        return compute(inputs)


class Never(Immediately):
    """Graphs of which none was recorded: the ordinary computation, of the same tiles."""

    def launch(self, kind: Hashable, compute: Callable[..., list[Tensor]], inputs: Sequence[Tensor]) -> None:  # type: ignore[override]
        return None


def device_of(upscaler: Upscaler) -> DeviceState:
    (device,) = upscaler.devices
    return device


@pytest.mark.parametrize("format", FORMATS, ids=name_of)
def test_what_is_recorded_equals_the_ordinary_computation(format: FrameFormat) -> None:
    frame = noise(2, format)
    with Upscaler(blur(), device="cpu", backend="torch", tile=40, reuse=False) as upscaler:
        device_of(upscaler).graphs = Never()  # type: ignore[assignment]
        expected = upscaler.upscale(frame)
        device_of(upscaler).graphs = graphs = Immediately()  # type: ignore[assignment]
        result = upscaler.upscale(frame)
    assert graphs.kinds
    assert all(np.array_equal(a, b) for a, b in zip(result.planes, expected.planes, strict=True))


class NotFiniteBefore(nn.Module):
    """Not a number at its first call, right afterwards."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        return y * torch.nan if self.calls == 1 else y


def test_a_launch_with_values_that_are_not_finite_is_computed_again() -> None:
    model = blur()
    frame = noise(3, FORMATS[0])
    with Upscaler(LoadedModel(model.spec, TorchNetwork(NotFiniteBefore())), device="cpu", backend="torch") as upscaler:
        device_of(upscaler).graphs = Immediately()  # type: ignore[assignment]
        result = upscaler.upscale(frame)
    assert np.array_equal(result.planes[0], frame.planes[0].repeat(2, 0).repeat(2, 1))


# -- with one ----------------------------------------------------------------------------------------------------------

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


@needs_cuda
@pytest.mark.parametrize("format", FORMATS, ids=name_of)
@pytest.mark.parametrize("model", ["fast", "realtime"])
def test_graphs_give_the_pictures_of_ordinary_launches(
    model: str, format: FrameFormat, caplog: pytest.LogCaptureFixture
) -> None:
    frames = [noise(seed, format, 320, 180) for seed in range(6 * WORTHWHILE)]
    with Upscaler(model, device="cuda", backend="torch", batch=1) as upscaler:
        graphs, device_of(upscaler).graphs = device_of(upscaler).graphs, None
        expected = list(upscaler.stream(frames))
        device_of(upscaler).graphs = graphs
        results = list(upscaler.stream(frames))
    assert not caplog.messages  # a warning would tell that graphs are off
    for a, b in zip(expected, results, strict=True):
        assert all(np.array_equal(p, q) for p, q in zip(a.planes, b.planes, strict=True))


@needs_cuda
def test_cuda_in_float32_gives_the_pictures_of_the_cpu() -> None:
    frames = [noise(seed, FORMATS[4], 320, 180) for seed in range(3 * WORTHWHILE)]
    results = []
    for device in ("cpu", "cuda"):
        with Upscaler("fast", device=device, backend="torch", precision="float32") as upscaler:
            results.append(list(upscaler.stream(frames)))
    for a, b in zip(*results, strict=True):
        for p, q in zip(a.planes, b.planes, strict=True):
            assert np.abs(p.astype(int) - q).max() <= 1


class Waits(nn.Module):
    """Cannot be recorded: it looks at a value."""

    def forward(self, x: Tensor) -> Tensor:
        return (x if float(x.max()) < 2 else x / 2).repeat_interleave(2, 2).repeat_interleave(2, 3)


@needs_cuda
def test_a_network_that_cannot_be_recorded_runs_without_graphs(caplog: pytest.LogCaptureFixture) -> None:
    frames = [noise(seed, FORMATS[0]) for seed in range(6 * WORTHWHILE)]
    with Upscaler(LoadedModel(blur().spec, TorchNetwork(Waits())), device="cuda", backend="torch", batch=1) as upscaler:
        results = list(upscaler.stream(frames))
    assert ["no CUDA graphs" in message for message in caplog.messages] == [True]
    for frame, result in zip(frames, results, strict=True):
        assert np.array_equal(result.planes[0], frame.planes[0].repeat(2, 0).repeat(2, 1))
