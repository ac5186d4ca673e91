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
_ORIGINAL = "take the .pth, .safetensors or .onnx that it was made from"
# what lies in the place of weights, or beside them, and what to do
_OTHERS = (
    (rb"\s*<\?xml[^>]*>\s*<net\s|\s*<net\s", f"is a network of OpenVINO, which is not read: {_ORIGINAL}"),
    (rb"\s*<(!doctype|html|\?xml|head|body)", "is a saved web page, not weights: download the file itself"),
    (rb"7z\xbc\xaf|Rar!|\x1f\x8b\x08|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd", "is an archive, not weights: unpack it first"),
    (
        rb"(sys_info|pickle|tensors|storages)\0.{100,256}ustar",
        "is a checkpoint of torch 0.1, which is not read: open it with torch.load and write it anew with torch.save",
    ),
    (rb".{257}ustar", "is an archive, not weights: unpack it first"),
    (rb"\x89HDF\r\n|.{4}TFL3|\n.\n.{0,40}Placeholder", f"is a network of TensorFlow, which is not read: {_ORIGINAL}"),
    # where an ONNX graph has its maker's name, this has a list of inputs
    (
        rb"\x08[\1-\x1f]\x12([\x80-\xff][\1-\x7f]|[\1-\x7f])\n",
        f"is a network of Core ML, which is not read: {_ORIGINAL}",
    ),
    (
        rb'\s*\{.{0,400}"weight_map"',
        "is a list of files that hold the weights together, not weights: join them into one .safetensors",
    ),
    (rb"ftrt|ptrt", f"is an engine of TensorRT, for one graphics card: {_ORIGINAL}"),
    (rb"GGUF", f"is a network of llama.cpp's form (GGUF), which is not read: {_ORIGINAL}"),
    (rb"\x93NUMPY", "is an array of NumPy, not a network"),
    (rb"MZ\x90\0\x03|\x7fELF", "is a program, not weights"),
    (rb"//!(HOOK|DESC|BIND)", "is a shader for players such as mpv, not weights: srp export writes such, none is read"),
)


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
    if start[8:9] == b"{" and 2 <= int.from_bytes(start[:8], "little") <= min(size, LARGEST_HEADER):
        return "safetensors"
    for signature, what in _OTHERS:
        if re.match(signature, start, re.IGNORECASE | re.DOTALL):
            raise WeightsError(f"{path} {what}")
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
    except (OSError, ValueError) as error:  # also a name that no file can have
        raise WeightsError(f"{str(path)[:100]} cannot be read: {getattr(error, 'strerror', error)}") from error


def is_text(start: bytes) -> bool:
    """Whether a file that begins like this is text."""
    return b"\0" not in start and all(byte >= 32 or byte in b"\t\n\r\f" for byte in start)
