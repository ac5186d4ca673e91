"""Frames and their formats: what fits together, what does not, and how large planes are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sr_plugins import ChromaLocation, Frame, FrameFormat, Matrix
from sr_plugins.errors import FrameError
from sr_plugins.pixels.frame import empty_frame, frame_of

GRAY, RGB, YUV420 = (
    FrameFormat(family="gray"),
    FrameFormat(family="rgb"),
    FrameFormat(family="yuv", subsampling=(1, 1)),
)


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"family": "cmyk"}, "'cmyk' is none of gray, yuv, rgb"),
        ({"family": "gray", "bits": 7}, "7-bit integer samples are not supported: 8 to 16 bits are"),
        ({"family": "gray", "bits": 17}, "17-bit integer"),
        ({"family": "gray", "bits": 24, "is_float": True}, "24-bit float samples are not supported: 16 to 32 bits are"),
        ({"family": "rgb", "subsampling": (1, 0)}, r"rgb frames have no subsampled planes, got subsampling \(1, 0\)"),
        ({"family": "gray", "subsampling": (0, 1)}, "gray frames have no subsampled planes"),
        ({"family": "yuv", "subsampling": (3, 0)}, "each factor is 1, 2 or 4"),
        ({"family": "yuv", "subsampling": (0, -1)}, "each factor is 1, 2 or 4"),
        ({"family": "yuv", "chroma_location": 6}, r"chroma location 6 is not one of ITU-T H.273 \(0 to 5\)"),
    ],
)
def test_formats_that_there_are_not(told: dict[str, object], message: str) -> None:
    with pytest.raises(FrameError, match=message):
        FrameFormat(**told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bits", "is_float", "dtype"),
    [
        (8, False, np.uint8),
        (9, False, np.uint16),
        (16, False, np.uint16),
        (16, True, np.float16),
        (32, True, np.float32),
    ],
)
def test_samples_are_of_the_smallest_type_that_holds_them(bits: int, is_float: bool, dtype: type) -> None:
    assert FrameFormat(family="gray", bits=bits, is_float=is_float).dtype == dtype


@pytest.mark.parametrize(("family", "full", "planes"), [("gray", True, 1), ("rgb", True, 3), ("yuv", False, 3)])
def test_the_usual_range_of_a_family(family: str, full: bool, planes: int) -> None:
    format = FrameFormat(family=family)  # type: ignore[arg-type]
    assert (format.full_range, format.planes) == (full, planes)
    assert format == FrameFormat(family=family, full_range=full)  # type: ignore[arg-type]
    assert FrameFormat(family=family, full_range=not full).full_range is not full  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 40), height=st.integers(1, 40), sx=st.integers(0, 2), sy=st.integers(0, 2), alpha=st.booleans()
)
def test_odd_sizes_round_up_so_that_every_pixel_has_its_chroma(
    width: int, height: int, sx: int, sy: int, alpha: bool
) -> None:
    format = FrameFormat(family="yuv", subsampling=(sx, sy))
    frame = empty_frame(format, width, height, alpha=alpha)
    assert (frame.width, frame.height, len(frame.samples())) == (width, height, 3 + alpha)
    for plane in frame.planes[1:]:
        rows, columns = plane.shape
        assert (rows - 1) * 2**sy < height <= rows * 2**sy
        assert (columns - 1) * 2**sx < width <= columns * 2**sx
    assert frame.samples()[0].shape == frame.samples()[-1 if alpha else 0].shape == (height, width)


@pytest.mark.parametrize(
    ("planes", "format", "alpha", "message"),
    [
        ([(4, 6)], RGB, None, "a rgb frame has 3 planes, got 1"),
        ([(4, 6), (2, 3), (2, 3)], GRAY, None, "a gray frame has 1 planes, got 3"),
        ([(4, 0)], GRAY, None, r"with at least one pixel, got \(4, 0\)"),
        ([(4, 6, 1)], GRAY, None, r"a plane is a \(height, width\) array"),
        ([(5, 7), (3, 4), (2, 4)], YUV420, None, r"plane 2 has shape \(2, 4\), expected \(3, 4\) \(height, width\)"),
        ([(5, 7), (7, 5), (5, 7)], RGB, None, r"plane 1 has shape \(7, 5\), expected \(5, 7\)"),
        ([(5, 7), (3, 4), (3, 4)], YUV420, (3, 4), r"alpha has shape \(3, 4\), expected \(5, 7\)"),
    ],
)
def test_planes_that_do_not_fit_are_named_with_what_is_expected(
    planes: list[tuple[int, ...]], format: FrameFormat, alpha: tuple[int, int] | None, message: str
) -> None:
    with pytest.raises(FrameError, match=message):
        Frame(
            [np.zeros(shape, np.uint8) for shape in planes],
            format,
            None if alpha is None else np.zeros(alpha, np.uint8),
        )


def test_samples_of_another_type_are_named() -> None:
    plane = np.zeros((2, 3), np.uint8)
    with pytest.raises(FrameError, match="plane 0 holds uint8, expected uint16"):
        Frame([plane], FrameFormat(family="gray", bits=10))
    with pytest.raises(FrameError, match="alpha holds float32, expected uint8"):
        Frame([plane], GRAY, plane.astype(np.float32))
    with pytest.raises(FrameError, match="plane 2 holds int64, expected uint8"):
        Frame([plane, plane, plane.astype(np.int64)], RGB)


def test_a_copy_is_equal_until_either_is_written_to() -> None:
    rng = np.random.default_rng(1)
    sheet = rng.integers(0, 256, (20, 24, 4), np.uint8)
    frame = Frame([sheet[::2, ::2, i] for i in range(3)], RGB, sheet[::2, ::2, 3])  # strides are free
    copy = frame.copied()
    assert copy.same_samples(frame)
    assert not any(np.shares_memory(a, b) for a in copy.samples() for b in frame.samples())
    for i in range(4):
        other = frame.copied()
        other.samples()[i][3, 5] ^= 1
        assert not frame.same_samples(other)
        assert not other.same_samples(frame)


def test_the_same_samples_of_another_kind_are_not_the_same() -> None:
    planes = [np.full((4, 4), 128, np.uint8)] * 3
    yuv = Frame(planes, FrameFormat(family="yuv"))
    others = (
        Frame(planes, RGB),
        Frame(planes, FrameFormat(family="yuv", matrix=Matrix.BT709)),
        Frame(planes, FrameFormat(family="yuv", full_range=True)),
        Frame(planes, FrameFormat(family="yuv", chroma_location=ChromaLocation.TOP)),
        Frame(planes, FrameFormat(family="yuv"), planes[0]),
        Frame([p[:, :3] for p in planes], FrameFormat(family="yuv")),
    )
    assert yuv.same_samples(Frame([p.copy() for p in planes], FrameFormat(family="yuv")))
    assert not any(yuv.same_samples(other) for other in others)


@pytest.mark.parametrize("format", [GRAY, RGB, YUV420], ids=lambda format: format.family)
@pytest.mark.parametrize("alpha", [False, True])
def test_samples_and_back(format: FrameFormat, alpha: bool) -> None:
    frame = empty_frame(format, 5, 3, alpha=alpha)
    again = frame_of(format, frame.samples())
    assert all(a is b for a, b in zip(again.samples(), frame.samples(), strict=True))
    assert (again.alpha is not None) == alpha
