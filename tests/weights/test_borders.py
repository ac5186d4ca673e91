"""Networks that eat their border: what is found out about them, and what is shown to them, in torch and in a graph."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor
from torch.nn import functional as F

from sr_plugins.errors import WeightsError
from sr_plugins.weights.borders import Border, Bordered, Run, border_of, gives_a_residual
from sr_plugins.weights.onnx_borders import freed, surround

PATH = Path("net.onnx")
SIZES = ((1, 1, 3, 3), (1, 1, 5, 5), (1, 1, 4, 4))
K3, K5, UP = (torch.rand(size, generator=torch.Generator().manual_seed(1)) for size in SIZES)


def eating(x: Tensor) -> Tensor:
    """Two pixels at each border."""
    return F.conv2d(x, K5)


def doubling(x: Tensor) -> Tensor:
    """Two for one; a 3 x 3 before, and one pixel of the larger picture cropped away."""
    return F.conv_transpose2d(F.conv2d(x, K3), UP, stride=2, padding=1)[..., 1:-1, 1:-1]


@pytest.mark.parametrize(
    ("run", "border"),
    [
        (eating, Border(1, 2, 0)),
        (doubling, Border(2, 2, 1)),  # it eats 3 pixels of the larger picture: one is too many of two times two
        (lambda x: F.conv2d(x, K3).repeat_interleave(3, 2).repeat_interleave(3, 3), Border(3, 1, 0)),
        (lambda x: F.conv2d(x, K3, padding=1), None),
        (lambda x: x.repeat_interleave(4, 2).repeat_interleave(4, 3), None),
        (lambda x: x.mean(), None),
        (lambda x: x[..., :-1], None),  # another height than width
        (lambda x: x[..., : 32 // (x.shape[-1] - 64)], None),  # runs at no two sizes
    ],
)
def test_what_a_network_eats_is_found_by_its_sizes(run: Run, border: Border | None) -> None:
    assert border_of(run, 1, PATH) == border


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda x: x[..., 1:, 1:], "eats 1 pixels, another number at one side than at the other"),
        (lambda x: F.interpolate(x, scale_factor=1.5), None),
        (lambda x: F.interpolate(x, scale_factor=1.5)[..., 2:-2, 2:-2], "makes 92 pixels of 64 and 188 of 128"),
        (lambda x: F.avg_pool2d(x, 2)[..., 1:-1, 1:-1], "makes 30 pixels of 64 and 62 of 128: it enlarges by no whole"),
        (lambda x: F.pad(x, (2, 2, 2, 2)), "makes 68 pixels of 64"),
        (lambda x: torch.zeros(1, 1, 256, 256), "makes 256 pixels of 64 and 256 of 128"),
    ],
)
def test_what_enlarges_by_no_whole_number_is_told_by_its_sizes(run: Run, message: str | None) -> None:
    if message is None:  # by a half more, and nothing is eaten: told where the scale is looked for
        assert border_of(run, 1, PATH) is None
        return
    with pytest.raises(WeightsError, match=rf"^net\.onnx .*{message}"):
        border_of(run, 1, PATH)


@pytest.mark.parametrize(("run", "border"), [(eating, Border(1, 2, 0)), (doubling, Border(2, 2, 1))])
@pytest.mark.parametrize("size", [(1, 1), (7, 4), (20, 33)])
def test_it_is_shown_its_edge_repeated(run: Run, border: Border, size: tuple[int, int]) -> None:
    x = torch.rand(1, 1, *size)
    shown = np.pad(x[0, 0].numpy(), border.around, mode="edge")
    y = run(torch.from_numpy(shown)[None, None])[0, 0]
    cut = slice(border.cut, -border.cut or None)
    result = Bordered(run, border)(x)[0, 0]
    assert result.shape == (size[0] * border.scale, size[1] * border.scale)
    assert torch.equal(result, y[cut, cut])


@pytest.mark.parametrize("size", [(1, 1), (5, 9), (16, 12), (17, 30)])
def test_sides_are_filled_up_to_what_it_takes_and_cut_again(size: tuple[int, int]) -> None:
    seen: list[tuple[int, ...]] = []

    def run(x: Tensor) -> Tensor:
        seen.append(tuple(x.shape[2:]))
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    x = torch.rand(1, 3, *size)
    y = Bordered(run, multiple=4, minimum=10)(x)
    assert torch.equal(y, x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert seen == [tuple(-(-max(side, 10) // 4) * 4 for side in size)]


def test_a_residual_is_added_to_the_picture() -> None:
    x = torch.rand(2, 3, 6, 5)

    def run(x: Tensor) -> Tensor:
        return 0.01 * torch.sin(9 * x).repeat_interleave(2, 2).repeat_interleave(2, 3)

    larger = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(Bordered(run, residual=True)(x), run(x) + larger)
    assert gives_a_residual(run, 3)
    assert not gives_a_residual(lambda x: x + 0.001, 3)
    assert not gives_a_residual(lambda x: 0.3 * (x - 0.5), 3)  # one gray comes out as nothing


def test_sizes_that_change_with_the_picture_are_told() -> None:
    with pytest.raises(ValueError, match=r"a picture of \(8, 8\) became one of \(4, 3\)"):
        Bordered(lambda x: x[..., :4, :3])(torch.rand(1, 1, 8, 8))


def graph(
    nodes: list[Any], shape: list[Any], *tensors: Any, kind: int = TensorProto.FLOAT, opset: int = 17
) -> onnx.ModelProto:
    """A model from "in", of this shape, to "out"."""
    picture = helper.make_tensor_value_info("in", kind, shape)
    result = helper.make_tensor_value_info("out", kind, None)
    made = helper.make_graph(nodes, "g", [picture], [result], list(tensors))
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


def tensor(value: Tensor, name: str) -> Any:
    return numpy_helper.from_array(value.numpy(), name)


@pytest.mark.parametrize("size", [(1, 1), (6, 9), (12, 5)])
@pytest.mark.parametrize("enlarging", [False, True])
@pytest.mark.parametrize("opset", [7, 9, 11, 17])
def test_a_graph_repeats_the_edge_itself(size: tuple[int, int], enlarging: bool, opset: int) -> None:
    if enlarging:
        nodes = [
            helper.make_node("Conv", ["in", "k"], ["a"]),
            helper.make_node("ConvTranspose", ["a", "u"], ["b"], strides=[2, 2], pads=[2, 2, 2, 2]),
            helper.make_node("Identity", ["b"], ["out"]),
        ]
        model = graph(nodes, [1, 1, "h", "w"], tensor(K3, "k"), tensor(UP, "u"), opset=opset)
        border, run = Border(2, 2, 1), doubling
    else:
        nodes = [helper.make_node("Conv", ["in", "k"], ["out"])]
        model = graph(nodes, [1, 1, "h", "w"], tensor(K5, "k"), opset=opset)
        border, run = Border(1, 2, 0), eating
    surround(model, border)
    x = torch.rand(1, 1, *size)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (theirs,) = session.run(None, {"in": x.numpy()})
    ours = Bordered(run, border)(x).numpy()
    assert ours.shape == theirs.shape == (1, 1, size[0] * border.scale, size[1] * border.scale)
    assert np.abs(ours - theirs).max() < 1e-5


CONV = [helper.make_node("Mul", ["in", "half"], ["a"]), helper.make_node("Conv", ["a", "k"], ["out"])]
HALF = numpy_helper.from_array(np.float32(0.5), "half")


@pytest.mark.parametrize(("channels", "groups"), [(1, 1), (3, 1), (9, 1), (15, 1), (1, 3), (3, 5)])
def test_channels_left_open_are_those_of_the_first_convolution(channels: int, groups: int) -> None:
    """Of all its groups, behind what changes their values alone."""
    nodes = [CONV[0], helper.make_node("Conv", ["a", "k"], ["out"], group=groups)]
    model = graph(nodes, [None, None, None, None], HALF, tensor(torch.rand(15, channels, 3, 3), "k"))
    assert freed(PATH, model) == channels * groups
    sides = [dim.dim_param or dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ["n", channels * groups, "h", "w"]


@pytest.mark.parametrize(
    ("shape", "nodes", "message"),
    [
        ([1, 3, "h"], CONV, "its input has 3 dimensions instead of 4: batch, channels, height, width"),
        ([2, 3, "h", "w"], CONV, "takes 2 pictures at once and no single one"),
        ([1, "h", "w", 3], CONV, r"takes pictures with channels last \(NHWC\): export it with channels first"),
        ([1, 4, "h", "w"], CONV, "takes 4 channels: only 1"),
        ([1, None, "h", "w"], CONV, "takes 12 channels: only 1"),
        ([1, None, "h", "w"], [helper.make_node("Softmax", ["in"], ["out"])], "takes any number of channels"),
    ],
)
def test_pictures_of_other_kinds_are_told(shape: list[Any], nodes: list[Any], message: str) -> None:
    with pytest.raises(WeightsError, match=rf"^net\.onnx.*{message}"):
        freed(PATH, graph(nodes, shape, HALF, tensor(torch.rand(4, 12, 3, 3), "k")))


def test_samples_and_ends_of_other_kinds_are_told() -> None:
    with pytest.raises(WeightsError, match="in is of type uint8: pictures of float32 or float16 are wanted"):
        freed(PATH, graph([helper.make_node("Identity", ["in"], ["out"])], [1, 3, 4, 4], kind=TensorProto.UINT8))
    two = graph(CONV, [1, 1, "h", "w"], HALF)
    two.graph.input.append(helper.make_tensor_value_info("k", TensorProto.FLOAT, [4, 1, 3, 3]))
    with pytest.raises(WeightsError, match=r"has 2 inputs \(in, k\), but must have one: the picture"):
        freed(PATH, two)
    several = graph(CONV, [1, 1, "h", "w"], HALF, tensor(K3, "k"))
    several.graph.output.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, None))
    with pytest.raises(WeightsError, match="has 2 outputs, but must have one: the larger picture"):
        freed(PATH, several)


def test_half_precision_is_cast_at_both_ends_also_where_the_result_is_read_inside() -> None:
    """The border becomes float32; what reads picture or result within the graph still gets float16."""
    nodes = [
        helper.make_node("Mul", ["in", "in"], ["out"]),
        helper.make_node("Add", ["out", "in"], ["unused"]),
    ]
    model = graph(nodes, [1, 3, 4, 4], kind=TensorProto.FLOAT16)
    assert freed(PATH, model) == 3
    x = np.random.default_rng(1).random((1, 3, 5, 6), np.float32)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"in": x})
    assert y.dtype == np.float32
    assert np.abs(y - x * x).max() < 2e-3
