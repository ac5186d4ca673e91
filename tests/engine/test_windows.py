"""Which neighbours a frame has: those of its shot, the same however frames come, and no more held than needed."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from fakes import mixing
from hypothesis import given, settings
from hypothesis import strategies as st
from shots import GRAY, film, shot, shots_of
from torch import Tensor, nn

from sr_plugins import Frame, FrameFormat, LoadedModel, Upscaler
from sr_plugins.engine.windows import Seen, Windows, neighbours, windows
from sr_plugins.errors import ArgumentError, FrameError
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.interface.words import Channels
from sr_plugins.pixels.cuts import is_cut, reduced


@settings(max_examples=10, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    window=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_neighbours_are_the_nearest_of_the_same_shot(lengths: list[int], window: tuple[int, int]) -> None:
    frames, shots = film(lengths), shots_of(lengths)
    found = list(windows(frames, window))
    assert [seen.frame for seen in found] == frames
    for at, seen in enumerate(found):
        before = [frames[i] for i in range(at - 1, max(-1, at - 1 - window[0]), -1) if shots[i] == shots[at]]
        after = [frames[i] for i in range(at + 1, min(len(frames), at + 1 + window[1])) if shots[i] == shots[at]]
        assert (list(seen.before), list(seen.after)) == (before, after)
        assert neighbours(len(frames), at, window, lambda i: is_cut(reduced(frames[i - 1]), reduced(frames[i]))) == (
            range(at - 1, at - 1 - len(before), -1),
            range(at + 1, at + 1 + len(after)),
        )


@settings(max_examples=5, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 5), min_size=1, max_size=4),
    window=st.sampled_from([(1, 1), (2, 0), (0, 2), (2, 1)]),
    chunk=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_in_order_reversed_at_random_and_in_chunks_are_equal(
    lengths: list[int], window: tuple[int, int], chunk: int, seed: int
) -> None:
    frames = film(lengths)
    found = list(windows(frames, window))
    order = random.Random(seed).sample(range(len(frames)), len(frames))
    with Upscaler(mixing(window), backend="torch") as upscaler:
        whole = list(upscaler.stream(frames))
        for places in (range(len(frames) - 1, -1, -1), order):
            for at in places:
                seen = found[at]
                assert upscaler.upscale(seen.frame, seen.before, seen.after).same_samples(whole[at])
        for first in range(0, len(frames), chunk):
            begun = max(0, first - window[0])
            line, given = Windows(window, before=frames[begun:first]), list[Seen]()
            for frame in frames[first : first + chunk + window[1]]:
                given += [ready] if (ready := line.add(frame)) else []
            given = [*given, *line.rest()][: len(frames[first : first + chunk])]
            for at, seen in enumerate(given, first):
                assert upscaler.upscale(seen.frame, seen.before, seen.after).same_samples(whole[at])


def test_a_wrong_neighbour_shows() -> None:
    """What the tests beside this one rely on."""
    a, b, c, d = shot(0, 4)
    with Upscaler(mixing(), backend="torch", reuse=False) as upscaler:
        results = [upscaler.upscale(b, *others) for others in (([a], [c]), ([c], [a]), ([a], [d]), ([a], []), ([], []))]
        repeated = upscaler.upscale(b, [b], [b])
    assert not any(x.same_samples(y) for i, x in enumerate(results) for y in results[:i])
    assert results[-1].same_samples(repeated)


def test_pictures_that_are_no_film_are_each_alone() -> None:
    frames = shot(0, 5)
    with Upscaler(mixing(), backend="torch") as upscaler:
        alone = [upscaler.upscale(frame) for frame in frames]
        streamed = list(upscaler.stream(frames, film=False))
        assert all(map(Frame.same_samples, alone, streamed))
        assert not any(map(Frame.same_samples, alone, upscaler.stream(frames)))


def test_a_shot_ends_where_the_format_changes() -> None:
    gray = shot(0, 3)
    deep = [Frame([frame.planes[0].astype(np.uint16) * 4], FrameFormat(family="gray", bits=10)) for frame in gray]
    found = list(windows([*gray, *deep], (2, 2)))
    assert [(len(seen.before), len(seen.after)) for seen in found] == [(0, 2), (1, 1), (2, 0)] * 2
    assert [len(seen.after) for seen in windows([*gray, *deep], (0, 2), "none")] == [2, 1, 0] * 2


def test_cuts_are_looked_for_only_where_they_are_asked_for() -> None:
    frames = film([3, 3])
    assert [len(seen.before) for seen in windows(frames, (2, 0), "none")] == [0, 1, 2, 2, 2, 2]
    assert [len(seen.before) for seen in windows(frames, (2, 0))] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize("window", [(0, 0), (1, 1), (2, 0), (0, 3), (5, 2)])
def test_no_more_frames_are_kept_than_a_window_needs(window: tuple[int, int]) -> None:
    line, frames = Windows(window), shot(0, 50)
    kept, given = Counter[int](), 0
    for i in range(600):
        given += line.add(frames[i % 50]) is not None
        kept[line.kept] += 1
    assert max(kept) <= sum(window) + 1
    assert given + len(list(line.rest())) == 600
    assert line.kept <= window[0]


def test_neighbours_that_cannot_be_are_refused() -> None:
    a, b, c = shot(0, 3)
    other = shot(0, 1, (40, 40))[0]
    with Upscaler(mixing(), backend="torch") as upscaler:
        with pytest.raises(ArgumentError, match="2 frames before: mixing x2 sees 1"):
            upscaler.submit(b, [a, c])
        with pytest.raises(FrameError, match="a frame after has another format or size"):
            upscaler.submit(b, [a], [other])


def test_what_rests_is_reused_by_window_and_exactly() -> None:
    """A still, then a square that moves over it: every window's result equals what is computed without reuse."""
    rng = np.random.default_rng(3)
    still = rng.integers(0, 256, (160, 176), np.uint8)
    frames = [Frame([still.copy()], GRAY) for _ in range(14)]
    for i in range(6, 10):
        frames[i].planes[0][40 + i : 52 + i, 60:72] = 9
    pixels: list[int] = []

    class Brightest(nn.Module):
        """The largest value within a radius of 2, the neighbours' at half: rounds nothing, so that parts are exact."""

        def forward(self, x: Tensor) -> Tensor:
            pixels.append(x.shape[-1] * x.shape[-2])
            y = torch.maximum(x[:, 1], torch.maximum(x[:, 0], x[:, 2]) / 2)
            return nn.functional.max_pool2d(y, 5, 1, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)

    loaded = LoadedModel(mixing((1, 1)).spec, TorchNetwork(Brightest()))
    with Upscaler(loaded, backend="torch", reuse=False) as plain:
        expected = list(plain.stream(frames))
    del pixels[:]
    done: list[int] = []
    with Upscaler(loaded, backend="torch") as upscaler:
        for seen, wanted in zip(windows(frames, (1, 1)), expected, strict=True):
            before = sum(pixels)
            assert upscaler.upscale(seen.frame, seen.before, seen.after).same_samples(wanted)
            done.append(sum(pixels) - before)
    assert done[4] == 0  # nothing moved within its window
    assert 0 < done[7] < still.size / 2
    assert 0 < done[10] < still.size / 2  # the frame before differs, the frame itself does not
    assert done[12] == 0


