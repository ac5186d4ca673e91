"""``auto``: the fastest backend, measured once, and torch whenever there is doubt."""

import json
import logging
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes import blur
from torch import Tensor, nn
from warm_python import python

from sr_plugins import BackendSpec, Frame, FrameFormat, Upscaler, devices
from sr_plugins.backends import kept_choice, precisions, selection, torch_eager
from sr_plugins.backends.precisions import precision_for
from sr_plugins.backends.selection import Candidate, Measured, choose
from sr_plugins.errors import UnknownNameError
from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.model import LoadedModel, ModelSpec
from sr_plugins.plugins import Plugins


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SR_PLUGINS_BACKEND")
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path))


def offering(run, *, missing: str | None = None, name: str = "openvino", rank: int = 1) -> Plugins:  # type: ignore[no-untyped-def]
    """Plugins whose backend ``name`` is ``run(module, x)``; torch is the real one and our others are not there."""

    def spec(name: str, cure: str | None) -> BackendSpec:
        return BackendSpec(
            name=name,
            build=lambda network, placement: partial(run, network.runnable()),
            precisions=lambda device: ("float32",),
            lanes=lambda device: 2,
            auto_rank=lambda device: rank if device == "cpu" else None,
            missing=lambda: cure,
            replaces="sr-plugins",
        )

    class Plugin:
        @hookimpl
        def sr_backends(self) -> list[BackendSpec]:
            others = [spec(other, "pip install it") for other in {"openvino", "onnxruntime"} - {name}]
            return [spec(name, missing), *others]

    found = Plugins(installed=False)
    found.register(Plugin(), "sr-plugins-test")
    return found


def at_once(module: nn.Module, x: Tensor) -> Tensor:
    return torch.zeros(x.shape[0], x.shape[1], 2 * x.shape[2], 2 * x.shape[3])


class Stopwatch:
    """Measures what it was told; counts how often it was asked."""

    def __init__(self, **speeds: float) -> None:
        self.speeds: Measured = {"torch": 1.0, **speeds}
        self.asked = 0

    def __call__(self, spec: ModelSpec, device: str, candidates: Sequence[Candidate]) -> Measured:
        self.asked += 1
        return self.speeds


def test_only_what_is_clearly_faster_than_torch_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for faster, expected in ((1.2, "openvino"), (1.1, "torch"), (0.5, "torch")):
        monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / str(faster)))
        chosen = choose(blur(), offering(at_once), "cpu", "float32", measure=Stopwatch(openvino=faster))
        assert chosen.name == expected


def raises(error: BaseException) -> Callable[[nn.Module, Tensor], Tensor]:
    def run(module: nn.Module, x: Tensor) -> Tensor:
        raise error

    return run


