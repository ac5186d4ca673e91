"""A network is found under whatever names a training program kept its tensors."""

import resource
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from sr_plugins.errors import WeightsError
from sr_plugins.weights.community import open_checkpoint
from sr_plugins.weights.contents import kind_of
from sr_plugins.weights.recognition import recognise
from sr_plugins.weights.tensors import read_tensors
from sr_plugins.weights.torch_files import read_checkpoint

# imported by what runs, not where tests are collected: it takes seconds
pytestmark = pytest.mark.skipif(find_spec("spandrel") is None, reason="pip install 'sr-plugins[community]'")
Table = dict[str, Tensor]


@pytest.fixture(scope="module")
def table() -> Table:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    torch.manual_seed(4)
    return dict(SRVGGNetCompact(num_feat=8, num_conv=2, upscale=2, act_type="prelu").state_dict())


def under(prefix: str) -> Callable[[Table], Any]:
    return lambda table: {prefix + key: value for key, value in table.items()}


def _in_one_storage(tensors: list[Tensor]) -> list[Tensor]:
    whole = torch.cat([tensor.flatten() for tensor in tensors])
    pieces = torch.split(whole, [tensor.numel() for tensor in tensors])
    return [piece.view(tensor.shape) for piece, tensor in zip(pieces, tensors, strict=True)]


WRAPPED: dict[str, Callable[[Table], Any]] = {
    "bare": lambda table: table,
    "compiled": under("_orig_mod."),
    "compiled in part": lambda table: {key.replace("body.", "body._orig_mod."): v for key, v in table.items()},
    "parallel and compiled": under("module._orig_mod."),
    "net_g": under("net_g."),
    "flat average": under("params_ema."),
    "Lightning": lambda table: {"state_dict": under("model.")(table) | {"criterion.weight": torch.ones(3)}, "epoch": 3},
    "Lightning within": lambda table: {"state_dict": under("generator.module.")(table) | {"d.w": torch.ones(3)}},
    "GAN": lambda table: {"generator": table, "discriminator": {"w": torch.ones(2)}, "step": 9},
    "average beside": lambda table: {"g": {"w": torch.ones(2)}, "g_ema": table, "d": {}},
    "notes among them": lambda table: table | {"epoch": 3, "scale": 2, "name": "a", "best": 31.5, "next": None},
    "a name of its own": lambda table: {"weights": table, "epoch": 3, "optimizer": {"state": {}, "param_groups": []}},
    "beside an adversary": lambda table: {"gen": table, "disc": {"w": torch.ones(2)}, "optim_g": {"state": {}}},
    "an average of its own": lambda table: {"now": {"w": torch.ones(2)}, "model_ema": table, "settings": {"lr": 1}},
    "deep below": lambda table: {
        "checkpoint": {"trainer": {"weights": table, "optimizer": {"a": 1}}, "config": {"x": 1}}
    },
    "parameters": lambda table: {"params": {k: torch.nn.Parameter(v) for k, v in table.items()}},
    "columns": lambda table: {k: v.t().contiguous().t() if v.ndim == 2 else v for k, v in table.items()},
    "one storage": lambda table: dict(zip(table, _in_one_storage(list(table.values())), strict=True)),
    "counts": lambda table: table | {"total_ops": torch.ones(1), "body.0.total_params": torch.ones(1)},
}


@pytest.mark.parametrize("name", WRAPPED)
def test_its_own_weights_are_found(name: str, table: Table, tmp_path: Path) -> None:
    path = tmp_path / "some, model.pth"
    torch.save(WRAPPED[name](table), path)
    descriptor, left_out = recognise(read_checkpoint(path))
    assert (descriptor.architecture.id, descriptor.scale) == ("Compact", 2)
    found = descriptor.model.state_dict()
    assert found.keys() == table.keys()
    assert all(torch.equal(found[key], value) for key, value in table.items())
    assert left_out == (["total_ops", "body.0.total_params"] if name == "counts" else [])


