"""ONNX files run in their own form, equal to the runtime's own run; odd and hostile ones are refused by name."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.cli.main import srp
from sr_plugins.errors import SRError, WeightsError
from sr_plugins.weights.digest import fingerprint, weights_digest
from sr_plugins.weights.open_model import open_model
from sr_plugins.weights.reach import picture

FREE = (None, None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / "cache"))


def network(
    channels: int = 3,
    scale: int = 2,
    *,
    half: bool = False,
    size: tuple[int | None, int | None] = FREE,
    opset: int = 17,
) -> onnx.ModelProto:
    """Two 3x3 convolutions beside the nearest picture, enlarged by a pixel shuffle: reads 2 pixels far."""
    rng, kind = np.random.default_rng(5), np.float16 if half else np.float32
    shapes = {"a": (8, channels, 3, 3), "b": (channels * scale**2, 8, 3, 3)}
    tensors = [numpy_helper.from_array((rng.standard_normal(s) * 0.1).astype(kind), n) for n, s in shapes.items()]
    tensors.append(numpy_helper.from_array(np.array([1, 1, scale, scale], np.float32), "factors"))
    nodes = [
        helper.make_node("Conv", ["in", "a"], ["x"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["x"], ["y"]),
        helper.make_node("Conv", ["y", "b"], ["z"], pads=[1, 1, 1, 1]),
        helper.make_node("DepthToSpace", ["z"], ["detail"], blocksize=scale, mode="CRD"),
        helper.make_node(
            "Resize", ["in", "", "factors"], ["base"], mode="nearest", nearest_mode="floor",
            coordinate_transformation_mode="asymmetric",
        ),
        helper.make_node("Add", ["detail", "base"], ["out"]),
    ]  # fmt: skip
    element = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    source = helper.make_tensor_value_info(
        "in", element, [1, channels, *(s or n for s, n in zip(size, "hw", strict=True))]
    )
    # annotated as exporters do that lie
    target = helper.make_tensor_value_info("out", element, [1, channels, "h", "w"])
    graph = helper.make_graph(nodes, "g", [source], [target], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def saved(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def pixels(channels: int, height: int, width: int) -> NDArray[np.uint8]:
    result: NDArray[np.uint8] = np.round(picture(channels, height, width)[0].numpy() * 255).astype(np.uint8)
    return result


def enlarged(
    model: str | Path, planes: NDArray[np.uint8], tile: int | str = "auto", backend: str = "onnxruntime"
) -> NDArray[np.uint8]:
    format = FrameFormat(family="gray" if len(planes) == 1 else "rgb")
    with Upscaler(model, device="cpu", backend=backend, precision="float32", tile=tile) as upscaler:
        return np.stack(upscaler.upscale(Frame(list(planes), format)).planes)


def own_run(path: Path, planes: NDArray[np.uint8], kind: type = np.float32) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"in": (planes[None] / np.float32(255)).astype(kind)})
    return np.clip(result[0].astype(np.float32), 0, 1) * 255


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("channels", "scale", "opset"), [(3, 2, 13), (1, 4, 17), (3, 1, 18), (3, 16, 20), (1, 3, 22)])
def test_a_graph_gives_what_its_runtime_gives(tmp_path: Path, channels: int, scale: int, opset: int) -> None:
    file = saved(network(channels, scale, opset=opset), tmp_path / "Mine.ONNX")
    spec = open_model(str(file)).spec
    assert (spec.scale, spec.receptive_radius, spec.tile_multiple) == (scale, 2, 1)
    assert (spec.channels, spec.purpose) == ("luma" if channels == 1 else "rgb", "restore" if scale == 1 else "enlarge")
    for height, width in ((1, 1), (7, 50), (61, 43)):
        planes = pixels(channels, height, width)
        result = enlarged(file, planes)
        assert np.abs(result - own_run(file, planes)).max() <= 0.5 + 0.02
        assert np.array_equal(result, enlarged(file, planes, tile=24))
        for backend in ("torch", "openvino"):
            assert np.abs(enlarged(file, planes, backend=backend).astype(int) - result).max() <= 1, backend


def test_float16_inside_and_outside(tmp_path: Path) -> None:
    file = saved(network(half=True), tmp_path / "a.onnx")
    planes = pixels(3, 20, 31)
    assert np.abs(enlarged(file, planes) - own_run(file, planes, np.float16)).max() <= 1


def test_a_size_fixed_by_the_exporter_is_freed(tmp_path: Path) -> None:
    file = saved(network(size=(64, 64)), tmp_path / "a.onnx")
    assert np.array_equal(
        enlarged(file, pixels(3, 20, 31)), enlarged(saved(network(), tmp_path / "b.onnx"), pixels(3, 20, 31))
    )


def test_external_tensors_are_read_from_its_own_folder_alone(tmp_path: Path) -> None:
    file = tmp_path / "a" / "net.onnx"
    file.parent.mkdir()
    whole = saved(network(), tmp_path / "whole.onnx")
    onnx.save(network(), str(file), save_as_external_data=True, location="net.data", size_threshold=0)
    assert np.array_equal(enlarged(file, pixels(3, 20, 31)), enlarged(whole, pixels(3, 20, 31)))
    digest = weights_digest(open_model(file))
    data = file.with_name("net.data")
    content = data.read_bytes()
    data.write_bytes(content[:100] + b"\1" + content[101:])
    assert weights_digest(open_model(file)) != digest, "other tensors beside the same graph are another network"
    data.write_bytes(content[:-9])
    with pytest.raises(WeightsError, match=r"net\.data is cut off: .* needs"):
        Upscaler(file)
    data.unlink()
    with pytest.raises(WeightsError, match=r"net\.onnx needs net\.data beside it: No such file"):
        Upscaler(file)
    os.mkfifo(file.parent / "pipe")
    for location in ("../whole.onnx", "/etc/passwd", "", "link", "pipe", ".", "a\0b"):
        model = onnx.load(str(file), load_external_data=False)
        (file.parent / "link").unlink(missing_ok=True)
        (file.parent / "link").symlink_to("/etc/passwd")
        for tensor in model.graph.initializer:
            for entry in tensor.external_data:
                if entry.key == "location":
                    entry.value = location
        with pytest.raises(WeightsError, match=r"net\.onnx keeps tensors in"):
            Upscaler(saved(model, file))


def changed(change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    model = network()
    change(model)
    return model


def shaped(*sides: Any, kind: int = TensorProto.FLOAT) -> Callable[[onnx.ModelProto], object]:
    return lambda m: m.graph.input[0].CopyFrom(helper.make_tensor_value_info("in", kind, list(sides)))


def second_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("alpha", TensorProto.FLOAT, [1]))


def second_output(model: onnx.ModelProto) -> None:
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))


def graph_within(model: onnx.ModelProto) -> None:
    within = helper.make_graph([], "within", [], [])
    model.graph.node[1].attribute.append(helper.make_attribute("decoder", within))


def sparse() -> onnx.SparseTensorProto:
    """One value of 2^28 in a square."""
    value = helper.make_tensor("sparse", TensorProto.FLOAT, [1], [1.0])
    return helper.make_sparse_tensor(value, helper.make_tensor("at", TensorProto.INT64, [1], [0]), [1 << 14] * 2)


def sparse_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["much"], sparse_value=sparse()))


def other_tensor(kind: int, *sides: int) -> Callable[[onnx.ModelProto], object]:
    return lambda m: m.graph.initializer.append(TensorProto(name="other", data_type=kind, dims=sides))


REFUSED: dict[str, tuple[Callable[[onnx.ModelProto], object], str]] = {
    "second input": (second_input, r"has 2 inputs \(in, alpha\)"),
    "second output": (second_output, "has 2 outputs"),
    "channels last": (shaped(1, "h", "w", 3), "channels last"),
    "six channels": (shaped(1, 6, "h", "w"), "takes 6 channels"),
    "batch of four": (shaped(4, 3, "h", "w"), "takes 4 pictures at once"),
    "three dimensions": (shaped(3, "h", "w"), "has 3 dimensions"),
    "bytes": (shaped(1, 3, "h", "w", kind=TensorProto.UINT8), "is of type uint8"),
    "loop": (lambda m: setattr(m.graph.node[1], "op_type", "Loop"), "has the operator Loop, a program"),
    "custom": (lambda m: setattr(m.graph.node[1], "domain", "mine"), r"has the operator mine\.Relu"),
    "unknown": (lambda m: setattr(m.graph.node[1], "op_type", "Reluu"), "is refused by ONNX Runtime"),
    "short tensor": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 2**40), "holds 864 bytes"),
    "short integers": (other_tensor(TensorProto.INT64, 2**40), r"other \(1099511627776,\) holds 0 values"),
    "short halves": (other_tensor(TensorProto.FLOAT16, 3), r"other \(3,\) holds 0 values"),
    "unknown type": (other_tensor(99, 1), "tensor other is of a type of values that is not known"),
    "sparse": (lambda m: m.graph.sparse_initializer.append(sparse()), "keeps a sparse tensor"),
    "sparse constant": (sparse_constant, "keeps a sparse tensor"),
    "graph within": (graph_within, "has the operator Relu, a program"),
    "negative": (lambda m: m.graph.initializer[0].dims.__setitem__(0, -8), "has a negative side"),
    "no nodes": (lambda m: m.graph.ClearField("node"), "is no ONNX graph"),
    "fraction": (
        lambda m: m.graph.output[0].CopyFrom(helper.make_tensor_value_info("z", 1, None)),
        "only networks of 1",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_network_for_pictures_is_refused_by_name(
    tmp_path: Path, change: Callable[[onnx.ModelProto], object], message: str
) -> None:
    file = saved(changed(change), tmp_path / "odd.onnx")
    with pytest.raises(WeightsError, match=rf"odd\.onnx.*{message}") as error:
        Upscaler(file, backend="onnxruntime")
    assert len(str(error.value).splitlines()) == 1


def test_masks_and_values_up_to_255_are_refused_and_three_gray_frames_are_not(tmp_path: Path) -> None:
    def graph(nodes: list[Any], channels: int, tensors: dict[str, np.ndarray]) -> Path:
        shape: list[list[str | int | None]] = [["n", 3, "h", "w"], ["n", channels, "h", "w"]]
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, s)
            for name, s in zip(("in", "z"), shape, strict=True)
        ]
        held = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()]
        made = helper.make_graph(nodes, "g", ends[:1], ends[1:], held)
        return saved(
            helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "g.onnx"
        )

    edge = np.zeros((1, 3, 3, 3))
    edge[0, :, 1, :] = [-1, 0, 1]
    mask = [helper.make_node("Conv", ["in", "k"], ["a"], pads=[1] * 4), helper.make_node("Sigmoid", ["a"], ["z"])]
    with pytest.raises(WeightsError, match=r"g\.onnx makes 1 channel of 3 .*: a mask, or a depth map"):
        open_model(graph(mask, 1, {"k": edge}))
    blur = np.full((1, 3, 3, 3), 1 / 27)
    blurred = open_model(graph([helper.make_node("Conv", ["in", "k"], ["z"], pads=[1] * 4)], 1, {"k": blur}))
    assert blurred.spec.window == (1, 1)
    mean = np.full((1, 3, 1, 1), 110.0)
    shifted = [
        helper.make_node("Sub", ["in", "m"], ["a"]),
        helper.make_node("Conv", ["a", "k"], ["b"], pads=[1] * 4),
        helper.make_node("Add", ["b", "m"], ["z"]),
    ]
    with pytest.raises(WeightsError, match=r"another range of values than 0\.\.1: it makes .* division"):
        open_model(
            graph(shifted, 3, {"m": mean, "k": 0.9 * np.eye(3)[:, :, None, None] * (np.arange(9) == 4).reshape(3, 3)})
        )
    signed = [  # as SRGAN's: 0..1 in, -1..1 out
        helper.make_node("Conv", ["in", "k", "b0"], ["a"]),
        helper.make_node("Tanh", ["a"], ["t"]),
        helper.make_node("Div", ["t", "top"], ["z"]),
    ]
    values = {"k": 2.0 * np.eye(3)[:, :, None, None], "b0": np.full(3, -1.0), "top": np.tanh(1.0)}
    with pytest.raises(WeightsError, match=r"g\.onnx gives values of -1\.\.1: .* export it with \(x \+ 1\) / 2"):
        open_model(graph(signed, 3, values))


def test_cut_and_other_files_are_refused(tmp_path: Path) -> None:
    whole = network().SerializeToString()
    for content in (whole[:300], whole[:-5], b"hello", b"\0" * 50, b"\xff" * 50):
        (tmp_path / "a.onnx").write_bytes(content)
        with pytest.raises(WeightsError, match=r"a\.onnx"):
            Upscaler(tmp_path / "a.onnx")


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_a_name_that_is_no_text_is_one_error_and_nothing_is_printed(
    backend: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """stdout belongs to data: ONNX Runtime would print what it is going to try next."""
    content = network().SerializeToString()
    for word in ("Conv", "mode", "in"):
        (tmp_path / "a.onnx").write_bytes(content.replace(word.encode(), b"\xbc" * len(word), 1))
        with pytest.raises(SRError, match=r"a\.onnx is refused by ONNX Runtime: a name in it is no text") as error:
            Upscaler(tmp_path / "a.onnx", backend=backend).close()
        assert len(str(error.value).splitlines()) == 1
    told = capfd.readouterr()
    assert (told.out, told.err) == ("", "")


def test_srp_image_runs_it_by_auto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SR_PLUGINS_BACKEND")
    saved(network(), Path("a.onnx"))
    Image.fromarray(pixels(3, 20, 31).transpose(1, 2, 0)).save("in.png")
    done = CliRunner().invoke(srp, ["image", "in.png", "-o", "out.png", "--model", "a.onnx", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    with Image.open("out.png") as image:
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1), enlarged("a.onnx", pixels(3, 20, 31)))


def test_graphs_that_share_their_tensors_are_told_apart(tmp_path: Path) -> None:
    first, other = network(), network()
    other.graph.node[1].op_type = "LeakyRelu"
    loaded = [open_model(saved(m, tmp_path / f"{n}.onnx")) for n, m in enumerate((first, other))]
    assert len({weights_digest(one) for one in loaded}) == 2
    assert len({fingerprint(one.network) for one in loaded}) == 2
