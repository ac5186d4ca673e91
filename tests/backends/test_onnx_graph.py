"""The ONNX file: equal to torch at any size, free of private paths, and refused where it would be wrong."""

import importlib
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner
from fakes import Unexportable, blur, model_of
from torch import nn

from sr_plugins.backends.onnx_graph import cached_graph
from sr_plugins.cli.export import command
from sr_plugins.errors import ArgumentError, PluginError, UnknownModelError, WeightsError
from sr_plugins.exporters.files import export
from sr_plugins.folders import read_or_make
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.plugins import plugins
from sr_plugins.weights.digest import fingerprint
from sr_plugins.weights.pretrained import load_model

pytestmark = pytest.mark.usefixtures("operators_read_once")


@pytest.mark.parametrize(("scale", "channels"), [(2, "luma"), (3, "rgb")])
def test_another_runtime_gives_torch_numbers_at_any_size(scale, channels, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    loaded = blur(scale, channels)
    path = tmp_path / "new" / "blur.onnx"
    export(loaded, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for n, h, w in ((1, 1, 1), (3, 2, 50), (1, 41, 33)):
        x = torch.rand(n, 1 if channels == "luma" else 3, h, w)
        with torch.inference_mode():
            expected = loaded.torch().module(x).numpy()
        (result,) = session.run(["enlarged"], {"picture": x.numpy()})
        assert result.shape == expected.shape
        assert np.abs(result - expected).max() <= 1e-5
    assert [p.name for p in path.parent.iterdir()] == ["blur.onnx"]


def test_the_command_writes_the_shipped_network(tmp_path: Path) -> None:
    path = tmp_path / "fast.onnx"
    done = CliRunner().invoke(command, ["fast", "--scale", "2", "-o", str(path)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "fast x2, luma, within" in done.output
    content = onnx.load(path)
    onnx.checker.check_model(content, full_check=True)
    assert str(Path.cwd()).encode() not in path.read_bytes()  # no path of the machine it was made on
    weights = sum(p.numel() for p in load_model(plugins().model("fast", 2)).torch().module.parameters())
    assert sum(np.prod(t.dims) for t in content.graph.initializer) >= weights


def test_wrong_usage_is_told(tmp_path: Path) -> None:
    def run(*arguments: str) -> object:
        return CliRunner().invoke(command, [*arguments], catch_exceptions=False)

    with pytest.raises(ArgumentError, match=r"does not end in .*\.onnx"):
        run("fast", "-o", str(tmp_path / "fast.pt"))
    with pytest.raises(UnknownModelError, match="did you mean 'fast'"):
        run("fsat", "-o", str(tmp_path / "a.onnx"))
    with pytest.raises(WeightsError, match="no weights file"):
        run("absent.safetensors", "-o", str(tmp_path / "a.onnx"))
    assert list(tmp_path.iterdir()) == []


def test_what_onnx_cannot_hold_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="Unexportable cannot be exported to ONNX"):
        export(model_of(Unexportable), tmp_path / "a.onnx")
    assert list(tmp_path.iterdir()) == []


def test_fingerprint_tells_networks_apart() -> None:
    def key(change=lambda module: None, *more: str) -> str | None:  # type: ignore[no-untyped-def]
        module = blur().torch().module
        change(module)
        return fingerprint(TorchNetwork(module), *more)

    def nudge(module: nn.Module) -> None:
        with torch.no_grad():
            next(module.parameters()).flatten()[0] += 1e-7

    keys = [
        key(),
        key(nudge),
        key(lambda m: setattr(m, "scale", 3)),
        key(lambda m: m.train()),
        key(lambda m: None, "3"),
    ]
    assert None not in keys
    assert len(set(keys)) == len(keys)
    assert key() == key()
    scope: dict[str, type[nn.Module]] = {}
    exec("from torch import nn\nclass Nowhere(nn.Module): pass", scope)
    assert fingerprint(TorchNetwork(scope["Nowhere"]())) is None  # its source cannot be read: never cached


MODULES = {
    "part_network": "from torch import nn\nimport part_filters\nfrom part_filters import twice\n"
    "class Part(nn.Module):\n    def forward(self, x):\n"
    "        from part_late import last\n        return last(part_filters.shifted(twice(x)))\n",
    "part_filters": "from part_numbers import FACTOR\nimport part_deep as deep\n"
    "def twice(x):\n    return x * FACTOR\ndef shifted(x):\n    return deep.moved(x)\n",
    "part_numbers": "FACTOR = 2\n",
    "part_deep": "def moved(x):\n    return x\n",
    "part_late": "def last(x):\n    return x\n",
    "part_unused": "def other(x):\n    return x\n",
}


@pytest.mark.parametrize("changed", [*MODULES, "nothing"])
def test_fingerprint_sees_the_code_of_every_module_that_a_network_uses(
    changed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each in a module of its own: a function, one it calls, a number, one by its module, one imported in a call."""
    keys = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name, text in MODULES.items():
            if number and name == changed:
                text = text.replace("FACTOR = 2", "FACTOR = 3").replace("return x\n", "return x + 1\n")
                text = text.replace("twice(x)))", "twice(x + x)))").replace("deep.moved(x)", "deep.moved(x + x)")
                assert text != MODULES[name]
            (folder / f"{name}.py").write_text(text)
            monkeypatch.delitem(sys.modules, name, raising=False)
        with monkeypatch.context() as patched:
            patched.syspath_prepend(folder)
            for name in MODULES:
                importlib.import_module(name)
            keys.append(fingerprint(TorchNetwork(sys.modules["part_network"].Part())))
            for name in MODULES:
                del sys.modules[name]
    assert None not in keys
    assert (keys[0] == keys[1]) == (changed in ("nothing", "part_unused"))


def test_cache_keeps_what_was_made_and_survives_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path))
    made = []

    def make() -> bytes:
        made.append(1)
        return b"content"

    for _ in range(3):
        assert read_or_make("kind", "name.bin", make) == b"content"
    assert len(made) == 1
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / "file"))
    assert read_or_make("kind", "name.bin", make) == b"content"
    assert len(made) == 2


def test_exported_graph_is_cached_per_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path))
    module = blur().torch().module
    first = cached_graph(module, 1)
    (kept,) = (tmp_path / "onnx").glob("*.onnx")
    written = kept.read_bytes()
    assert first in written

    def export(*arguments: object, **options: object) -> None:
        raise AssertionError("exported again")

    with monkeypatch.context() as patched:
        patched.setattr(torch.onnx, "export", export)
        assert cached_graph(module, 1) == first
    kept.write_bytes(b"damaged")
    assert cached_graph(module, 1) == first
    with torch.no_grad():
        next(module.parameters()).mul_(2)
    assert cached_graph(module, 1) != first
    assert len(list((tmp_path / "onnx").glob("*.onnx"))) == 2
