"""``auto``: the fastest backend, measured once, and torch whenever there is doubt."""

import logging
import time
from functools import partial
from pathlib import Path

import pytest
import torch
from fakes import blur
from torch import Tensor, nn

from sr_plugins import BackendSpec, LoadedModel, Upscaler, devices
from sr_plugins.backends import selection, torch_eager
from sr_plugins.backends.selection import choose, machine, speeds
from sr_plugins.errors import UnknownNameError
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.plugins import Plugins


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SR_PLUGINS_BACKEND")
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path))
    monkeypatch.setattr(selection, "SIZE", (24, 32))
    monkeypatch.setattr(selection, "SECONDS", 0.02)


def offering(run, *, missing: str | None = None) -> Plugins:  # type: ignore[no-untyped-def]
    """Plugins whose backend ``openvino`` is ``run(module, x)``; torch is the real one and the third is not there."""

    def spec(name: str, cure: str | None) -> BackendSpec:
        return BackendSpec(
            name=name,
            build=lambda network, placement: partial(run, network.runnable()),
            precisions=lambda device: ("float32",),
            lanes=lambda device: 2,
            missing=lambda: cure,
            replaces="sr-plugins",
        )

    class Plugin:
        @hookimpl
        def sr_backends(self) -> list[BackendSpec]:
            return [spec("openvino", missing), spec("onnxruntime", "pip install it")]

    found = Plugins(installed=False)
    found.register(Plugin(), "sr-plugins-test")
    return found


def at_once(module: nn.Module, x: Tensor) -> Tensor:
    return torch.zeros(x.shape[0], x.shape[1], 2 * x.shape[2], 2 * x.shape[3])


def slow(module: nn.Module, x: Tensor) -> Tensor:
    time.sleep(0.05)
    return at_once(module, x)


def broken(module: nn.Module, x: Tensor) -> Tensor:
    raise RuntimeError("illegal instruction, as it were")


def heavy() -> LoadedModel:
    """A network that takes torch longer than starting two threads takes."""
    loaded = blur()
    return LoadedModel(
        loaded.spec,
        TorchNetwork(nn.Sequential(*(nn.Conv2d(1, 1, 15, padding=7) for _ in range(30)), loaded.torch().module)),
    )


def test_the_faster_is_taken_the_slower_and_the_broken_are_not() -> None:
    assert choose(heavy(), offering(at_once), "cpu", "float32").name == "openvino"
    assert choose(blur(), offering(slow), "cpu", "float32").name == "torch"
    assert choose(blur(), offering(broken), "cpu", "float32").name == "torch"


def test_what_is_missing_or_asked_for_is_not_measured(caplog: pytest.LogCaptureFixture, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    with caplog.at_level(logging.WARNING, "sr_plugins"):
        assert choose(blur(), offering(at_once, missing="pip install it"), "cpu", "auto").name == "torch"
        assert choose(blur(), offering(at_once), "meta", "auto").name == "torch"
        assert choose(blur(), offering(at_once), "cpu", "float16").name == "torch"  # which then says what it has
        with Upscaler(blur(), plugins=offering(at_once), backend="openvino") as upscaler:
            assert "openvino, cpu" in upscaler.description
        monkeypatch.setenv("SR_PLUGINS_BACKEND", "openvino")
        assert choose(blur(), offering(slow), "cpu", "auto").name == "openvino"
        monkeypatch.setenv("SR_PLUGINS_BACKEND", "opnvino")
        with pytest.raises(UnknownNameError, match="did you mean 'openvino'"):
            Upscaler(blur(), plugins=offering(slow))
    assert caplog.records == []


def test_a_precision_that_torch_lacks_takes_who_has_it() -> None:
    with Upscaler(blur(), precision="int8", device="cpu") as upscaler:
        assert upscaler.description.endswith("openvino, cpu, int8")


def test_measured_once_until_something_changes(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measured() -> int:
        return sum("measuring once" in r.message for r in caplog.records)

    loaded, plugins = blur(), offering(slow)
    with caplog.at_level(logging.WARNING, "sr_plugins"):
        for _ in range(3):
            choose(loaded, plugins, "cpu", "auto")
        assert measured() == 1
        # float32 may be what auto is here
        once = 1 + (plugins.backend("torch").precisions("cpu")[0] != "float32")
        choose(loaded, plugins, "cpu", "float32")
        assert measured() == once
        with torch.no_grad():
            next(loaded.torch().module.parameters()).mul_(1.01)
        choose(loaded, plugins, "cpu", "auto")
        assert measured() == once + 1
        monkeypatch.setattr(selection, "machine", lambda: "another computer")
        choose(loaded, plugins, "cpu", "auto")
        assert measured() == once + 2
        files = list((tmp_path / "speed").iterdir())
        assert len(files) == once + 2
        for file in files:
            file.write_text("damaged")
        assert choose(loaded, plugins, "cpu", "auto").name == "torch"
        assert measured() == once + 2


@pytest.mark.parametrize(
    ("vendor", "amx", "fast"),
    [("GenuineIntel", False, "float32"), ("GenuineIntel", True, "bfloat16"), ("AuthenticAMD", False, "bfloat16")],
)
def test_auto_computes_in_the_format_that_is_faster_here(
    vendor: str, amx: bool, fast: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not torch.cpu._is_avx512_bf16_supported():
        pytest.skip("this CPU has no bfloat16 instructions")
    monkeypatch.setattr(devices, "processor", lambda field: vendor)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    for remembered in (devices.bfloat16_is_faster, torch_eager.precisions):
        remembered.cache_clear()
    try:
        for backend in ("torch", "openvino"):
            with Upscaler(blur(), backend=backend, device="cpu") as upscaler:
                assert upscaler.description.endswith(f"cpu, {fast}")
    finally:
        for remembered in (devices.bfloat16_is_faster, torch_eager.precisions):
            remembered.cache_clear()


def test_real_backends_are_measured() -> None:
    found = speeds(blur(), [Plugins(installed=False).backend(n) for n in ("torch", "onnxruntime")], "cpu", "auto")
    assert set(found) == {"torch", "onnxruntime"}
    assert min(found.values()) > 1
    assert str(torch.get_num_threads()) in machine()
