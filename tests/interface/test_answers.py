"""Plugins that answer badly: each is named with its distribution, in one line, and everything else goes on."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import warm_python
from click.testing import CliRunner
from PIL import Image

from sr_plugins import Frame, FrameFormat, ModelSpec, Upscaler
from sr_plugins.cli import doctor
from sr_plugins.cli.models import described
from sr_plugins.errors import PluginError, SRError, UnknownModelError, UnknownNameError, WeightsError
from sr_plugins.evaluation.quality import bicubic, evaluate
from sr_plugins.plugins import Plugins, plugins
from sr_plugins.training.degradations.chain import read_chain
from sr_plugins.weights.open_model import open_model

Install = Callable[..., None]
ROOT = Path(__file__).parent.parent.parent
START = """
import sys
from pathlib import Path
from sr_plugins import *
from sr_plugins.interface.network import TorchNetwork
def build():
    from torch import nn
    return nn.Upsample(scale_factor=2)
def fail(*arguments, **options):
    raise KeyError("no\\n\\nsuch")
def one(**more):
    return dict(name="odd", scale=2, channels="rgb", build=build, receptive_radius=0, needs_weights=False) | more
def run(network, placement):
    return lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3)
def way(**more):
    return dict(name="odd", build=run, precisions=lambda device: ("float32",)) | more