@pytest.mark.parametrize(
    "run",
    [
        *(
            raises(error)
            for error in (RuntimeError("illegal"), ImportError("libtbb"), OSError("gone"), KeyError("x"), SystemExit(3))
        ),
        lambda module, x: x,
        lambda module, x: None,
    ],
    ids=["RuntimeError", "ImportError", "OSError", "KeyError", "SystemExit", "shape", "None"],
)
def test_a_backend_that_fails_is_left_out_told_and_kept_as_a_problem(run, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    plugins = offering(run)
    with caplog.at_level(logging.WARNING, "sr_plugins"):
        assert choose(blur(), plugins, "cpu", "float32", measure=Stopwatch(openvino=9.0)).name == "torch"
    told = "backend openvino (plugin sr-plugins-test) is left out by 'auto'"
    assert sum(told in record.message for record in caplog.records) == 1
    assert any("openvino" in problem for problem in plugins.problems)


def test_a_backend_that_ends_the_program_while_it_is_measured_is_not_taken() -> None:
    calls: list[int] = []

    def run(module: nn.Module, x: Tensor) -> Tensor:
        calls.append(1)
        return at_once(module, x)

    def measure(spec: ModelSpec, device: str, candidates: Sequence[Candidate]) -> Measured:
        candidates[-1].runner(torch.zeros(1, 1, 8, 8))
        raise SystemExit(3)

    plugins = offering(run)
    assert choose(blur(), plugins, "cpu", "float32", measure=measure).name == "openvino"  # by rule
    assert calls
    assert any("SystemExit: 3" in problem for problem in plugins.problems)


def test_a_backend_that_an_earlier_day_chose_is_tried_again() -> None:
    stopwatch = Stopwatch(openvino=9.0)
    assert choose(blur(), offering(at_once), "cpu", "float32", measure=stopwatch).name == "openvino"
    assert choose(blur(), offering(raises(ImportError("gone"))), "cpu", "float32", measure=stopwatch).name == "torch"
    assert choose(blur(), offering(at_once), "cpu", "float32", measure=stopwatch).name == "openvino"
    assert stopwatch.asked == 1


def test_a_backend_of_a_plugin_with_a_rank_becomes_auto() -> None:
    plugins = offering(at_once, name="abacus")
    assert choose(blur(), plugins, "cpu", "float32", measure=Stopwatch(abacus=9.0)).name == "abacus"
    with Upscaler(blur(), plugins=plugins, device="cpu", precision="float32") as upscaler:
        assert "abacus, cpu" in upscaler.description


def test_a_busy_machine_goes_by_rule_and_every_process_agrees() -> None:
    busy = Stopwatch()
    busy.speeds = "other programs keep this machine busy"
    assert choose(blur(), offering(at_once), "cpu", "float32", measure=busy).name == "openvino"
    # the first that decided did so for those that come later
    assert choose(blur(), offering(at_once), "cpu", "float32", measure=Stopwatch(openvino=0.1)).name == "openvino"


def test_a_choice_by_rule_lasts_as_long_as_it_is_asked_for_and_is_then_measured(tmp_path: Path) -> None:
    busy, idle = Stopwatch(), Stopwatch(openvino=0.1)
    busy.speeds = "other programs keep this machine busy"

    def chosen(stopwatch: Stopwatch) -> str:
        return choose(blur(), offering(at_once), "cpu", "float32", measure=stopwatch).name

    def aged(seconds: float) -> None:
        (file,) = (tmp_path / "speed").glob("*.json")
        then = file.stat().st_mtime - seconds
        os.utime(file, (then, then))

    assert chosen(busy) == "openvino"
    for _ in range(3):  # a night's job whose chunks start every now and then
        aged(0.9 * kept_choice.QUIET_SECONDS)
        assert chosen(idle) == "openvino"
    assert idle.asked == 0
    aged(1.1 * kept_choice.QUIET_SECONDS)
    assert chosen(busy) == "openvino"  # still busy: as it was
    assert (chosen(idle), idle.asked) == ("openvino", 0)
    aged(1.1 * kept_choice.QUIET_SECONDS)
    assert chosen(idle) == "torch"
    aged(9 * kept_choice.QUIET_SECONDS)
    assert (chosen(Stopwatch(openvino=9.0)), idle.asked) == ("torch", 1)  # what was measured stays


def test_where_nothing_can_be_kept_nothing_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / "file"))
    stopwatch = Stopwatch(openvino=0.1)
    assert choose(blur(), offering(at_once), "cpu", "float32", measure=stopwatch).name == "openvino"
    assert stopwatch.asked == 0


