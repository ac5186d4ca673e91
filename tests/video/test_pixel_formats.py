"""Pixel formats: what a picture travels as holds all of it, for every format that libavutil knows."""

from fractions import Fraction

import av
import av.video.format
import numpy as np
import pytest

from sr_plugins import FrameFormat
from sr_plugins.errors import FrameError
from sr_plugins.pixels.frame import empty_frame
from sr_plugins.video.pixel_formats import (
    Colors,
    PixelLayout,
    aspect_after,
    frame_format,
    pipe_format,
    to_frame,
    to_picture,
)

KNOWN = sorted(av.video.format.names)


@pytest.mark.parametrize("initial", sorted({name[0] for name in KNOWN}))
def test_no_format_travels_with_less_than_it_has(initial: str) -> None:
    """Bits up to 16, chroma as fine, alpha where there is some; and the format it travels as is left as it is."""
    for name in (name for name in KNOWN if name[0] == initial):
        told = av.VideoFormat(name, 64, 48)
        if not told.components or name == "pal8":  # whose colours stand beside it
            continue
        carrier = av.VideoFormat(pipe_format(name), 64, 48)
        assert min(c.bits for c in carrier.components) >= min(16, max(c.bits for c in told.components)), name
        assert any(c.is_alpha for c in carrier.components) >= any(c.is_alpha for c in told.components), name
        colours = sum(not c.is_alpha for c in told.components)
        if not told.is_rgb and colours >= 3 and not carrier.is_rgb:
            assert carrier.chroma_width() >= told.chroma_width(), name
            assert carrier.chroma_height() >= told.chroma_height(), name
        assert carrier.is_rgb >= told.is_rgb, name
        assert pipe_format(carrier.name) == carrier.name, name


PLANAR = [
    (FrameFormat(family="gray"), False),
    (FrameFormat(family="gray", bits=10), False),
    (FrameFormat(family="yuv", subsampling=(1, 1)), True),
    (FrameFormat(family="yuv", subsampling=(1, 0), bits=10), True),
    (FrameFormat(family="yuv", subsampling=(1, 0), bits=12), False),
    (FrameFormat(family="yuv", subsampling=(2, 0)), False),
    (FrameFormat(family="yuv", subsampling=(0, 1)), False),
    (FrameFormat(family="rgb"), False),
    (FrameFormat(family="rgb"), True),
    (FrameFormat(family="rgb", bits=16), True),
]


@pytest.mark.parametrize(("format", "alpha"), PLANAR, ids=[f"{f.family}{f.subsampling}{f.bits}{a}" for f, a in PLANAR])
@pytest.mark.parametrize(("width", "height"), [(37, 11), (64, 16), (1, 1)])
def test_a_frame_in_ffmpeg_s_memory_is_that_frame(format: FrameFormat, alpha: bool, width: int, height: int) -> None:
    """Rows are longer there, R'G'B' has another order, and of 8 bits with alpha it is packed."""
    frame = empty_frame(format, width, height, alpha=alpha)
    rng = np.random.default_rng(1)
    for plane in frame.samples():
        plane[:] = rng.integers(0, 1 << format.bits, plane.shape)
    picture = to_picture(frame)
    assert (picture.width, picture.height) == (width, height)
    assert to_frame(picture, format).same_samples(frame)
    if format.family == "rgb" and format.bits == 8:
        pixels = picture.to_ndarray(format="rgb24")
        assert all(np.array_equal(pixels[..., i], frame.planes[i]) for i in range(3))


@pytest.mark.parametrize(
    ("name", "colors", "expected"),
    [
        ("yuv420p", Colors(), FrameFormat(family="yuv", subsampling=(1, 1))),
        ("yuvj420p", Colors(), FrameFormat(family="yuv", subsampling=(1, 1), full_range=True)),
        ("yuv420p", Colors(range=2), FrameFormat(family="yuv", subsampling=(1, 1), full_range=True)),
        ("yuvj422p", Colors(range=1), FrameFormat(family="yuv", subsampling=(1, 0), full_range=False)),
        ("p010le", Colors(matrix=9), FrameFormat(family="yuv", bits=10, subsampling=(1, 1), matrix=9)),
        ("nv12", Colors(chroma_location=3), FrameFormat(family="yuv", subsampling=(1, 1), chroma_location=2)),
        ("gray", Colors(range=1, matrix=5), FrameFormat(family="gray", full_range=False)),
        ("rgb48be", Colors(range=1, matrix=1), FrameFormat(family="rgb", bits=16)),
        ("pal8", Colors(), FrameFormat(family="rgb")),
    ],
)
def test_tags_of_a_picture_are_those_of_its_frame(name: str, colors: Colors, expected: FrameFormat) -> None:
    assert frame_format(name, colors) == expected


def test_a_format_of_no_name_is_told() -> None:
    with pytest.raises(FrameError, match="pixel format 'yuv999p' is not known to libavutil"):
        PixelLayout.of("yuv999p")


def test_tags_that_are_none_are_not_named() -> None:
    assert Colors().options(with_range=True) == {}
    told = Colors(matrix=1, transfer=16, primaries=9, range=2, chroma_location=1)
    named = {"color_trc": 16, "color_primaries": 9, "colorspace": 1, "chroma_sample_location": 1}
    assert told.options(with_range=False) == named
    assert told.options(with_range=True) == named | {"color_range": 2}


def test_a_picture_is_shown_in_the_shape_it_had() -> None:
    aspect = aspect_after(Fraction(16, 15), (720, 576), (1440, 1152))
    assert aspect == Fraction(16, 15)
    stretched = aspect_after(Fraction(16, 15), (720, 576), (1024, 576))
    assert stretched * Fraction(1024, 576) == Fraction(16, 15) * Fraction(720, 576)
