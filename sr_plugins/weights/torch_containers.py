"""The two containers of torch's checkpoints: a pickle of what there is, and beside it the numbers of its tensors."""

from __future__ import annotations

import io
import mmap
import struct
import sys
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sr_plugins.errors import WeightsError
from sr_plugins.weights.pickled import Readable, read_pickle

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_MAGIC = 0x1950A86A20F9469CFC6C  # of files before torch 1.6 (torch/serialization.py), and with _use_new_zipfile... off
_OLD_TYPES = {
    **{"Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16"},
    **{"Long": "int64", "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool"},
    **{"ComplexFloat": "complex64", "ComplexDouble": "complex128", "Untyped": "uint8"},
    **{"QInt8": "int8", "QUInt8": "uint8", "QInt32": "int32", "QUInt4x2": "uint8", "QUInt2x4": "uint8"},
}
_AS_ITS_FIRST = {"_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_device_tensor_from_cpu_tensor"}


@cache
def _dtypes() -> Mapping[str, torch.dtype]:
    import torch

    return {str(kind): kind for kind in vars(torch).values() if isinstance(kind, torch.dtype)}


def read_archive(path: Path) -> Any:
    """What the pickle in a zip of torch holds, with its tensors.

    Raises:
        NotDataError: it names what would run something.
        Exception: it is damaged.
    """
    import torch

    with zipfile.ZipFile(path) as archive:
        pickle = next(name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl")
        folder = pickle.removesuffix("data.pkl")
        swapped = f"{folder}byteorder" in archive.namelist() and (
            archive.read(f"{folder}byteorder") != sys.byteorder.encode()
        )
        kept: dict[str, Tensor] = {}

        def persistent(name: Any) -> Tensor:
            _, storage, key, *_ = name
            if key not in kept:
                dtype = _type_of_storage(storage)
                data = bytearray(archive.getinfo(f"{folder}data/{key}").file_size)
                with archive.open(f"{folder}data/{key}") as file:
                    file.readinto(data)  # type: ignore[attr-defined]
                    file.read(1)  # the end, where the sum is compared
                if swapped:
                    _swap(data, dtype.itemsize)
                kept[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            return kept[key]

        return read_pickle(io.BytesIO(archive.read(pickle)), persistent, make_tensor)


def read_old(path: Path) -> Any:
    """The same of a file from before torch 1.6, four pickles and then the numbers; or of a pickle alone.

    Raises:
        NotDataError: it names what would run something.
        WeightsError: it promises more numbers than it holds.
        Exception: it is damaged.
    """
    # mapped, a text that claims to be longer than the file takes no memory
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as file:
        return _read_old(file, path.stat().st_size)


def _read_old(file: Readable, size: int) -> Any:
    import torch

    kept: dict[str, Tensor] = {}
    views: dict[str, Tensor] = {}

    def persistent(name: Any) -> Any:
        if name[0] == "module":
            return name[1]
        _, storage, key, _, count, view = name
        if key not in kept:
            dtype = _type_of_storage(storage)
            taken = sum(one.numel() * one.element_size() for one in kept.values())
            if count < 0 or taken + count * dtype.itemsize > size:
                raise WeightsError(f"a checkpoint names more values than it holds: {count}")
            kept[key] = torch.empty(count, dtype=dtype)
        if view is None:
            return kept[key]
        return views.setdefault(view[0], kept[key][view[1] : view[1] + view[2]])

    first = read_pickle(file, persistent, make_tensor)
    if first != _MAGIC:
        return first
    for _ in ("version", "about the machine"):
        read_pickle(file, persistent, make_tensor)
    result = read_pickle(file, persistent, make_tensor)
    for key in read_pickle(file, persistent, make_tensor):
        (count,) = struct.unpack("<q", file.read(8))
        _fill(kept[key], count, file)
    return result


def _fill(numbers: Tensor, count: int, file: Readable) -> None:
    import torch

    data = bytearray(file.read(count * numbers.element_size()))
    if count != numbers.numel() or len(data) != count * numbers.element_size():
        raise EOFError("fewer numbers than promised")
    if data:
        numbers.copy_(torch.frombuffer(data, dtype=numbers.dtype))


def _swap(data: bytearray, size: int) -> None:
    import numpy as np

    np.frombuffer(data, np.uint8).reshape(-1, size)[:] = np.frombuffer(bytes(data), np.uint8).reshape(-1, size)[:, ::-1]


def _type_of_storage(name: str) -> torch.dtype:
    return _dtypes()[f"torch.{_OLD_TYPES[name.rpartition('.')[2].removesuffix('Storage')]}"]


def make_tensor(called: str, given: tuple[Any, ...]) -> Any:
    """A tensor, where ``called`` is one of torch's functions that make an ordinary one; else ``NotImplemented``.

    Raises:
        ValueError: it would read outside of its storage.
    """
    from torch import Tensor

    module, _, name = called.rpartition(".")
    if called == "torch.Size" and len(given) == 1 and isinstance(given[0], tuple):
        return given[0]
    if called == "torch.storage._load_from_bytes" and len(given) == 1 and isinstance(given[0], bytes):
        return _read_old(io.BytesIO(given[0]), len(given[0]))  # of a table that pickle itself wrote: a storage in bytes
    if called == "torch._tensor._rebuild_from_type_v2" and len(given) == 4 and isinstance(given[2], tuple):
        return make_tensor(str(given[0]), given[2])
    if module in ("torch._utils", "torch.nn.parameter.Parameter") and given and isinstance(given[0], Tensor):
        if name in _AS_ITS_FIRST or name == "__setstate__":
            return given[0]
        if name == "_rebuild_tensor_v3" and len(given) > 6:
            return _placed(given[0].view(_dtypes()[given[6]]), *given[1:4])
        if name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _placed(*given[:4])
    if module.startswith("torch.") and name == "__setstate__" and len(given) == 4 and isinstance(given[0], Tensor):
        return _placed(*given)  # torch 0.1
    return NotImplemented


def _placed(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    numbers: Callable[[Any], bool] = lambda side: type(side) is int and side >= 0  # noqa: E731
    if not all(map(numbers, (offset, *size, *stride))) or len(size) != len(stride):
        raise ValueError("a shape that is none")
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.numel():
        raise ValueError(f"a tensor outside of its storage: {size}")
    return storage.as_strided(size, stride, offset)
