"""Upscaler and engine: order, batches, sizes, determinism, memory, devices, and answers to what goes wrong."""

import gc
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fakes import Nearest, Overflows, blur, model_of, nearest, with_backend
from numpy.typing import NDArray
from torch import Tensor, nn

from sr_plugins import BackendSpec, Frame, FrameFormat, LoadedModel, Upscaler
from sr_plugins.errors import (
    ArgumentError,
    ClosedError,
    DeviceError,
    FrameError,
    ModelOutputError,
    PluginError,
    UnknownModelError,
    UnknownNameError,
)
from sr_plugins.interface.backend import Placement
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.plugins import Plugins

GRAY = FrameFormat(family="gray")


def gray(seed: int, height: int = 20, width: int = 30) -> Frame:
    return Frame([np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)], GRAY)


def repeated(frame: Frame, scale: int = 2) -> NDArray[np.uint8]:
    return frame.planes[0].repeat(scale, 0).repeat(scale, 1)


def test_stream_keeps_order_and_is_bounded() -> None:
    drawn: list[int] = []

    def frames():  # type: ignore[no-untyped-def]
        for i in range(40):
            drawn.append(i)
            yield gray(i)

    with Upscaler(nearest(), batch=3) as upscaler:
        for i, result in enumerate(upscaler.stream(frames())):
            assert np.array_equal(result.planes[0], repeated(gray(i)))
            assert len(drawn) <= i + upscaler.lookahead


@pytest.mark.parametrize("batch", [1, 2, 5])
@pytest.mark.parametrize("device", ["cpu", "cpu,cpu,cpu"])
def test_batches_and_devices_never_mix_up_frames(batch: int, device: str) -> None:
    """Frames of several formats and sizes from eight threads: everyone gets the answer to his own."""
    formats = [GRAY, FrameFormat(family="rgb"), FrameFormat(family="gray", bits=10)]

    def one(i: int) -> bool:
        rng = np.random.default_rng(i)
        format = formats[i % 3]
        shape = (8 + i % 2, 12)
        planes = [rng.integers(0, 1 << format.bits, shape).astype(format.dtype) for _ in range(format.planes)]
        result = upscaler.upscale(Frame(planes, format))
        return result.format == format and all(
            np.array_equal(a, b.repeat(2, 0).repeat(2, 1)) for a, b in zip(result.planes, planes, strict=True)
        )

    with Upscaler(nearest(2, "rgb"), device=device, batch=batch) as upscaler, ThreadPoolExecutor(8) as pool:
        # a gray frame through an RGB model returns the luma of three equal planes
        assert all(pool.map(one, range(60)))


