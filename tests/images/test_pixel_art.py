"""Textures and pixel art: edges that fit together, and pixels that are repeated."""

import numpy as np
import pytest
from fakes import blur, nearest

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.errors import ArgumentError
from sr_plugins.images.pixel_art import border_for, is_nearest, repeated, wrapped
from sr_plugins.images.placement import Placement
from sr_plugins.images.upright import turned_by

RGB = FrameFormat(family="rgb")


def tile(height: int, width: int, seed: int = 1, alpha: bool = False) -> Frame:
    rng = np.random.default_rng(seed)
    planes = [rng.integers(0, 256, (height, width), np.uint8) for _ in range(3 + alpha)]
    return Frame(planes[:3], RGB, planes[3] if alpha else None)


def enlarged(frame: Frame, upscaler: Upscaler) -> Frame:
    larger, cut = wrapped(frame, upscaler)
    return cut(upscaler.upscale(larger))


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("size", [(20, 33), (1, 5), (7, 1)])
def test_a_texture_s_edges_fit_however_it_is_rolled(size: tuple[int, int], alpha: bool) -> None:
    """Rolling the texture rolls the result: there is no place where it begins."""
    frame = tile(*size, alpha=alpha)
    with Upscaler(blur(2, "rgb"), device="cpu", precision="float32") as upscaler:
        whole = enlarged(frame, upscaler)
        assert (whole.width, whole.height) == (2 * size[1], 2 * size[0])
        for dy, dx in ((1, 0), (0, 2), (3, 5)):
            rolled = [np.roll(p, (dy, dx), (0, 1)) for p in frame.samples()]
            again = enlarged(Frame(rolled[:3], RGB, rolled[3] if alpha else None), upscaler)
            for mine, theirs in zip(again.samples(), whole.samples(), strict=True):
                different = mine.astype(int) - np.roll(theirs, (2 * dy, 2 * dx), (0, 1))
                assert np.abs(different).max() <= 1


def test_without_the_other_edge_it_does_not_fit() -> None:
    frame = tile(20, 33)
    with Upscaler(blur(2, "rgb"), device="cpu", precision="float32") as upscaler:
        plain, fitting = upscaler.upscale(frame), enlarged(frame, upscaler)
    differences = np.abs(plain.planes[0].astype(int) - fitting.planes[0])
    assert differences[:2].max() > 2
    assert differences[8:-8, 8:-8].max() <= 1  # far from the edge nothing is new


@pytest.mark.parametrize(
    ("scale", "border"), [(1, 32), (2, 32), (1.5, 32), (3, 32), (4 / 3, 33), (1.28, 50), (2.4, 35)]
)
def test_a_border_is_whole_before_and_after(scale: float, border: int) -> None:
    assert border_for(scale) == border
    assert (border * scale).is_integer()


@pytest.mark.parametrize("scale", [None, 1.01, 2.0001, 3.14159])
def test_what_no_whole_border_survives_is_refused(scale: float | None) -> None:
    with pytest.raises(ArgumentError, match=r"--wrap needs a scale such as 2, 3 or 1\.5"):
        border_for(scale)


@pytest.mark.parametrize("size", [(10, 8), (7, 9), (25, 32), (13, 5), (1, 1), (5, 4)])
def test_each_sample_is_the_one_under_its_centre(size: tuple[int, int]) -> None:
    width, height = size
    frame = tile(4, 5, alpha=True)
    with Upscaler("nearest", size=size, device="cpu") as upscaler:
        assert is_nearest(upscaler)
        (result,) = repeated([frame], upscaler)
    for before, after in zip(frame.samples(), result.samples(), strict=True):
        assert after.shape == (height, width)
        for (y, x), value in np.ndenumerate(after):
            assert value == before[int((y + 0.5) * 4 / height), int((x + 0.5) * 5 / width)]


def test_a_network_of_that_name_is_none_to_repeat_by() -> None:
    with Upscaler(nearest(2, "rgb"), device="cpu") as own, Upscaler("bicubic", 2, device="cpu") as other:
        assert own.loaded.spec.name == "nearest"
        assert is_nearest(own) == (not own.loaded.spec.needs_weights)
        assert not is_nearest(other)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("scale", [1, 3])
def test_places_go_where_the_pixels_went(orientation: int, scale: int) -> None:
    """A pixel of the stored picture, found again in the upright enlargement."""
    from PIL import Image

    stored = (7, 5)
    size = (7 * scale, 5 * scale) if orientation < 5 else (5 * scale, 7 * scale)
    placement = Placement(stored, orientation, size)
    assert placement.factors == (scale, scale)
    assert placement.turned == (orientation >= 5)
    for x, y in ((0, 0), (6, 0), (2, 3), (6, 4), (0, 4)):
        picture = np.zeros((5, 7), np.uint8)
        picture[y, x] = 255
        upright = np.asarray(turned_by(Image.fromarray(picture), orientation))
        large = upright.repeat(scale, 0).repeat(scale, 1)
        across, down = placement.point(x + 0.5, y + 0.5)
        assert large[int(down), int(across)] == 255
        rows, columns = np.nonzero(large)
        assert (across, down) == pytest.approx((columns.mean() + 0.5, rows.mean() + 0.5))
    assert placement.extent(7, 5) == size