"""


def hook(name: str, body: str) -> str:
    return f"{START}\n@hookimpl\ndef {name}({'path' if name == 'sr_open_weights' else ''}):\n    {body}\n"


def gray() -> Frame:
    return Frame([np.arange(48, dtype=np.uint8).reshape(6, 8)], FrameFormat(family="gray"))


def others_go_on(found: Plugins) -> None:
    assert {"fast", "tiny", "vdsr"} <= {spec.name for spec in found.models()}
    assert {"torch", "openvino", "onnxruntime"} <= {spec.name for spec in found.backends()}


SPECS = {
    "name None": "ModelSpec(**one(name=None))",
    "name number": "ModelSpec(**one(name=7))",
    "name empty": "ModelSpec(**one(name=''))",
    "name of two lines": "ModelSpec(**one(name='a\\nb'))",
    "name with an escape": "ModelSpec(**one(name='a\\x1b[31m'))",
    "name with a comma": "ModelSpec(**one(name='a,b'))",
    "name with blanks around": "ModelSpec(**one(name=' a '))",
    "name endless": "ModelSpec(**one(name='a' * 9999))",
    "scale 2.5": "ModelSpec(**one(scale=2.5))",
    "scale text": "ModelSpec(**one(scale='2'))",
    "scale True": "ModelSpec(**one(scale=True))",
    "weights text": "ModelSpec(**one(weights='/path/x.safetensors'))",
    "channels": "ModelSpec(**one(channels='yuv'))",
    "build": "ModelSpec(**one(build=None))",
    "build a text": "ModelSpec(**one(build='build'))",
    "build_for_training": "ModelSpec(**one(build_for_training=3))",
    "architecture": "ModelSpec(**one(architecture=None))",
    "license": "ModelSpec(**one(license=['MIT']))",
    "replaces": "ModelSpec(**one(replaces=['sr-plugins']))",
    "precisions": "ModelSpec(**one(precisions='float32'))",
    "no spec": "one()",
    "None": "None",
    "another spec": "BackendSpec(**way())",
    "object that cannot be looked at": "type('X', (), {'__getattribute__': fail})()",
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_a_model_spec_that_is_none_is_left_out_and_named(install: Install, spec: str) -> None:
    install("sr-plugins-odd", hook("sr_models", f"return [{spec}]"))
    found = Plugins()
    others_go_on(found)
    [problem] = found.problems
    assert problem.startswith("plugin sr-plugins-odd: sr_models")
    assert len(problem.splitlines()) == 1
    assert "odd" not in {s.name for s in found.models()}
    with pytest.raises(UnknownModelError, match="sr-plugins-odd"):
        open_model("odd", None, found)


FIELDS: dict[str, tuple[object, ...]] = {
    "scale": (0, -2, 2.0, True, "2", None),
    "receptive_radius": (-1, 1.5, True),
    "margin": (-1, 2.5, True),
    "overlap": (-1, 3),  # beside a radius
    "tile_multiple": (0, None),
    "size_multiple": (0, 1.0),
    "minimum_size": (0, "1"),
    "input_channels": (0, True),
    "output_channels": (-3,),
    "channels": ("yuv", None, ["luma"]),
    "purpose": ("sharpen", None, ["enlarge"]),
    "symmetry": (3, "4", 4.0, True, None, [4]),
    "averages": (None, 3, (3,), ((0, 2),), ((1, 2, 3),), ((1.5, 2),), ((True, 2),), [(1, 2)], "12"),
    "window": (None, 1, (1,), (1, 1, 1), (-1, 0), (1.0, 0), (True, 0), [1, 1], "11", (10**6, 0), (0, 129)),
    "weights": ("/path/x.safetensors", b"x"),
    "needs_weights": (None, "no", 0),
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, wrong in FIELDS.items() for value in wrong])
def test_a_wrong_field_of_a_model_is_named_with_what_it_is(field: str, value: Any) -> None:
    good: dict[str, Any] = {"name": "odd", "scale": 2, "channels": "luma", "build": list, "receptive_radius": 1}
    with pytest.raises(ValueError, match=rf"^{field} of model 'odd' is {re.escape(repr(value))}: it is \S") as caught:
        ModelSpec(**good | {field: value})
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("sr_backends", "BackendSpec(**way(name=None))"),
        ("sr_backends", "BackendSpec(**way(build=None))"),
        ("sr_backends", "BackendSpec(**way(precisions=('float32',)))"),
        ("sr_backends", "BackendSpec(**way(lanes=2))"),
        ("sr_backends", "BackendSpec(**way(takes='torch'))"),
        ("sr_backends", "BackendSpec(**way(takes=('tensorflow',)))"),
        ("sr_backends", "BackendSpec(**way(recordable='yes'))"),
        ("sr_backends", "BackendSpec(**way(missing='pip install x'))"),
        ("sr_losses", "LossSpec(name=3, build=lambda channels: None)"),
        ("sr_losses", "LossSpec(name='odd', build=lambda c: None)"),
        ("sr_degradations", "DegradationSpec(name='odd', build=lambda: None)"),
        ("sr_degradations", "DegradationSpec(name='odd', build=lambda scale: None, random=None)"),
        ("sr_metrics", "MetricSpec(name='odd', build=7)"),
        ("sr_metrics", "MetricSpec(name='odd', build=fail, decimals='4')"),
        ("sr_metrics", "MetricSpec(name='odd', build=fail, channels='all')"),
        ("sr_metrics", "MetricSpec(name='odd', build=fail, clip=None)"),
    ],
)
def test_other_specs_are_checked_alike(install: Install, name: str, spec: str) -> None:
    install("sr-plugins-odd", hook(name, f"return [{spec}]"))
    found = Plugins()
    others_go_on(found)
    with pytest.raises(UnknownNameError, match="plugin sr-plugins-odd: "):
        found.named(name, "thing", "odd")


@pytest.mark.parametrize(
    "body", ["return None", "return 3", "return ModelSpec(**one())", "yield from fail()", "sys.exit(3)"]
)
def test_a_list_that_is_none_is_named(install: Install, body: str) -> None:
    install("sr-plugins-odd", hook("sr_models", body))
    found = Plugins()
    others_go_on(found)
    assert [p[:31] for p in found.problems] == ["plugin sr-plugins-odd: sr_models"[:31]]


@pytest.mark.parametrize(
    "source", ["raise SystemExit(3)", "import sys; sys.exit('x')", "class E(BaseException): pass\nraise E"]
)
def test_no_import_ends_a_command(install: Install, source: str) -> None:
    install("sr-plugins-odd", source)
    found = Plugins()
    others_go_on(found)
    assert [re.match("plugin sr-plugins-odd: .* could not be loaded", p) is not None for p in found.problems] == [True]


BACKENDS = {
    "missing raises": ("missing=fail", "KeyError"),
    "missing answers nonsense": ("missing=lambda: 3", "neither a text nor None"),
    "precisions raise": ("precisions=fail", "does not run on cpu"),
    "precisions are a text": ("precisions=lambda device: 'float32'", "does not run on cpu"),
    "build raises": ("build=fail", "build of odd raised KeyError"),
    "build exits": ("build=lambda n, p: sys.exit(3)", "build of odd raised SystemExit"),
    "build answers None": ("build=lambda n, p: None", "which is no function"),
}


@pytest.mark.parametrize(("change", "message"), BACKENDS.values(), ids=BACKENDS)
def test_what_a_backend_answers_is_checked(install: Install, change: str, message: str) -> None:
    install("sr-plugins-odd", hook("sr_backends", f"return [BackendSpec(**way({change}))]"))
    found = Plugins()
    with (
        pytest.raises(SRError, match=message) as error,
        Upscaler("tiny", 2, backend="odd", plugins=found, device="cpu"),
    ):
        pass
    assert "sr-plugins-odd" in f"{error.value} {found.problems}"
    with Upscaler("tiny", 2, backend="torch", device="cpu", plugins=found) as upscaler:
        assert upscaler.upscale(gray()).width == 16


@pytest.mark.parametrize("lanes", ["0", "-1", "None", "'2'", "2.5", "True", "fail()"])
def test_a_number_of_lanes_that_is_none_is_one(install: Install, lanes: str) -> None:
    install("sr-plugins-odd", hook("sr_backends", f"return [BackendSpec(**way(lanes=lambda device: {lanes}))]"))
    found = Plugins()
    with Upscaler("tiny", 2, backend="odd", device="cpu", plugins=found) as upscaler:
        assert np.array_equal(upscaler.upscale(gray()).planes[0], gray().planes[0].repeat(2, 0).repeat(2, 1))
    assert [p for p in found.problems if p.startswith("plugin sr-plugins-odd: lanes of odd")]


@pytest.mark.parametrize("build", ["fail", "lambda: None", "lambda: 'module'", "lambda: sys.exit(1)"])
def test_a_network_that_cannot_be_built_names_its_distribution(install: Install, build: str) -> None:
    install("sr-plugins-odd", hook("sr_models", f"return [ModelSpec(**one(build={build}))]"))
    with pytest.raises(PluginError, match="plugin sr-plugins-odd: build of odd"):
        Upscaler("odd", plugins=Plugins())


FORWARDS = ["fail", "lambda self, x: None", "lambda self, x: x", "lambda self, x: x.repeat(1, 1, 2, 2).byte()"]


@pytest.mark.parametrize("forward", FORWARDS)
def test_what_a_network_returns_is_told_with_its_distribution(install: Install, forward: str) -> None:
    build = f"lambda: type('Net', (__import__('torch').nn.Module,), dict(forward={forward}))()"
    install("sr-plugins-odd", hook("sr_models", f"return [ModelSpec(**one(channels='luma', build={build}))]"))
    with (
        Upscaler("odd", plugins=Plugins(), device="cpu", backend="torch", precision="float32") as upscaler,
        pytest.raises(SRError, match=r"odd x2 on backend torch \(plugin sr-plugins-odd\)"),
    ):
        upscaler.upscale(gray())


def test_a_weights_error_of_a_reader_is_final_and_named(install: Install, tmp_path: Path) -> None:
    install(
        "sr-plugins-odd",
        hook("sr_open_weights", "from sr_plugins.errors import WeightsError\n    raise WeightsError('cut off')"),
    )
    (tmp_path / "a.odd").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"^plugin sr-plugins-odd: cut off$"):
        Plugins().open_weights(tmp_path / "a.odd")


def test_readers_get_the_models_of_the_plugins_that_ask(install: Install, tmp_path: Path) -> None:
    """A file may name a model that only ``Upscaler(plugins=...)`` knows."""
    from sr_plugins.weights.safetensors_files import write_weights

    mine = "lambda: __import__('torch').nn.ConvTranspose2d(1, 1, 2, 2, bias=False)"
    body = f"yield ModelSpec(**one(name='own', channels='luma', build={mine}, needs_weights=True))"
    install("sr-plugins-own", hook("sr_models", body))
    found = Plugins()
    write_weights(tmp_path / "w.safetensors", found.model("own").build(), {"model": "own", "scale": 2})
    with Upscaler(str(tmp_path / "w.safetensors"), plugins=found, backend="torch", device="cpu") as upscaler:
        assert upscaler.upscale(gray()).width == 16
    assert found.owner_of(upscaler.loaded.spec) == "sr-plugins-own"
    with pytest.raises(WeightsError, match="is for a model that is not installed"):
        Upscaler(tmp_path / "w.safetensors", plugins=Plugins(installed=False))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("fail", "build of odd raised KeyError"),
        ("lambda: None", "build of odd returned None, which is no function"),
        ("lambda: fail", "odd raised KeyError"),
        ("lambda: lambda a, b: 'good'", "odd returned 'good', which is no number"),
        ("lambda: lambda a, b: None", "odd returned None, which is no number"),
    ],
)
def test_what_a_metric_answers_is_checked(install: Install, tmp_path: Path, build: str, message: str) -> None:
    install("sr-plugins-odd", hook("sr_metrics", f"return [MetricSpec(name='odd', build={build})]"))
    Image.fromarray(np.zeros((24, 24, 3), np.uint8)).save(tmp_path / "a.png")
    metric = Plugins().named("sr_metrics", "metric", "odd")
    with pytest.raises(PluginError, match=f"plugin sr-plugins-odd: {message}"):
        evaluate({"bicubic": bicubic(2)}, tmp_path, 2, [metric])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("lambda scale: fail", "odd raised KeyError"),
        ("lambda scale: lambda p, g: None", "odd returned None, which is no picture"),
        ("lambda scale: lambda p, g: p[..., 0]", "which is no picture"),
        ("lambda scale: lambda p, g: p * float('nan')", "not finite"),
    ],
)
def test_what_a_degradation_answers_is_checked(
    install: Install, fresh_plugins: None, tmp_path: Path, build: str, message: str
) -> None:
    install("sr-plugins-odd", hook("sr_degradations", f"return [DegradationSpec(name='odd', build={build})]"))
    (tmp_path / "c.toml").write_text('[[degradation]]\nname = "odd"\n')
    with pytest.raises(SRError, match=f"sr-plugins-odd: .*{message}"):
        read_chain(tmp_path / "c.toml", 2)(np.zeros((8, 8, 3), np.uint8), np.random.default_rng(0))


def srp(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment: dict[str, Any] = os.environ | {"PYTHONPATH": f"{folder}:{ROOT}", "SR_PLUGINS_BACKEND": "torch"}
    return warm_python.srp(*arguments, env=environment, cwd=folder)


def test_commands_go_on_beside_a_plugin_that_does_everything_wrong(
    install: Install, fresh_plugins: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It prints while it is imported and listed, has markup in its texts, and none of its answers is right."""
    source = (
        hook(
            "sr_models",
            "print('[listing]'); yield ModelSpec(**one(name='a[/red]', architecture='[bold]x[/y]', license='[z]'))",
        )
        + """
import os, subprocess
print("hello"); sys.__stdout__.write("there"); os.write(1, b"raw"); subprocess.run(["echo", "child"])
@hookimpl(specname="sr_models")
def more(): return [ModelSpec(**one(name=None))]
@hookimpl
def sr_backends(): return [BackendSpec(**way(missing=fail, lanes=fail, auto_rank=fail))]
@hookimpl
def sr_open_weights(path): raise RuntimeError(path)
"""
    )
    install("sr-plugins-odd", source)
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "a.png")
    listed = srp(tmp_path, "models", "--json")
    assert listed.returncode == 0, listed.stderr
    assert {"fast", "a[/red]"} <= {model["name"] for model in json.loads(listed.stdout)}
    assert "plugin sr-plugins-odd: sr_models failed: ValueError: name of a model is None" in listed.stderr
    table = srp(tmp_path, "models")
    assert table.returncode == 0, table.stderr
    assert "a[/red]" in table.stdout
    assert "[bold]x[/y]" in table.stdout
    done = srp(tmp_path, "image", "a.png", "-o", "b.png", "--model", "tiny")
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "b.png") as image:
        assert image.size == (18, 16)
    # in this process, and without the one that it starts for VapourSynth: test_cli.py has doctors of their own
    monkeypatch.setattr(doctor, "vapoursynth_lines", list)
    found = CliRunner().invoke(doctor.command)
    assert found.exit_code == 1
    assert isinstance(found.exception, SystemExit)
    assert "plugin sr-plugins-odd: missing of odd raised KeyError" in found.stderr


def test_a_spec_without_weights_is_described(fresh_plugins: None) -> None:
    spec: ModelSpec = plugins().model("tiny", 2)
    assert described(spec, [])["usable"]
