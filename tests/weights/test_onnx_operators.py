"""Operators of ONNX in torch: each as ONNX Runtime computes it."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from sr_plugins.interface.network import OnnxNetwork
from sr_plugins.weights.onnx_node import UnknownOperator
from sr_plugins.weights.onnx_translation import module_of

rng = np.random.default_rng(1)
K = (rng.standard_normal((6, 3, 3, 3)) * 0.3).astype(np.float32)
D = (rng.standard_normal((3, 2, 4, 4)) * 0.3).astype(np.float32)
C = rng.random(3).astype(np.float32) + 0.5


def i64(*values: int) -> Any:
    return np.array(values, np.int64)


def f32(*values: float) -> Any:
    return np.array(values, np.float32)


PLACES = (rng.random((1, 7, 5, 2)) * 2.6 - 1.3).astype(np.float32)  # some beyond the picture
UP, SOME, HALF = f32(1, 1, 2, 3), f32(1, 1, 1.7, 0.6), f32(1, 1, 0.75, 0.75)
# operator, attributes, inputs beside the picture ("" is left out), opset
CASES: dict[str, tuple[str, dict[str, Any], list[Any], int]] = {
    "conv": ("Conv", {"pads": [1, 1, 1, 1]}, [K, rng.random(6).astype(np.float32)], 11),
    "conv of odd sides": ("Conv", {"pads": [0, 1, 2, 1], "strides": [2, 1]}, [K], 17),
    "conv same upper": ("Conv", {"auto_pad": "SAME_UPPER", "strides": [2, 2]}, [K], 17),
    "conv same lower": ("Conv", {"auto_pad": "SAME_LOWER", "strides": [2, 3], "dilations": [1, 1]}, [K], 17),
    "conv in groups": ("Conv", {"group": 3}, [K[:, :1]], 17),
    "deconvolution": ("ConvTranspose", {"strides": [2, 2], "pads": [1, 1, 1, 1]}, [D], 11),
    "deconvolution, more": ("ConvTranspose", {"strides": [2, 2], "pads": [1, 0, 1, 0], "output_padding": [1, 1]},
                            [D], 17),
    "deconvolution, more than it cuts": ("ConvTranspose", {"strides": [3, 3], "output_padding": [2, 1]},
                                         [D, f32(0.3, -0.2)], 17),
    "deconvolution, dilated": ("ConvTranspose", {"dilations": [2, 1], "pads": [0, 1, 2, 0]}, [D], 17),
    "deconvolution in groups": ("ConvTranspose", {"group": 3, "strides": [2, 1]}, [D[:, :1]], 17),
    "prelu": ("PRelu", {}, [C.reshape(3, 1, 1)], 16),
    "leaky": ("LeakyRelu", {"alpha": 0.2}, [], 16),
    "clip": ("Clip", {}, [np.float32(0.2), np.float32(0.7)], 13),
    "clip above": ("Clip", {}, ["", np.float32(0.7)], 13),
    "clip 6": ("Clip", {"min": -0.1, "max": 0.3}, [], 10),
    "clip by limits that cross": ("Clip", {}, [np.float32(0.7), np.float32(0.2)], 13),
    "gelu by the error function": ("Gelu", {}, [], 20),
    "celu": ("Celu", {"alpha": 0.7}, [], 12),
    "selu": ("Selu", {}, [], 11),
    "softplus": ("Softplus", {}, [], 11),
    "softsign": ("Softsign", {}, [], 11),
    "round": ("Round", {}, [], 11),
    "erf": ("Erf", {}, [], 13),
    "gelu": ("Gelu", {"approximate": "tanh"}, [], 20),
    "elu": ("Elu", {"alpha": 0.7}, [], 11),
    "hard sigmoid": ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, [], 11),
    "hard swish": ("HardSwish", {}, [], 14),
    "mish": ("Mish", {}, [], 18),
    "depth to space CRD": ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [], 13),
    "depth to space DCR": ("DepthToSpace", {"blocksize": 2, "mode": "DCR"}, [], 13),
    "space to depth": ("SpaceToDepth", {"blocksize": 2}, [], 13),
    "softmax 11": ("Softmax", {"axis": 3}, [], 11),
    "softmax 11 of all behind an axis": ("Softmax", {"axis": 2}, [], 11),
    "softmax 11 by default": ("Softmax", {}, [], 11),
    "softmax from the end": ("Softmax", {"axis": -3}, [], 13),
    "softmax": ("Softmax", {}, [], 13),
    "mean of a picture": ("ReduceMean", {"axes": [2, 3], "keepdims": 1}, [], 11),
    "mean 18": ("ReduceMean", {"keepdims": 0}, [i64(-1)], 18),
    "length": ("ReduceL2", {"keepdims": 1}, [i64(1)], 18),
    "maximum of some axes": ("ReduceMax", {"keepdims": 0}, [i64(1, -1)], 18),
    "minimum of all": ("ReduceMin", {"keepdims": 1}, [], 18),
    "sum of nothing": ("ReduceSum", {"noop_with_empty_axes": 1}, [], 13),
    "product": ("ReduceProd", {"axes": [1, 3]}, [], 13),
    "global maximum": ("GlobalMaxPool", {}, [], 11),
    "length one": ("LpNormalization", {"axis": 1, "p": 2}, [], 11),
    "absolute sum one": ("LpNormalization", {"axis": -1, "p": 1}, [], 11),
    "average pool, padding counted": (
        "AveragePool", {"kernel_shape": [3, 2], "pads": [1, 0, 0, 1], "count_include_pad": 1}, [], 11),
    "average pool, rounded up": ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}, [], 19),
    "max pool, dilated": ("MaxPool", {"kernel_shape": [3, 3], "dilations": [2, 1]}, [], 12),
    "max pool same upper": ("MaxPool", {"kernel_shape": [3, 3], "strides": [2, 3], "auto_pad": "SAME_UPPER"}, [], 12),
    "global average": ("GlobalAveragePool", {}, [], 11),
    "average pool": ("AveragePool", {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}, [], 11),
    "max pool": ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}, [], 12),
    "max pool, padded": ("MaxPool", {"kernel_shape": [3, 3], "pads": [1, 0, 1, 1]}, [], 12),
    "pad by its edge": ("Pad", {"mode": "edge"}, [i64(0, 0, 2, 1, 0, 0, 3, 4)], 11),
    "pad reflected": ("Pad", {"mode": "reflect"}, [i64(0, 0, 2, 1, 0, 0, 3, 4)], 13),
    "pad, cutting": ("Pad", {}, [i64(0, 0, -1, 1, 0, 0, -2, 0), np.float32(0.5)], 13),
    "pad some axes": ("Pad", {"mode": "edge"}, [i64(1, 2, 3, 4), "", i64(2, 3)], 18),
    "slice": ("Slice", {}, [i64(1, -9), i64(100, -1), i64(2, 3), i64(2, 3)], 13),
    "slice backwards": ("Slice", {}, [i64(-1), i64(-100), i64(3), i64(-1)], 13),
    "pad by a value 10": ("Pad", {"pads": [0, 0, 1, 2, 0, 0, 0, 3], "value": 0.4}, [], 10),
    "pad around": ("Pad", {"mode": "wrap"}, [i64(0, 0, 2, 1, 0, 0, 3, 4)], 19),
    "pad channels": ("Pad", {}, [i64(0, 1, 0, 0, 0, 2, 0, 0)], 13),
    "slice 9": ("Slice", {"starts": [1, -4], "ends": [7, 9], "axes": [2, 3]}, [], 9),
    "slice of nothing left": ("Slice", {}, [i64(6), i64(100), i64(-1), i64(3)], 13),
    "slice backwards in steps": ("Slice", {}, [i64(8), i64(1), i64(-1), i64(-3)], 13),
    "slice backwards to the first": ("Slice", {}, [i64(5), i64(-11), i64(3), i64(-2)], 13),
    "transpose by default": ("Transpose", {}, [], 13),
    "flatten": ("Flatten", {"axis": 2}, [], 13),
    "flatten from the end": ("Flatten", {"axis": -1}, [], 13),
    "flatten all": ("Flatten", {"axis": 0}, [], 13),
    "gather elements": ("GatherElements", {"axis": 2}, [rng.integers(-8, 8, (1, 3, 4, 10))], 13),
    "gather by places": ("GatherND", {}, [np.array([[0, 1, -1], [0, 2, 3]])], 13),
    "scatter": ("ScatterND", {}, [np.array([[0, 1, 2], [0, 0, -1]]), np.ones((2, 10), np.float32)], 16),
    "gather a picture": ("Gather", {"axis": -2}, [np.array([[0, 2], [-1, 5]])], 13),
    "upper triangle": ("Trilu", {}, [np.int64(1)], 14),
    "lower triangle": ("Trilu", {"upper": 0}, [np.int64(-2)], 14),
    "einsum": ("Einsum", {"equation": "nchw,wk->nchk"}, [rng.random((10, 4)).astype(np.float32)], 12),
    "transpose": ("Transpose", {"perm": [0, 2, 3, 1]}, [], 13),
    "gather": ("Gather", {"axis": 3}, [i64(3, 0, -1)], 13),
    "tile": ("Tile", {}, [i64(1, 1, 2, 1)], 13),
    "expand": ("Expand", {}, [i64(2, 1, 1, 1)], 13),
    "reshape": ("Reshape", {}, [i64(0, -1, 10)], 13),
    "squeeze": ("Squeeze", {}, [i64(0)], 13),
    "reshape to one number of each": ("Reshape", {"allowzero": 1}, [i64(3, 80)], 14),
    "squeeze all": ("Squeeze", {}, [], 13),
    "unsqueeze from the end": ("Unsqueeze", {}, [i64(-1, 1)], 13),
    "unsqueeze 11": ("Unsqueeze", {"axes": [0, 3]}, [], 11),
    "layer norm": ("LayerNormalization", {"axis": -1}, [rng.random(10).astype(np.float32)], 17),
    "instance norm": ("InstanceNormalization", {"epsilon": 1e-4}, [C, C], 11),
    "group norm": ("GroupNormalization", {"num_groups": 3}, [C, C], 21),
    "batch norm": ("BatchNormalization", {}, [C, C, C, C], 15),
    "pow": ("Pow", {}, [np.float32(3)], 15),
    "mod": ("Mod", {"fmod": 1}, [np.float32(0.3)], 13),
    "cumulated": ("CumSum", {}, [np.int64(2)], 14),
    "cumulated from behind": ("CumSum", {"reverse": 1}, [np.int64(3)], 14),
    "cumulated before": ("CumSum", {"exclusive": 1}, [np.int64(-1)], 14),
    "cumulated from behind before": ("CumSum", {"exclusive": 1, "reverse": 1}, [np.int64(1)], 14),
    "layer norm of two axes": ("LayerNormalization", {"axis": 2, "epsilon": 1e-3},
                               [rng.random((8, 10)).astype(np.float32), rng.random((8, 10)).astype(np.float32)], 17),
    "group norm of groups": ("GroupNormalization", {"num_groups": 1}, [f32(0.7), f32(0.1)], 18),
    "sampled": ("GridSample", {"mode": "bilinear", "padding_mode": "zeros"}, [PLACES], 16),
    "sampled, corners": ("GridSample", {"padding_mode": "border", "align_corners": 1}, [PLACES], 20),
    "sampled, reflected": ("GridSample", {"mode": "linear", "padding_mode": "reflection"}, [PLACES], 20),
    "sampled, cubic": ("GridSample", {"mode": "cubic", "padding_mode": "border"}, [PLACES], 20),
    "sampled, nearest": ("GridSample", {"mode": "nearest"}, [PLACES], 20),
    "matrices": ("MatMul", {}, [rng.random((10, 4)).astype(np.float32)], 13),
    "nearest": ("Resize", {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
                [f32(), UP], 11),
    "nearest by default": ("Resize", {"mode": "nearest"}, ["", UP], 13),
    "nearest, odd": ("Resize", {"mode": "nearest", "nearest_mode": "ceil"}, ["", SOME], 13),
    "nearest, corners": ("Resize", {"mode": "nearest", "coordinate_transformation_mode": "align_corners"},
                         ["", UP], 13),
    "nearest, rounded up": ("Resize", {"mode": "nearest", "nearest_mode": "round_prefer_ceil",
                                       "coordinate_transformation_mode": "asymmetric"}, ["", UP], 13),
    "nearest, symmetric": ("Resize", {"mode": "nearest", "coordinate_transformation_mode": "half_pixel_symmetric"},
                           ["", SOME], 19),
    "upsample 9": ("Upsample", {"mode": "nearest"}, [UP], 9),
    "upsample 9 linear": ("Upsample", {"mode": "linear"}, [UP], 9),
    "linear, outside left out": ("Resize", {"mode": "cubic", "exclude_outside": 1}, ["", SOME], 13),
    "linear, symmetric": ("Resize", {"mode": "linear", "coordinate_transformation_mode": "half_pixel_symmetric"},
                          ["", SOME], 19),
    "cubic, corners": ("Resize", {"mode": "cubic", "coordinate_transformation_mode": "align_corners"}, ["", UP], 13),
    "cubic, asymmetric": ("Resize", {"mode": "cubic", "coordinate_transformation_mode": "asymmetric"}, ["", UP], 13),
    "linear": ("Resize", {"mode": "linear"}, [f32(), UP], 11),
    "linear, odd": ("Resize", {"mode": "linear"}, ["", SOME], 13),
    "linear, asymmetric": ("Resize", {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}, ["", UP], 13),
    "linear, corners": ("Resize", {"mode": "linear", "coordinate_transformation_mode": "align_corners"}, ["", UP], 13),
    "linear, three quarters": ("Resize", {"mode": "linear"}, ["", HALF], 13),
    "linear to a size": ("Resize", {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel"},
                         ["", "", i64(1, 3, 13, 7)], 13),
    "linear, some axes": ("Resize", {"mode": "linear", "axes": [2, 3]}, ["", "", i64(16, 20)], 18),
    "linear, antialiased": ("Resize", {"mode": "linear", "antialias": 1}, ["", HALF], 18),
    "cubic": ("Resize", {"mode": "cubic"}, [f32(), UP], 11),
    "cubic, a half": ("Resize", {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}, ["", UP], 13),
    "cubic, three quarters": ("Resize", {"mode": "cubic"}, ["", HALF], 13),
    "cubic, antialiased": (
        "Resize", {"mode": "cubic", "antialias": 1, "cubic_coeff_a": -0.5, "exclude_outside": 1}, ["", HALF], 18),
}  # fmt: skip


def agree(nodes: list[Any], tensors: dict[str, Any], x: Any, opset: int) -> None:
    """A graph from "in" to "out" gives in torch what it gives in ONNX Runtime."""
    free = [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, x.shape[1], "h", "w"])]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()]
    made = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    model = helper.make_model(
        helper.make_graph(nodes, "g", free, made, held), opset_imports=[helper.make_opsetid("", opset)], ir_version=10
    )
    content = model.SerializeToString()
    (theirs,) = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"in": x})
    module = module_of(OnnxNetwork(content, "in", "out"))
    with torch.inference_mode():
        for _ in range(2):  # the second time with what was kept for the size
            ours = module(torch.from_numpy(x)).numpy()
            assert ours.shape == theirs.shape
            assert np.abs(ours - theirs).max() < 2e-5


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_the_runtime_computes(name: str) -> None:
    kind, attributes, more, opset = CASES[name]
    x = rng.random((1, 4 if "depth to space" in name else 3, 8, 10)).astype(np.float32) - 0.2
    names = ["in", *("" if isinstance(value, str) else f"c{i}" for i, value in enumerate(more))]
    tensors = {f"c{i}": value for i, value in enumerate(more) if not isinstance(value, str)}
    agree([helper.make_node(kind, names, ["out"], **attributes)], tensors, x, opset)


def node(told: str, **attributes: Any) -> Any:
    """An operator as "Kind reads ... > writes ...", - for what is left out."""
    reads, writes = told.split(">")
    kind, *names = reads.split()
    return helper.make_node(kind, ["" if name == "-" else name for name in names], writes.split(), **attributes)


GRAPHS: dict[str, tuple[list[Any], dict[str, Any], int]] = {
    "quantized and back": (
        [node("QuantizeLinear in s z > q"), node("DequantizeLinear q s z > out")],
        {"s": np.float32(0.013), "z": np.uint8(7)}, 13),
    "quantized by channels and back": (
        [node("QuantizeLinear in s z > q", axis=1), node("DequantizeLinear q s z > out", axis=1)],
        {"s": C / 200, "z": np.array([0, 5, -5], np.int8)}, 13),
    "quantized without a zero": (
        [node("QuantizeLinear in s > q"), node("DequantizeLinear q s > out")], {"s": np.float32(0.011)}, 13),
    "split by sizes": (
        [node("Split in n > a b", axis=2), node("Concat b a > out", axis=2)], {"n": i64(3, 5)}, 13),
    "split evenly, the last one shorter": (
        [node("Split in > a b c", axis=3, num_outputs=3), node("Concat c a b > out", axis=3)], {}, 18),
    "split by an attribute": (
        [node("Split in > a b", axis=-1, split=[4, 6]), node("Concat b a > out", axis=-1)], {}, 11),
    "the largest": (
        [node("TopK in k > a b", axis=1), node("Cast b > c", to=1), node("Concat a c > out", axis=1)],
        {"k": i64(2)}, 11),
    "the smallest of an axis": (
        [node("TopK in k > a b", axis=3, largest=0), node("Cast b > c", to=1), node("Add a c > out")],
        {"k": i64(3)}, 11),
    "places counted": (
        [node("Shape in > s"), node("Gather s three > w"), node("Range zero w one > r"), node("Cast r > f", to=1),
         node("Mul in f > out")],
        {"three": np.int64(3), "zero": np.int64(0), "one": np.int64(1)}, 13),
    "a part of the shape": (
        [node("Shape in > s", start=1, end=-1), node("Cast s > f", to=1), node("ReduceProd f > p", keepdims=0),
         node("Div in p > out")], {}, 15),
    "numbers of values": ([node("Size in > s"), node("Cast s > f", to=1), node("Div in f > out")], {}, 13),
    "a constant of the picture's shape": (
        [node("Shape in > s"),
         node("ConstantOfShape s > k", value=numpy_helper.from_array(np.array([0.7], np.float32))),
         node("Sub in k > out")], {}, 13),
    "zeros of the picture's shape": (
        [node("Shape in > s"), node("ConstantOfShape s > k"), node("Max in k > out")], {}, 13),
    "chosen by comparisons": (
        [node("Less in h > a"), node("GreaterOrEqual in l > b"), node("And a b > c"), node("Not c > d"),
         node("Neg in > n"), node("Where d in n > out")],
        {"h": np.float32(0.5), "l": np.float32(0.1)}, 16),
    "either, or both": (
        [node("Greater in h > a"), node("LessOrEqual in l > b"), node("Or a b > c"), node("Xor c a > d"),
         node("Equal c d > e"), node("CastLike e in > out")],
        {"h": np.float32(0.5), "l": np.float32(0.1)}, 16),
    "whole numbers divided": (
        [node("Mul in t > m"), node("Cast m > i", to=7), node("Div i three > d"), node("Mod i five > r"),
         node("Add d r > s"), node("Cast s > out", to=1)],
        {"t": np.float32(100), "three": np.int64(-3), "five": np.int64(5)}, 13),
    "a mean of three": ([node("Neg in > n"), node("Abs in > a"), node("Mean in n a > out")], {}, 13),
    "a sum, a least and a most": (
        [node("Exp in > e"), node("Sum in e in > s"), node("Min in e s > l"), node("Max e s l > m"),
         node("Reciprocal m > out")], {}, 13),
    "spread to its own shape": (
        [node("ReduceMean in > m", axes=[2, 3]), node("Shape in > s"), node("Expand m s > out")], {}, 13),
    "spread by fewer axes": ([node("Expand in s > out")], {"s": i64(8, 1)}, 13),
    "a matrix product with turned sides": (
        [node("ReduceMean in > m", axes=[2, 3], keepdims=0), node("Gemm m w b > g", transB=1, alpha=0.5, beta=2.0),
         node("Unsqueeze g a > u"), node("Add in u > out")],
        {"w": K[:3, :, 0, 0], "b": C, "a": i64(2, 3)}, 13),
    "a matrix product without a sum": (
        [node("ReduceMean in > m", axes=[2, 3], keepdims=0), node("Gemm w m > g", transA=1, transB=1),
         node("Unsqueeze g a > u"), node("Add in u > out")],
        {"w": K[:3, :1, 0, 0], "a": i64(0, 3)}, 13),
    "a layer norm without a bias": (
        [node("LayerNormalization in w > out")], {"w": rng.random(10).astype(np.float32)}, 17),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_operators_together_are_what_the_runtime_computes(name: str) -> None:
    nodes, tensors, opset = GRAPHS[name]
    agree(nodes, tensors, rng.random((1, 3, 8, 10)).astype(np.float32) - 0.2, opset)


UNKNOWN: dict[str, tuple[list[Any], dict[str, Any], int]] = {
    "of another maker": ([helper.make_node("FusedConv", ["in"], ["out"], domain="com.microsoft")], {}, 17),
    "of no name here": ([node("Hardmax in > out")], {}, 17),
    "of three axes": ([node("Conv in w > out")], {"w": np.zeros((6, 3, 3), np.float32)}, 17),
    "scattered and added": (
        [node("ScatterND in i u > out", reduction="add")],
        {"i": np.array([[0, 1, 2]]), "u": np.ones((1, 10), np.float32)}, 16),
    "gathered in batches": ([node("GatherND in i > out", batch_dims=1)], {"i": np.array([[1, 2]])}, 13),
    "enlarged to a shape": (
        [node("ConvTranspose in w > out", output_shape=[20, 20])], {"w": D}, 17),
    "averaged with sides of its own": (
        [node("AveragePool in > out", kernel_shape=[2, 2], pads=[0, 0, 1, 1])], {}, 17),
    "channels reflected": ([node("Pad in p > out", mode="reflect")], {"p": i64(0, 1, 0, 0, 0, 1, 0, 0)}, 13),
    "cropped and resized": (
        [node("Resize in r s > out", coordinate_transformation_mode="tf_crop_and_resize")],
        {"r": f32(0, 0, 0, 0, 1, 1, 1, 1), "s": UP}, 13),
    "its aspect kept": (
        [node("Resize in - - n > out", keep_aspect_ratio_policy="not_larger", axes=[2, 3])], {"n": i64(16, 16)}, 18),
    "channels resized": ([node("Resize in - s > out")], {"s": f32(1, 2, 1, 1)}, 13),
    "cast to text": ([node("Cast in > out", to=8)], {}, 13),
}  # fmt: skip


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_is_not_known_is_said_and_never_guessed(name: str) -> None:
    nodes, tensors, opset = UNKNOWN[name]
    free = [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, 3, "h", "w"])]
    held = [numpy_helper.from_array(np.asarray(value), key) for key, value in tensors.items()]
    graph = helper.make_graph(nodes, "g", free, [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    with pytest.raises(UnknownOperator), torch.inference_mode():
        module_of(OnnxNetwork(model.SerializeToString(), "in", "out"))(torch.rand(1, 3, 8, 10))


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_a_network_of_windows_exported_by_torch_s_older_exporter(tmp_path: Any) -> None:
    """Shapes computed within the graph, masks, gathers: thousands of nodes, most of which depend on the size alone."""
    pytest.importorskip("spandrel", reason="pip install 'sr-plugins[community]'")
    import warnings

    from spandrel.architectures.SwinIR.__arch.SwinIR import SwinIR

    torch.manual_seed(1)
    shape: dict[str, Any] = {"window_size": 8, "depths": [2], "embed_dim": 12, "num_heads": [2], "mlp_ratio": 2}
    network = SwinIR(img_size=64, upscale=2, upsampler="pixelshuffledirect", **shape).eval()
    path = str(tmp_path / "swin.onnx")
    axes = {"in": {2: "h", 3: "w"}, "out": {2: "h2", 3: "w2"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network, (torch.rand(1, 3, 16, 24),), path, input_names=["in"], output_names=["out"], dynamic_axes=axes,
            opset_version=17, dynamo=False,
        )  # fmt: skip
    content = onnx.load(path).SerializeToString()
    module = module_of(OnnxNetwork(content, "in", "out"))
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        for height, width in ((16, 24), (32, 16), (16, 24)):
            x = torch.rand(1, 3, height, width)
            (theirs,) = session.run(None, {"in": x.numpy()})
            assert np.abs(module(x).numpy() - theirs).max() < 2e-5
