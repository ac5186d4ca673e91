"""Every backend gives torch's picture, tiled or not, from any number of threads, and says what it lacks."""

import copy
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import warm_python
from fakes import Nearest, Unexportable, blur, model_of, nearest, on_cpu, with_lanes
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins import Frame, FrameFormat, LoadedModel, Upscaler
from sr_plugins.backends.onnx_graph import INPUT, OUTPUT, graph_of
from sr_plugins.backends.openvino_int8 import around_zero
from sr_plugins.backends.precisions import INT8_LOSS, precision_for
from sr_plugins.engine.engine import Engine
from sr_plugins.engine.job import Job
from sr_plugins.errors import DeviceError, ModelOutputError, PluginError
from sr_plugins.interface.backend import Coding, CodingRunner, Runner
from sr_plugins.interface.network import OnnxNetwork, TorchNetwork
from sr_plugins.models.dbpn_network import DBPN
from sr_plugins.models.edsr_network import EDSR
from sr_plugins.models.lapsrn_network import LapSRN
from sr_plugins.models.vdsr_network import VDSR
from sr_plugins.plugins import plugins
from sr_plugins.testing import check_backend
from sr_plugins.weights.open_model import open_model

pytestmark = pytest.mark.usefixtures("operators_read_once")


class OneLayer(nn.Module):
    """The least that a network of ours does, for a backend that takes seconds to compile each layer for each shape."""

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()
        self.scale, self.layer = scale, nn.Conv2d(channels, channels * scale * scale, 3, padding=1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        larger = F.interpolate(x, scale_factor=self.scale, mode="nearest")
        return larger + F.pixel_shuffle(torch.tanh(self.layer(x)), self.scale)


GRAY = FrameFormat(family="gray")
TV_10 = Coding(64.0, 876.0, 10)  # luma of limited range
Values = NDArray[np.float32]
OTHERS = ("openvino", "onnxruntime")
# one of each architecture, and one whose scale is odd
MODELS = (("realtime", 2), ("fast", 3), ("vdsr", 2), ("edsr", 2), ("lapsrn", 4), ("dbpn", 2))
# as many layers as show every kind: to export and to calibrate the whole ones takes seconds each
NARROW = {
    "vdsr": partial(VDSR, 2, 8, 4),
    "edsr": partial(EDSR, 2, 8, 1),
    "lapsrn": partial(LapSRN, 2, 8, 2),
    "dbpn": partial(DBPN, 2, 8, 2),
}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Exports are shared by the tests of this file and by nothing else."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SR_PLUGINS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two lanes on the CPU, also where the environment asks for one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def photograph(height: int = 60, width: int = 76) -> Frame:
    from skimage.data import astronaut

    return Frame([np.ascontiguousarray(astronaut()[40 : 40 + height, 180 : 180 + width, 1])], GRAY)


def random_model(name: str, scale: int) -> LoadedModel:
    torch.manual_seed(3)
    spec = plugins().model(name, scale)
    return LoadedModel(spec, TorchNetwork(NARROW.get(name, spec.build)().eval()))


def changed(module: nn.Module, change: Callable[[str, Values], Values]) -> OnnxNetwork:
    """The network's graph with other weights: to export the network with them again would take seconds."""
    graph = onnx.load_from_string(graph_of(TorchNetwork(module), 1).graph)
    found = {tensor.name: tensor for tensor in graph.graph.initializer}
    if not {name for name, _ in module.named_parameters()} <= found.keys():  # whoever wrote it made others of them
        module = copy.deepcopy(module)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                parameter.copy_(torch.from_numpy(change(name, parameter.numpy().copy())))
        return graph_of(TorchNetwork(module), 1)
    for name, tensor in found.items():
        other = onnx.numpy_helper.from_array(change(name, onnx.numpy_helper.to_array(tensor).copy()), name)
        assert (other.data_type, other.dims) == (tensor.data_type, tensor.dims), name
        tensor.CopyFrom(other)
    return OnnxNetwork(graph.SerializeToString(), INPUT, OUTPUT)


@pytest.mark.parametrize(("name", "scale"), MODELS)
def test_every_backend_gives_torchs_picture(name: str, scale: int) -> None:
    """At most one code apart in float32, also for one pixel and strips; the interpolated picture stays float32.

    The last is seen with all trained weights at zero: what comes out is the interpolated picture alone.
    """
    loaded = random_model(name, scale)
    module = loaded.torch().runnable()
    sizes = ((60, 76), (1, 1), (2, 33))

    def results(backend: str) -> list[np.ndarray]:  # type: ignore[type-arg]
        with Upscaler(loaded, backend=backend, precision="float32") as upscaler:
            return [upscaler.upscale(photograph(*size)).planes[0].astype(int) for size in sizes]

    expected = results("torch")
    for backend in OTHERS:
        for a, b in zip(results(backend), expected, strict=True):
            assert np.abs(a - b).max() <= 1
    trained = {parameter for parameter, _ in module.named_parameters()}
    without = changed(module, lambda name, value: np.zeros_like(value) if name in trained else value)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        x = torch.from_numpy(photograph().planes[0].astype(np.float32) / 255)[None, None]
        interpolated = module(x)
    for precision in plugins().backend("openvino").precisions("cpu"):
        runner = plugins().backend("openvino").build(without, on_cpu(precision))
        assert (runner(x) - interpolated).abs().max() <= 2e-6


@pytest.mark.parametrize(("name", "scale"), [("realtime", 2), ("fast", 2)])
def test_bfloat16_and_int8_keep_psnr_on_set5(name: str, scale: int, shared_data: Path) -> None:
    """int8 within what ``auto`` may lose, if the card says so."""
    from sr_plugins.evaluation.quality import evaluate, upscale_with

    ways = [("torch", "float32"), ("openvino", "int8")]
    if "bfloat16" in plugins().backend("openvino").precisions("cpu"):  # this processor has it
        ways += [("torch", "bfloat16"), ("openvino", "bfloat16")]
    upscalers = {f"{b} {p}": Upscaler(name, scale, backend=b, precision=p) for b, p in ways}
    metric = plugins().named("sr_metrics", "metric", "psnr")
    results = evaluate(
        {name: upscale_with(u) for name, u in upscalers.items()}, shared_data / "benchmark" / "Set5", scale, [metric]
    )
    psnr = {name: result.mean("psnr") for name, result in results.items()}
    loss = next(iter(upscalers.values())).loaded.int8_loss
    for upscaler in upscalers.values():
        upscaler.close()
    exact = psnr.pop("torch float32")
    least = INT8_LOSS if loss is not None and loss <= INT8_LOSS else 0.05 if name == "realtime" else 0.1
    assert exact - psnr.pop("openvino int8") <= least, psnr
    assert all(abs(value - exact) <= 0.05 for value in psnr.values()), psnr


@pytest.mark.parametrize(("name", "scale"), MODELS)
def test_int8_runs_what_it_can_in_integers_and_stays_near(name: str, scale: int) -> None:
    loaded = random_model(name, scale)
    x = torch.from_numpy(photograph().planes[0].astype(np.float32) / 255)[None, None]
    runner = plugins().backend("openvino").build(loaded.network, on_cpu("int8"))
    exact = plugins().backend("openvino").build(loaded.network, on_cpu())(x)
    assert float((runner(x) - exact).abs().mean()) <= 0.05 * float(exact.std())
    quantised = [n for n in runner.model.get_ops() if n.get_type_name() == "FakeQuantize"]  # type: ignore[attr-defined]
    assert len(quantised) >= 2
    assert not torch.equal(runner(x), exact)


def test_steps_of_8_bits_hold_zero() -> None:
    for low, high in ((-0.2, 1.3), (0.0, 2.0), (0.5, 2.0), (-3.0, -1.0), (0.0, 0.0)):
        first, last = around_zero(low, high)
        step = (last - first) / 255
        assert abs(first / step - round(first / step)) < 1e-6
        assert first <= min(low, 0.0) + step
        assert last >= max(high, 0.0) - step


@pytest.mark.parametrize("backend", OTHERS)
def test_same_bytes_tiled_or_not_from_one_caller_or_eight(backend: str, two_threads: None) -> None:
    frame = photograph(110, 90)
    for precision in plugins().backend(backend).precisions("cpu"):
        with Upscaler("tiny", backend=backend, precision=precision) as upscaler:
            expected = upscaler.upscale(frame).planes[0].tobytes()
            with ThreadPoolExecutor(8) as pool:
                assert {r.planes[0].tobytes() for r in pool.map(upscaler.upscale, [frame] * 8)} == {expected}
        for tile in (40, 77):
            with Upscaler("tiny", backend=backend, precision=precision, tile=tile) as upscaler:
                assert upscaler.upscale(frame).planes[0].tobytes() == expected


@pytest.mark.parametrize("backend", ["torch", *OTHERS])
def test_how_many_frames_wait_changes_no_bit(backend: str) -> None:
    """32 features in float32: a runtime that adds in another order for three pictures shows it at once."""
    rng = np.random.default_rng(7)
    x = torch.from_numpy(rng.random((3, 1, 40, 60), np.float32))
    loaded = open_model("realtime", 4)
    runner = plugins().backend(backend).build(loaded.network, on_cpu())
    together = runner(x)
    for n in range(len(x)):
        assert torch.equal(together[n], runner(x[n : n + 1])[0])


@pytest.mark.parametrize(("name", "scale"), [("tiny", 2), ("dbpn", 2)])
def test_a_size_that_comes_often_keeps_its_bytes(name: str, scale: int) -> None:
    """OpenVINO compiles such a size by itself; the one network it suits, the other it would change in bfloat16."""
    frame = photograph(50, 70)
    for precision in plugins().backend("openvino").precisions("cpu"):
        runner = plugins().backend("openvino").build(random_model(name, scale).network, on_cpu(precision))
        x = torch.from_numpy(frame.planes[0].astype(np.float32) / 255)[None, None]
        first, other = runner(x), runner(x[..., :33, :20])
        assert all(torch.equal(runner(x), first) for _ in range(6))
        assert torch.equal(runner(x[..., :33, :20]), other)  # by the network for all sizes, which was let go of
        assert torch.equal(runner(torch.cat([x, x])), torch.cat([first, first]))
        if name == "tiny":
            assert (x.shape[2:], None) in runner.sizes  # type: ignore[attr-defined]
        assert isinstance(runner, CodingRunner)
        coded = runner.codes(x, TV_10)
        assert coded is not None
        assert all(
            torch.equal(codes, coded) for codes in (runner.codes(x, TV_10) for _ in range(6)) if codes is not None
        )
        if name == "tiny":
            assert (x.shape[2:], TV_10) in runner.sizes  # type: ignore[attr-defined]


def test_lanes_go_on_while_a_size_gets_a_network_of_its_own() -> None:
    runner = plugins().backend("openvino").build(random_model("tiny", 2).network, on_cpu("float32"))
    x = torch.from_numpy(photograph(50, 70).planes[0].astype(np.float32) / 255)[None, None]
    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(runner, [x] * 32)
        assert all(torch.equal(other, first) for other in others)
        assert (x.shape[2:], None) in runner.sizes  # type: ignore[attr-defined]
        assert all(
            torch.equal(codes, runner.codes(x, TV_10)) for codes in pool.map(runner.codes, [x] * 32, [TV_10] * 32)
        )  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "scale", "codings"),
    [
        ("realtime", 2, (Coding(16.0, 219.0, 8), TV_10, Coding(0.0, 65535.0, 16))),
        ("fast", 3, (TV_10,)),
        ("fast", 4, (Coding(16.0, 219.0, 8),)),
    ],
)
def test_codes_are_the_values_rounded_and_clamped(name: str, scale: int, codings: tuple[Coding, ...]) -> None:
    """Any two sizes, and pictures beyond black and white; one code apart at most, and that hardly ever."""
    runner = plugins().backend("openvino").build(random_model(name, scale).network, on_cpu())
    for coding in codings:
        check_codes(runner, coding)