def test_waiting_frames_become_one_batch() -> None:
    sizes: list[int] = []
    gate = threading.Event()

    class Watching(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            gate.wait(10)
            sizes.append(x.shape[0])
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    loaded = replace(nearest(), network=TorchNetwork(Watching()))
    module = loaded.torch().module
    with Upscaler(loaded, plugins=with_backend(_plain(module)), backend="plain", batch=4) as upscaler:
        futures = [upscaler.submit(gray(i)) for i in range(9)]
        gate.set()
        for i, future in enumerate(futures):
            assert np.array_equal(future.result().planes[0], repeated(gray(i)))
    assert sizes == [4, 4, 1]


def _plain(module: nn.Module) -> BackendSpec:
    """Runs this very module, not a copy."""
    return BackendSpec(name="plain", build=lambda network, placement: module, precisions=lambda _d: ("float32",))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_same_bytes_tiled_or_not_from_one_caller_or_eight(precision: str) -> None:
    if precision not in Plugins(installed=False).backend("torch").precisions("cpu"):
        pytest.skip("this CPU has no fast bfloat16")
    from skimage.data import astronaut

    picture = np.ascontiguousarray(astronaut()[60:180, 130:270])
    frame = Frame(list(picture.transpose(2, 0, 1)), FrameFormat(family="rgb"))

    def bytes_of(result: Frame) -> bytes:
        return b"".join(p.tobytes() for p in result.planes)

    with Upscaler("fast", precision=precision) as upscaler:
        expected = bytes_of(upscaler.upscale(frame))
        with ThreadPoolExecutor(8) as pool:
            assert {bytes_of(r) for r in pool.map(upscaler.upscale, [frame] * 8)} == {expected}
    for tile in (40, 77):
        with Upscaler("fast", precision=precision, tile=tile) as upscaler:
            assert bytes_of(upscaler.upscale(frame)) == expected


class Refuses:
    """A backend on a device of little memory: batches of more pixels than ``most`` do not fit."""

    def __init__(self, most: int) -> None:
        self.most, self.tried = most, []  # type: ignore[var-annotated]

    def spec(self) -> BackendSpec:
        def build(network: TorchNetwork, placement: Placement):  # type: ignore[no-untyped-def]
            module = network.runnable()

            def run(x: Tensor) -> Tensor:
                self.tried.append(tuple(x.shape))
                if x.shape[0] * x.shape[2] * x.shape[3] > self.most:
                    raise torch.OutOfMemoryError("simulated")
                with torch.inference_mode():
                    result: Tensor = module(x)
                return result

            return run

        return BackendSpec(name="small", build=build, precisions=lambda device: ("float32",))


def test_out_of_memory_shrinks_batch_then_tile_and_loses_no_frame(caplog: pytest.LogCaptureFixture) -> None:
    small = Refuses(most=60 * 60)
    frames = [gray(i, 100, 100) for i in range(6)]
    with Upscaler(blur(), precision="float32") as upscaler:
        expected = [upscaler.upscale(f).planes[0] for f in frames]
    with (
        caplog.at_level(logging.WARNING, "sr_plugins"),
        Upscaler(blur(), plugins=with_backend(small.spec()), backend="small", batch=4) as upscaler,
    ):
        results = [f.planes[0] for f in upscaler.stream(frames)]
        for a, b in zip(results, expected, strict=True):
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1
        assert len(caplog.records) == 1
        assert "out of memory" in caplog.text
        before = len(small.tried)
        upscaler.upscale(frames[0])  # remembered: nothing is refused again
        assert all(n * h * w <= small.most for n, _, h, w in small.tried[before:])


def test_out_of_memory_at_the_smallest_tile_is_an_error_and_the_next_frame_is_served() -> None:
    small = Refuses(most=100)
    with Upscaler(nearest(), plugins=with_backend(small.spec()), backend="small") as upscaler:
        with pytest.raises(DeviceError, match="out of memory even for a tile"):
            upscaler.upscale(gray(1, 100, 100))
        small.most = 10**6
        assert np.array_equal(upscaler.upscale(gray(2)).planes[0], repeated(gray(2)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_small_cuda_memory_limit_costs_no_frame() -> None:
    frame = gray(1, 1500, 1500)
    with Upscaler(blur(), device="cuda", precision="float32", tile=256) as upscaler:
        expected = upscaler.upscale(frame).planes[0]
    torch.cuda.set_per_process_memory_fraction(200e6 / torch.cuda.get_device_properties(0).total_memory)
    try:
        with Upscaler(blur(), device="cuda", precision="float32", tile=1500) as upscaler:
            result = upscaler.upscale(frame).planes[0]
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert np.abs(result.astype(int) - expected.astype(int)).max() <= 1


def test_a_half_precision_overflow_runs_again_in_float32(caplog: pytest.LogCaptureFixture) -> None:
    if "bfloat16" not in Plugins(installed=False).backend("torch").precisions("cpu"):
        pytest.skip("this CPU has no fast bfloat16")
    loaded = replace(nearest(), network=TorchNetwork(Overflows()))
    with caplog.at_level(logging.WARNING, "sr_plugins"), Upscaler(loaded, precision="bfloat16") as upscaler:
        for i in range(3):
            assert np.array_equal(upscaler.upscale(gray(i)).planes[0], repeated(gray(i)))
    assert len(caplog.records) == 1
    assert "running such frames in float32" in caplog.text


def test_what_is_not_finite_in_float32_is_an_error() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.repeat_interleave(2, 2).repeat_interleave(2, 3) * float("nan")

    with (
        Upscaler(replace(nearest(), network=TorchNetwork(Broken()))) as upscaler,
        pytest.raises(ModelOutputError, match="not finite"),
    ):
        upscaler.upscale(gray(0))


def test_a_wrong_shape_from_the_network_is_an_error_that_names_both() -> None:
    loaded = replace(nearest(), network=TorchNetwork(Nearest(3, 1)))
    with (
        Upscaler(loaded) as upscaler,
        pytest.raises(ModelOutputError, match=r"\(1, 1, 60, 90\).*expected \(1, 1, 40, 60\)"),
    ):
        upscaler.upscale(gray(0))


@pytest.mark.parametrize("size", [(10**6, 10**6), (None, 10**7)])
def test_a_result_larger_than_all_memory_is_refused_before_work(size: tuple[int | None, int]) -> None:
    with (
        Upscaler(nearest(), size=size, device="cpu", backend="torch") as upscaler,
        pytest.raises(FrameError, match=r"GiB, more memory than this machine has: choose a smaller size"),
    ):
        upscaler.submit(gray(0))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda y: None, "returned NoneType instead of a torch tensor"),
        (lambda y: (y,), "returned tuple instead of a torch tensor"),
        (lambda y: y.numpy(), "returned ndarray instead of a torch tensor"),
        (lambda y: (255 * y).to(torch.uint8), "returned torch.uint8, expected torch.float32"),
        (lambda y: y > 0, "returned torch.bool, expected torch.float32"),
        (lambda y: y.to(torch.complex64), "returned torch.complex64, expected torch.float32"),
        (lambda y: y.to("meta"), "on meta: plain on cpu was due"),
        (lambda y: y.to_sparse(), "a torch.sparse_coo tensor on cpu"),
        (lambda y: sys.exit(3), r"failed \(SystemExit: 3\)"),
    ],
)
def test_an_answer_of_another_kind_is_an_error_that_names_the_model(
    answer: Callable[[Tensor], object], says: str
) -> None:
    class Odd(Nearest):
        def forward(self, x: Tensor) -> Any:
            return answer(super().forward(x))

    with (
        Upscaler(replace(nearest(), network=TorchNetwork(Odd(2, 1))), backend="torch", device="cpu") as upscaler,
        pytest.raises((ModelOutputError, PluginError), match=rf"^model nearest x2 on backend torch.* {says}"),
    ):
        upscaler.upscale(gray(0))


