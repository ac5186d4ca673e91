"""How much of what a network adds is kept: all is the network's own, nothing is the interpolated picture."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.engine.strength import softened
from sr_plugins.errors import ArgumentError
from sr_plugins.pixels.resampling import resize_plane


def frame(family: str = "rgb", height: int = 45, width: int = 52) -> Frame:
    rng = np.random.default_rng(2)
    planes = [rng.integers(0, 256, (height, width), np.uint8) for _ in range(1 if family == "gray" else 3)]
    return Frame(planes, FrameFormat(family=family))  # type: ignore[arg-type]


def enlarged(source: Frame, **settings: object) -> NDArray[np.uint8]:
    with Upscaler("tiny", 2, device="cpu", backend="torch", precision="float32", **settings) as upscaler:  # type: ignore[arg-type]
        return np.stack(upscaler.upscale(source).planes)


def test_all_of_it_is_the_network_s_own_and_nothing_is_the_cubic() -> None:
    source = frame("gray")
    whole = enlarged(source)
    assert np.array_equal(enlarged(source, strength=1), whole)
    plane = torch.from_numpy(source.planes[0]).float()[None, None]
    cubic = softened(plane, torch.zeros(1, 1, 90, 104), 2, 0.0)[0, 0]
    assert np.array_equal(enlarged(source, strength=0.0)[0], cubic.round().clamp(0, 255).numpy())
    half = enlarged(source, strength=0.5)[0]
    between = np.clip((whole[0].astype(float) + cubic.numpy()) / 2, 0, 255)
    inside = (whole[0] > 0) & (whole[0] < 255)
    assert np.abs(half - between)[inside].max() <= 1


@pytest.mark.parametrize("family", ["gray", "rgb"])
def test_tiles_are_as_the_whole(family: str) -> None:
    source = frame(family, 75, 131)
    assert np.array_equal(enlarged(source, strength=0.3), enlarged(source, strength=0.3, tile=40))


def test_a_scale_of_one_is_the_picture_itself() -> None:
    x = torch.rand(2, 3, 9, 7)
    assert torch.equal(softened(x, torch.rand(2, 3, 9, 7), 1, 0.0), x)


def test_it_stands_in_the_description_by_which_films_are_told_apart() -> None:
    with Upscaler("tiny", device="cpu", backend="torch", strength=0.5) as upscaler:
        assert "strength 0.5" in upscaler.description


@pytest.mark.parametrize("value", [-0.1, 1.5, "0.5", True, float("nan")])
def test_what_is_no_share_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError, match="strength"):
        Upscaler("tiny", strength=value)  # type: ignore[arg-type]


def test_the_cubic_is_that_of_planes() -> None:
    plane = np.random.default_rng(3).random((20, 30)).astype(np.float32)
    ours = softened(torch.from_numpy(plane)[None, None], torch.zeros(1, 1, 40, 60), 2, 0.0)[0, 0].numpy()
    assert np.abs(ours - resize_plane(plane, 40, 60, log2=(0, 0), offset=(0.0, 0.0), top=None)).max() < 1e-6
