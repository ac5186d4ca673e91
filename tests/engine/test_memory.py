"""Lack of memory as each library tells it: the same frame in smaller tiles, never a lost frame."""

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
            with pytest.raises(
                DeviceError, match=r"cpu is out of memory even for a tile of \d+ pixels: close other programs$"
            ):
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


@pytest.mark.parametrize("error", [ValueError("backend"), MemoryError(), torch.OutOfMemoryError("simulated")])
def test_a_proof_that_fails_costs_the_proof_alone(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether parts equal the whole is looked at once frames rest, when the frame itself is finished."""
    proofs: list[int] = []

    def fail(*_: object) -> bool:
        proofs.append(1)
        raise error

    monkeypatch.setattr("sr_plugins.engine.computation.exact_in_parts", fail)
    frame, changed = gray(0, 256, 256), gray(0, 256, 256)
    changed.planes[0][:8, :8] ^= 255
    with Upscaler(blur(), backend="torch", precision="float32", tile=512) as upscaler:
        upscaler.upscale(frame)
        result = upscaler.upscale(changed)
        again = upscaler.upscale(frame)
    with Upscaler(blur(), backend="torch", precision="float32", tile=512, reuse=False) as upscaler:
        assert result.same_samples(upscaler.upscale(changed))
        assert again.same_samples(upscaler.upscale(frame))
    assert proofs == [1]
