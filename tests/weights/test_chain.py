"""Models one after the other: what each gives is the next one's picture, unrounded."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from test_ncnn_files import pair

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.errors import UnknownModelError
from sr_plugins.plugins import plugins
from sr_plugins.weights.digest import weights_digest
from sr_plugins.weights.open_model import links_of, located, open_model, weights_file
from sr_plugins.weights.reach import picture

FLOATS = FrameFormat(family="rgb", bits=32, is_float=True)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SR_PLUGINS_CACHE", str(tmp_path / "cache"))


def frame(height: int, width: int, channels: int = 3) -> Frame:
    planes = [plane.numpy() for plane in picture(channels, height, width)[0]]
    return Frame(planes, FLOATS if channels == 3 else FrameFormat(family="gray", bits=32, is_float=True))


def enlarged(model: str, source: Frame, scale: float | None = None, tile: int | str = "auto") -> NDArray[np.float32]:
    with Upscaler(model, scale, device="cpu", backend="torch", precision="float32", tile=tile) as upscaler:
        return np.stack(upscaler.upscale(source).planes)


def test_two_models_are_as_one_after_the_other_without_rounding(tmp_path: Path) -> None:
    file = str(pair(tmp_path))
    source = frame(30, 41)
    first = enlarged(file, source)
    second = enlarged("tiny", Frame(list(first), FLOATS))
    assert np.abs(enlarged(f"{file},tiny", source) - second).max() < 2e-5
    other = enlarged(file, Frame(list(enlarged("tiny", source)), FLOATS))
    assert np.abs(enlarged(f"tiny, {file}", source) - other).max() < 2e-5


def test_two_of_luma_stay_of_luma_and_tiles_are_as_the_whole() -> None:
    spec = open_model("tiny,tiny").spec
    assert (spec.scale, spec.channels, spec.label) == (4, "luma", "tiny+tiny x4")
    source = frame(70, 90, 1)
    twice = enlarged("tiny", Frame(list(enlarged("tiny", source)), source.format))
    assert np.abs(enlarged("tiny,tiny", source) - twice).max() < 2e-5
    whole = enlarged("tiny,tiny", source)
    assert np.abs(enlarged("tiny,tiny", source, tile=48) - whole).max() < 1e-6


def test_scales_go_to_the_last_that_has_several(tmp_path: Path) -> None:
    file = str(pair(tmp_path))
    assert [open_model(f"{file},fast", s).spec.scale for s in (None, 4, 6, 8)] == [4, 4, 6, 8]
    assert open_model(f"fast,{file}", 6).spec.scale == 6


def test_names_with_commas_and_missing_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pair(tmp_path, name="a,b")
    assert weights_file("a,b.param") == Path("a,b.param")
    assert links_of("a,b.param", plugins()) == []
    assert located("./x.pth,tiny") == f"{tmp_path / 'x.pth'},tiny"
    assert weights_file("x.pth,tiny") is None
    for model in ("tiny,", ",tiny", "tiny,tinny"):
        with pytest.raises(UnknownModelError):
            open_model(model)


def test_orders_are_told_apart(tmp_path: Path) -> None:
    file = str(pair(tmp_path))
    assert weights_digest(open_model(f"{file},tiny")) != weights_digest(open_model(f"tiny,{file}"))


def test_the_module_takes_any_size(tmp_path: Path) -> None:
    module = open_model(f"{pair(tmp_path)},tiny").torch().module
    with torch.inference_mode():
        assert module(torch.rand(1, 3, 1, 5)).shape == (1, 3, 4, 20)
