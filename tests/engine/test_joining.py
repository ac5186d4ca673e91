"""Tiles put together: each pixel from its tile, and where tiles overlap, shares that make a whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_plugins import ChromaLocation, FrameFormat, ModelSpec
from sr_plugins.engine.joining import paste
from sr_plugins.engine.self_ensemble import DIFFERENT, POSITIONS
from sr_plugins.engine.tiling import ALIGN, outer_span, reach_of, read_further, tiles

SIZES = st.integers(1, 130)


def spec(**more: object) -> ModelSpec:
    told: dict[str, object] = {"name": "m", "scale": 2, "channels": "luma", "build": object, "receptive_radius": 5}
    return ModelSpec(**told | more)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    height=SIZES, width=SIZES, largest=st.integers(8, 80), margin=st.integers(0, 20), scale=st.integers(1, 3),
    blend=st.booleans(), log2=st.integers(0, 2), one_shape=st.booleans(),
)  # fmt: skip
def test_tiles_of_a_picture_are_that_picture(
    height: int, width: int, largest: int, margin: int, scale: int, blend: bool, log2: int, one_shape: bool
) -> None:
    """Cut from a plane, subsampled or not, and pasted: nothing lacks, nothing is out of place, blended or not."""
    rows, columns = (-(-side * scale >> log2) for side in (height, width))
    whole = np.random.default_rng(height).random((rows, columns))
    target = np.full_like(whole, np.nan)
    for tile in tiles(height, width, (largest, largest), margin, one_shape=one_shape and not blend):
        cut = tuple(slice(s.outer_start * scale >> log2, -(-s.outer_stop * scale >> log2)) for s in (tile.y, tile.x))
        paste(target, whole[cut], tile, scale, (log2, log2), blend=blend)
    assert np.allclose(target, whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_where_tiles_blend_each_gives_its_share_and_there_is_no_step(dtype: type) -> None:
    """Tiles of another brightness each: the seam is a ramp from the one to the other, not more and not less."""
    target = np.zeros((16, 200), dtype)
    values = iter((10, 100, 200, 90, 40, 60))
    row = list(tiles(16, 200, (400, 96), 16))
    assert len(row) > 1
    for tile in row:
        part = np.full((16, tile.x.outer_stop - tile.x.outer_start), next(values), dtype)
        paste(target, part, tile, 1, (0, 0), blend=True)
    assert (target == target[:1]).all()
    line = target[0].astype(float)
    assert np.abs(np.diff(line)).max() <= 100 / 32 * 1.2 + (dtype is np.uint8)
    first, second = row[0].x, row[1].x
    seam = slice(second.outer_start, first.outer_stop)
    assert (np.diff(line[seam]) >= 0).all()
    assert (line[: second.outer_start] == 10).all()
    middle = (second.outer_start + first.outer_stop) // 2
    assert line[middle] == pytest.approx(55, abs=3)


@settings(max_examples=40, deadline=None)
@given(start=st.integers(0, 40), count=st.integers(1, 40), reach=st.integers(0, 50), length=st.integers(81, 200))
def test_what_is_read_for_a_part_reaches_as_far_as_it_must(start: int, count: int, reach: int, length: int) -> None:
    start *= ALIGN
    start = min(start, 40)
    span = outer_span(start, start + count, length, reach)
    assert span.outer_start % ALIGN == 0
    assert span.outer_start == 0 or start - reach - ALIGN < span.outer_start <= start - reach
    assert span.outer_stop == length or start + count + reach <= span.outer_stop < start + count + reach + ALIGN


def test_a_tile_reads_what_chroma_needs_beside_the_network() -> None:
    plain, half = FrameFormat(family="rgb"), FrameFormat(family="yuv", subsampling=(1, 1))
    narrow = spec(channels="rgb", receptive_radius=5)
    assert reach_of(plain, narrow, alpha=False) == 5
    assert reach_of(plain, narrow, alpha=True) == 10  # colour is bled as far again
    assert reach_of(half, narrow, alpha=False) == 5 + 6 + 3  # to the luma grid, and back
    assert reach_of(FrameFormat(family="yuv"), narrow, alpha=False) == 5
    # a luma model: the wider of the network and the filters of chroma
    assert reach_of(half, spec(receptive_radius=1), alpha=False) == 6
    assert reach_of(half, spec(receptive_radius=9), alpha=False) == 9
    quarter = FrameFormat(family="yuv", subsampling=(2, 0), chroma_location=ChromaLocation.LEFT)
    assert reach_of(quarter, spec(receptive_radius=1), alpha=False) == 12


def test_what_is_asked_for_beyond_what_must_be() -> None:
    exact, cut = spec(), spec(receptive_radius=40, margin=10)
    whole = spec(receptive_radius=None, overlap=16, tile_multiple=8)
    assert read_further(exact, 100, interpolated=False).reads == 5
    assert read_further(spec(receptive_radius=1), None, interpolated=True).reads == 3
    assert [read_further(cut, n, interpolated=False).reads for n in (None, 20, 100)] == [10, 20, 40]
    assert [read_further(whole, n, interpolated=False).overlap for n in (None, 0, 17)] == [16, 0, 24]
    assert read_further(whole, 0, interpolated=True).overlap == 8


def test_positions_left_out_are_those_that_a_symmetric_network_repeats() -> None:
    assert len(set(POSITIONS)) == 8
    for order, kept in DIFFERENT.items():
        assert len(kept) == 8 // order
        assert kept[0] == (False, ())
        assert set(kept) <= set(POSITIONS)