@pytest.mark.parametrize("name", WRAPPED)
def test_the_old_form_of_torch_says_the_same(name: str, table: Table, tmp_path: Path) -> None:
    torch.save(WRAPPED[name](table), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert recognise(read_checkpoint(tmp_path / "old.pth"))[0].scale == 2


def other(table: Table) -> Table:
    """What training holds beside an average: the same network with other weights."""
    return {key: value + 1 for key, value in table.items()}


def ema_pytorch(table: Table, initted: bool = True) -> Table:
    """As ``EMA.state_dict()`` of ema-pytorch has them."""
    counters = {"initted": torch.tensor(initted), "step": torch.tensor(300)}
    return counters | under("online_model.")(other(table)) | under("ema_model.")(table)


def averaged_model(table: Table, count: int = 40) -> Table:
    """As ``AveragedModel.state_dict()`` of torch.optim.swa_utils has them."""
    return {"n_averaged": torch.tensor(count)} | under("module.")(table)


def lit_ema(table: Table, updates: int = 40) -> Table:
    """As ``LitEma.state_dict()`` of latent diffusion has them: names without points."""
    counters = {"decay": torch.tensor(0.999), "num_updates": torch.tensor(updates, dtype=torch.int)}
    return counters | {key.replace(".", ""): value for key, value in table.items()}


def torch_ema(table: Table, updates: int | None = 40) -> dict[str, Any]:
    """As ``ExponentialMovingAverage.state_dict()`` of torch_ema has them: no names."""
    return {"decay": 0.99, "num_updates": updates, "shadow_params": list(table.values()), "collected_params": None}


AVERAGED: dict[str, Callable[[Table], Any]] = {
    **{
        f"{average} beside {plain}": lambda table, average=average, plain=plain: {  # type: ignore[misc]
            plain: other(table), average: table, "optimizer": {"state": {}}, "epoch": 3,
        }
        for average in ("ema_model", "model_ema", "ema", "params_ema", "ema_state_dict", "state_dict_ema", "modelEMA")
        for plain in ("model", "params", "state_dict", "net")
    },
    "ema-pytorch": lambda table: {"model": other(table), "ema": ema_pytorch(table)},
    "ema-pytorch not begun": lambda table: {"model": table, "ema": ema_pytorch(other(table), initted=False)},
    "ema-pytorch alone": lambda table: ema_pytorch(table),
    "swa": lambda table: {"model": other(table), "swa_model": averaged_model(table)},
    "swa not begun": lambda table: {"model": table, "swa_model": averaged_model(other(table), 0)},
    "a shadow": lambda table: {
        "model": other(table), "ema": {"decay": 0.99, "updates": torch.tensor(9), "shadow": table},
    },
    "LitEma": lambda table: {
        "epoch": 3, "state_dict": under("model.")(other(table)) | under("model_ema.")(lit_ema(table)),
    },
    "LitEma not begun": lambda table: {
        "state_dict": under("model.")(table) | under("model_ema.")(lit_ema(other(table), 0)),
    },
    "LitEma beside": lambda table: {"model": other(table), "ema": lit_ema(table)},
    "torch_ema": lambda table: {"model": other(table), "ema": torch_ema(table), "optimizer": {"state": {}}},
    "torch_ema without a count": lambda table: {"net": other(table), "ema_state": torch_ema(table, None)},
    "torch_ema not begun": lambda table: {"model": table, "ema": torch_ema(other(table), 0)},
    "torch_ema of another network": lambda table: {"model": table, "ema": torch_ema(dict(list(table.items())[1:]))},
    "torch_ema of a compiled one": lambda table: {
        "model": under("_orig_mod.")(other(table)), "ema": torch_ema(table),
    },
    "parallel": lambda table: {"model": under("module.")(other(table)), "ema": under("module.")(table)},
    "of parameters": lambda table: {
        "model": {key: value if "body.0" in key else value + 1 for key, value in table.items()},
        "ema": {key: value for key, value in table.items() if "body.0" not in key},
    },
    "flat": lambda table: {"state_dict": under("model.")(other(table)) | under("model_ema.")(table)},
    "flat and of parameters": lambda table: {
        **{f"net.{key}": value if "body.0" in key else value + 1 for key, value in table.items()},
        **{f"ema.{key}": value for key, value in table.items() if "body.0" not in key},
    },
    **{
        f"Lightning's callback {name}": lambda table, name=name, kept=kept: {  # type: ignore[misc]
            "epoch": 3, "state_dict": under("net.")(other(table)),
            "callbacks": {"ModelCheckpoint": {"k": 1}, name: kept(table)},
        }
        for name, kept in {
            "EMA": lambda table: {"cur_step": 40, "ema_weights": under("net.")(table)},
            "EMA of NeMo": lambda table: {"cur_step": 40, "ema_weights": list(table.values())},
            "EMACallback": lambda table: {"ema_state_dict": table},
            "StochasticWeightAveraging": lambda table: {"n_averaged": 9, "average_model_state": under("net.")(table)},
        }.items()
    },
    "Lightning's callback not begun": lambda table: {
        "state_dict": under("net.")(table),
        "callbacks": {
            "StochasticWeightAveraging": {"n_averaged": 0, "average_model_state": under("net.")(other(table))}
        },
    },
    "Lightning's callback of nothing": lambda table: {
        "state_dict": under("net.")(table), "callbacks": {"EMA": {"cur_step": None, "ema_weights": None}},
    },
    "Lightning's callback of another network": lambda table: {
        "state_dict": under("net.")(table), "callbacks": {"EMA": {"ema_weights": list(other(table).values())[1:]}},
    },
    "Lightning's own average": lambda table: {
        "state_dict": under("net.")(table), "current_model_state": under("net.")(other(table)),
        "averaging_state": {"n_averaged": torch.tensor(40)},
    },
    "of the adversary": lambda table: {"model": table, "d_ema": other(table), "netD_ema": other(table)},
    "of the generator": lambda table: {"netF_ema": other(table), "netG_ema": table, "netG": other(table)},
    "of losses": lambda table: {"model": table, "ema_losses": {"l1": torch.ones(2)}, "schema": {"w": torch.ones(2)}},
}  # fmt: skip


@pytest.mark.parametrize("name", AVERAGED)
def test_the_average_is_what_is_meant(name: str, table: Table, tmp_path: Path) -> None:
    from spandrel import ModelLoader

    torch.save(AVERAGED[name](table), tmp_path / "a.pth")
    descriptor, _ = recognise(read_checkpoint(tmp_path / "a.pth"))
    expected = ModelLoader(device="cpu").load_from_state_dict(dict(table))
    x = torch.rand(1, 3, 12, 12)
    with torch.inference_mode():
        assert torch.equal(descriptor(x), expected(x))


def test_tables_that_hold_each_other_end(table: Table, tmp_path: Path) -> None:
    """Each of ten names leads to all ten again, at every depth."""
    content: dict[str, Any] = {"epoch": 1}
    content |= {f"ema_{number}": content for number in range(10)}
    torch.save(content | {"model": table}, tmp_path / "a.pth")
    assert read_checkpoint(tmp_path / "a.pth").keys() == table.keys()


def test_two_networks_are_not_guessed_at(table: Table, tmp_path: Path) -> None:
    torch.save({"first": table, "second": table}, tmp_path / "a.pth")
    with pytest.raises(WeightsError, match=r"holds no table of tensors .*\(it holds first, second\)$"):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("prefix", ["params_ema.", "_orig_mod.", "module._orig_mod.", "student."])
def test_within_safetensors(prefix: str, table: Table, tmp_path: Path) -> None:
    save_file({prefix + key: value.contiguous() for key, value in table.items()}, tmp_path / "a.safetensors")
    descriptor, _ = recognise(read_tensors(tmp_path / "a.safetensors"))
    assert descriptor.scale == 2


def test_a_network_that_lacks_something_is_none(table: Table) -> None:
    rest = {key: value for key, value in table.items() if key != "body.3.weight"}
    with pytest.raises(RuntimeError, match=r"Missing key(?s:.*)body\.3\.weight"):
        recognise(rest | {"total_ops": torch.ones(1)})


def test_an_archive_is_no_checkpoint(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("4x-Model.pth", b"anything")
    with pytest.raises(WeightsError, match=r"unpack it first \(it holds 4x-Model\.pth\)"):
        read_checkpoint(tmp_path / "a.pth")


def test_an_exported_program_is_told(tmp_path: Path) -> None:
    program = torch.export.export(torch.nn.Conv2d(3, 3, 3), (torch.rand(1, 3, 8, 8),))
    torch.export.save(program, tmp_path / "a.pt2")
    with pytest.raises(WeightsError, match=r"a\.pt2 holds a program \(torch\.export\)"):
        read_checkpoint(tmp_path / "a.pt2")


OTHERS = {
    "a.xml": (b'<?xml version="1.0"?>\n<net name="m" version="11"><layers/></net>', "OpenVINO"),
    "b.xml": (b'<?xml version="1.0"?>\n<html/>', "saved web page"),
    "a.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(50), "unpack it first"),
    "a.pth": (b"\x1f\x8b\x08" + bytes(50), "unpack it first"),
    "old.pth": (
        b"sys_info".ljust(257, b"\0") + b"ustar\0" + bytes(200),
        r"torch 0\.1, which is not read: .*torch\.load",
    ),
    "a.tar": (bytes(257) + b"ustar\0" + bytes(200), "unpack it first"),
    "a.h5": (b"\x89HDF\r\n\x1a\n" + bytes(50), "TensorFlow"),
    "a.tflite": (b"\x1c\0\0\0TFL3" + bytes(50), "TensorFlow"),
    "a.pb": (b"\n\x1b\n\x05input\x12\x0bPlaceholder" + bytes(50), "TensorFlow"),
    "a.mlmodel": (b"\x08\6\x12\xa6\2\n\x19\n\x0binput_image\x1a\n", "Core ML"),
    "a.engine": (b"ftrt" + bytes(50), "TensorRT"),
    "a.gguf": (b"GGUF\3\0\0\0" + bytes(50), "GGUF"),
    "a.safetensors.index.json": (
        b'{\n "metadata": {"total_size": 9},\n "weight_map": {"a": "model-00001-of-00002.safetensors"}}',
        "join them",
    ),
    "a.npy": (b"\x93NUMPY\1\0" + bytes(50), "NumPy"),
    "a.ckpt": (b"MZ\x90\0\x03\0" + bytes(50), "program"),
    "a.glsl": (b"//!HOOK LUMA\n//!BIND HOOKED\n", "shader"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_lies_in_the_place_of_weights_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    data, word = OTHERS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(WeightsError, match=word) as told:
        kind_of(tmp_path / name)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("version", [3, 8, 11])
@pytest.mark.parametrize("maker", ["", "pytorch"])
def test_a_graph_is_one_under_any_name(version: int, maker: str, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.helper.make_model(onnx.helper.make_graph([], "g", [], []), ir_version=version, producer_name=maker)
    (tmp_path / "net.pth").write_bytes(model.SerializeToString())
    assert kind_of(tmp_path / "net.pth") == "onnx"


def test_tensors_without_a_graph_say_so(tmp_path: Path) -> None:
    from sr_plugins.weights.ncnn_files import open_pair

    (tmp_path / "net.bin").write_bytes(b"\0\0\0\0" + bytes(range(100)))
    with pytest.raises(WeightsError, match=r"net\.param, is not beside it"):
        open_pair(tmp_path / "net.bin")


@pytest.mark.timeout(100)
@pytest.mark.parametrize("what", ["a far block", "a wide layer", "a wide layer of nothing"])
def test_few_tensors_that_ask_for_a_large_network_take_no_memory(what: str, tmp_path: Path) -> None:
    """How many blocks there are is read from names, and how wide they are from one shape."""
    from spandrel.architectures.ESRGAN import ESRGAN

    tensors = ESRGAN(num_filters=8, num_blocks=1).state_dict()
    if what == "a far block":
        tensors["model.1.sub.9000.RDB1.conv1.0.weight"] = tensors["model.1.sub.0.RDB1.conv1.0.weight"]
    else:
        wide = torch.zeros(1 << 11, 3, 3, 3) if what == "a wide layer" else torch.zeros(1 << 14, 0, 3, 3)
        tensors["model.0.weight"] = wide
    torch.save(tensors, tmp_path / "a.pth")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=r"a\.pth .*a network of far more values than it holds"):
        open_checkpoint(tmp_path / "a.pth", read_checkpoint(tmp_path / "a.pth"))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 << 10
