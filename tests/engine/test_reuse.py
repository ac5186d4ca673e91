"""Reuse of what rests: byte-equal whatever moves, less work where little does, and out of the way where much does."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from fakes import blur, model_of, with_lanes
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sr_plugins import Frame, FrameFormat, LoadedModel, Upscaler
from sr_plugins.backends import openvino
from sr_plugins.engine.changes import changed_tiles
from sr_plugins.engine.exactness import exact_in_parts
from sr_plugins.engine.reuse import KINDS, LARGEST, NAP, PATIENCE, Reuse
from sr_plugins.engine.tiling import Tile
from sr_plugins.interface.backend import Coding
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.plugins import Plugins
from sr_plugins.weights.pretrained import load_model

FORMATS = [
    FrameFormat(family="gray"),
    FrameFormat(family="yuv", subsampling=(1, 1)),
    FrameFormat(family="yuv", subsampling=(2, 2), bits=10),
    FrameFormat(family="rgb", is_float=True, bits=32),
]


def still(format: FrameFormat, width: int, height: int, *, alpha: bool = False) -> Frame:
    rng = np.random.default_rng(width * 1000 + height)

    def plane(index: int) -> np.ndarray:  # type: ignore[type-arg]
        shape = format.plane_size(index, width, height)[::-1]
        if format.is_float:
            return rng.random(shape, np.float32)
        return rng.integers(0, 1 << format.bits, shape).astype(format.dtype)

    return Frame([plane(i) for i in range(format.planes)], format, plane(0) if alpha else None)


def moved(frame: Frame, plane: int, y: int, x: int, size: int) -> Frame:
    """The frame with a square of one plane changed."""
    result = frame.copied()
    planes = [*result.planes, *(() if result.alpha is None else (result.alpha,))]
    part = planes[plane % len(planes)]
    y, x = y % part.shape[0], x % part.shape[1]
    square = part[y : y + size, x : x + size]
    square[...] = square[::-1, ::-1] + square.dtype.type(1) if not frame.format.is_float else square / 2
    return result


def clip(format: FrameFormat, count: int = 7, side: int = 128) -> list[Frame]:
    frames = [still(format, side + 13, side)]
    for i in range(1, count):
        frames.append(frames[-1] if i % 4 == 3 else moved(frames[-1], i, 17 * i, 29 * i, 5))
    return frames


class Brightest(nn.Module):
    """The largest value within a radius of 3: reads its neighbourhood and never rounds."""

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.max_pool2d(x, 7, 1, 3)
        return y.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)


@settings(max_examples=80, deadline=None)
@given(
    format=st.sampled_from(FORMATS),
    width=st.integers(1, 200),
    height=st.integers(1, 200),
    alpha=st.booleans(),
    plane=st.integers(0, 3),
    y=st.integers(0, 199),
    x=st.integers(0, 199),
    size=st.integers(1, 40),
    reach=st.integers(0, 40),
)
def test_every_pixel_within_reach_of_a_change_is_computed(
    format, width, height, alpha, plane, y, x, size, reach
) -> None:  # type: ignore[no-untyped-def]
    before = still(format, width, height, alpha=alpha)
    after = moved(before, plane, y, x, size)
    tiles = changed_tiles([before], [after], reach)
    if tiles is None:
        return
    covered = np.zeros((height, width), bool)
    for tile in tiles:
        assert not covered[tile.y.start : tile.y.stop, tile.x.start : tile.x.stop].any()
        covered[tile.y.start : tile.y.stop, tile.x.start : tile.x.stop] = True
        for span, length in ((tile.y, height), (tile.x, width)):
            assert 0 <= span.outer_start <= max(0, span.start - reach) <= span.stop <= span.outer_stop <= length
            assert span.outer_stop >= min(length, span.stop + reach)
            assert span.start % 4 == span.outer_start % 4 == 0
    needed = np.zeros((height, width), bool)
    planes = zip([*before.planes, before.alpha], [*after.planes, after.alpha], strict=True)
    for i, (a, b) in enumerate(planes):
        if a is None or b is None:
            continue
        sx, sy = format.subsampling if i in (1, 2) else (0, 0)
        for cy, cx in np.argwhere(a != b):
            top, left = (cy << sy), (cx << sx)
            needed[max(0, top - reach) : ((cy + 1) << sy) + reach, max(0, left - reach) : ((cx + 1) << sx) + reach] = (
                True
            )
    assert not (needed & ~covered).any()


def test_equal_frames_need_nothing_and_different_ones_everything() -> None:
    frame = still(FORMATS[1], 150, 100)
    assert changed_tiles([frame], [frame.copied()], 10) == []
    noise = Frame([p[::-1, ::-1] for p in frame.planes], frame.format)
    assert changed_tiles([frame], [noise], 10) is None


def test_changes_apart_become_rectangles_apart() -> None:
    frame = still(FORMATS[0], 400, 400)
    after = moved(moved(frame, 0, 10, 10, 4), 0, 300, 350, 4)
    tiles = changed_tiles([frame], [after], 8)
    assert tiles is not None

    def area(tile: Tile) -> int:
        return (tile.y.stop - tile.y.start) * (tile.x.stop - tile.x.start)

    assert len(tiles) == 2
    assert sum(map(area, tiles)) <= 2 * 64 * 64


# gray, whose one plane takes the way of luma, by one of them
@pytest.mark.parametrize(
    ("format", "backend", "precision"),
    [
        *((format, "torch", "float32") for format in FORMATS),
        *((format, *way) for format in FORMATS[1:] for way in (("torch", "auto"), ("openvino", "auto"))),
    ],
    ids=lambda value: f"{value.family}{value.bits}" if isinstance(value, FrameFormat) else value,
)
def test_results_are_byte_equal_to_full_computation(format: FrameFormat, backend: str, precision: str) -> None:
    frames = clip(format)
    with Upscaler("fast", backend=backend, precision=precision) as upscaler:
        results = list(upscaler.stream(frames))
    with Upscaler("fast", backend=backend, precision=precision, reuse=False) as upscaler:
        for frame, result in zip(frames, results, strict=True):
            assert result.same_samples(upscaler.upscale(frame))


@pytest.mark.parametrize("lanes", [1, 3])
def test_resting_tiles_are_not_computed(lanes: int) -> None:
    pixels = 0

    def run(module: nn.Module, x: Tensor) -> Tensor:
        nonlocal pixels
        pixels += x.shape[2] * x.shape[3]
        result: Tensor = module(x)
        return result

    loaded = model_of(Brightest, radius=3)
    frame = still(FORMATS[0], 256, 256)
    frames = [frame]
    for i in range(11):
        frames.append(moved(frames[-1], 0, 40 + i, 40, 8))
    with (
        Upscaler(loaded, backend="laned", plugins=with_lanes(run, lanes)) as upscaler,
        Upscaler(loaded, backend="torch", reuse=False) as plain,
    ):
        done = []
        for frame in frames:  # one at a time, so that each finds the one before it
            before = pixels
            assert upscaler.upscale(frame).same_samples(plain.upscale(frame))
            done.append(pixels - before)
    whole = 256 * 256
    assert min(done[:3]) >= whole  # the first two are not compared, the third is used to see that both ways agree
    assert max(done[3:]) <= 0.2 * whole


def test_a_caller_who_writes_into_a_result_or_a_frame_harms_nobody() -> None:
    frames = [still(FORMATS[0], 120, 120) for _ in range(6)]
    with Upscaler(blur(), backend="torch") as upscaler:
        expected = upscaler.upscale(frames[0]).copied()
        for frame in frames:
            result = upscaler.upscale(frame)
            assert result.same_samples(expected)
            result.planes[0][...] = 7
            frame.planes[0][...] = 9


def remembered(memory: Reuse, *frames: Frame) -> Frame:
    """The frames are kept: a lone one would not be."""
    for _ in range(2):
        memory.remember(frames, frames[0])
    return frames[0]


def test_frames_of_a_few_kinds_are_kept_and_the_oldest_goes() -> None:
    memory = Reuse()
    kinds = [remembered(memory, still(FORMATS[0], 16 + i, 16)) for i in range(KINDS)]
    assert all(memory.look([frame], 3) is not None for frame in reversed(kinds))
    newest = remembered(memory, still(FORMATS[0], 16, 40))
    assert memory.look([newest], 3) is not None
    assert memory.look([kinds[0]], 3) is not None  # looked for last
    assert memory.look([kinds[-1]], 3) is None
    assert memory.look([still(FORMATS[0], 16, 40, alpha=True)], 3) is None
    assert memory.look([newest, newest], 3) is None


def test_of_frames_that_are_too_large_no_copy_is_kept() -> None:
    side = 4096
    assert side * side == LARGEST
    memory, dot = Reuse(), np.zeros((1, 1), np.uint8)
    exact, beyond, half = (
        Frame([np.broadcast_to(dot, (h, side))], FORMATS[0]) for h in (side, side + 1, side // 2 + 1)
    )
    assert memory.look([remembered(memory, beyond)], 3) is None
    assert memory.look([remembered(memory, half, half), half], 3) is None
    assert memory.look([remembered(memory, half)], 3) is not None
    assert memory.look([remembered(memory, exact)], 3) is not None


def test_what_was_seen_to_differ_in_parts_is_never_tried_again() -> None:
    memory = Reuse()
    frame = remembered(memory, still(FORMATS[1], 40, 40))
    memory.prove([frame], equal=True)
    assert (found := memory.look([frame], 3)) is not None
    assert (found.trusted, found.tiles) == (True, [])
    memory.prove([frame], equal=False)
    assert memory.look([remembered(memory, frame)], 3) is None


def test_where_it_does_not_pay_it_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many frames that all differ, hardly any are compared or copied."""
    looked: list[bool] = []

    def watched(before: Sequence[Frame], frames: Sequence[Frame], reach: int) -> list[Tile] | None:
        looked[-1] = True
        return changed_tiles(before, frames, reach)

    monkeypatch.setattr("sr_plugins.engine.reuse.changed_tiles", watched)
    rng = np.random.default_rng(1)
    frames = [Frame([rng.integers(0, 256, (40, 40), dtype=np.uint8)], FORMATS[0]) for _ in range(10 * NAP)]
    with Upscaler(blur(), backend="torch") as upscaler:
        for frame in frames:
            looked.append(False)
            upscaler.upscale(frame)
    assert 2 <= sum(looked) <= PATIENCE + 10
    assert max(b - a for a, b in pairwise([i for i, was in enumerate(looked) if was])) <= NAP + 2


