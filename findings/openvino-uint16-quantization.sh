#!/usr/bin/env bash
# QuantizeLinear of ONNX rounds to whole numbers and saturates: what is below the type's range becomes its least, what is above its
# greatest (opset 21 adds uint16 and int16 to uint8 and int8). OpenVINO takes a pair of QuantizeLinear and DequantizeLinear of uint16
# for nothing at all: values pass as they are, negative ones and those beyond the range too. Networks whose quantized activations
# stand in for ReLU, or clip, compute something else, and nothing says so. Of uint8 it saturates.
#
# Seen with openvino 2026.4.1 (CPU, INFERENCE_PRECISION_HINT f32), onnx 1.23.2, onnxruntime 1.32.0: scale 1/65535, zero point 0;
# of -1, 0.25, 3 ONNX Runtime makes 0, 0.25, 1 (as the operator's text says), OpenVINO -1, 0.25, 3.
# Exits with 1 where this has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" -q install openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.32.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnx
import onnxruntime
import openvino
from onnx import helper, numpy_helper

print("openvino", openvino.__version__, "onnx", onnx.__version__, "onnxruntime", onnxruntime.__version__)
x = np.array([[-1, 0.25, 3]], np.float32)


def results(dtype: type) -> list[list[float]]:
    """What ONNX Runtime and OpenVINO make of a pair of QuantizeLinear and DequantizeLinear of this type, and Neg behind it.

    Without anything behind it OpenVINO refuses to compile the pair of uint16 ("FQ stripping failed").
    """
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
        helper.make_node("Neg", ["d"], ["y"]),
    ]
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, x.shape) for name in "xy"]
    held = {"scale": np.float32(1 / np.iinfo(dtype).max), "zero": np.array(0, dtype)}
    stored = [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString()
    right = onnxruntime.InferenceSession(data).run(None, {"x": x})[0]
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return [np.round(-values.ravel(), 3).tolist() for values in (right, compiled({"x": x})[0])]


found = {dtype.__name__: results(dtype) for dtype in (np.uint8, np.uint16)}
for name, (right, theirs) in found.items():
    print(name, "ONNX Runtime:", right, "OpenVINO:", theirs)
right, theirs = found["uint16"]
sys.exit(right != [0, 0.25, 1] or theirs != [-1, 0.25, 3] or found["uint8"][0] != found["uint8"][1])
PYTHON
