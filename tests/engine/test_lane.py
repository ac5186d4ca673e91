"""Lanes: no call waits for ever, and whatever fails fails for its own frame alone."""

import random
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from fakes import Blur, blur, with_backend
from torch import Tensor

from sr_plugins import BackendSpec, Frame, FrameFormat, Upscaler
from sr_plugins.errors import PluginError, SRError
from sr_plugins.interface.backend import Placement, Runner
from sr_plugins.interface.network import TorchNetwork


def gray(seed: int, height: int = 30, width: int = 34) -> Frame:
    return Frame(
        [np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)], FrameFormat(family="gray")
    )


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_a_callback_may_upscale(backend: str) -> None:
    results: list[Frame] = []
    done = threading.Event()
    with Upscaler(blur(), backend=backend) as upscaler:

        def again(future: object) -> None:
            results.append(upscaler.upscale(gray(1)))
            results.extend(upscaler.stream([gray(2), gray(3)]))
            done.set()

        upscaler.submit(gray(0)).add_done_callback(again)
        assert done.wait(120)
        assert all(upscaler.upscale(gray(i + 1)).same_samples(r) for i, r in enumerate(results))


def test_a_repeated_network_in_a_callback() -> None:
    done = threading.Event()
    with Upscaler(blur(), 4, backend="torch") as upscaler:
        results: list[Frame] = []

        def again(future: object) -> None:
            results.append(upscaler.upscale(gray(1)))
            done.set()

        upscaler.submit(gray(0)).add_done_callback(again)
        assert done.wait(120)
        assert results[0].same_samples(upscaler.upscale(gray(1)))


@pytest.mark.parametrize("lanes", [0, -1, "two", 1.5, None])
def test_lanes_that_are_no_number_are_the_backends_error(lanes: object) -> None:
    spec = BackendSpec(
        name="odd",
        build=lambda network, placement: network.runnable(),  # type: ignore[union-attr]
        precisions=lambda device: ("float32",),
        lanes=lambda device: lanes,  # type: ignore[arg-type,return-value]
    )
    with_it = with_backend(spec)
    try:
        with Upscaler(blur(), plugins=with_it, backend="odd") as upscaler:
            assert upscaler.submit(gray(0)).result(60).planes[0].shape == (60, 68)
    except PluginError as error:  # told, or one lane taken instead and the plugin's problem kept: never a hang
        told = str(error)
    else:
        told = " ".join(with_it.problems)
    assert "odd" in told


class Unreliable:
    """A backend that fails in every way known, at random tiles of random frames."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.before: Tensor | None = None

    def spec(self) -> BackendSpec:
        return BackendSpec(
            name="unreliable",
            build=self.build,  # type: ignore[arg-type]
            precisions=lambda device: ("float32",),
            lanes=lambda device: 2,
        )

    def build(self, network: TorchNetwork, placement: Placement) -> Runner:
        module = network.runnable()

        def run(x: Tensor) -> Tensor:
            with torch.inference_mode():
                y: Tensor = module(x)
            before, self.before = self.before, y
            failures: list[Callable[[], object]] = [
                lambda: y,
                lambda: y,
                lambda: (time.sleep(0.02), y)[1],  # late
                lambda: y[..., :-1],
                lambda: None,
                lambda: y.numpy(),
                lambda: (y * 255).to(torch.uint8),
                lambda: y.double(),
                lambda: y * torch.nan,
                # what was made of another tile, where its shape tells
                lambda: before if before is not None and before.shape != y.shape else y,
                self.raises(torch.OutOfMemoryError("simulated")),
                self.raises(MemoryError("simulated")),
                self.raises(KeyError("weights")),
                self.raises(ValueError("two\nlines")),
                self.raises(OSError("disk")),
            ]
            return self.random.choice(failures)()  # type: ignore[return-value]

        return run

    @staticmethod
    def raises(error: Exception) -> Callable[[], object]:
        def call() -> object:
            raise error

        return call


def test_500_frames_through_a_backend_that_fails_in_every_way() -> None:
    """The right pixels or one clear error, for each frame; never another's pixels, never a hang."""
    right: dict[int, np.ndarray] = {}  # type: ignore[type-arg]
    with Upscaler(blur(), backend="torch", precision="float32", reuse=False) as upscaler:
        for seed in range(20):
            right[seed] = upscaler.upscale(gray(seed, 30 + seed, 90)).planes[0].astype(int)
    good, lines = 0, []
    for run in range(5):  # memory that was learnt to be short stays so: begin again
        backend = Unreliable(run)
        asked = {"plugins": with_backend(backend.spec()), "backend": "unreliable", "tile": 60, "reuse": False}
        with Upscaler(blur(), **asked) as upscaler:  # type: ignore[arg-type]
            seeds = [backend.random.randrange(20) for _ in range(100)]
            futures = [upscaler.submit(gray(seed, 30 + seed, 90)) for seed in seeds]
            for seed, future in zip(seeds, futures, strict=True):
                try:
                    result = future.result(timeout=120)
                except SRError as error:
                    lines.append(str(error))
                else:
                    assert np.abs(result.planes[0] - right[seed]).max() <= 1
                    good += 1
    assert good + len(lines) == 500
    assert good
    assert lines
    assert not any("\n" in line for line in lines)


def test_a_frame_of_a_batch_that_fails_harms_no_other() -> None:
    class Refuses(Blur):
        def forward(self, x: Tensor) -> Tensor:
            if bool((x[:, 0, 0, 0] == 1).any()):
                raise ValueError("a white corner")
            return super().forward(x)

    from fakes import model_of

    gate = threading.Event()
    frames = [gray(i) for i in range(4)]
    frames[2].planes[0][0, 0] = 255
    for i in (0, 1, 3):
        frames[i].planes[0][0, 0] = 7
    loaded = model_of(Refuses, radius=3)
    with Upscaler(loaded, backend="torch", batch=4) as upscaler:
        first = upscaler.submit(gray(9))
        first.add_done_callback(lambda future: gate.wait(60))  # the lane waits, so that the four become one batch
        futures = [upscaler.submit(frame) for frame in frames]
        gate.set()
        with pytest.raises(PluginError, match="a white corner"):
            futures[2].result(60)
        for i in (0, 1, 3):
            assert futures[i].result(60).planes[0].shape == (60, 68)
