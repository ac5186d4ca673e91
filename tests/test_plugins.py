"""Plugins as installed distributions: the documented one works, broken ones are reported and stop nobody."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import warm_python
from click.testing import CliRunner
from PIL import Image

from sr_plugins.cli import evaluate, export
from sr_plugins.errors import ArgumentError, PluginError, RecipeError, UnknownModelError, UnknownNameError
from sr_plugins.plugins import Plugins, plugins
from sr_plugins.training.degradations.chain import read_chain
from sr_plugins.training.losses.weighted_sum import WeightedSum

DOCS = Path(__file__).parent.parent / "docs"
Install = Callable[..., None]


MODEL = """
from sr_plugins import ModelSpec, hookimpl

def build():
    from torch import nn
    return nn.Upsample(scale_factor={scale})

@hookimpl
def sr_models():
    yield ModelSpec(name="{name}", scale={scale}, channels="rgb", build=build, receptive_radius=0, replaces={replaces})
"""


def model_source(name: str, scale: int = 2, replaces: str | None = None) -> str:
    return MODEL.format(name=name, scale=scale, replaces=repr(replaces))


def documented_plugin() -> str:
    """The plugin of docs/write-a-model.md: the first python block that defines sr_models."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "write-a-model.md").read_text(), re.DOTALL)
    return next(b for b in blocks if "def sr_models" in b)


def test_hook_sr_models(install: Install, tmp_path: Path) -> None:
    """The documented plugin, installed, is listed, runs through ``srp image`` and gives the picture it promises."""
    install("sr-plugins-sharpen", documented_plugin())
    spec = Plugins().model("sharpen")
    assert (spec.scale, spec.channels, spec.receptive_radius) == (2, "luma", 3)

    from skimage.data import camera

    Image.fromarray(camera()[100:140, 200:260]).save(tmp_path / "in.png")
    environment = {"PYTHONPATH": f"{tmp_path}:{DOCS.parent}", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    arguments = ("image", "in.png", "-o", "out.png", "--model", "sharpen")
    done = warm_python.srp(*arguments, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = np.asarray(Image.open(tmp_path / "out.png")).astype(float)
    cubic = np.asarray(Image.open(tmp_path / "in.png").resize((120, 80), Image.Resampling.BICUBIC)).astype(float)
    assert result.shape == cubic.shape
    assert result.std() > cubic.std() * 1.01  # it does sharpen
    assert np.abs(result - cubic).mean() < 10  # the same picture


def test_hook_sr_backends(install: Install) -> None:
    install(
        "sr-plugins-slow",
        "from sr_plugins import BackendSpec, hookimpl\n"
        "@hookimpl\ndef sr_backends():\n"
        "    one = dict(build=lambda n, p: n.module, precisions=lambda d: ('float32',))\n"
        "    absent = BackendSpec(name='absent', missing=lambda: 'pip install x', **one)\n"
        "    return [BackendSpec(name='slow', **one), absent]\n",
    )
    plugins = Plugins()
    assert {"slow", "absent", "torch"} <= {b.name for b in plugins.backends()}
    assert plugins.backend("slow").precisions("cpu") == ("float32",)
    with pytest.raises(PluginError, match="absent cannot be used here: pip install x"):
        plugins.backend("absent")


def documented_example(hook: str) -> str:
    """The python block of docs/hooks.md that implements ``hook``."""
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "hooks.md").read_text(), re.DOTALL)
    return next(b for b in blocks if f"def {hook}(" in b)


def test_hook_sr_degradations(install: Install, fresh_plugins: None, tmp_path: Path) -> None:
    """The documented step, installed, is named by a degradation file and shrinks what it promises."""
    install("sr-plugins-decimate", documented_example("sr_degradations"))
    path = tmp_path / "chain.toml"
    path.write_text('[[degradation]]\nname = "decimate"\nphase = 1\n')
    picture = np.random.default_rng(0).integers(0, 256, (8, 6, 3), np.uint8)
    chain = read_chain(path, 2)
    assert not chain.random
    assert np.array_equal(chain(picture, np.random.default_rng(0)), picture[1::2, 1::2])
    path.write_text('[[degradation]]\nname = "decimate"\nfase = 1\n')
    with pytest.raises(RecipeError, match="degradation decimate has no option fase; there is phase"):
        read_chain(path, 2)