def test_a_network_that_is_not_exact_is_never_trusted() -> None:
    """A network that mixes the whole picture but does not say so: seen at the first reuse, and never tried again."""

    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x * 0 + x.mean()).repeat_interleave(2, 2).repeat_interleave(2, 3)

    loaded = LoadedModel(blur().spec, TorchNetwork(Mean()))
    frames = [still(FORMATS[0], 128, 128)]
    for i in range(8):
        frames.append(moved(frames[-1], 0, 9 * i, 9 * i, 30))
    with Upscaler(loaded, backend="torch") as upscaler:
        for frame in frames:
            result = upscaler.upscale(frame).planes[0]
            assert np.unique(result).size == 1
            assert abs(float(result[0, 0]) - frame.planes[0].mean()) <= 1


@pytest.mark.parametrize("precision", openvino.precisions("cpu"))
def test_our_own_network_is_exact_in_parts_of_even_frames(precision: str) -> None:
    loaded = load_model(Plugins(installed=False).model("tiny", 2))
    with Upscaler(loaded, backend="openvino", precision=precision) as upscaler:
        network = upscaler.devices[0].network
        assert exact_in_parts(network.finest(None), loaded.spec, (360, 640))
        assert exact_in_parts(network.finest(Coding(16.0, 219.0, 8)), loaded.spec, (90, 150))
