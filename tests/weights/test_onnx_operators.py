"""Operators of ONNX in torch: each as ONNX Runtime computes it."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from sr_plugins.interface.network import OnnxNetwork
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
    "prelu": ("PRelu", {}, [C.reshape(3, 1, 1)], 16),
    "leaky": ("LeakyRelu", {"alpha": 0.2}, [], 16),
    "clip": ("Clip", {}, [np.float32(0.2), np.float32(0.7)], 13),
    "clip above": ("Clip", {}, ["", np.float32(0.7)], 13),
    "gelu": ("Gelu", {"approximate": "tanh"}, [], 20),
    "elu": ("Elu", {"alpha": 0.7}, [], 11),
    "hard sigmoid": ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}, [], 11),
    "hard swish": ("HardSwish", {}, [], 14),
    "mish": ("Mish", {}, [], 18),
    "depth to space CRD": ("DepthToSpace", {"blocksize": 2, "mode": "CRD"}, [], 13),
    "depth to space DCR": ("DepthToSpace", {"blocksize": 2, "mode": "DCR"}, [], 13),
    "space to depth": ("SpaceToDepth", {"blocksize": 2}, [], 13),
    "softmax 11": ("Softmax", {"axis": 3}, [], 11),
    "softmax": ("Softmax", {}, [], 13),
    "mean of a picture": ("ReduceMean", {"axes": [2, 3], "keepdims": 1}, [], 11),
    "mean 18": ("ReduceMean", {"keepdims": 0}, [i64(-1)], 18),
    "length": ("ReduceL2", {"keepdims": 1}, [i64(1)], 18),
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
    "transpose": ("Transpose", {"perm": [0, 2, 3, 1]}, [], 13),
    "gather": ("Gather", {"axis": 3}, [i64(3, 0, -1)], 13),
    "tile": ("Tile", {}, [i64(1, 1, 2, 1)], 13),
    "expand": ("Expand", {}, [i64(2, 1, 1, 1)], 13),
    "reshape": ("Reshape", {}, [i64(0, -1, 10)], 13),
    "squeeze": ("Squeeze", {}, [i64(0)], 13),
    "unsqueeze 11": ("Unsqueeze", {"axes": [0, 3]}, [], 11),
    "layer norm": ("LayerNormalization", {"axis": -1}, [rng.random(10).astype(np.float32)], 17),
    "instance norm": ("InstanceNormalization", {"epsilon": 1e-4}, [C, C], 11),
    "group norm": ("GroupNormalization", {"num_groups": 3}, [C, C], 21),
    "batch norm": ("BatchNormalization", {}, [C, C, C, C], 15),
    "pow": ("Pow", {}, [np.float32(3)], 15),
    "mod": ("Mod", {"fmod": 1}, [np.float32(0.3)], 13),
    "cumulated": ("CumSum", {}, [np.int64(2)], 14),
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


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_the_runtime_computes(name: str) -> None:
    kind, attributes, more, opset = CASES[name]
    x = rng.random((1, 4 if "depth to space" in name else 3, 8, 10)).astype(np.float32) - 0.2
    names, tensors = ["in"], []
    for i, value in enumerate(more):
        names.append("" if isinstance(value, str) else f"c{i}")
        if not isinstance(value, str):
            tensors.append(numpy_helper.from_array(np.asarray(value), f"c{i}"))
    node = helper.make_node(kind, names, ["out"], **attributes)
    free = [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1, x.shape[1], "h", "w"])]
    graph = helper.make_graph(
        [node], "g", free, [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)], tensors
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    content = model.SerializeToString()
    (theirs,) = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"in": x})
    module = module_of(OnnxNetwork(content, "in", "out"))
    with torch.inference_mode():
        for _ in range(2):  # the second time with what was kept for the size
            ours = module(torch.from_numpy(x)).numpy()
            assert ours.shape == theirs.shape
            assert np.abs(ours - theirs).max() < 2e-5


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