def test_hook_sr_losses(install: Install, fresh_plugins: None) -> None:
    """The documented loss, installed, is summed with one of ours; an absent library is told."""
    install(
        "sr-plugins-cosine",
        documented_example("sr_losses") + "\n@hookimpl(specname='sr_losses')\ndef more():\n"
        "    yield LossSpec(name='absent', build=build, missing=lambda: 'pip install x')\n",
    )
    x, y = torch.tensor([[[[3.0, 4.0]]]]), torch.tensor([[[[4.0, 3.0]]]])
    both = WeightedSum({"cosine": 2.0, "l1": 1.0}, 1, Path("r.toml"))
    assert both(x, y).item() == pytest.approx(2 * (1 - 24 / 25) + 1)
    with pytest.raises(RecipeError, match=r"r\.toml: loss absent cannot be used: pip install x"):
        WeightedSum({"absent": 1.0}, 1, Path("r.toml"))


def test_hook_sr_metrics(install: Install, fresh_plugins: None, tmp_path: Path) -> None:
    """The documented metric, installed, is printed by ``srp evaluate``."""
    install("sr-plugins-worst", documented_example("sr_metrics"))
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    arguments = ["--data", str(tmp_path), "--metrics", "worst,psnr", "--device", "cpu", "--json"]
    done = CliRunner().invoke(evaluate.command, arguments, catch_exceptions=False)
    mean = json.loads(done.stdout)["results"]["bicubic"]["mean"]
    assert 255 >= mean["worst"] > 10
    assert mean["worst"] >= 255 / 10 ** (mean["psnr"] / 20), "the worst error is above the mean square"


def test_hook_sr_exporters(install: Install, fresh_plugins: None, tmp_path: Path) -> None:
    """The documented format, installed, is written by ``srp export``; one that answers wrongly is told by its name."""
    install(
        "sr-plugins-names",
        documented_example("sr_exporters") + "\n@hookimpl(specname='sr_exporters')\ndef more():\n"
        "    yield ExporterSpec(name='wrong', suffixes=('.a', '.b'), build=lambda loaded: Exported({'.a': b'x'}))\n"
        "    yield ExporterSpec(name='dotless', suffixes=('txt',), build=build)\n",
    )
    for ending, format in ((".txt", []), (".more.TXT", ["--format", "names"])):
        target = tmp_path / f"out{ending}"
        arguments = ["tiny", "-o", str(target), *format]
        done = CliRunner().invoke(export.command, arguments, catch_exceptions=False)
        assert done.output.endswith("tiny x2, names of its tensors\n")
        assert "head.weight" in target.read_text().splitlines()
    with pytest.raises(PluginError, match=r"plugin sr-plugins-names: build of wrong returned files .* \.a, \.b"):
        CliRunner().invoke(export.command, ["tiny", "-o", str(tmp_path / "x.b")], catch_exceptions=False)
    with pytest.raises(ArgumentError, match="format names does not take --opset"):
        CliRunner().invoke(
            export.command, ["tiny", "-o", str(tmp_path / "x.txt"), "--opset", "18"], catch_exceptions=False
        )
    assert {p.name for p in tmp_path.glob("*.b")} | {p.name for p in tmp_path.glob("x.*")} == set()
    assert "suffixes of dotless is ('txt',)" in str(plugins().problems)


