"""Colour in floating point, against zimg and against what the same picture gives in whole numbers."""

import numpy as np
import pytest
import torch
import vapoursynth as vs
from fakes import nearest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sr_plugins import ChromaLocation, Frame, FrameFormat, Matrix, Upscaler
from sr_plugins.pixels.conversion import FLOAT16_MAX, Conversion, output_coding
from sr_plugins.pixels.frame import Family
from sr_plugins.pixels.resampling import resized_frame

WIDTH, HEIGHT = 32, 24
Floats = NDArray[np.float32]
CATMULL_ROM = {"filter_param_a": 0.0, "filter_param_b": 0.5, "filter_param_a_uv": 0.0, "filter_param_b_uv": 0.5}


def planes(format: FrameFormat, seed: int = 1) -> list[Floats]:
    """Smooth colours, luma 0.1 to 0.9 and chroma around zero."""
    rng = np.random.default_rng(seed)
    made = []
    for i in range(format.planes):
        width, height = format.plane_size(i, WIDTH, HEIGHT)
        y, x = np.mgrid[0:height, 0:width]
        wave = 0.3 * np.sin(x / 4 + i) * np.cos(y / 3) + rng.normal(0, 0.02, (height, width))
        made.append((wave + (0 if i else 0.5)).astype(np.float32))
    return made


def clip_of(values: list[Floats], format: int) -> "vs.VideoNode":
    blank = vs.core.std.BlankClip(width=WIDTH, height=HEIGHT, format=format, length=1, keep=True)

    def fill(n: int, f: "vs.VideoFrame") -> "vs.VideoFrame":
        frame = f.copy()
        for i, plane in enumerate(values):
            np.copyto(np.asarray(frame[i]), plane)
        return frame

    return blank.std.ModifyFrame(blank, fill)


def read(clip: "vs.VideoNode") -> list[Floats]:
    with clip.get_frame(0) as frame:
        return [np.array(frame[i]) for i in range(frame.format.num_planes)]


