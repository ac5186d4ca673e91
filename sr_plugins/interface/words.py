"""The words that specs, settings and weights files share."""

from __future__ import annotations

from typing import Literal

Channels = Literal["luma", "rgb"]
Precision = Literal["float32", "bfloat16", "float16", "int8"]
Purpose = Literal["enlarge", "denoise", "dejpeg", "deblur", "restore"]
Form = Literal["torch", "onnx", "ncnn"]
Cuts = Literal["auto", "none", "properties"]


class Broken(str):
    """What ``missing()`` says of a library that is there and cannot be used: a fault, not somebody's choice."""


class NoAnswer(tuple[Precision, ...]):
    """What stands for an answer of a plugin that was none: empty, with the ``problem`` to tell."""

    problem = ""


AUTO = "auto"  # as a model: look at what comes, and choose
PLAIN = "fast"  # what it is where nothing speaks for another