def test_hook_sr_open_weights(install: Install, tmp_path: Path) -> None:
    """An installed reader is asked before the built-in one, and only for what it knows."""
    install(
        "sr-plugins-reader",
        model_source("own") + "\nfrom sr_plugins import LoadedModel\n"
        "from sr_plugins.interface.network import TorchNetwork\n"
        "@hookimpl\ndef sr_open_weights(path):\n"
        "    if path.suffix == '.own':\n"
        "        spec = next(iter(sr_models()))\n"
        "        return LoadedModel(spec, TorchNetwork(spec.build()))\n",
    )
    plugins = Plugins()
    (tmp_path / "a.own").write_bytes(b"x")
    assert plugins.open_weights(tmp_path / "a.own").spec.name == "own"
    shipped = plugins.model("fast", 2).weights
    assert shipped is not None
    assert plugins.open_weights(shipped).spec.label == "fast x2"


def test_a_plugin_that_fails_to_import_stops_nobody_and_is_named(install: Install) -> None:
    install("sr-plugins-broken", "raise RuntimeError('no such driver\\nsecond line')\n")
    install("sr-plugins-good", model_source("good"))
    plugins = Plugins()
    assert plugins.model("good").name == "good"
    assert plugins.model("fast").name == "fast"
    [problem] = plugins.problems
    assert problem == "plugin sr-plugins-broken: sr_plugins_broken could not be loaded: RuntimeError: no such driver"
    with pytest.raises(UnknownModelError, match=r"did you mean 'fast'.*sr-plugins-broken"):
        plugins.model("fasst")


def test_a_plugin_that_fails_while_listing_stops_nobody(install: Install) -> None:
    install("sr-plugins-late", "from sr_plugins import hookimpl\n@hookimpl\ndef sr_models():\n    yield 1 / 0\n")
    plugins = Plugins()
    assert plugins.model("fast").name == "fast"
    assert plugins.problems == ["plugin sr-plugins-late: sr_models failed: ZeroDivisionError: division by zero"]


def test_a_misspelt_hook_is_reported_and_its_plugin_left_out(install: Install) -> None:
    install("sr-plugins-typo", model_source("typo") + "\n@hookimpl\ndef sr_modells():\n    return []\n")
    plugins = Plugins()
    assert len(plugins.problems) == 1
    assert "sr-plugins-typo" in plugins.problems[0]
    assert "sr_modells" in plugins.problems[0]
    with pytest.raises(UnknownModelError):
        plugins.model("typo")


def test_wrong_arguments_of_a_hook_are_reported(install: Install) -> None:
    install("sr-plugins-args", "from sr_plugins import hookimpl\n@hookimpl\ndef sr_models(device):\n    return []\n")
    plugins = Plugins()
    assert "sr-plugins-args" in plugins.problems[0]
    assert plugins.model("fast").name == "fast"


def test_two_providers_of_one_name_are_an_error_that_names_both(install: Install) -> None:
    install("sr-plugins-one", model_source("same"))
    install("sr-plugins-two", model_source("same"))
    plugins = Plugins()
    assert plugins.model("fast").name == "fast"
    with pytest.raises(PluginError, match="same x2 is offered by sr-plugins-one and sr-plugins-two"):
        plugins.model("same", 2)
    assert any("sr-plugins-one and sr-plugins-two" in p for p in plugins.problems)


def test_an_installed_plugin_may_replace_a_built_in(install: Install) -> None:
    install("sr-plugins-better", model_source("fast", replaces="sr-plugins"))
    plugins = Plugins()
    assert plugins.model("fast", 2).channels == "rgb"
    assert plugins.model("fast", 3).channels == "luma"  # the scale it does not offer stays ours
    assert plugins.problems == []


def test_one_distribution_offering_a_name_twice_is_reported(install: Install) -> None:
    twice = model_source("twice").replace("    yield", "    for _ in range(2):\n        yield")
    install("sr-plugins-twice", twice)
    with pytest.raises(PluginError, match="twice x2 is offered by sr-plugins-twice and sr-plugins-twice"):
        Plugins().model("twice")


def test_unknown_names_offer_close_ones() -> None:
    with pytest.raises(UnknownNameError, match="no backend called 'torhc': did you mean 'torch'"):
        Plugins(installed=False).backend("torhc")
    with pytest.raises(UnknownModelError, match="fast has x2, x3, x4"):
        Plugins(installed=False).model("fast", 7)