@pytest.mark.parametrize("subsampling", [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize(
    ("matrix", "location"),
    [
        (Matrix.BT709, ChromaLocation.LEFT),
        (Matrix.SMPTE170M, ChromaLocation.TOP_LEFT),
        (Matrix.BT2020_NCL, ChromaLocation.CENTER),
    ],
)
def test_both_ways_are_zimg_s(subsampling: tuple[int, int], matrix: Matrix, location: ChromaLocation) -> None:
    told = {"bits": 32, "is_float": True, "subsampling": subsampling, "matrix": matrix, "chroma_location": location}
    format = FrameFormat(family="yuv", **told)  # type: ignore[arg-type]
    values = planes(format)
    kind = vs.core.query_video_format(vs.YUV, vs.FLOAT, 32, *subsampling).id
    meaning = {"matrix_in": int(matrix), "chromaloc_in": int(location)}
    reference = clip_of(values, kind).resize.Bicubic(format=vs.RGBS, **meaning, **CATMULL_ROM)
    conversion = Conversion(format, "rgb", 1)
    rgb, kept = conversion.to_model([torch.from_numpy(p[None]) for p in values], None, 0)
    assert np.abs(rgb[0].numpy() - np.stack(read(reference))).max() < 1e-5
    meaning = {"matrix": int(matrix), "chromaloc": int(location)}
    back = read(reference.resize.Bicubic(format=kind, **meaning, **CATMULL_ROM))
    for mine, theirs in zip(conversion.to_planes(rgb, kept), back, strict=True):
        assert mine.dtype == torch.float32
        assert np.abs(mine[0].numpy() - theirs).max() < 1e-5


@pytest.mark.parametrize("family", ["gray", "yuv", "rgb"])
@pytest.mark.parametrize("channels", ["luma", "rgb"])
@pytest.mark.parametrize("bits", [8, 12])
def test_whole_numbers_and_floats_of_one_picture_give_one_picture(family: str, channels: str, bits: int) -> None:
    whole = FrameFormat(family=family, bits=bits, full_range=True, matrix=Matrix.BT709)  # type: ignore[arg-type]
    exact = FrameFormat(family=family, bits=32, is_float=True, matrix=Matrix.BT709)  # type: ignore[arg-type]
    top, middle = (1 << bits) - 1, 1 << bits - 1
    zero = [0, *[middle if family == "yuv" else 0] * (whole.planes - 1)]
    codes = [np.rint(v * top + z).astype(whole.dtype) for v, z in zip(planes(exact), zero, strict=True)]
    values = [((c.astype(np.float64) - z) / top).astype(np.float32) for c, z in zip(codes, zero, strict=True)]
    with Upscaler(nearest(2, channels), device="cpu", precision="float32") as upscaler:  # type: ignore[arg-type]
        a, b = upscaler.upscale(Frame(codes, whole)), upscaler.upscale(Frame(values, exact))
    for mine, theirs, z in zip(a.planes, b.planes, zero, strict=True):
        assert np.abs(mine - np.clip(theirs.astype(np.float64) * top + z, 0, top)).max() <= 0.5 + 1e-3 * top / 255


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("bits", [8, 10, 16])
def test_codes_are_seen_as_the_values_that_they_stand_for(bits: int, full_range: bool) -> None:
    """ITU-R BT.2100, table 9, written out: what a model of RGB gets of codes and of their values is one picture."""
    told = {"bits": bits, "full_range": full_range, "matrix": Matrix.BT709}
    whole = FrameFormat(family="yuv", **told)  # type: ignore[arg-type]
    exact = FrameFormat(family="yuv", bits=32, is_float=True, matrix=Matrix.BT709)
    unit = 1 << bits - 8
    luma, chroma = ((0, (1 << bits) - 1),) * 2 if full_range else ((16 * unit, 219 * unit), (128 * unit, 224 * unit))
    zeros, spans = (luma[0], *[128 * unit] * 2), (luma[1], *[chroma[1]] * 2)
    codes = [np.rint(v * s + z) for v, z, s in zip(planes(exact), zeros, spans, strict=True)]
    values = [((c - z) / s).astype(np.float32) for c, z, s in zip(codes, zeros, spans, strict=True)]
    held, floats = ([torch.from_numpy(p[None]) for p in some] for some in (codes, values))
    of_codes, _ = Conversion(whole, "rgb", 2).to_model([p.to(torch.int32) for p in held], None, 0)
    of_values, _ = Conversion(exact, "rgb", 2).to_model(floats, None, 0)
    assert float((of_codes - of_values).abs().max()) < 2e-6


@settings(max_examples=25, deadline=None)
@given(low=st.floats(-50, 0), high=st.floats(1, 50), bits=st.sampled_from([16, 32]))
def test_values_beyond_black_and_white_pass(low: float, high: float, bits: int) -> None:
    """Light above white, and noise below black, are no codes that end."""
    format = FrameFormat(family="rgb", bits=bits, is_float=True)
    plane = np.array([[low, high], [0.5, 1.0]], format.dtype)
    conversion = Conversion(format, "rgb", 2)
    x, kept = conversion.to_model([torch.from_numpy(plane[None].copy()) for _ in range(3)], None, 0)
    made = conversion.to_planes(x.repeat_interleave(2, 2).repeat_interleave(2, 3), kept)
    for plane_made in made:
        assert np.array_equal(plane_made[0].numpy(), plane.repeat(2, 0).repeat(2, 1))


def test_half_precision_ends_at_its_largest_number() -> None:
    conversion = Conversion(FrameFormat(family="gray", bits=16, is_float=True), "luma", 1)
    y = torch.tensor([[[[1e6, -1e6], [0.25, 65504.0]]]])
    (made,) = conversion.to_planes(y, [y[:, 0]])
    assert made.dtype == torch.float16
    assert made[0].tolist() == [[FLOAT16_MAX, -FLOAT16_MAX], [0.25, FLOAT16_MAX]]


@pytest.mark.parametrize(("family", "size"), [("gray", (40, 30)), ("yuv", (31, 50)), ("rgb", (60, 45))], ids=str)
def test_a_resize_of_half_precision_ends_there_too(family: Family, size: tuple[int, int]) -> None:
    """Beside edges a cubic filter goes beyond what is there: to infinity, where that is the largest number."""
    format = FrameFormat(family=family, bits=16, is_float=True)
    plane = np.full((20, 30), 0.5, np.float16)
    plane[8:11, 5:] = FLOAT16_MAX
    plane[14:17, 5:] = -60000
    frame = Frame([plane.copy() for _ in range(format.planes)], format, plane.clip(0, 1))
    larger = resized_frame(frame, *size)
    for made in larger.planes:
        assert made.max() == FLOAT16_MAX
        assert made.min() == -FLOAT16_MAX


@pytest.mark.parametrize(
    ("format", "channels", "coding"),
    [
        (FrameFormat(family="gray"), "luma", (0, 255, 8)),
        (FrameFormat(family="gray", full_range=False), "luma", (16, 219, 8)),
        (FrameFormat(family="yuv", bits=10), "luma", (64, 876, 10)),
        (FrameFormat(family="yuv", bits=16, full_range=True), "luma", (0, 65535, 16)),
        (FrameFormat(family="yuv", bits=10), "rgb", None),
        (FrameFormat(family="rgb"), "luma", None),
        (FrameFormat(family="gray", bits=32, is_float=True), "luma", None),
    ],
)
def test_codes_of_a_plane_that_a_network_may_write_itself(
    format: FrameFormat, channels: str, coding: tuple[float, float, int] | None
) -> None:
    """ITU-R BT.2100, table 9: black, codes up to white, and bits."""
    found = output_coding(format, channels)  # type: ignore[arg-type]
    assert (None if found is None else (found.low, found.span, found.bits)) == coding
