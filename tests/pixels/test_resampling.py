"""Cubic resampling of planes: against zimg, against dense matrices, and what must not move."""

import math

import numpy as np
import pytest
import torch
import vapoursynth as vs
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sr_plugins import ChromaLocation, Frame, FrameFormat
from sr_plugins.pixels import resampling
from sr_plugins.pixels.cubic import cubic_taps, cubic_weight
from sr_plugins.pixels.resampling import (
    chroma_offset,
    enlarge_phases,
    from_luma_grid_taps,
    mirrored_index,
    mirrored_to,
    polyphase,
    resize_plane,
    resized_frame,
    taps_at,
    to_luma_grid_phases,
    with_hidden,
)

Floats = NDArray[np.float64]
PLAIN = {"log2": (0, 0), "offset": (0.0, 0.0)}


def test_keys_kernel_interpolates_and_is_smooth() -> None:
    """R. Keys, 1981: 1 at 0, 0 at other whole places, even, with a continuous derivative; parabolas are exact."""
    assert [cubic_weight(float(x)) for x in range(-3, 4)] == [0, 0, 0, 1, 0, 0, 0]
    step = 1e-6
    for place in (1.0, 2.0):
        left = (cubic_weight(place) - cubic_weight(place - step)) / step
        right = (cubic_weight(place + step) - cubic_weight(place)) / step
        assert left == pytest.approx(right, abs=1e-4)
    for at in np.linspace(0, 1, 11):
        taps = cubic_taps(range(-1, 3), float(at))
        for power in range(3):
            assert sum(t * k**power for t, k in zip(taps, range(-1, 3), strict=True)) == pytest.approx(at**power)
    assert cubic_weight(0.5, -0.75) == pytest.approx(0.59375)  # what others sharpen with


@settings(max_examples=100, deadline=None)
@given(position=st.floats(-5, 5), widen=st.floats(1, 6))
def test_taps_sum_to_one_and_are_centred(position: float, widen: float) -> None:
    first, weights = taps_at(position, widen)
    assert math.fsum(weights) == pytest.approx(1)
    center = math.fsum(w * (first + i) for i, w in enumerate(weights))
    assert center == pytest.approx(position, abs=0.03 * widen if widen > 1 else 1e-9)
    mirrored_first, mirrored = taps_at(-position, widen)
    assert mirrored_first == -(first + len(weights) - 1)
    assert np.allclose(mirrored[::-1], weights, atol=1e-12)


@settings(max_examples=40, deadline=None)
@given(length=st.integers(1, 9), index=st.integers(-40, 40))
def test_mirroring_repeats_the_edge_as_numpy_s_symmetric(length: int, index: int) -> None:
    padded = np.pad(np.arange(length), 48, mode="symmetric")
    assert mirrored_index(index, length) == padded[index + 48]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 3)])
def test_a_picture_is_continued_by_its_mirror_however_far(size: tuple[int, int]) -> None:
    x = torch.arange(float(np.prod(size))).view(1, *size)
    height, width = size
    for bottom, right in ((0, 0), (1, 0), (0, 2), (7, 11)):
        expected = np.pad(x[0].numpy(), ((0, bottom), (0, right)), mode="symmetric")
        assert np.array_equal(mirrored_to(x, height + bottom, width + right)[0].numpy(), expected)


def dense(length: int, size: int, position: list[float], widen: float = 1.0) -> Floats:
    """The matrix of a resize of one axis, from the kernel's definition, its border mirrored."""
    matrix = np.zeros((size, length))
    for row, at in zip(matrix, position, strict=True):
        taps = np.arange(math.floor(at - 2 * widen), math.ceil(at + 2 * widen) + 1)
        weights = np.array(cubic_taps(taps.tolist(), at, widen))
        for tap, weight in zip(taps.tolist(), weights / weights.sum(), strict=True):
            row[mirrored_index(tap, length)] += weight
    return matrix


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [1, 2, 5, 12])
@pytest.mark.parametrize("dim", [1, 2])
def test_enlarging_by_phases_is_the_dense_matrix(scale: int, length: int, dim: int) -> None:
    x = torch.from_numpy(np.random.default_rng(length).random((2, length, 4)).astype(np.float32))
    x = x if dim == 1 else x.transpose(1, 2).contiguous()
    size = length * scale
    matrix = dense(length, size, [(i + 0.5) / scale - 0.5 for i in range(size)])
    got = polyphase(x, dim, enlarge_phases(scale, 0, 0.0), size)
    expected = np.moveaxis(np.tensordot(matrix, x.numpy(), (1, dim)), 0, dim)
    assert np.abs(got.numpy() - expected).max() < 1e-6