def test_one_bad_frame_in_a_batch_fails_alone() -> None:
    format = FrameFormat(family="gray", is_float=True, bits=32)
    frames = [Frame([np.full((6, 6), v, np.float32)], format) for v in (0.1, np.nan, 0.3, np.inf)]
    with Upscaler(nearest(), batch=4) as upscaler:
        futures = [upscaler.submit(f) for f in frames]
        errors = [f.exception() for f in futures]
    assert [type(e) for e in errors] == [type(None), FrameError, type(None), FrameError]


@pytest.mark.parametrize(
    ("scale", "size", "expected"),
    [
        (None, None, (60, 40)),
        (1.5, None, (45, 30)),
        (3, None, (90, 60)),
        (4, None, (120, 80)),
        (1, None, (30, 20)),
        (None, (100, None), (100, 67)),
        (None, (None, 50), (75, 50)),
        (None, (33, 90), (33, 90)),
    ],
)
def test_any_size_can_be_reached(
    scale: float | None, size: tuple[int | None, int | None], expected: tuple[int, int]
) -> None:
    smooth = (np.add.outer(np.arange(20) * 4, np.arange(30) * 3) + 20).astype(np.uint8)
    with Upscaler(nearest(), scale, size=size) as upscaler:
        result = upscaler.upscale(Frame([smooth], GRAY)).planes[0]
    assert result.shape == expected[::-1]
    # the same slope, stretched: compare at matching positions away from the border
    y = (np.arange(expected[1]) + 0.5) * 20 / expected[1] - 0.5
    x = (np.arange(expected[0]) + 0.5) * 30 / expected[0] - 0.5
    ideal = np.add.outer(y * 4, x * 3) + 20
    assert np.abs(result - ideal)[4:-4, 4:-4].max() <= 4


@pytest.mark.parametrize(
    ("scale", "size", "subsampling", "expected"),
    [
        (1.5, None, (0, 0), (1281, 723)),
        (1.5, None, (1, 0), (1280, 723)),
        (1.5, None, (1, 1), (1280, 724)),
        (None, (1920, None), (1, 1), (1920, 1084)),
        (None, (None, 721), (1, 1), (1278, 721)),
        (None, (1921, 1081), (1, 1), (1921, 1081)),
    ],
)
def test_even_sides_stay_even_where_chroma_is_halved(
    scale: float | None, size: tuple[int | None, int | None], subsampling: tuple[int, int], expected: tuple[int, int]
) -> None:
    with Upscaler(nearest(), scale, size=size) as upscaler:
        assert upscaler.output_size(854, 482, FrameFormat(family="yuv", subsampling=subsampling)) == expected
    with Upscaler(nearest(3)) as upscaler:
        assert upscaler.output_size(853, 481, FrameFormat(family="yuv", subsampling=(1, 1))) == (2559, 1443)


def test_scale_picks_the_smallest_trained_network_that_reaches_it() -> None:
    with Upscaler("fast", 1.5) as upscaler:
        assert upscaler.native_scale == 2
    with Upscaler("fast") as upscaler:
        assert upscaler.native_scale == 2
        assert "fast x2 on torch, " in upscaler.description


def test_one_pixel_and_strips() -> None:
    with Upscaler("fast") as upscaler:
        for height, width in ((1, 1), (1, 50), (50, 1), (2, 3)):
            result = upscaler.upscale(Frame([np.full((height, width), 77, np.uint8)], GRAY)).planes[0]
            assert result.shape == (2 * height, 2 * width)


