"""Shaders in the package are those of the weights in the package, and are handed out for no others."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from networks import MODELS

from sr_plugins.exporters.glsl import build, ready
from sr_plugins.exporters.shipped import NAMES, SHADERS, shipped
from sr_plugins.interface.model import ModelSpec
from sr_plugins.weights.pretrained import load_model
from sr_plugins.weights.safetensors_files import write_weights

SHIPPED = [spec for spec in MODELS if spec.scale in NAMES.get(spec.name, ())]


@pytest.mark.parametrize("spec", SHIPPED, ids=lambda spec: spec.label)
def test_a_shader_is_what_the_exporter_makes_of_the_weights(spec: ModelSpec) -> None:
    lying, made = shipped(spec), build(load_model(spec))
    assert lying is not None, "make shaders"
    assert lying.note == made.note
    assert lying.files[".glsl"] == made.files[".glsl"], "make shaders"


def test_nothing_else_lies_there() -> None:
    names = {f"{spec.name}-x{spec.scale}.glsl" for spec in SHIPPED}
    assert {p.name for p in SHADERS.iterdir()} == names | {"made_of.json"}


def test_other_weights_have_another_shader(tmp_path: Path) -> None:
    spec = next(s for s in SHIPPED if s.name == "tiny")
    assert ready(spec) is not None
    assert ready(spec, precision="full") is ready(spec, passes="fragment") is ready(spec, levels="full") is None
    loaded = load_model(spec)
    path = tmp_path / "tiny-x2.safetensors"
    write_weights(path, loaded.torch().module, loaded.card | {"metrics": {}})
    assert shipped(replace(spec, weights=path)) is not None, "the same tensors under another card"
    loaded.torch().module.head.bias.data += 0.01  # type: ignore[union-attr,operator]
    write_weights(path, loaded.torch().module, loaded.card)
    assert shipped(replace(spec, weights=path)) is None


def test_it_is_exported_without_torch(tmp_path: Path) -> None:
    target = tmp_path / "fast.glsl"
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from sr_plugins.cli.main import srp\n"
        f"srp(['export', 'fast', '-o', {str(target)!r}], standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{target}: fast x2, 22 passes, half precision, limited levels\n"
    assert target.read_bytes() == (SHADERS / "fast-x2.glsl").read_bytes()
