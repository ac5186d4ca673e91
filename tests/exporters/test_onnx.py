"""ONNX for colour, in half precision, for one size and in older operators: run by ONNX Runtime and OpenVINO."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
from click.testing import CliRunner
from networks import small_network
from numpy.typing import NDArray

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.cli.export import command
from sr_plugins.errors import ArgumentError
from sr_plugins.exporters.files import export

pytestmark = pytest.mark.usefixtures("operators_read_once")

RGB, GRAY = FrameFormat(family="rgb"), FrameFormat(family="gray")


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """Strong colours and noise: (3, H, W)."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).normal(0, 10, (3, height, width))
    waves = np.stack([np.sin(x / a) * np.cos(y / b) for a, b in ((3, 5), (4, 3), (7, 2))])
    return (128 + 100 * waves + noise).clip(0, 255).round().astype(np.uint8)


def runtimes(path: Path):  # type: ignore[no-untyped-def]
    """Functions from what goes in to what comes out."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    yield lambda x: session.run(["enlarged"], {"picture": x})[0]
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    yield lambda x: compiled(x)[0]


@pytest.mark.parametrize(
    ("scale", "back_projection", "precision", "opset"),
    [
        (2, False, "full", None),
        (3, True, "full", 17),
        (4, True, "half", None),
        (2, True, "half", 18),
        (2, False, "full", 16),
        (2, False, "half", 21),  # torch's exporter, for one size, which takes a fifth of the time: ours writes 20
    ],
)
def test_other_runtimes_make_the_cores_colours(
    scale: int, back_projection: bool, precision: str, opset: int | None, tmp_path: Path
) -> None:
    loaded, path = small_network(scale, 8, 1, back_projection), tmp_path / "rgb.onnx"
    size = (34, 23) if opset == 21 else None
    export(loaded, path, channels="rgb", precision=precision, opset=opset, size=size)
    content = onnx.load(path)
    assert opset in (None, *(o.version for o in content.opset_import if o.domain == ""))
    rgb = picture(23, 34)
    with Upscaler(loaded, device="cpu", backend="torch", precision="float32") as upscaler:
        expected = np.stack(upscaler.upscale(Frame(list(rgb), RGB)).planes).astype(int)
    x = (rgb[None] / 255).astype(np.float16 if precision == "half" else np.float32)
    for run in runtimes(path):
        for count in (1, 2) if size is None else (1,):
            result = run(np.repeat(x, count, 0))
            assert result.dtype == x.dtype
            codes = np.rint(result.astype(np.float64) * 255).clip(0, 255)
            assert np.abs(codes - expected).max() <= (2 if precision == "half" else 1)


def test_a_file_for_one_size(tmp_path: Path) -> None:
    path = tmp_path / "fixed.onnx"
    arguments = ["tiny", "--size", "40x30", "--half", "--channels", "rgb", "-o", str(path)]
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.output.startswith(f"{path}: tiny x2, rgb, within")
    graph = onnx.load(path).graph
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in (*graph.input, *graph.output)]
    assert shapes == [[1, 3, 30, 40], [1, 3, 60, 80]]
    assert {v.type.tensor_type.elem_type for v in (*graph.input, *graph.output)} == {onnx.TensorProto.FLOAT16}
    for run in runtimes(path):
        assert run(np.zeros((1, 3, 30, 40), np.float16)).shape == (1, 3, 60, 80)


@pytest.mark.parametrize("options", [{}, {"channels": "rgb"}, {"channels": "rgb", "precision": "half"}, {"opset": 16}])
def test_a_network_of_five_frames_in_one_file(options: dict[str, Any], tmp_path: Path) -> None:
    """With its search for moves; what others run of it, and we by our own reader, is the model's own film."""
    path = tmp_path / "film.onnx"
    label, exported = export("film", path, **options)
    assert label == "film x2"
    assert "5 frames as channels" in exported.note
    colors, half = options.get("channels") == "rgb", options.get("precision") == "half"
    wide = picture(30, 60)
    frames = [wide[:, :, at : at + 48].copy() for at in (0, 1, 3, 6, 7)]
    shots = [Frame(list(frame), RGB) if colors else Frame([frame[1]], GRAY) for frame in frames]

    def enlarged(model: str | Path) -> list[NDArray[np.int64]]:
        with Upscaler(model, device="cpu", backend="torch", precision="float32", cuts="none") as upscaler:
            results = upscaler.stream(shots)
            return [np.stack(result.planes).astype(np.int64) for result in results]

    expected = enlarged("film")
    planes = np.concatenate(frames) if colors else np.concatenate([frame[1:2] for frame in frames])
    x = (planes[None] / 255).astype(np.float16 if half else np.float32)
    for run in runtimes(path):
        codes = np.rint(run(x)[0].astype(np.float64) * 255).clip(0, 255)
        off = np.abs(codes - expected[2])
        assert off.max() <= (3 if half else 1)
        assert (off > 2).mean() < 1e-4  # half precision may find another move where two are as good
    if options:
        return
    for ours, theirs in zip(enlarged(path), expected, strict=True):
        assert np.abs(ours - theirs).max() <= 1


def test_what_cannot_be_is_told(tmp_path: Path) -> None:
    def invoke(*arguments: str) -> None:
        CliRunner().invoke(command, ["tiny", *arguments, "-o", str(tmp_path / "a.onnx")], catch_exceptions=False)

    with pytest.raises(ArgumentError, match="opset 7 is not one of 16 to"):
        invoke("--opset", "7")
    with pytest.raises(ArgumentError, match="exclude each other"):
        invoke("--half", "--precision", "full")
    with pytest.raises(ArgumentError, match="both sides"):
        invoke("--size", "40x")
    for size in ("0x0", "40x0", "0x30"):
        with pytest.raises(ArgumentError, match=f"size {size} holds no pixel"):
            invoke("--size", size)
    assert list(tmp_path.iterdir()) == []
