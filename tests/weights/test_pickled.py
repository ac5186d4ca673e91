"""Checkpoints read as data: the same tensors as torch reads, whatever lies beside them, and nothing imported or run."""

import argparse
import collections
import contextlib
import datetime
import enum
import functools
import io
import pathlib
import pickle
import resource
import struct
import subprocess
import sys
import uuid
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sr_plugins.errors import WeightsError
from sr_plugins.weights.torch_files import read_checkpoint


def network() -> dict[str, Tensor]:
    """Tensors of many kinds, two of one storage, one that is not contiguous, one that is empty."""
    one = torch.arange(24.0).reshape(2, 3, 4)
    return {
        "float32": one,
        "turned": one.permute(2, 0, 1),
        "part": one[1, 1:, ::2],
        "none": torch.zeros(0, 3),
        "number": torch.tensor(3.5),
        "trained": nn.Parameter(torch.ones(3, requires_grad=True)),
        **{str(kind): (one * 3).to(kind) for kind in (torch.float64, torch.float16, torch.bfloat16, torch.complex64)},
        **{str(kind): (one * 3).to(kind) for kind in (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)},
        "torch.bool": (one % 2).bool(),
    }


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("archive", [True, False])
def test_tensors_are_those_that_torch_reads(archive: bool, protocol: int, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    tensors = network()
    if archive:  # the older form has no words for these
        tensors |= {str(kind): (torch.arange(8.0) * 3).to(kind) for kind in (torch.float8_e4m3fn, torch.uint16)}
    torch.save(
        {"state_dict": collections.OrderedDict(tensors)},
        path,
        pickle_protocol=protocol,
        _use_new_zipfile_serialization=archive,
    )
    expected = torch.load(path, weights_only=False)["state_dict"]  # our own file
    found = read_checkpoint(path)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert found[name].stride() == value.stride()
        assert torch.equal(found[name].view(value.dtype), value.detach()), name
    assert found["float32"].untyped_storage().data_ptr() == found["turned"].untyped_storage().data_ptr()


class Settings(collections.OrderedDict[str, Any]):
    """As of configuration files."""


class Mode(enum.Enum):
    """As of training programs."""

    FAST = "fast"


class Loss:
    """Has attributes, slots by name, and a way to be read back that must not be called."""

    def __init__(self) -> None:
        self.kept = [1, 2]

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("was called")


BESIDE: dict[str, Any] = {
    "numpy": {"psnr": np.float64(31.5), "step": np.int32(7), "curve": np.arange(5)},
    "defaultdict": collections.defaultdict(list, {"loss": [1.0, 2.0]}),
    "settings": Settings(scale=4, inner=Settings(name="x")),
    "namespace": argparse.Namespace(scale=4, path=pathlib.PurePosixPath("/data")),
    "path": pathlib.Path("/data"),
    "time": [datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC), datetime.timedelta(3)],
    "mode": Mode.FAST,
    "object": Loss(),
    "function": functools.partial(int, base=2),
    "named": uuid.UUID(int=7),
    "sets": {frozenset({1}): {1, 2}, (1, (2,)): 1 + 2j},
    "kinds": [torch.float16, torch.device("cpu"), torch.Size([1, 2]), nn.Conv2d, torch.strided],
    "random": __import__("random").Random(3),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("archive", [True, False])
@pytest.mark.parametrize("what", BESIDE)
def test_what_lies_beside_the_tensors_is_left_alone(what: str, archive: bool, protocol: int, tmp_path: Path) -> None:
    table = Settings({"module.a": torch.ones(2), "module.b": torch.arange(3), "_kind": BESIDE[what]})
    content = {"epoch": 3, "opt": BESIDE[what], "params": BESIDE[what], "model": table}
    torch.save(content, tmp_path / "a.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=archive)
    found = read_checkpoint(tmp_path / "a.pth")
    assert set(found) == {"a", "b"}
    assert torch.equal(found["b"], torch.arange(3))


def test_nothing_is_imported(tmp_path: Path) -> None:
    """A module that is there and would say so is named by a checkpoint: the network is read, and the module is not."""
    (tmp_path / "told.py").write_text("print('imported')\nclass Kept: pass\n")
    torch.save({"params": {"a": torch.ones(2)}, "kept": Loss()}, tmp_path / "b.pth")
    with zipfile.ZipFile(tmp_path / "b.pth") as source, zipfile.ZipFile(tmp_path / "a.pth", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(f"{__name__}\nLoss".encode(), b"told\nKept"))
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        assert any(b"told\nKept" in archive.read(name) for name in archive.namelist())
    code = (
        "from pathlib import Path; from sr_plugins.weights.torch_files import read_checkpoint\n"
        f"print(list(read_checkpoint(Path({str(tmp_path / 'a.pth')!r}))), 'told' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert said.stdout == "['a'] False\n"


def raw(pickled: bytes, path: Path) -> None:
    """A zip of torch whose pickle is this."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        *(("os", "system"), ("posix", "system"), ("builtins", "eval"), ("__builtin__", "exec"), ("subprocess", "call")),
        *(("commands", "getoutput"), ("importlib", "import_module"), ("runpy", "run_path"), ("pickle", "loads")),
        *(("shutil", "rmtree"), ("builtins", "print"), ("ctypes", "CDLL"), ("socket", "socket"), ("os.path", "join")),
    ],
)
def test_what_would_run_something_is_told(module: str, name: str, tmp_path: Path) -> None:
    """Beside tensors, too: who opens such a file with another program should know."""
    texts = (module.encode(), name.encode())
    for called in (
        b"c%s\n%s\n(S'true'\ntR" % texts,
        b"(S'true'\ni%s\n%s\n" % texts,
        b"\x8c%c%s\x8c%c%s\x93" % (len(module), texts[0], len(name), texts[1]),
    ):
        raw(b"\x80\x02}" + called + b"s.", tmp_path / "a.pth")
        with pytest.raises(WeightsError, match=r"holds code, and code in weights is never run \(it names") as told:
            read_checkpoint(tmp_path / "a.pth")
        assert name in str(told.value)


def word(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def in_bytes() -> bytes:
    """A storage of a megabyte as pickle itself has torch write it, as the argument of a call."""
    buffer = io.BytesIO()
    torch.save(torch.zeros(1 << 18).untyped_storage(), buffer, _use_new_zipfile_serialization=False)
    return b"B" + struct.pack("<I", len(buffer.getvalue())) + buffer.getvalue()


STORAGE = b"(" + word("storage") + b"ctorch\nFloatStorage\n"
ENDLESS = b")" + b"2\x86" * 200  # a pair of pairs of pairs: no end in sight for who looks at each
LOAD, ENCODE = b"ctorch.storage\n_load_from_bytes\n", b"c_codecs\nencode\n"
HARMFUL = {
    "endless name of a storage": b"\x80\x02}" + word("a") + STORAGE + ENDLESS + word("cpu") + b"K\x04tQs.",
    "endless name of an old storage": b"\x80\x02}" + word("a") + STORAGE + ENDLESS + word("cpu") + b"K\x04NtQs.",
    "endless name of a class": b"\x80\x02(ctorch._tensor\n_rebuild_from_type_v2\n(" + ENDLESS + b"N)}tRt.",
    "numbers that are not there": b"\x80\x02}" + word("a") + STORAGE + word("0") + word("cpu") + b"K\x01NtQs.",
    "number of many digits": b"\x80\x02}\x8b" + struct.pack("<i", 5000) + b"\x01" * 5000 + b"K\x01s.",
    "one storage many times": b"\x80\x03]" + in_bytes() + b"q\x000(" + (LOAD + b"h\x00\x85R") * 4000 + b"e.",
    "one text as many bytes": b"\x80\x02]"
    + word("x" * (1 << 20))
    + b"q\x000("
    + (ENCODE + b"h\x00" + word("latin1") + b"\x86R") * 4000
    + b"e.",
    "one list as many tables": b"\x80\x02]("
    + b"".join(b"(I%d\nNt" % i for i in range(1 << 13))
    + b"eq\x000]("
    + b"ccollections\nOrderedDict\nh\x00\x85R" * (1 << 13)
    + b"e.",
    "cut": b"\x80\x02}q\x00(X\x05\x00",
    "long text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc.",
    "long text of 4 GB": b"\x80\x02X" + struct.pack("<I", (1 << 32) - 1) + b"abc.",
    "long number": b"\x80\x02\x8b" + struct.pack("<i", (1 << 31) - 1) + b"abc.",
    "nothing": b".",
    "tuple of nothing": b"\x80\x02\x87.",
    "no mark": b"\x80\x02u.",
    "no such memory": b"\x80\x02h\x05.",
    "extension": b"\x80\x02\x82\x01.",
    "deep lists": b"\x80\x02}X\x01\x00\x00\x00a" + b"]" * 50_000 + b"a" * 49_999 + b"s.",
    "deep tuples as a key": b"\x80\x02})" + b"2\x86" * 200 + b"K\x01s.",
    "itself": b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",
    "storage that is not there": b"\x80\x02(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x009tQ.",
    "another kind of storage": b"\x80\x02K\x07Q.",
    "an object alone": b"\x80\x02cbasicsr.archs\nNet\n)\x81}X\x01\x00\x00\x00aK\x01sb.",
}


@pytest.mark.timeout(60)  # some would go on for ever
@pytest.mark.parametrize("what", HARMFUL)
@pytest.mark.parametrize("archive", [True, False])
def test_damaged_and_harmful_pickles_get_one_line(what: str, archive: bool, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    if archive:
        raw(HARMFUL[what], path)
    else:
        path.write_bytes(HARMFUL[what])
    with limited(1 << 30), pytest.raises(WeightsError, match=r"a\.pth") as told:
        read_checkpoint(path)
    assert "\n" not in str(told.value)


@contextlib.contextmanager
def limited(memory: int) -> Iterator[None]:
    """Within, this process may take so many more bytes of memory; where it wants more, its caller gets an error."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def tensor(storage: int, offset: int, size: str, stride: str, tmp_path: Path) -> Path:
    """A checkpoint of one tensor of four numbers, whose shape is what is said."""

    def number(value: int) -> bytes:
        return b"I%d\n" % value

    def several(text: str) -> bytes:
        return b"(" + b"".join(number(int(one)) for one in text.split()) + b"t"

    storages = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu%stQ"
    given = storages % number(storage) + number(offset) + several(size) + several(stride)
    made = b"ctorch._utils\n_rebuild_tensor_v2\n(" + given + b"I00\n}tR"
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}X\x01\x00\x00\x00a" + made + b"s.")
        archive.writestr("archive/data/0", np.arange(4, dtype="<f4").tobytes())
    return tmp_path / "a.pth"


def test_a_shape_stays_within_its_numbers(tmp_path: Path) -> None:
    assert read_checkpoint(tensor(4, 1, "3", "1", tmp_path))["a"].tolist() == [1, 2, 3]
    for given in [
        (4, 2, "3", "1"),
        (4, 0, "2 2", "3 1"),
        (4, -1, "2", "1"),
        (4, 3, "2", "-1"),
        (4, 0, "-2", "1"),
        (4, 0, "2", "1 1"),
        (1 << 40, 0, "1000000", "1"),
        (4, 1 << 70, "1", "1"),
        (4, 5, "0", "1"),
        (4, 0, "1 " * 65, "1 " * 65),
    ]:
        with pytest.raises(WeightsError, match="damaged"):
            read_checkpoint(tensor(*given, tmp_path))
    with pytest.raises(WeightsError, match="more values in a than it holds"):
        read_checkpoint(tensor(4, 0, "65536 65536", "0 0", tmp_path))


def test_an_old_file_that_promises_much_takes_no_memory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(7)}, buffer, _use_new_zipfile_serialization=False)
    whole = buffer.getvalue()
    (tmp_path / "a.pth").write_bytes(whole)
    assert read_checkpoint(tmp_path / "a.pth")["a"].tolist() == [1] * 7
    (tmp_path / "a.pth").write_bytes(whole[:-3])
    with pytest.raises(WeightsError, match="cut off"):
        read_checkpoint(tmp_path / "a.pth")
    (tmp_path / "a.pth").write_bytes(whole.replace(b"K\x07", b"\x8a\x05\0\0\0\0\x7f"))
    with pytest.raises(WeightsError, match="names more values than it holds"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_changed_byte_among_the_numbers_is_damage(tmp_path: Path) -> None:
    torch.save({"a": torch.full((99,), 0.3)}, tmp_path / "a.pth")
    data = (tmp_path / "a.pth").read_bytes()
    number = struct.pack("<f", 0.3)
    (tmp_path / "a.pth").write_bytes(data.replace(number, b"\1" + number[1:], 1))
    with pytest.raises(WeightsError, match="damaged"):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("kind", ["sparse", "quantized", "array", "nowhere"])
def test_what_stands_in_the_place_of_a_tensor_is_told(kind: str, tmp_path: Path) -> None:
    made: dict[str, Callable[[], Any]] = {
        "sparse": lambda: torch.ones(2, 2).to_sparse(),
        "quantized": lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
        "array": lambda: np.ones(3),
        "nowhere": lambda: torch.ones(2, device="meta"),
    }
    with warnings.catch_warnings():  # torch will do without quantized tensors; files keep them
        warnings.simplefilter("ignore")
        torch.save({"params": {"a": torch.ones(2), "b.weight": made[kind]()}}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"a tensor of an unusual kind in b\.weight: "):
        read_checkpoint(tmp_path / "a.pth")


def test_a_whole_network_is_called_what_it_is(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Conv2d(3, 3, 3)), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.container\.Sequential.*state_dict"):
        read_checkpoint(tmp_path / "a.pth")
    torch.save({"model": nn.Conv2d(3, 3, 3), "epoch": 3}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"it holds model of torch\.nn\.modules\.conv\.Conv2d, epoch"):
        read_checkpoint(tmp_path / "a.pth")


def test_numbers_of_the_other_byte_order(tmp_path: Path) -> None:
    """As torch writes them on machines that begin with the largest byte: the order is told beside them."""
    tensors = {
        "a": torch.tensor([1.0, 2.5]),
        "b": torch.tensor([3], dtype=torch.int16),
        "c": torch.tensor([1 - 2j] * 2),
    }
    torch.save(tensors, tmp_path / "little.pth")
    other = "big" if sys.byteorder == "little" else "little"
    with zipfile.ZipFile(tmp_path / "little.pth") as source, zipfile.ZipFile(tmp_path / "a.pth", "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name.endswith("byteorder"):
                data = other.encode()
            elif "/data/" in name:
                data = np.frombuffer(data, "u2" if len(data) == 2 else "u4").byteswap().tobytes()
            target.writestr(name, data)
    found = read_checkpoint(tmp_path / "a.pth")
    assert found["a"].tolist() == [1.0, 2.5]
    assert found["b"].tolist() == [3]
    assert found["c"].tolist() == [1 - 2j] * 2
    with zipfile.ZipFile(tmp_path / "little.pth") as source, zipfile.ZipFile(tmp_path / "a.pth", "w") as target:
        for name in source.namelist():
            target.writestr(name, b"middle" if name.endswith("byteorder") else source.read(name))
    with pytest.raises(WeightsError, match="an order of bytes that there is not"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_tensor_alone_is_called_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps(torch.ones(3)))
    with pytest.raises(WeightsError, match=r"no table of tensors .*\(it holds Tensor\)"):
        read_checkpoint(tmp_path / "a.pth")


def test_parameters_of_torch_before_0_4(tmp_path: Path) -> None:
    """Made by a call of their class and given their state afterwards; one is named twice."""
    path = tensor(4, 0, "4", "1", tmp_path)
    with zipfile.ZipFile(path) as archive:
        pickled, numbers = archive.read("archive/data.pkl"), archive.read("archive/data/0")
    start, made = pickled.index(b"ctorch._utils"), pickled[pickled.index(b"ctorch._utils") : -2]
    parameter = b"ctorch.nn.parameter\nParameter\n" + made + b"\x85Rq\x09(\x89\x88}tb"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled[:start] + parameter + b"s" + word("b") + b"h\x09s.")
        archive.writestr("archive/data/0", numbers)
    found = read_checkpoint(path)
    assert {key: value.tolist() for key, value in found.items()} == {"a": [0, 1, 2, 3], "b": [0, 1, 2, 3]}


@pytest.mark.parametrize("protocol", [2, 4])
def test_tables_that_pickle_itself_wrote(protocol: int, tmp_path: Path) -> None:
    """Each storage is a file of torch within the pickle."""
    one = torch.arange(12.0).reshape(3, 4)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": one, "b": one.T, "n": np.float64(1)}, protocol=protocol))
    found = read_checkpoint(tmp_path / "a.pkl")
    assert torch.equal(found["a"], one)
    assert torch.equal(found["b"], one.T)


def test_a_pickle_that_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"loss": [1.0], "args": argparse.Namespace(a=1)}))
    with pytest.raises(WeightsError, match=r"no table of tensors .*\(it holds loss, args of argparse\.Namespace\)"):
        read_checkpoint(tmp_path / "a.pth")
