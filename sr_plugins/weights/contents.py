"""What kind of weights a file holds, by its content: names lie, and are written in capitals."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from sr_plugins.errors import WeightsError

Kind = Literal["safetensors", "torch", "onnx", "param", "unknown"]

SUFFIXES = (".safetensors", ".pt", ".pth", ".ckpt", ".onnx", ".param", ".bin")
PARAM = b"7767517"  # the first line of an ncnn graph
LARGEST_HEADER = 1 << 30
# ModelProto (onnx.proto): field 1, the version of the form, then the maker's name or another of its fields
ONNX = re.compile(rb"\x08[\x03-\x1f][\x12\x1a\x22\x28\x32\x3a\x42]", re.DOTALL)


def kind_of(path: Path) -> Kind:
    """What ``path`` holds.

    Raises:
        WeightsError: it cannot be read, or is one of the things that are found in the place of weights: nothing at
            all, a git-LFS pointer, a saved web page.
    """
    start = read_start(path)
    size = path.stat().st_size
    if not start:
        raise WeightsError(f"{path} is empty: it was never downloaded, or the disk was full")
    if start.startswith(b"version https://git-lfs"):
        raise WeightsError(f"{path} is a git-LFS pointer, not the weights themselves: fetch them with 'git lfs pull'")
    if re.match(rb"\s*<(!doctype|html|\?xml|head|body)", start, re.IGNORECASE):
        raise WeightsError(f"{path} is a saved web page, not weights: download the file itself")
    if start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= min(size, LARGEST_HEADER):
        return "safetensors"
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")):
        return "torch"
    if start.split(b"\n", 1)[0].strip() == PARAM:
        return "param"
    suffix = path.suffix.lower()
    if suffix == ".onnx" or ONNX.match(start):
        return "onnx"
    if suffix == ".safetensors":
        return "safetensors"  # damaged: its reader says how
    if suffix in (".pt", ".pth", ".ckpt"):
        return "torch"
    return "unknown"


def read_start(path: Path) -> bytes:
    """The first bytes; ``WeightsError`` with the system's reason, for example where the path is a folder."""
    try:
        with path.open("rb") as file:
            return file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error


def is_text(start: bytes) -> bool:
    """Whether a file that begins like this is text."""
    return b"\0" not in start and all(byte >= 32 or byte in b"\t\n\r\f" for byte in start)