def test_what_is_missing_or_asked_for_is_not_measured(caplog: pytest.LogCaptureFixture, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    stopwatch = Stopwatch(openvino=9.0, abacus=9.0)
    with caplog.at_level(logging.WARNING, "sr_plugins"):
        absent = offering(at_once, missing="pip install it", name="abacus")
        assert choose(blur(), absent, "cpu", "auto", measure=stopwatch).name == "torch"
        assert choose(blur(), offering(at_once), "meta", "auto", measure=stopwatch).name == "torch"
        # which then says what it has
        assert choose(blur(), offering(at_once), "cpu", "float16", measure=stopwatch).name == "torch"
        with Upscaler(blur(), plugins=offering(at_once), backend="openvino") as upscaler:
            assert "openvino, cpu" in upscaler.description
        monkeypatch.setenv("SR_PLUGINS_BACKEND", "openvino")
        assert choose(blur(), offering(at_once), "cpu", "auto", measure=stopwatch).name == "openvino"
        monkeypatch.setenv("SR_PLUGINS_BACKEND", "opnvino")
        with pytest.raises(UnknownNameError, match="did you mean 'openvino'"):
            Upscaler(blur(), plugins=offering(at_once))
    assert stopwatch.asked == 0
    assert caplog.records == []


@pytest.mark.parametrize("backend", ["torch", "openvino", "onnxruntime"])
@pytest.mark.parametrize("model", ["tiny", "dbpn"])  # a graph that we write, and one that torch exports
def test_a_program_whose_tensors_are_float64_gets_the_same_pictures(backend: str, model: str) -> None:
    luma = np.random.default_rng(1).integers(0, 256, (20, 24), dtype=np.uint8)
    pictures = []
    before = torch.get_default_dtype()
    for usual in (torch.float32, torch.float64):
        torch.set_default_dtype(usual)
        try:
            with Upscaler(model, backend=backend, device="cpu", precision="float32") as upscaler:
                pictures.append(upscaler.upscale(Frame([luma], FrameFormat(family="gray"))).planes[0])
        finally:
            torch.set_default_dtype(before)
    assert np.array_equal(pictures[0], pictures[1])


def test_a_precision_that_torch_lacks_takes_who_has_it() -> None:
    with Upscaler(blur(), precision="int8", device="cpu") as upscaler:
        assert upscaler.description.endswith("openvino, cpu, int8")


def test_measured_once_until_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, plugins, stopwatch = blur(), offering(at_once), Stopwatch(openvino=9.0)

    def chosen(precision: str = "auto") -> str:
        return choose(loaded, plugins, "cpu", precision, measure=stopwatch).name

    for _ in range(3):
        assert chosen() == "openvino"
    assert stopwatch.asked == 1
    # float32 may be what auto is here
    once = 1 + (plugins.backend("torch").precisions("cpu")[0] != "float32")
    chosen("float32")
    assert stopwatch.asked == once
    with torch.no_grad():
        next(loaded.torch().module.parameters()).mul_(1.01)
    chosen()
    assert stopwatch.asked == once + 1
    monkeypatch.setattr(selection, "machine", lambda: "another computer")
    chosen()
    assert stopwatch.asked == once + 2
    files = list((tmp_path / "speed").glob("*.json"))
    assert len(files) == once + 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "damaged",
        "[]",
        '{"backend": 7, "measured": true}',
        '{"backend": "gone", "measured": true}',
        '{"backend": "openvino"}',
        '{"backend": "openvino", "measured": 1}',
        "{" * 5000,
    ],
    ids=str,
)
def test_a_damaged_file_is_made_anew(content: str, tmp_path: Path) -> None:
    stopwatch = Stopwatch(openvino=9.0)
    choose(blur(), offering(at_once), "cpu", "float32", measure=stopwatch)
    (file,) = (tmp_path / "speed").glob("*.json")
    file.write_text(content)
    assert choose(blur(), offering(at_once), "cpu", "float32", measure=stopwatch).name == "openvino"
    assert stopwatch.asked == 2
    assert json.loads(file.read_text()) == {"backend": "openvino", "measured": True}


