"""The self-ensemble: the mean of eight positions, exact in tiles, better than one, the same from everywhere."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import vapoursynth as vs
from commands import picture, srp
from fakes import Overflows, blur, nearest
from numpy.typing import NDArray
from PIL import Image

from gimp_bridge import upscale_image
from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.errors import ArgumentError
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.plugins import Plugins
from vapoursynth_filter import upscale
from vapoursynth_filter.frames import to_frame

Picture = NDArray[np.float32]
FLOAT = FrameFormat(family="gray", bits=32, is_float=True)
TURNS: list[Callable[[Picture], Picture]] = [
    lambda p: p,
    lambda p: p[::-1],
    lambda p: p[:, ::-1],
    lambda p: p[::-1, ::-1],
    lambda p: p.T,
    lambda p: p.T[::-1],
    lambda p: p.T[:, ::-1],
    lambda p: p.T[::-1, ::-1],
]
BACK = [0, 1, 2, 3, 4, 6, 5, 7]  # the turn that undoes each: two of them are quarter turns


def noise(height: int = 21, width: int = 34) -> Picture:
    return np.random.default_rng(3).random((height, width), np.float32)


def enlarged(upscaler: Upscaler, plane: Picture) -> Picture:
    result: Picture = upscaler.upscale(Frame([np.ascontiguousarray(plane)], FLOAT)).planes[0]
    return result


def test_it_is_the_mean_of_the_eight_positions() -> None:
    plane = noise()
    with Upscaler(blur(), backend="torch", precision="float32") as one:
        results = [TURNS[BACK[i]](enlarged(one, turn(plane))) for i, turn in enumerate(TURNS)]
    assert np.abs(results[0] - results[4]).max() > 0.01  # a network of random kernels prefers directions
    with Upscaler(blur(), backend="torch", precision="float32", self_ensemble=True) as all_of_them:
        result = enlarged(all_of_them, plane)
        np.testing.assert_allclose(result, np.mean(results, 0), atol=1e-6)
        for i, turn in enumerate(TURNS):  # so that no position is preferred
            np.testing.assert_allclose(TURNS[BACK[i]](enlarged(all_of_them, turn(plane))), result, atol=1e-6)
        assert all_of_them.description.endswith(", self-ensemble")


@pytest.mark.parametrize("backend", ["torch", "openvino", "onnxruntime"])
def test_tiled_equals_untiled(backend: str) -> None:
    frame = Frame([(noise(90, 110) * 255).astype(np.uint8)], FrameFormat(family="gray"))
    with Upscaler("tiny", backend=backend, self_ensemble=True) as upscaler:
        expected = upscaler.upscale(frame).planes[0].tobytes()
        assert upscaler.upscale(frame).planes[0].tobytes() == expected
    with Upscaler("tiny", backend=backend, self_ensemble=True, tile=77) as upscaler:
        assert upscaler.upscale(frame).planes[0].tobytes() == expected


def test_it_gains_on_set5(shared_data: Path) -> None:
    from sr_plugins.evaluation.quality import evaluate, upscale_with

    metric = Plugins(installed=False).named("sr_metrics", "metric", "psnr")
    with Upscaler("realtime") as one, Upscaler("realtime", self_ensemble=True) as eight:
        ways = {"one": upscale_with(one), "eight": upscale_with(eight)}
        results = evaluate(ways, shared_data / "benchmark" / "Set5", 2, [metric])
    assert results["eight"].mean("psnr") > results["one"].mean("psnr") + 0.05


def test_half_precision_that_overflows_runs_again_in_float32() -> None:
    if "bfloat16" not in Plugins(installed=False).backend("torch").precisions("cpu"):
        pytest.skip("this CPU has no fast bfloat16")
    frame = Frame([(noise() * 255).astype(np.uint8)], FrameFormat(family="gray"))
    with Upscaler(
        replace(nearest(), network=TorchNetwork(Overflows())), precision="bfloat16", self_ensemble=True
    ) as upscaler:
        assert np.array_equal(upscaler.upscale(frame).planes[0], frame.planes[0].repeat(2, 0).repeat(2, 1))


def test_every_way_in_takes_it(tmp_path: Path) -> None:
    source = picture(tmp_path / "small.png")
    with Image.open(source) as image:
        expected = np.asarray(upscale_image(image, model="tiny", self_ensemble=True))
        assert not np.array_equal(expected, np.asarray(upscale_image(image, model="tiny")))
    target = tmp_path / "large.png"
    assert srp(source, "-o", target, "--model", "tiny", "--self-ensemble") == 0
    with Image.open(target) as image:
        assert np.array_equal(np.asarray(image), expected)
    clip = vs.core.std.BlankClip(None, 16, 12, vs.GRAY8, length=1, color=100)
    clip = vs.core.std.AddBorders(clip, 5, 3, 4, 6, color=20)
    with Upscaler("tiny", self_ensemble=True) as upscaler, clip.get_frame(0) as frame:
        expected = upscaler.upscale(to_frame(frame)).planes[0]
    with upscale(clip, "tiny", self_ensemble=True).get_frame(0) as frame:
        assert np.array_equal(np.asarray(frame[0]), expected)
    with pytest.raises(vs.Error, match="self_ensemble 'yes' is neither True nor False"):
        upscale(clip, "tiny", self_ensemble="yes")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="self_ensemble 2 is neither True nor False"):
        Upscaler("tiny", self_ensemble=2)  # type: ignore[arg-type]