@pytest.mark.parametrize(
    ("location", "down", "across"),
    [
        (ChromaLocation.LEFT, 0.5, 0),
        (ChromaLocation.CENTER, 0.5, 0.5),
        (ChromaLocation.TOP_LEFT, 0, 0),
        (ChromaLocation.TOP, 0, 0.5),
        (ChromaLocation.BOTTOM_LEFT, 1, 0),
        (ChromaLocation.BOTTOM, 1, 0.5),
    ],
)
def test_chroma_lies_where_figure_1_of_h_273_has_it(location: ChromaLocation, down: float, across: float) -> None:
    """In luma samples from the first one, of 4:2:0; where chroma is not subsampled it lies on luma."""
    assert (chroma_offset(location, 0, 1), chroma_offset(location, 1, 1)) == (down, across)
    assert (chroma_offset(location, 0, 0), chroma_offset(location, 1, 0)) == (0, 0)
    assert (chroma_offset(location, 0, 2), chroma_offset(location, 1, 2)) == (3 * down, 3 * across)


@pytest.mark.parametrize("location", list(ChromaLocation))
@pytest.mark.parametrize("log2", [1, 2])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_chroma_keeps_its_place_when_a_picture_grows(
    location: ChromaLocation, log2: int, axis: int, scale: int
) -> None:
    """A ramp over the picture is that ramp over the larger one: no shift by a part of a sample, whatever the siting."""
    offset, step = chroma_offset(location, axis, log2), 1 << log2
    places = offset + step * np.arange(24.0)  # in luma samples
    grown = polyphase(
        torch.from_numpy(places[None, :, None].astype(np.float32)), 1, enlarge_phases(scale, log2, offset), 24 * scale
    )
    theirs = (offset + step * np.arange(24.0 * scale) + 0.5) / scale - 0.5
    inside = slice(3 * scale, -3 * scale)
    assert np.abs(grown[0, :, 0].numpy() - theirs)[inside].max() < 1e-4


@pytest.mark.parametrize("location", list(ChromaLocation))
@pytest.mark.parametrize("log2", [0, 1, 2])
@pytest.mark.parametrize("axis", [0, 1])
def test_chroma_to_the_luma_grid_and_back_stays_in_place(location: ChromaLocation, log2: int, axis: int) -> None:
    offset, step = chroma_offset(location, axis, log2), 1 << log2
    places = offset + step * np.arange(16.0)
    x = torch.from_numpy(places[None, None, :].astype(np.float32))
    luma = polyphase(x, 2, to_luma_grid_phases(log2, offset), 16 * step)
    inside = slice(4 * step, -4 * step)
    assert np.abs(luma[0, 0].numpy() - np.arange(16.0 * step))[inside].max() < 1e-4
    again = polyphase(luma, 2, [from_luma_grid_taps(log2, offset)], 16, step)
    assert np.abs(again[0, 0].numpy() - places)[5:-5].max() < 1e-4


@pytest.mark.parametrize(("height", "width"), [(20, 31), (19, 30), (40, 63), (9, 13), (7, 100), (1, 1)])
def test_any_size_is_the_dense_matrix(height: int, width: int) -> None:
    plane = np.random.default_rng(2).random((19, 30)).astype(np.float32)

    def matrix(length: int, size: int) -> Floats:
        ratio = length / size
        return dense(length, size, [(i + 0.5) * ratio - 0.5 for i in range(size)], max(ratio, 1.0))

    expected = matrix(19, height) @ plane @ matrix(30, width).T
    got = resize_plane(plane, height, width, top=None, **PLAIN)  # type: ignore[arg-type]
    assert got.shape == (height, width)
    assert np.abs(got - expected).max() < 1e-5


def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    plane = np.random.default_rng(3).integers(0, 256, (37, 29), np.uint8)
    whole = [resize_plane(plane, h, w, top=255.0, **PLAIN) for h, w in ((50, 40), (11, 60))]  # type: ignore[arg-type]
    monkeypatch.setattr(resampling, "STRIP_SAMPLES", 100)
    strips = [resize_plane(plane, h, w, top=255.0, **PLAIN) for h, w in ((50, 40), (11, 60))]  # type: ignore[arg-type]
    assert all(map(np.array_equal, whole, strips))