def test_processes_on_a_cold_cache_take_the_same_backend(tmp_path: Path) -> None:
    """Each would measure something else: its own number decides, unless the first decides for all."""
    code = """
import sys
from test_selection import Stopwatch, at_once, blur, choose, offering
number = int(sys.argv[1])
plugins = offering(at_once)
print(choose(blur(), plugins, "cpu", "float32", measure=Stopwatch(openvino=9.0 if number % 2 else 0.1)).name)
"""
    paths = [str(Path(__file__).parent), str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SR_PLUGINS_CACHE": str(tmp_path / "cold")}
    with ThreadPoolExecutor(4) as pool:
        running = list(pool.map(lambda i: python("-c", code, i, env=environment), range(4)))
    chosen = [process.stdout.strip() for process in running]
    assert all(process.returncode == 0 for process in running), running
    assert len(set(chosen)) == 1, chosen
    assert chosen[0] in ("torch", "openvino")


@pytest.mark.parametrize("packages", [("openvino", "onnxruntime"), ("onnx",)], ids=lambda names: names[0])
def test_broken_packages_cost_auto_a_line_and_a_named_backend_ends_at_once(
    packages: tuple[str, ...], tmp_path: Path
) -> None:
    """As after an upgrade of the system, with a cold cache and with one that names the backend."""
    broken = tmp_path / "broken"
    for package in packages:
        (broken / package).mkdir(parents=True)
        (broken / package / "__init__.py").write_text(
            "raise ImportError('libtbb.so.12: cannot open shared object file')"
        )
    code = """
import logging, sys
logging.basicConfig(stream=sys.stdout, format="%(message)s")
from fakes import blur
from sr_plugins import Upscaler
from sr_plugins.errors import PluginError
with Upscaler(blur(), device="cpu", precision="float32") as upscaler:
    print("CHOSEN", upscaler.description)
try:
    Upscaler(blur(), device="cpu", backend="openvino")
except PluginError as error:
    print("NAMED", error)
"""
    paths = [str(broken), str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    for _ in range(2):
        done = python("-c", code, env=environment, timeout=200)
        assert done.returncode == 0, done
        lines = done.stdout.splitlines()
        assert any(line.startswith("CHOSEN") and "on torch," in line for line in lines), done
        assert any(
            line.startswith("NAMED") and "libtbb.so.12" in line and "use backend torch" in line for line in lines
        )
        for backend in ("openvino", "onnxruntime"):
            assert sum(f"{backend} is left out by 'auto'" in line for line in lines) <= 1


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


@pytest.mark.parametrize(
    ("psnr", "int8", "vnni", "expected"),
    [
        (37.0, 36.981, True, "int8"),
        (37.0, 36.97, True, "float32"),
        (37.0, 36.981, False, "float32"),
        (37.0, None, True, "float32"),
        (37.0, 37.2, True, "int8"),
    ],
)
def test_integers_without_asking_where_the_card_says_they_cost_nothing_and_the_processor_has_them(
    psnr: float, int8: float | None, vnni: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precisions, "int8_is_faster", lambda kind: vnni)
    metrics = {"Set5": {"psnr": psnr}, "BSD100": {"psnr": 31.0}} | (
        {} if int8 is None else {"Set5 int8": {"psnr": int8}}
    )
    loaded = replace(blur(), card={"metrics": metrics})
    offered = Plugins(installed=False).backend("openvino")
    backend = replace(offered, precisions=lambda device: ("float32", "int8"))
    assert precision_for(backend, loaded, "cpu", "auto") == expected
    assert precision_for(backend, loaded, "cpu", "float32") == "float32"
    only = replace(loaded, spec=replace(loaded.spec, precisions=("float32",)))  # in which alone it stays right
    assert precision_for(backend, only, "cpu", "auto") == "float32"


@pytest.mark.parametrize("card", [{}, {"metrics": 3}, {"metrics": {"Set5": 37, "Set5 int8": {"psnr": "x"}}}])
def test_a_card_of_another_kind_says_nothing_of_integers(card: dict[str, object]) -> None:
    assert LoadedModel(blur().spec, blur().network, card=card).int8_loss is None


def test_the_loss_of_integers_is_the_largest_that_was_measured() -> None:
    measured = {"Set5": 37.0, "Set5 int8": 36.99, "BSD100": 31.0, "BSD100 int8": 30.5, "Urban100": 31.0}
    card = {"metrics": {name: {"psnr": psnr} for name, psnr in measured.items()}}
    assert replace(blur(), card=card).int8_loss == pytest.approx(0.5)