def check_codes(runner: Runner, coding: Coding) -> None:
    assert isinstance(runner, CodingRunner)
    for height, width in ((60, 76), (1, 33)):
        x = torch.from_numpy(photograph(height, width).planes[0].astype(np.float32) / 128 - 0.5)[None, None]
        expected = (runner(x) * coding.span + coding.low).round().clamp(0, 2**coding.bits - 1)
        assert int(expected.min()) == 0
        codes = runner.codes(torch.cat([x, x.flip(3)]), coding)
        assert codes is not None
        assert codes.dtype == (torch.uint8 if coding.bits == 8 else torch.uint16)
        apart = (codes[:1].to(torch.float32) - expected).abs()
        assert apart.max() <= 1
        assert apart.count_nonzero() <= 0.001 * apart.numel()
        assert not torch.equal(codes[0], codes[1])


def test_codes_of_values_that_are_not_finite_are_none_and_the_frame_says_so() -> None:
    loaded = random_model("realtime", 2)
    x = torch.rand(1, 1, 20, 30)
    module = loaded.torch().runnable()

    def end_in(value: float) -> OnnxNetwork:
        return changed(module, lambda name, values: values + np.float32(value) if name == "tail.bias" else values)

    for value in (float("nan"), float("inf")):
        runner = plugins().backend("openvino").build(end_in(value), on_cpu())
        assert isinstance(runner, CodingRunner)
        assert runner.codes(x, TV_10) is None
    with torch.no_grad():
        loaded.torch().module.tail.bias[0] = float("nan")  # type: ignore[union-attr,index,operator]
    with (
        Upscaler(loaded, backend="openvino") as upscaler,
        pytest.raises(ModelOutputError, match="not finite, also in float32"),
    ):
        upscaler.upscale(photograph(8, 8))


