"""``inference(clip, FILE)``, with the argument names that users of vs-mlrt know: one import changed, scripts run."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vapoursynth as vs

from sr_plugins.errors import ArgumentError
from vapoursynth_filter.filter import as_vapoursynth_errors, checked_clip, upscale

# vs-mlrt's backends by the names of their classes: ours, and the device without its number
BACKENDS = {
    "OV_CPU": ("openvino", "cpu"),
    "ORT_CPU": ("onnxruntime", "cpu"),
    "ORT_CUDA": ("auto", "cuda"),
    "TRT": ("auto", "cuda"),
    "TRT_RTX": ("auto", "cuda"),
}


def inference(
    clips: vs.VideoNode | Sequence[vs.VideoNode],
    network_path: str | Path,
    overlap: int | tuple[int, int] | None = None,
    tilesize: int | tuple[int, int] | None = None,
    backend: object = "auto",
    input_name: str = "input",
    batch_size: int = 1,
    path_is_serialization: bool = False,
    **settings: Any,
) -> vs.VideoNode:
    """The network of a file on a clip, at the network's own scale.

    Args:
        clips: one clip, or a list of one: of any constant format, not only RGBS and GRAYS; the same format comes out.
        network_path: any weights file that :func:`~vapoursynth_filter.upscale` takes: ONNX, safetensors, pth, ncnn.
        overlap: taken and not needed: tiles read what the network sees, so that tiled equals untiled.
        tilesize: largest side of a tile in input pixels, or (width, height), of which the larger counts.
        backend: ours by name, or one of vs-mlrt's ``Backend`` objects: CPU and CUDA, with its ``device_id``, ``fp16``
            and ``bf16``. ``None``: auto.
        input_name: taken and not needed: a network has one input, whatever its name.
        batch_size: frames that may go through the network at once.
        path_is_serialization: must be false: networks come from files.
        settings: further ones of ours, as :func:`~vapoursynth_filter.upscale` takes them.

    Raises:
        vs.Error: ``sr_plugins:`` and what is wrong.
    """
    with as_vapoursynth_errors():
        several = clips if isinstance(clips, list | tuple) and not isinstance(clips, vs.VideoOutputTuple) else [clips]
        if len(several) != 1:
            raise ArgumentError(
                f"inference() takes one clip, got {len(several)}: networks of several are not supported"
            )
        clip = checked_clip(several[0], "inference")
        if path_is_serialization or not isinstance(network_path, str | os.PathLike):
            raise ArgumentError(f"network_path is {type(network_path).__name__}: give the path of the network's file")
        path = Path(network_path)
        if not path.is_file():
            raise ArgumentError(f"no network file at {network_path}")
        if "model" in settings:
            raise ArgumentError("inference() runs the network of network_path: leave model out")
        given: dict[str, Any] = {**_backend(backend), **settings}
        if tilesize is not None:
            given["tile"] = max(tilesize) if isinstance(tilesize, list | tuple) else tilesize
        if batch_size != 1:
            given["batch"] = batch_size
    return upscale(clip, path, **given)


def _class_of(backend: object) -> type:
    """Scripts give an object, or its class for one with its defaults."""
    return backend if isinstance(backend, type) else type(backend)


def _backend(backend: object) -> dict[str, str]:
    """Settings of ours for a backend of ours by name, or for one of vs-mlrt's."""
    if backend is None:
        return {}
    if isinstance(backend, str) and backend not in BACKENDS:
        return {"backend": backend}
    name = backend if isinstance(backend, str) else _class_of(backend).__name__
    if name not in BACKENDS:
        raise ArgumentError(
            f"backend {name} of vs-mlrt has no counterpart here: use a name that srp doctor lists, or "
            f"{', '.join(BACKENDS)}"
        )
    ours, device = BACKENDS[name]
    found = {"backend": ours, "device": f"cuda:{getattr(backend, 'device_id', 0)}" if device == "cuda" else device}
    if getattr(backend, "bf16", False):
        found["precision"] = "bfloat16"
    elif (
        getattr(backend, "fp16", False) and device == "cuda"
    ):  # on CPUs it is what the file holds, not what is computed
        found["precision"] = "float16"
    return found