@pytest.mark.parametrize("location", [ChromaLocation.LEFT, ChromaLocation.CENTER, ChromaLocation.TOP_LEFT])
@pytest.mark.parametrize(("width", "height"), [(70, 50), (36, 20), (48, 30)])
def test_a_frame_of_any_size_is_zimg_s(location: ChromaLocation, width: int, height: int) -> None:
    format = FrameFormat(family="yuv", subsampling=(1, 1), chroma_location=location)
    y, x = np.mgrid[0:36, 0:48]
    luma = (128 + 90 * np.sin(x / 6) * np.cos(y / 5)).astype(np.uint8)
    planes = [luma, luma[::2, ::2].copy(), 255 - luma[1::2, ::2]]
    blank = vs.core.std.BlankClip(width=48, height=36, format=vs.YUV420P8, length=1, keep=True)

    def fill(n: int, f: "vs.VideoFrame") -> "vs.VideoFrame":
        made = f.copy()
        for i, plane in enumerate(planes):
            np.copyto(np.asarray(made[i]), plane)
        return made

    clip = blank.std.ModifyFrame(blank, fill).std.SetFrameProps(_ChromaLocation=int(location))
    kernel = {"filter_param_a": 0.0, "filter_param_b": 0.5, "filter_param_a_uv": 0.0, "filter_param_b_uv": 0.5}
    with clip.resize.Bicubic(width=width, height=height, **kernel).get_frame(0) as got:
        theirs = [np.array(got[i]).astype(int) for i in range(3)]
    ours = resized_frame(Frame(planes, format), width, height)
    for mine, reference in zip(ours.planes, theirs, strict=True):
        assert np.abs(mine.astype(int) - reference).max() <= 1


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_whole_samples_are_rounded_and_kept_within_their_bits(bits: int) -> None:
    top = (1 << bits) - 1
    format = FrameFormat(family="gray", bits=bits)
    plane = np.where(np.arange(40) % 8 < 4, 0, top).astype(format.dtype)[None].repeat(6, 0)
    result = resized_frame(Frame([plane], format, plane), 93, 6)
    assert (result.planes[0].min(), result.planes[0].max()) == (0, top)  # it overshoots at edges, and is cut off
    assert result.planes[0].dtype == format.dtype
    assert np.array_equal(result.planes[0], result.alpha)
    exact = resized_frame(
        Frame([plane.astype(np.float32)], FrameFormat(family="gray", bits=32, is_float=True)), 93, 6
    ).planes[0]
    assert exact.min() < 0
    assert exact.max() > top
    assert np.abs(result.planes[0] - exact.clip(0, top)).max() <= 0.5 + top * 1e-6


@pytest.mark.parametrize("subsampling", [(0, 0), (1, 0), (1, 1), (2, 2)])
@pytest.mark.parametrize(("width", "height"), [(13, 11), (1, 1), (8, 6)])
def test_what_is_hidden_is_the_source_s_and_what_is_seen_the_result_s(
    subsampling: tuple[int, int], width: int, height: int
) -> None:
    format = FrameFormat(family="yuv", subsampling=subsampling)
    rng = np.random.default_rng(4)

    def frame(w: int, h: int, value: int) -> Frame:
        planes = [np.full(format.plane_size(i, w, h)[::-1], value + i, np.uint8) for i in range(3)]
        return Frame(planes, format, (rng.random((h, w)) < 0.4).astype(np.uint8) * 200)

    source, result = frame(width, height, 40), frame(2 * width, 2 * height, 90)
    mixed = with_hidden(source, result)
    assert np.array_equal(mixed.alpha, result.alpha)
    assert np.array_equal(mixed.planes[0], np.where(result.alpha > 0, 90, 40))
    for i in (1, 2):
        for (y, x), value in np.ndenumerate(mixed.planes[i]):
            block = result.alpha[
                y << subsampling[1] : y + 1 << subsampling[1], x << subsampling[0] : x + 1 << subsampling[0]
            ]
            assert value == (90 if block.any() else 40) + i


def test_where_nothing_is_hidden_the_result_is_handed_on() -> None:
    plane = np.full((4, 4), 7, np.uint8)
    for alpha in (None, plane):
        result = Frame([plane], FrameFormat(family="gray"), alpha)
        assert with_hidden(Frame([plane[:2, :2]], FrameFormat(family="gray")), result) is result
