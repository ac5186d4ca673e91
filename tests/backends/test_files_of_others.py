"""``auto`` for files of others: OpenVINO where it has a graph at once and computes what torch computes, else torch."""

import logging
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import with_backend
from numpy.typing import NDArray

from sr_plugins import BackendSpec, Frame, FrameFormat, Upscaler

pytestmark = pytest.mark.skipif(find_spec("spandrel") is None, reason="pip install 'sr-plugins[community]'")
RGB = FrameFormat(family="rgb")


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SR_PLUGINS_BACKEND")
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path))


def compact(path: Path) -> Path:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(0)
    torch.save({"params": SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2).state_dict()}, path)
    return path


def esrgan(path: Path) -> Path:
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

    torch.manual_seed(0)
    torch.save(RRDBNet(num_filters=8, num_blocks=1, scale=2).state_dict(), path)
    return path


def esrgan_of_quarters(path: Path) -> Path:
    """As RealESRGAN_x2plus: sides are to be multiples of 4."""
    from spandrel.architectures.ESRGAN.__arch.RRDB import RRDBNet

    torch.manual_seed(0)
    torch.save(RRDBNet(in_nc=12, num_filters=8, num_blocks=1, scale=4, shuffle_factor=2).state_dict(), path)
    return path


def attention(path: Path) -> Path:
    from spandrel.architectures.RCAN.__arch.rcan_arch import RCAN

    torch.manual_seed(0)
    torch.save(RCAN(scale=2, n_resgroups=1, n_resblocks=1, n_feats=8, reduction=4).state_dict(), path)
    return path


def enlarged(upscaler: Upscaler) -> NDArray[np.uint8]:
    planes = np.random.default_rng(1).integers(0, 256, (3, 33, 41), np.uint8)
    return np.stack(upscaler.upscale(Frame(list(planes), RGB)).planes)


@pytest.mark.parametrize("make", [compact, esrgan, esrgan_of_quarters])
def test_a_list_of_convolutions_runs_where_it_is_fastest_and_gives_the_same(make, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("openvino")
    file = make(tmp_path / "a.pth")
    with Upscaler(file, device="cpu", precision="float32") as upscaler:
        assert "openvino, cpu" in upscaler.description
        found = enlarged(upscaler)
    with Upscaler(file, device="cpu", precision="float32", backend="torch") as upscaler:
        expected = enlarged(upscaler)
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_what_reads_the_whole_picture_stays_with_torch(tmp_path: Path) -> None:
    with Upscaler(attention(tmp_path / "a.pth"), device="cpu", precision="float32") as upscaler:
        assert "torch, cpu" in upscaler.description


def test_a_runtime_that_computes_something_else_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = BackendSpec(
        name="openvino",
        build=lambda network, placement: lambda x: network.runnable()(x) + 2e-4,
        precisions=lambda device: ("float32",),
        lanes=lambda device: 1,
        replaces="sr-plugins",
    )
    with (
        caplog.at_level(logging.WARNING, "sr_plugins"),
        Upscaler(
            compact(tmp_path / "a.pth"), device="cpu", precision="float32", plugins=with_backend(spec)
        ) as upscaler,
    ):
        assert "torch, cpu" in upscaler.description
    assert sum("left out" in record.message and "is off by" in record.message for record in caplog.records) == 1


def quantized(path: Path) -> Path:
    """A graph whose tensors are rounded to whole numbers in the midst, as quantization tools write it."""
    onnx = pytest.importorskip("onnx")
    rng = np.random.default_rng(1)
    kinds = {"x": "s", "hidden": "t"}
    nodes = [
        *(
            onnx.helper.make_node("QuantizeLinear", [name, scale, "zero"], [f"{name}q"])
            for name, scale in kinds.items()
        ),
        *(onnx.helper.make_node("DequantizeLinear", [f"{n}q", s, "zero"], [f"{n}d"]) for n, s in kinds.items()),
        onnx.helper.make_node("Conv", ["xd", "v"], ["hidden"], pads=[1] * 4),
        onnx.helper.make_node("Conv", ["hiddend", "w"], ["details"], pads=[1] * 4),
        onnx.helper.make_node("DepthToSpace", ["details"], ["y"], blocksize=2, mode="CRD"),
    ]
    order = [0, 2, 4, 1, 3, 5, 6]
    tensors = {
        "v": rng.normal(size=(8, 3, 3, 3)) / 5,
        "w": rng.normal(size=(12, 8, 3, 3)) / 10,
        **{"s": np.array(1 / 255), "t": np.array(1 / 64)},
    }
    stored = [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()]
    stored.append(onnx.numpy_helper.from_array(np.array(0, np.uint8), "zero"))
    ends = (("x", ["n", 3, "h", "w"]), ("y", ["n", 3, "H", "W"]))
    values = [[onnx.helper.make_tensor_value_info(name, 1, shape)] for name, shape in ends]
    graph = onnx.helper.make_graph([nodes[i] for i in order], "rounded", *values, stored)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.mark.parametrize(("make", "is_told"), [(quantized, True), (compact, False)])
def test_a_difference_of_a_backend_that_was_named_is_told(
    make,  # type: ignore[no-untyped-def]
    is_told: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """OpenVINO rounds elsewhere than ONNX Runtime, whose own numbers are asked here."""
    pytest.importorskip("openvino")
    onnxruntime = pytest.importorskip("onnxruntime")
    file = make(tmp_path / ("a.onnx" if is_told else "a.pth"))
    planes = np.random.default_rng(2).random((3, 24, 24), np.float32)
    with Upscaler(file, device="cpu", precision="float32", backend="openvino") as upscaler:
        frame = Frame(list(planes), FrameFormat(family="rgb", bits=32, is_float=True))
        found = np.stack(upscaler.upscale(frame).planes)
    lines = [message for message in caplog.messages if "computes something else of" in message]
    assert bool(lines) == is_told
    if is_told:
        assert "than onnxruntime does" in lines[0]
        (expected,) = onnxruntime.InferenceSession(file).run(None, {"x": planes[np.newaxis]})
        assert np.abs(found - expected[0]).max() > 1e-4
    with Upscaler(file, device="cpu", precision="float32", backend="onnxruntime"):
        pass
    assert [message for message in caplog.messages if "computes something else of" in message] == lines