@pytest.mark.parametrize("backend", ["torch", "torch-compile", *OTHERS])
def test_every_backend_keeps_its_promises(backend: str, two_threads: None) -> None:
    [spec] = [b for b in plugins().backends() if b.name == backend]
    if backend == "torch-compile" and (cure := spec.missing()):
        pytest.skip(cure)
    check_backend(spec, model=model_of(OneLayer, radius=1) if backend == "torch-compile" else None)


@pytest.mark.parametrize("backend", OTHERS)
def test_an_rgb_network_and_a_batch(backend: str) -> None:
    rng = np.random.default_rng(5)
    frames = [
        Frame([rng.integers(0, 256, (20, 31), dtype=np.uint8) for _ in range(3)], FrameFormat(family="rgb"))
        for _ in range(5)
    ]
    with (
        Upscaler(blur(2, "rgb"), backend="torch", precision="float32") as one,
        Upscaler(blur(2, "rgb"), backend=backend, precision="float32", batch=3) as other,
    ):
        for a, b in zip(one.stream(frames), other.stream(frames), strict=True):
            for p, q in zip(a.planes, b.planes, strict=True):
                assert np.abs(p.astype(int) - q).max() <= 1


@pytest.mark.parametrize("backend", OTHERS)
def test_a_missing_package_is_told_with_its_cure(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"sr_plugins.backends.{backend}.find_spec", lambda name: None)
    with pytest.raises(PluginError, match=rf"pip install .*\[{backend}\]'"):
        Upscaler("fast", backend=backend)


