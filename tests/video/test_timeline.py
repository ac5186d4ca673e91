"""What a film's time stamps say: clocks that jump, frames at one time, streams without times, frames that lack."""

from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_plugins.errors import PipeError
from sr_plugins.video.chunks import Chunk, frame_before, undecoded
from sr_plugins.video.journal_lines import ChunkRecord
from sr_plugins.video.timeline import Span, Timeline, apart, bare_clock, equal_times, refuse_jumps

FILM = Path("film.mkv")
MILLI = Fraction(1, 1000)


def clock(*gaps: int) -> list[int]:
    return [*accumulate(gaps, initial=0)]


@pytest.mark.parametrize(
    "gaps",
    [
        [],
        [40] * 20,
        [40, 40, 10_000, 40, 40],  # a pause of ten seconds
        [30_000, 30_000, 300_000, 30_000],  # a frame in half a minute: a pause of ten of them
        [40, -80, 120, 40, 40],  # two frames back
        [0, 0, 0],
    ],
)
def test_a_clock_with_pauses_goes_on(gaps: list[int]) -> None:
    refuse_jumps(FILM, clock(*gaps), MILLI)


@pytest.mark.parametrize(
    ("gaps", "at"),
    [
        ([40, 40, 10_001, 40, 40], "0.12"),
        ([30_000, 30_000, 300_001, 30_000], "90.00"),
        ([40, 40, 40, -81, 40, 40, 40], "0.16"),
        ([40, 40, 40, 40, -(1 << 33)], "0.20"),
    ],
)
def test_a_clock_that_jumps_is_refused_with_the_place(gaps: list[int], at: str) -> None:
    """The place is where playing has come to, whatever the clock says."""
    with pytest.raises(PipeError, match=rf"film\.mkv: its clock jumps at {at} s; repair it first: ffmpeg -fflags"):
        refuse_jumps(FILM, clock(*gaps), MILLI)


@given(st.lists(st.integers(-50, 50), max_size=40).map(sorted))
def test_frames_at_one_time_come_a_tick_apart(times: list[int]) -> None:
    found = apart(times)
    assert all(a < b for a, b in pairwise(found))
    # each is where it was, or a tick behind the one before, which stands there
    assert found[:1] == times[:1]
    assert all(now == max(was, last + 1) for was, now, last in zip(times[1:], found[1:], found[:-1], strict=True))


@pytest.mark.parametrize("count", [1, 2, 21])
def test_up_to_half_a_frame_late_is_told(count: int) -> None:
    """At 25 frames a second that is 20 ms."""
    told = equal_times(FILM, [500] * count + [540, 580], MILLI, Fraction(25), Fraction(1, 10))
    if count == 1:
        assert told is None
    else:
        assert (
            told == f"{count - 1} frames lie at the time of another, the first at 0.400 s: each is shown a tick later"
        )


def test_later_than_half_a_frame_is_refused() -> None:
    with pytest.raises(PipeError, match=r"film\.mkv: 21 frames .* at 0\.400 s, and there is no room .*setpts=N/25/TB"):
        equal_times(FILM, [500] * 22 + [540], MILLI, Fraction(25), Fraction(1, 10))


def test_a_stream_without_times_gets_a_tick_for_each_frame() -> None:
    found = Timeline((5, 9), (5,), 3, (1, 2), 7, Fraction(1, 2), Fraction(9), {0: Span(*[Fraction(1)] * 4)})
    counted = bare_clock(found)
    assert (counted.times, counted.keyframes, counted.decoding, counted.rest) == ((0, 1, 2), (0,), (), 1)
    assert (counted.begin, counted.spans, counted.packets) == (0, {}, 3)


def test_the_frame_before_a_chunk() -> None:
    timeline = [0, 40, 80, 120]
    assert [frame_before(timeline, Chunk(i, first, None, 1)) for i, first in enumerate((-(1 << 62), 40, 80, 100))] == [
        *(None, 0, 40, 80)
    ]
    assert frame_before(timeline, Chunk(0, 80, None, 2)) is None  # the film begins there, with --start


def test_frames_that_did_not_come_out_are_counted() -> None:
    def record(index: int, frames: int, complaint: str = "") -> ChunkRecord:
        return ChunkRecord(index, "a.nut", 1, tuple(range(frames)), "", "", 0, "", complaint)

    chunks = [Chunk(i, 5 * i, 5 * i + 5, 5) for i in range(3)]
    assert undecoded(chunks, [record(0, 5), record(1, 5), record(2, 5)]) is None
    # those that came a chunk later than they were announced are there
    assert undecoded(chunks, [record(0, 3), record(1, 6), record(2, 4, "no such macroblock")]) == (
        "2 of 15 frames could not be decoded (no such macroblock)"
    )
    assert undecoded(chunks, [record(0, 4), record(1, 5), record(2, 6)]) is None
