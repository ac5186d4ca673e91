"""Weights are data: damaged, foreign and hostile files are refused in one line, and nothing in them runs."""

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sr_plugins import Upscaler
from sr_plugins.errors import WeightsError
from sr_plugins.plugins import plugins
from sr_plugins.weights.contents import read_tensors
from sr_plugins.weights.pretrained import load_model, pretrained
from sr_plugins.weights.safetensors_files import read_card, write_weights


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
        ("shape", r"head.weight is \(5, 1, 3, 3\), expected \(32, 1, 3, 3\)"),
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