@pytest.mark.parametrize("plane", ["flipped", "strided", "readonly", "noncontiguous"])
def test_planes_of_any_layout(plane: str) -> None:
    base = np.random.default_rng(1).integers(0, 256, (40, 60), dtype=np.uint8)
    view = {"flipped": base[::-1, ::-1], "strided": base[::2, ::3], "readonly": base.copy(), "noncontiguous": base.T}[
        plane
    ]
    view.flags.writeable = False
    with Upscaler(nearest()) as upscaler:
        assert np.array_equal(upscaler.upscale(Frame([view], GRAY)).planes[0], view.repeat(2, 0).repeat(2, 1))


def test_alpha_is_upscaled_and_hidden_colour_never_shows() -> None:
    """A red disc on black that is fully transparent: no dark fringe, and the clear and the solid stay exactly so."""
    y, x = np.mgrid[0:40, 0:40]
    disc = (y - 20) ** 2 + (x - 20) ** 2 < 150
    red = np.where(disc, 220, 0).astype(np.uint8)
    frame = Frame([red, red * 0, red * 0], FrameFormat(family="rgb"), np.where(disc, 255, 0).astype(np.uint8))
    with Upscaler("fast") as upscaler:
        result = upscaler.upscale(frame)
    assert result.alpha is not None
    visible = result.alpha > 0
    assert np.abs(result.planes[0].astype(int) - 220)[visible].max() <= 1
    assert result.planes[1][visible].max() <= 1
    assert result.alpha[:8].max() == 0
    assert result.alpha[36:44, 36:44].min() == 255


def test_sizes_without_a_fraction_are_whole() -> None:
    with Upscaler(nearest(), size=(45.0, np.int64(20))) as upscaler:  # type: ignore[arg-type]
        result = upscaler.upscale(gray(0))
        assert (result.width, result.height) == (45, 20)
        assert upscaler.size == (45, 20)


def test_errors_come_before_work() -> None:
    with pytest.raises(UnknownModelError, match="did you mean 'fast'"):
        Upscaler("fsat")
    with pytest.raises(DeviceError, match="warp9"):
        Upscaler("fast", device="warp9")
    with pytest.raises(UnknownNameError, match=r"no backend called 'toroch'.*'torch'"):
        Upscaler("fast", backend="toroch")
    for bad in (
        {"scale": 0.5}, {"scale": float("nan")}, {"scale": True}, {"scale": "2"}, {"size": (0, 5)}, {"size": 5},
        {"size": (30.5, None)}, {"size": ("40", None)}, {"tile": 0}, {"batch": -1},
    ):  # fmt: skip
        with pytest.raises(ArgumentError):
            Upscaler("fast", **bad)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no CUDA device was found"):
            Upscaler("fast", device="cuda")


@pytest.mark.parametrize(
    ("planes", "format", "message"),
    [
        ([np.zeros((4, 4), np.uint8)], FrameFormat(family="rgb"), "3 planes, got 1"),
        ([np.zeros((0, 4), np.uint8)], GRAY, "at least one pixel"),
        ([np.zeros((4, 4), np.float64)], GRAY, "holds float64, expected uint8"),
        (
            [np.zeros((4, 4), np.uint8)] * 3,
            FrameFormat(family="yuv", subsampling=(1, 1)),
            r"shape \(4, 4\), expected \(2, 2\)",
        ),
    ],
)
def test_frames_that_do_not_fit_their_format(planes, format, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FrameError, match=message):
        Frame(planes, format)


def test_closed_and_dropped_upscalers_end_their_threads() -> None:
    def ours() -> set[threading.Thread]:
        return {t for t in threading.enumerate() if t.name.startswith("sr_plugins-")}

    before = ours()
    upscaler = Upscaler(nearest())
    future = upscaler.submit(gray(0))
    upscaler.close()
    assert future.done()
    with pytest.raises(ClosedError, match="closed"):
        upscaler.submit(gray(0))
    assert not any(thread.is_alive() for thread in ours() - before)
    dropped = Upscaler(nearest())
    dropped.upscale(gray(0))
    lanes = ours() - before
    del dropped
    gc.collect()
    for lane in lanes:
        lane.join()  # a lane that goes on is ended by the test's limit


def test_a_cancelled_future_is_not_computed() -> None:
    with Upscaler(model_of(Nearest)) as upscaler:
        futures = [upscaler.submit(gray(i, 200, 200)) for i in range(8)]
        cancelled = [f for f in futures if f.cancel()]
        assert all(f.cancelled() for f in cancelled)
        assert np.array_equal(upscaler.upscale(gray(3)).planes[0], repeated(gray(3)))


def test_loaded_model_is_not_changed() -> None:
    loaded: LoadedModel = blur()
    before = {k: v.clone() for k, v in loaded.torch().module.state_dict().items()}
    with Upscaler(loaded) as upscaler:
        upscaler.upscale(gray(0))
    assert all(torch.equal(v, before[k]) for k, v in loaded.torch().module.state_dict().items())
