"""``srp bench``: real cases in real processes; the numbers fit each other."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from sr_plugins import Upscaler
from sr_plugins.cli.bench import WAYS, command
from sr_plugins.engine.changes import changed_tiles
from sr_plugins.errors import DeviceError, SRError, UnknownModelError, UnknownNameError
from sr_plugins.evaluation.speed import PICTURES, YUV420P8, multiply_adds, peak
from sr_plugins.pixels.frame import Frame
from sr_plugins.plugins import plugins
from sr_plugins.video.pace import noise
from sr_plugins.weights.pretrained import load_model


def frames(width: int, height: int) -> list[Frame]:
    return [noise(YUV420P8, width, height, seed) for seed in range(PICTURES)]


def run(*arguments: str) -> Any:
    return CliRunner().invoke(command, [*arguments], catch_exceptions=False)


def test_ways_to_the_core_are_measured_in_processes_of_their_own() -> None:
    done = run(
        "--model", "tiny", "--backend", "torch", "--size", "96x64", "--seconds", "0.1", "--json",
        "--ways", "core,vapoursynth", "--precision", "float32", "--device", "cpu",
    )  # fmt: skip
    results = json.loads(done.stdout)["results"]
    assert [result["way"] for result in results] == ["core", "vapoursynth"]
    for result in results:
        assert (result["model"], result["scale"], result["width"], result["height"]) == ("tiny", 2, 96, 64)
        assert result["description"] == "tiny x2 on torch, cpu, float32"
        assert result["fps"] > 0
        assert result["first_frame"] > 0
        assert 50 < result["memory"] < 5000  # MiB
        assert result["share_of_peak"] > 0


@pytest.mark.parametrize("way", WAYS)
def test_a_way_enlarges_as_many_frames_as_it_says(way: str) -> None:
    with Upscaler("tiny", device="cpu", backend="torch") as upscaler:
        seen: list[tuple[int, int]] = []
        submit = upscaler.submit
        upscaler.submit = lambda frame, *more, **size: (  # type: ignore[assignment]
            seen.append((frame.width, frame.height)) or submit(frame, *more, **size)  # type: ignore[func-returns-value]
        )
        WAYS[way](upscaler, frames(32, 16), 7)
    assert seen == [(32, 16)] * 7


def test_what_cannot_be_measured_is_told_and_the_rest_goes_on() -> None:
    with pytest.raises(SRError, match="nothing could be measured"):
        run("--models", "tiny", "--backends", "onnxruntime", "--precision", "int8", "--sizes", "16x16")
    with pytest.raises(DeviceError, match="device 'meta' computes no pixels"):
        run("--models", "tiny", "--device", "meta")
    with pytest.raises(UnknownModelError):
        run("--models", "fsat")
    with pytest.raises(UnknownNameError):
        run("--backends", "toroch")
    with pytest.raises(UnknownNameError, match="did you mean 'pillow'"):
        run("--ways", "core,pilow")
    with pytest.raises(UnknownModelError):
        run("-m", "fsat")
    assert run("--sizes", "640").exit_code == 2
    assert run("--size", "640x").exit_code == 2
    assert run("--sizes", "1x1").exit_code == 2


def test_multiply_adds_are_those_of_the_layers() -> None:
    """realtime x2: 3x3 layers 1-16, eleven times 16-16, 16-4, and three times a fixed 5x5 kernel of four phases."""
    expected = 9 * (16 + 11 * 16 * 16 + 16 * 4) + 3 * 25 * 4
    counted = multiply_adds(load_model(plugins().model("realtime", 2)))
    assert expected <= counted <= 1.02 * expected
    assert multiply_adds(load_model(plugins().model("film", 2))) > counted  # of several frames


def test_frames_never_rest_and_the_peak_is_a_rate() -> None:
    noisy = frames(64, 48)
    assert noisy[0].format == YUV420P8
    assert all(changed_tiles([a], [b], 8) is None for a, b in zip(noisy, noisy[1:] + noisy[:1], strict=True))
    assert peak("cpu", "float32") > 1e9
