"""Lack of memory as each library tells it: the same frame in smaller tiles, never a lost frame."""

import resource
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from fakes import blur, with_backend
from torch import Tensor

from sr_plugins import BackendSpec, Frame, FrameFormat, Upscaler
from sr_plugins.engine.lack_of_memory import lacks_memory
from sr_plugins.engine.reuse import Reuse
from sr_plugins.errors import DeviceError, PluginError
from sr_plugins.interface.backend import Placement
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.plugins import plugins

TORCH = plugins().backend("torch")


def gray(seed: int, height: int, width: int) -> Frame:
    return Frame(
        [np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)], FrameFormat(family="gray")
    )


class OwnError(Exception):
    """What a runtime of its own raises, no RuntimeError."""


def small(error: Callable[[], Exception], most: int) -> BackendSpec:
    """A backend that raises ``error()`` for pictures of more than ``most`` pixels."""

    def build(network: TorchNetwork, placement: Placement) -> Callable[[Tensor], Tensor]:
        module = network.runnable()

        def run(x: Tensor) -> Tensor:
            if x.shape[-1] * x.shape[-2] > most:
                raise error()
            with torch.inference_mode():
                y: Tensor = module(x)
            return y

        return run

    return BackendSpec(
        name="small",
        build=build,  # type: ignore[arg-type]
        precisions=lambda device: ("float32",),
        out_of_memory=lambda error: isinstance(error, OwnError),
    )


@pytest.mark.parametrize(
    "error",
    [
        lambda: torch.OutOfMemoryError("simulated"),
        lambda: MemoryError("simulated"),
        lambda: RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
        ),
        lambda: OwnError("Failed to allocate"),
    ],
    ids=["torch", "python", "torch on a CPU", "the backend's own"],
)
def test_whatever_lack_of_memory_looks_like_the_frame_is_computed_in_smaller_tiles(
    error: Callable[[], Exception],
) -> None:
    frame = gray(0, 150, 170)
    with Upscaler(blur(), backend="torch", precision="float32") as upscaler:
        expected = upscaler.upscale(frame).planes[0].astype(int)
    with Upscaler(blur(), plugins=with_backend(small(error, 64 * 64)), backend="small") as upscaler:
        result = upscaler.upscale(frame).planes[0]
        (state,) = upscaler.devices
        assert state.side is not None
        assert state.side < 150
    assert np.abs(result - expected).max() <= 1


def test_no_memory_at_all_is_one_line_and_the_next_frame_is_served() -> None:
    with Upscaler(blur(), plugins=with_backend(small(lambda: MemoryError(), 0)), backend="small") as upscaler:
        for seed in range(2):
            with pytest.raises(DeviceError, match="out of memory even for a tile of"):
                upscaler.upscale(gray(seed, 100, 100))


def test_another_error_of_a_runtime_names_model_and_backend_and_is_no_lack_of_memory() -> None:
    broken = small(lambda: KeyError("weights"), 0)
    with (
        Upscaler(blur(), plugins=with_backend(broken), backend="small") as upscaler,
        pytest.raises(PluginError, match=r"blur x2 on backend small \(plugin .*\) failed \(KeyError: 'weights'\)"),
    ):
        upscaler.upscale(gray(0, 20, 20))


def test_torchs_allocator_is_known_by_the_text_it_really_raises() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert lacks_memory(caught.value, TORCH)
    assert not lacks_memory(RuntimeError("something else"), TORCH)


def test_a_copy_for_reuse_that_does_not_fit_costs_the_copy_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = gray(0, 64, 64)

    def full(self: Frame) -> Frame:
        raise MemoryError

    with Upscaler(blur(), backend="torch") as upscaler:
        expected = upscaler.upscale(frame).planes[0]
        monkeypatch.setattr(Frame, "copied", full)
        for _ in range(5):
            assert np.array_equal(upscaler.upscale(frame).planes[0], expected)
        assert isinstance(upscaler.devices[0].reuse, Reuse)


LIMITED = """
import resource, sys
import numpy as np
from sr_plugins import Frame, FrameFormat, Upscaler
backend, more = sys.argv[1], int(sys.argv[2])
def gray(seed, side):
    samples = np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)
    return Frame([samples], FrameFormat(family="gray"))
asked = {"device": "cpu", "backend": backend, "precision": "float32", "reuse": False}
frames = [gray(1, 720), gray(2, 724), gray(3, 720)]
with Upscaler("realtime", 2, **asked, tile=128) as upscaler:
    expected = [upscaler.upscale(frame).planes[0].astype(int) for frame in frames]
with Upscaler("realtime", 2, **asked) as upscaler:
    upscaler.upscale(gray(0, 64))
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (more << 20), resource.RLIM_INFINITY))
    results = []
    for frame in frames:
        try:
            results.append(upscaler.upscale(frame).planes[0])
        except Exception as error:
            results.append(error)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
wrong = 0
for result, right in zip(results, expected):
    if isinstance(result, Exception):
        print(type(result).__name__, str(result).splitlines()[0])
    else:
        wrong = max(wrong, int(np.abs(result - right).max()))
        print("done")
print("wrong", wrong)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS and /proc are Linux's")
@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
@pytest.mark.parametrize("more", [5, 30, 120])
def test_little_memory_gives_the_right_pixels_or_one_line(backend: str, more: int) -> None:
    """With ``more`` MB above what is in use: each frame is right, or a DeviceError; never another's pixels."""
    pytest.importorskip(backend)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, backend, str(more)], capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *told, wrong = done.stdout.splitlines()
    assert len(told) == 3
    assert all(line == "done" or line.startswith("DeviceError") for line in told), done.stdout
    assert int(wrong.split()[1]) <= 1
    if more == 120:
        assert told == ["done"] * 3


def test_limits_of_this_process_are_untouched() -> None:
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY
