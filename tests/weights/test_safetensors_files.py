"""Weights are data: damaged, foreign and hostile files are refused in one line, and nothing in them runs."""

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sr_plugins import Upscaler
from sr_plugins.errors import UnknownModelError, WeightsError
from sr_plugins.plugins import Plugins, plugins
from sr_plugins.weights.open_model import is_file_name, open_model
from sr_plugins.weights.pretrained import load_model, pretrained
from sr_plugins.weights.safetensors_files import read_card, write_weights
from sr_plugins.weights.tensors import read_tensors


@pytest.fixture
def shipped() -> Path:
    path = pretrained("realtime", 2)
    assert path is not None
    return path


def test_a_shipped_file_says_what_it_is(shipped: Path) -> None:
    card = read_card(shipped)
    assert (card["model"], card["scale"]) == ("realtime", 2)
    loaded = plugins().open_weights(shipped)
    assert sum(p.numel() for p in loaded.torch().module.parameters()) <= 60_000
    assert not loaded.torch().module.training


def test_written_weights_read_back_the_same(shipped: Path, tmp_path: Path) -> None:
    loaded = plugins().open_weights(shipped)
    target = tmp_path / "new folder" / "mine.safetensors"
    write_weights(target, loaded.torch().module, loaded.card | {"note": "größer"})
    again = plugins().open_weights(target)
    assert again.card["note"] == "größer"
    assert all(
        torch.equal(v, loaded.torch().module.state_dict()[k]) for k, v in again.torch().module.state_dict().items()
    )
    assert [p.name for p in target.parent.iterdir()] == ["mine.safetensors"]
    with Upscaler(target) as upscaler:
        assert upscaler.native_scale == 2


class Evil:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_code_in_a_checkpoint_is_refused_and_never_runs(tmp_path: Path, suffix: str, how: str) -> None:
    trap, file = tmp_path / "ran", tmp_path / f"evil{suffix}"
    if how == "torch":
        torch.save({"params": Evil(trap)}, file)
    else:
        file.write_bytes(pickle.dumps(Evil(trap)))
    with pytest.raises(WeightsError, match="code in weights is never run"):
        Upscaler(file)
    assert not trap.exists()


def test_torch_checkpoints_of_tensors_are_read_under_their_usual_keys(tmp_path: Path) -> None:
    tensors = {"module.a": torch.ones(2)}
    for content in (tensors, {"params": tensors}, {"params": {"x": torch.zeros(1)}, "params_ema": tensors}):
        torch.save(content, tmp_path / "a.pth")
        assert torch.equal(read_tensors(tmp_path / "a.pth")["a"], torch.ones(2))
    torch.save([1, 2], tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="no table of tensors"):
        read_tensors(tmp_path / "a.pth")


def damaged(shipped: Path, tmp_path: Path, change: str) -> Path:
    file = tmp_path / "bad.safetensors"
    tensors, card = load_file(shipped), read_card(shipped)
    if change == "nan":
        tensors["head.weight"][0] = float("nan")
    elif change == "shape":
        tensors["head.weight"] = tensors["head.weight"][:5].contiguous()
    elif change == "missing":
        del tensors["tail.bias"]
    elif change == "extra":
        tensors["tail.gamma"] = torch.ones(1)
    elif change == "unknown model":
        card["model"] = "fsat"
    save_file(
        tensors, file, {"card": "[1]" if change == "card list" else "{" if change == "card" else json.dumps(card)}
    )
    if change == "no card":
        save_file(tensors, file)
    elif change == "truncated":
        file.write_bytes(file.read_bytes()[:-100])
    elif change == "empty":
        file.write_bytes(b"")
    elif change == "garbage":
        file.write_bytes(b"\xff" * 500)
    return file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("nan", "not finite, first in head.weight"),
        ("shape", r"head.weight is \(5, 1, 3, 3\), expected \(16, 1, 3, 3\)"),
        ("missing", "lacks tail.bias"),
        ("extra", "has unknown tail.gamma"),
        ("unknown model", "model that is not installed.*did you mean 'fast'"),
        ("card", "card is not JSON"),
        ("card list", "card is not a JSON object"),
        ("no card", "no card that names its model"),
        ("truncated", "not a readable safetensors file"),
        ("empty", "is empty: it was never downloaded"),
        ("garbage", "not a readable safetensors file"),
    ],
)
def test_damaged_files_get_one_line_that_names_them(shipped: Path, tmp_path: Path, change: str, message: str) -> None:
    file = damaged(shipped, tmp_path, change)
    with pytest.raises(WeightsError, match=message) as error:
        Upscaler(file)
    assert str(file) in str(error.value)


def test_what_the_system_says_of_a_file_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    for read in (read_card, read_tensors):
        with pytest.raises(WeightsError, match=r"folder.safetensors cannot be read: Is a directory"):
            read(folder)


def test_missing_files_and_models_without_weights_say_where_was_looked(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights file at .*nothing.safetensors"):
        Upscaler(tmp_path / "nothing.safetensors")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(WeightsError, match="no weights file that an installed plugin can read"):
        Upscaler(tmp_path / "notes.txt")
    from dataclasses import replace

    with pytest.raises(WeightsError, match=r"no weights for fast x2: looked for fast-x2.safetensors in .*pretrained"):
        load_model(replace(plugins().model("fast", 2), weights=None))
    with pytest.raises(WeightsError, match=r"gone.safetensors does not exist"):
        load_model(replace(plugins().model("fast", 2), weights=tmp_path / "gone.safetensors"))


def test_own_weights_folder_comes_first(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / shipped.name
    copy.write_bytes(shipped.read_bytes())
    monkeypatch.setenv("SR_PLUGINS_WEIGHTS", str(tmp_path))
    assert pretrained("realtime", 2) == copy


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="needs a place that refuses writing")
def test_an_unwritable_place_is_one_line(shipped: Path) -> None:
    loaded = plugins().open_weights(shipped)
    with pytest.raises(WeightsError, match=r"cannot write /proc/self/mine.safetensors"):
        write_weights(Path("/proc/self/mine.safetensors"), loaded.torch().module, {})


def own(folder: Path, name: str, change: Any) -> Path:
    """A weights file of ``realtime x2`` in which ``change`` made something wrong."""
    path = pretrained("realtime", 2)
    assert path is not None
    tensors, card = change(load_file(path), json.dumps(read_card(path)))
    save_file(tensors, folder / name, {"card": card})
    return folder / name


CARDS = {
    "infinite": '{"model":"realtime","scale":Infinity}',
    "overflow": '{"model":"realtime","scale":1e400}',
    "not whole": '{"model":"realtime","scale":2.9}',
    "true": '{"model":"realtime","scale":true}',
    "list": '{"model":["realtime"],"scale":2}',
    "nested": "[" * 100_000 + "]" * 100_000,
    "correction": '{"model":"realtime","scale":2,"correction":1e999}',
    "huge correction": '{"model":"realtime","scale":2,"correction":1000001}',
}


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_cards_of_nonsense_are_refused(tmp_path: Path, card: str) -> None:
    with pytest.raises(WeightsError, match=r"a\.safetensors"):
        Upscaler(own(tmp_path, "a.safetensors", lambda tensors, _: (tensors, card)))


@pytest.mark.parametrize("dtype", [torch.int8, torch.bool, torch.complex64, torch.int64])
def test_values_that_are_no_floating_point_are_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    file = own(tmp_path, "a.safetensors", lambda t, card: ({k: v.to(dtype) for k, v in t.items()}, card))
    with pytest.raises(WeightsError, match=r"a\.safetensors holds values of .* where values of float32"):
        Upscaler(file)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.float8_e4m3fn])
def test_other_floating_point_is_read(tmp_path: Path, dtype: torch.dtype) -> None:
    file = own(tmp_path, "A.SAFETENSORS", lambda t, card: ({k: v.to(dtype) for k, v in t.items()}, card))
    assert {v.dtype for v in open_model(str(file)).torch().module.state_dict().values()} == {torch.float32}


def test_a_value_that_is_finite_only_in_float64_is_refused(tmp_path: Path) -> None:
    file = own(tmp_path, "a.safetensors", lambda t, card: ({k: v.double() * 1e300 for k, v in t.items()}, card))
    with pytest.raises(WeightsError, match="not finite"):
        Upscaler(file)


def test_kinds_go_by_content_not_by_name(shipped: Path, tmp_path: Path) -> None:
    (tmp_path / "a.PTH").write_bytes(shipped.read_bytes())
    assert open_model(str(tmp_path / "a.PTH")).spec.label == "realtime x2"
    torch.save({"a": torch.ones(2)}, tmp_path / "b.safetensors")
    assert list(read_tensors(tmp_path / "b.safetensors")) == ["a"]


def test_what_stands_in_the_place_of_weights_is_called_what_it_is(tmp_path: Path) -> None:
    lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n"
    for suffix in (".pth", ".safetensors", ".onnx", ".bin"):
        for content, message in ((b"", "is empty"), (lfs, "git-LFS pointer"), (b"\n<!DOCTYPE html>", "saved web page")):
            file = tmp_path / f"a{suffix}"
            file.write_bytes(content)
            with pytest.raises(WeightsError, match=f"a{suffix} .*{message}"):
                Upscaler(file)


def test_checkpoints_that_are_no_table_of_what_they_hold_are_refused(tmp_path: Path) -> None:
    file, trap = tmp_path / "a.pth", torch.nn.ReLU()
    for content, message in (
        ({0: torch.ones(2)}, "no table of tensors"),
        ({("a",): torch.ones(2)}, "no table of tensors"),
        ({"a": torch.ones(1).expand(65536, 65536)}, "more values in a than it holds"),
        ({"a": torch.ones(3).to_sparse()}, "unusual kind"),
        (trap, "code in weights is never run"),
    ):
        torch.save(content, file)
        with pytest.raises(WeightsError, match=message):
            read_tensors(file)
    torch.save({"a": torch.ones(5000)}, file)
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(WeightsError, match="cut off or damaged"):
        read_tensors(file)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"0" * 10_000_000)
    with pytest.raises(WeightsError, match="unpacks to more than it holds"):
        read_tensors(file)


def test_one_rule_for_names_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shipped: Path) -> None:
    for text in ("./a", "a/b", "~/a.pth", "a.onnx", "RAW.PTH", "./a.onnx"):
        assert is_file_name(text), text
    for text in ("fast", "v2.0", "x4-plus", "a b"):
        assert not is_file_name(text), text
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("fast", "fast.pth"):  # a registered name comes first, whatever files there are
        Path(name).write_bytes(shipped.read_bytes())
    assert open_model("fast").spec.label == "fast x2"
    for model in ("./fast", "fast.pth", "~/fast", Path("fast")):
        assert open_model(model).spec.label == "realtime x2"
    with pytest.raises(WeightsError, match=r"no weights file at gone\.onnx"):
        open_model("gone.onnx")
    for name in ("a" * 5000, "ä" * 128, "a" * 256 + "/b", "b/" * 2500):
        with pytest.raises(WeightsError, match=rf"no weights file at {name[:4]}.*too long"):
            open_model(f"./{name}.safetensors")
    for name in ("\ud800", "ä" * 120, "a\0"):  # no text of a file system, none too long, none at all
        with pytest.raises(WeightsError, match=rf"no weights file at {name[:4]}.*safetensors$"):
            open_model(f"./{name}.safetensors")
    with pytest.raises(UnknownModelError, match="did you mean 'fast'"):
        open_model("fsat")
    assert [open_model("fast", s).spec.scale for s in (None, 1, 2.5, 4, 9)] == [2, 2, 3, 4, 4]
    with pytest.raises(UnknownModelError, match="fast has x2, x3, x4"):
        open_model("fast", 7, exact=True)


def test_own_weights_of_the_pyramid_serve_their_own_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = pretrained("lapsrn", 4)
    assert shared is not None
    (tmp_path / "lapsrn-x2.safetensors").write_bytes(shared.read_bytes())
    monkeypatch.setenv("SR_PLUGINS_WEIGHTS", str(tmp_path))
    found = Plugins(installed=False)
    assert found.model("lapsrn", 2).weights == tmp_path / "lapsrn-x2.safetensors"
    assert found.model("lapsrn", 4).weights == shared