@pytest.mark.parametrize("backend", OTHERS)
def test_a_device_the_backend_does_not_know(backend: str) -> None:
    with pytest.raises(DeviceError, match=f"backend {backend} does not run on xpu"):
        precision_for(plugins().backend(backend), blur(), "xpu", "auto")


def test_a_network_the_runtime_cannot_take_says_so_for_that_frame() -> None:
    with (
        Upscaler(model_of(Unexportable), backend="openvino") as upscaler,
        pytest.raises(PluginError, match=r"Unexportable cannot be exported to ONNX .*use backend torch"),
    ):
        upscaler.upscale(photograph(8, 8))


def test_torch_compile_without_a_compiler_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(PluginError, match=r"backend torch-compile cannot be used here: a C\+\+ compiler"):
        Upscaler("fast", backend="torch-compile")


@pytest.mark.parametrize("ending", ["dropped", "busy", "closed"])
def test_a_program_ends_well_however_it_leaves_an_upscaler(ending: str) -> None:
    """Python ends while threads are inside a C++ library, or while its objects are freed: neither may abort it."""
    code = f"""
from sr_plugins import Upscaler
from sr_plugins.pixels.frame import FrameFormat
from sr_plugins.video.pace import noise
def main():
    global upscaler
    gray = FrameFormat(family="gray")
    small, large = ([noise(gray, *size, seed) for seed in range(4)] for size in ((64, 64), (1280, 720)))
    upscaler = Upscaler("fast", backend="openvino")
    for i in range(12):
        upscaler.upscale(small[i % 4])
    if "{ending}" == "busy":
        futures = [upscaler.submit(frame) for frame in large]
    elif "{ending}" == "closed":
        upscaler.close()
    else:
        del upscaler
main()
"""
    done = warm_python.python("-c", code, timeout=120, whole_end=True)
    assert (done.returncode, done.stderr) == (0, "")


