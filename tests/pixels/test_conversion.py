"""Colour against zimg, the reference scaler inside VapourSynth, and against the definitions."""

import numpy as np
import pytest
import torch
import vapoursynth as vs
from fakes import nearest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sr_plugins import ChromaLocation, Frame, FrameFormat, Matrix, Upscaler
from sr_plugins.errors import FrameError
from sr_plugins.pixels.conversion import Conversion
from sr_plugins.pixels.matrix import COEFFICIENTS, matrix_in_use, resolved
from sr_plugins.pixels.resampling import enlarge_phases, polyphase

WIDTH, HEIGHT = 48, 36
SUBSAMPLINGS = {"420": (1, 1), "422": (1, 0), "444": (0, 0)}


def natural_planes(format: FrameFormat, seed: int) -> list[NDArray[np.generic]]:
    """Smooth shapes plus noise over the whole legal range, so that rounding, borders and overshoot are met."""
    rng = np.random.default_rng(seed)
    planes = []
    for i in range(format.planes):
        w, h = format.plane_size(i, WIDTH, HEIGHT)
        y, x = np.mgrid[0:h, 0:w]
        wave = 0.5 + 0.3 * np.sin(x / 5 + i) * np.cos(y / 4 - i) + rng.normal(0, 0.1, (h, w))
        unit = 1 << (format.bits - 8)
        low, high = (0, (1 << format.bits) - 1) if format.full_range else (16 * unit, (240 if i else 235) * unit)
        planes.append(np.clip(low + wave * (high - low), low, high).astype(format.dtype))
    return planes


def vs_clip(planes: list[NDArray[np.generic]], format: int) -> "vs.VideoNode":
    """A clip of one frame with these planes."""
    blank = vs.core.std.BlankClip(width=WIDTH, height=HEIGHT, format=format, length=1, keep=True)

    def fill(n: int, f: "vs.VideoFrame") -> "vs.VideoFrame":
        frame = f.copy()
        for i, plane in enumerate(planes):
            np.copyto(np.asarray(frame[i]), plane)
        return frame

    return blank.std.ModifyFrame(blank, fill)


def vs_planes(clip: "vs.VideoNode") -> list[NDArray[np.generic]]:
    with clip.get_frame(0) as frame:
        return [np.array(frame[i]) for i in range(frame.format.num_planes)]


CATMULL_ROM = {"filter_param_a": 0.0, "filter_param_b": 0.5, "filter_param_a_uv": 0.0, "filter_param_b_uv": 0.5}


# each matrix and each siting once: what one does to a sample, the other does not
MEANINGS = (
    (Matrix.SMPTE170M, ChromaLocation.LEFT),
    (Matrix.BT709, ChromaLocation.CENTER),
    (Matrix.BT2020_NCL, ChromaLocation.TOP_LEFT),
    (Matrix.FCC, ChromaLocation.TOP),
    (Matrix.BT470BG, ChromaLocation.BOTTOM_LEFT),
    (Matrix.SMPTE240M, ChromaLocation.BOTTOM),
)


@pytest.mark.parametrize(
    ("bits", "subsampling"), [*((bits, name) for bits in (8, 10, 16) for name in SUBSAMPLINGS), (8, "411"), (8, "410")]
)
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize(("matrix", "location"), MEANINGS, ids=lambda m: m.name)
def test_both_ways_are_within_one_code_of_zimg(
    bits: int, subsampling: str, full_range: bool, matrix: Matrix, location: ChromaLocation
) -> None:
    format = FrameFormat(
        family="yuv",
        bits=bits,
        subsampling=SUBSAMPLINGS.get(subsampling) or (2, 2 * (subsampling == "410")),
        full_range=full_range,
        matrix=matrix,
        chroma_location=location,
    )
    planes = natural_planes(format, seed=bits)
    vs_format = vs.core.query_video_format(vs.YUV, vs.INTEGER, bits, *format.subsampling).id
    clip = vs_clip(planes, vs_format)
    meaning = {"matrix_in": int(matrix), "range_in": int(full_range), "chromaloc_in": int(location)}
    reference_rgb = clip.resize.Bicubic(format=vs.RGBS, **meaning, **CATMULL_ROM)

    conversion = Conversion(resolved(format, WIDTH, HEIGHT), "rgb", 1)
    rgb, _ = conversion.to_model([torch.from_numpy(p[None].astype(np.int32)) for p in planes], None, 0)
    ours = rgb[0].numpy()
    theirs = np.stack(vs_planes(reference_rgb))
    assert np.abs(ours - theirs).max() * 255 < 0.1  # same filters, same siting: far below one 8-bit code

    back = reference_rgb.resize.Bicubic(
        format=vs_format,
        matrix=int(matrix),
        range=int(full_range),
        chromaloc=int(location),
        dither_type="none",
        **CATMULL_ROM,
    )
    for mine, reference in zip(conversion.to_planes(rgb, []), vs_planes(back), strict=True):
        assert np.abs(mine[0].numpy().astype(int) - reference.astype(int)).max() <= 1


