"""What other programs, and people, call backends."""

from __future__ import annotations

from collections.abc import Collection

_ALSO_CALLED = {
    "ort": "onnxruntime",
    "onnx": "onnxruntime",
    "ov": "openvino",
    "pytorch": "torch",
    "compile": "torch-compile",
}
_TENSORRT = ("trt", "tensorrt", "trt_rtx")


def backend_meant(name: str, known: Collection[str]) -> str:
    """What to say to someone who asks for a backend by another program's name; empty where it is none."""
    if name.lower() in _TENSORRT:
        return (
            "TensorRT runs what srp export writes (.onnx), in vs-mlrt or trtexec; here Nvidia's cards are device cuda"
        )
    also = _ALSO_CALLED.get(name.lower().replace("-", "").replace("_", ""))
    return f"did you mean {also!r}?" if also in known else ""