# -- lanes -------------------------------------------------------------------------------------------------------------


def test_idle_lanes_help_with_a_lone_frame() -> None:
    """The network returns only when both lanes are in it at once."""
    both = threading.Barrier(2, timeout=20)

    def run(module: nn.Module, x: Tensor) -> Tensor:
        both.wait()
        with torch.inference_mode():
            result: Tensor = module(x)
        return result

    frame = photograph(90, 70)
    with Upscaler(blur(), backend="torch", precision="float32") as plain:
        expected = plain.upscale(frame).planes[0]
    automatic = dict.fromkeys(("precision", "tile", "batch"), "auto")
    ways = {"device": "cpu", "backend": "laned", "self_ensemble": False, "reuse": True}
    ways |= {"strength": 1.0, "overlap": "auto"}
    with closing(Engine(blur(), with_lanes(run), **automatic, **ways)) as engine:  # type: ignore[arg-type]
        while engine.queue.idle(engine.states[0]) < 2:
            threading.Event().wait(0.001)  # until both threads have started and wait
        job = Job((frame,), (2 * frame.width, 2 * frame.height), frame.format)
        engine.queue.put(job)
        assert np.array_equal(job.future.result().planes[0], expected)


def test_an_error_in_a_helping_lane_reaches_the_frame_and_the_next_is_served() -> None:
    fails = True

    def run(module: nn.Module, x: Tensor) -> Tensor:
        if fails:
            raise ValueError("a lane's error")
        with torch.inference_mode():
            result: Tensor = module(x)
        return result

    frame = photograph(90, 70)
    with Upscaler(nearest(), backend="laned", plugins=with_lanes(run), tile=40) as upscaler:
        with pytest.raises(PluginError, match=r"backend laned .* a lane's error"):
            upscaler.upscale(frame)
        fails = False
        assert np.array_equal(upscaler.upscale(frame).planes[0], frame.planes[0].repeat(2, 0).repeat(2, 1))


def test_out_of_memory_in_lanes_loses_no_frame() -> None:
    def run(module: nn.Module, x: Tensor) -> Tensor:
        if x.shape[2] * x.shape[3] > 50 * 50:
            raise torch.OutOfMemoryError("simulated")
        with torch.inference_mode():
            result: Tensor = module(x)
        return result

    frames = [photograph(100 + i % 2, 90) for i in range(8)]
    with Upscaler(nearest(), backend="laned", plugins=with_lanes(run, 3)) as upscaler:
        for frame, result in zip(frames, upscaler.stream(frames), strict=True):
            assert np.array_equal(result.planes[0], frame.planes[0].repeat(2, 0).repeat(2, 1))


def test_lanes_take_one_thread_each_and_leave_the_rest_of_the_process_alone(two_threads: None) -> None:
    inside: list[int] = []

    def run(module: nn.Module, x: Tensor) -> Tensor:
        inside.append(torch.get_num_threads())
        result: Tensor = module(x)
        return result

    with Upscaler(model_of(Nearest), backend="laned", plugins=with_lanes(run)) as upscaler:
        list(upscaler.stream([photograph(8 + i, 8) for i in range(6)]))
    elsewhere: list[int] = []
    thread = threading.Thread(target=lambda: elsewhere.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert set(inside) == {1}
    assert elsewhere == [2]
    assert torch.get_num_threads() == 2


def test_a_wrong_shape_from_a_lane_is_told() -> None:
    with (
        Upscaler(nearest(), backend="laned", plugins=with_lanes(lambda module, x: x)) as upscaler,
        pytest.raises(ModelOutputError, match="returned shape"),
    ):
        upscaler.upscale(photograph(8, 8))