@settings(max_examples=60, deadline=None)
@given(
    family=st.sampled_from(["gray", "yuv", "rgb"]),
    channels=st.sampled_from(["luma", "rgb"]),
    bits=st.integers(8, 16),
    full_range=st.booleans(),
    subsampling=st.sampled_from([(0, 0), (1, 0), (1, 1), (2, 0), (2, 2)]),
    location=st.sampled_from(list(ChromaLocation)),
    matrix=st.sampled_from(sorted(COEFFICIENTS)),
    share=st.tuples(*[st.floats(0, 1)] * 3),
)
def test_a_flat_colour_stays_that_colour(
    family, channels, bits, full_range, subsampling, location, matrix, share
) -> None:  # type: ignore[no-untyped-def]
    format = FrameFormat(
        family=family,
        bits=bits,
        subsampling=subsampling if family == "yuv" else (0, 0),
        full_range=full_range,
        matrix=matrix,
        chroma_location=location,
    )
    unit = 1 << (bits - 8)
    low, high = (0, 256 * unit - 1) if full_range else (16 * unit, 235 * unit)
    if family == "yuv":  # a colour that exists in RGB: an RGB model clips what does not
        colour = [round(low + s * (high - low)) for s in share[:1]] + [128 * unit] * 2
    else:
        colour = [round(low + s * (high - low)) for s in share[: format.planes]]
    sizes = [format.plane_size(i, 13, 11) for i in range(format.planes)]
    planes = [np.full((h, w), c, format.dtype) for (w, h), c in zip(sizes, colour, strict=True)]
    conversion = Conversion(resolved(format, 13, 11), channels, 2)
    x, codes = conversion.to_model([torch.from_numpy(p[None].astype(np.int32)) for p in planes], None, 0)
    results = conversion.to_planes(x.repeat_interleave(2, 2).repeat_interleave(2, 3), codes)
    for value, result in zip(colour, results, strict=True):
        assert torch.unique(result.to(torch.int32)).tolist() == [value]


def test_luma_model_leaves_chroma_to_a_sited_cubic() -> None:
    format = FrameFormat(family="yuv", subsampling=(1, 1), chroma_location=ChromaLocation.LEFT)
    planes = natural_planes(format, seed=3)
    with Upscaler(nearest(2, "luma")) as upscaler:
        result = upscaler.upscale(Frame(planes, format))
    clip = vs_clip(planes, vs.YUV420P8).std.SetFrameProps(_ChromaLocation=0)
    reference = vs_planes(clip.resize.Bicubic(width=2 * WIDTH, height=2 * HEIGHT, **CATMULL_ROM))
    for mine, theirs in zip(result.planes[1:], reference[1:], strict=True):
        assert np.abs(mine.astype(int) - theirs.astype(int)).max() <= 1
    assert np.array_equal(result.planes[0], planes[0].repeat(2, 0).repeat(2, 1))


def test_rgb_through_a_luma_model_keeps_hue() -> None:
    """What a luma model adds to luma is added to R, G and B alike: colour differences are the interpolated ones."""
    rng = np.random.default_rng(5)
    planes = [rng.integers(60, 200, (9, 10), dtype=np.uint16) << 4 for _ in range(3)]
    format = FrameFormat(family="rgb", bits=12)
    with Upscaler(nearest(2, "luma")) as upscaler:
        r, g, b = (p.astype(int) for p in upscaler.upscale(Frame(planes, format)).planes)
    cubic = []
    for plane in planes:
        enlarged = torch.from_numpy(plane[None].astype(np.float32))
        for axis in (2, 1):
            enlarged = polyphase(enlarged, axis, enlarge_phases(2, 0, 0.0), 2 * enlarged.shape[axis])
        cubic.append(enlarged[0].numpy())
    assert np.abs((r - g) - (cubic[0] - cubic[1])).max() <= 1
    assert np.abs((b - g) - (cubic[2] - cubic[1])).max() <= 1


def test_halves_become_the_even_code() -> None:
    """Where columns are all alike, the filter's 128ths often end in one half."""
    planes = [np.tile(np.random.default_rng(i).integers(0, 256, 500, np.uint8), (2, 1)) for i in range(3)]
    exact = torch.from_numpy(planes[1][None].astype(np.float32))
    exact = polyphase(exact, 2, enlarge_phases(2, 0, 0.0), 1000).clamp(0, 255)[0, 0]
    assert ((exact % 1) == 0.5).sum() > 3
    conversion = Conversion(FrameFormat(family="yuv", matrix=Matrix.BT709), "luma", 2)
    x, codes = conversion.to_model([torch.from_numpy(p[None]) for p in planes], None, 0)
    stored = conversion.to_planes(x.repeat_interleave(2, 2).repeat_interleave(2, 3), codes)[1]
    assert np.array_equal(stored[0, 0].numpy(), np.rint(exact.numpy()))


def test_alpha_of_floats_stays_between_clear_and_solid() -> None:
    conversion = Conversion(FrameFormat(family="gray", is_float=True, bits=32), "luma", 3)
    alpha = conversion.enlarge_alpha((torch.arange(20).view(1, 4, 5) % 3 > 0).to(torch.float32))
    assert alpha.shape == (1, 12, 15)
    assert (float(alpha.min()), float(alpha.max())) == (0, 1)


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(720, 576, 6), (1280, 720, 1), (640, 360, 6), (1920, 800, 1), (1024, 576, 6), (1025, 576, 1), (1024, 577, 1)],
)
def test_an_unspecified_matrix_is_guessed_by_size(width: int, height: int, expected: int) -> None:
    assert matrix_in_use(FrameFormat(family="yuv"), width, height) == expected
    assert matrix_in_use(FrameFormat(family="yuv", matrix=Matrix.BT2020_NCL), width, height) == 9


def test_rgb_model_refuses_an_unknown_matrix_and_a_luma_model_does_not_care() -> None:
    format = FrameFormat(family="yuv", matrix=8)  # YCgCo
    frame = Frame([np.full((4, 4), 90, np.uint8)] * 3, format)
    with Upscaler(nearest(2, "luma")) as upscaler:
        assert np.array_equal(upscaler.upscale(frame).planes[0], np.full((8, 8), 90))
    with Upscaler(nearest(2, "rgb")) as upscaler, pytest.raises(FrameError, match="matrix 8"):
        upscaler.submit(frame)
