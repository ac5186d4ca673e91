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
_DEEPEST = 64  # sides of a tensor, as many as torch computes with
_PARAMETERS = {"torch.nn.parameter.Parameter", "torch.autograd.variable.Variable"}  # called so before torch 0.4
_AS_ITS_FIRST = {"_rebuild_parameter", "_rebuild_parameter_with_state", "_rebuild_device_tensor_from_cpu_tensor"}
_Make = Callable[[str, tuple[Any, ...]], Any]


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
        told = f"{folder}byteorder" in archive.namelist()
        order = archive.read(f"{folder}byteorder") if told else sys.byteorder.encode()
        if order not in (b"little", b"big"):
            raise ValueError("it tells an order of bytes that there is not")
        kept: dict[str, Tensor] = {}

        def persistent(name: Any) -> Tensor:
            _, storage, key, *_ = name
            if _key(key) not in kept:
                dtype = _type_of_storage(storage)
                data = bytearray(archive.getinfo(f"{folder}data/{key}").file_size)
                with archive.open(f"{folder}data/{key}") as file:
                    file.readinto(data)  # type: ignore[attr-defined]
                    file.read(1)  # the end, where the sum is compared
                if order != sys.byteorder.encode():
                    _swap(data, dtype.itemsize // (2 if dtype.is_complex else 1))
                kept[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            return kept[key]

        return read_pickle(io.BytesIO(archive.read(pickle)), persistent, _with_storages_in_bytes())


def read_old(path: Path) -> Any:
    """The same of a file from before torch 1.6, four pickles and then the numbers; or of a pickle alone.

    Raises:
        NotDataError: it names what would run something.
        WeightsError: it promises more numbers than it holds.
        Exception: it is damaged.
    """
    # mapped, a text that claims to be longer than the file takes no memory
    with path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as file:
        return _read_old(file, path.stat().st_size, _with_storages_in_bytes())


def _read_old(file: Readable, size: int, make: _Make) -> Any:
    import torch

    kept: dict[str, Tensor] = {}
    views: dict[str, Tensor] = {}
    left = size

    def persistent(name: Any) -> Any:
        nonlocal left
        if name[0] == "module":
            return name[1]
        _, storage, key, _, count, view = name
        if _key(key) not in kept:
            dtype = _type_of_storage(storage)
            left -= count * dtype.itemsize
            if count < 0 or left < 0:
                raise WeightsError(f"a checkpoint names more values than it holds: {count}")
            kept[key] = torch.empty(count, dtype=dtype)
        if view is None:
            return kept[key]
        return views.setdefault(_key(view[0]), kept[key][view[1] : view[1] + view[2]])

    result = read_pickle(file, persistent, make)
    missing = set(kept)
    if type(result) is int and result == _MAGIC:
        for _ in ("version", "about the machine"):
            read_pickle(file, persistent, make)
        result = read_pickle(file, persistent, make)
        keys = [_key(key) for key in read_pickle(file, persistent, make)]
        for key in keys:
            (count,) = struct.unpack("<q", file.read(8))
            _fill(kept[key], count, file)
        missing = missing.difference(keys)
    if missing:  # they would be whatever was in the memory
        raise EOFError("it names numbers that it does not hold")
    return result


def _with_storages_in_bytes() -> _Make:
    """:func:`make_tensor`, and the storages in tables that pickle itself wrote: each is a file of torch in bytes.

    Each is read once, however often it is named, and holds no others.
    """
    read: dict[int, tuple[bytes, Any]] = {}  # by the bytes' identity, which it keeps alive

    def make(called: str, given: tuple[Any, ...]) -> Any:
        if called != "torch.storage._load_from_bytes" or len(given) != 1 or not isinstance(given[0], bytes):
            return make_tensor(called, given)
        data = given[0]
        if id(data) not in read:
            read[id(data)] = data, _read_old(io.BytesIO(data), len(data), make_tensor)
        return read[id(data)][1]

    return make


def _key(key: Any) -> str:
    """A storage's name, which nothing but a text is: to look for another could take forever."""
    if not isinstance(key, str):
        raise TypeError("a storage whose name is no text")
    return key


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
    if called == "torch._tensor._rebuild_from_type_v2" and len(given) == 4 and isinstance(given[2], tuple):
        return make_tensor(_key(given[0]), given[2])
    if called in _PARAMETERS and given and isinstance(given[0], Tensor):
        return given[0]
    if module in ("torch._utils", "torch.nn.parameter.Parameter") and given and isinstance(given[0], Tensor):
        if name in _AS_ITS_FIRST or name == "__setstate__":
            return given[0]
        if name == "_rebuild_tensor_v3" and len(given) > 6:
            return _placed(given[0].view(_dtypes()[_key(given[6])]), *given[1:4])
        if name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return _placed(*given[:4])
    if module.startswith("torch.") and name == "__setstate__" and len(given) == 4 and isinstance(given[0], Tensor):
        return _placed(*given)  # torch 0.1
    return NotImplemented


def _placed(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    numbers: Callable[[Any], bool] = lambda side: type(side) is int and 0 <= side < 1 << 63  # noqa: E731
    if not len(size) == len(stride) <= _DEEPEST or not all(map(numbers, (offset, *size, *stride))):
        raise ValueError("a shape that is none")
    last = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if (offset > storage.numel()) if 0 in size else (last >= storage.numel()):
        raise ValueError(f"a tensor outside of its storage: {size}")
    return storage.as_strided(size, stride, offset)