@pytest.mark.parametrize("channels", ["luma", "rgb"])
@pytest.mark.parametrize("alpha", [False, True])
def test_colour_is_that_of_the_frame_itself(channels: Channels, alpha: bool) -> None:
    """With neighbours equal to it in luma a frame comes out as alone, whatever their colour, where luma is enlarged."""
    format = FrameFormat(family="yuv", subsampling=(1, 1), matrix=1)
    luma, rng = shot(0, 1)[0].planes[0], np.random.default_rng(0)

    def colored() -> Frame:
        chroma = [rng.integers(80, 180, (20, 36), np.uint8) for _ in range(2)]
        return Frame([luma, *chroma], format, rng.integers(1, 256, luma.shape, np.uint8) if alpha else None)

    before, now, after = colored(), colored(), colored()
    with Upscaler(mixing((1, 1), channels=channels), backend="torch", reuse=False) as upscaler:
        alone, among = upscaler.upscale(now), upscaler.upscale(now, [before], [after])
        batch = [upscaler.submit(frame, [other], [other]) for frame, other in ((now, now), (before, before))]
        assert batch[0].result().same_samples(alone)
    assert alone.same_samples(among) == (channels == "luma")
    assert among.alpha is None or (alone.alpha is not None and np.array_equal(among.alpha, alone.alpha))
