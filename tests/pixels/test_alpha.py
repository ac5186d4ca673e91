"""Colour under alpha: what is bled into fully transparent places, and alpha itself enlarged."""

import numpy as np
import pytest
import torch
from fakes import blur, nearest

from sr_plugins import Frame, FrameFormat, Upscaler
from sr_plugins.pixels.conversion import Conversion

RGB = FrameFormat(family="rgb")


def bled(planes: list[np.ndarray], alpha: np.ndarray, reach: int, format: FrameFormat = RGB) -> np.ndarray:  # type: ignore[type-arg]
    """R'G'B' (3, H, W) as a model of RGB sees it, in codes of 8 bits."""
    conversion = Conversion(format, "rgb", 2)
    x, _ = conversion.to_model([torch.from_numpy(p[None]) for p in planes], torch.from_numpy(alpha[None]), reach)
    return x[0].numpy() * 255


def test_hidden_colour_fringes_no_edge() -> None:
    """A red disc whose surroundings are hidden green: within reach everything is red, as far as alpha is zero."""
    y, x = np.mgrid[0:40, 0:40]
    inside = np.hypot(y - 20, x - 20) < 9
    alpha = inside.astype(np.uint8) * 255
    planes = [np.where(inside, 200, 0), np.where(inside, 30, 255), np.where(inside, 10, 0)]
    seen = bled([p.astype(np.uint8) for p in planes], alpha, 5)
    near = np.maximum(np.abs(y - 20), np.abs(x - 20)) <= 10
    for plane, value in zip(seen, (200, 30, 10), strict=True):
        assert np.allclose(plane[near], value, atol=1e-3)


def test_what_is_seen_even_faintly_stays() -> None:
    rng = np.random.default_rng(1)
    planes = [rng.integers(0, 256, (12, 15), np.uint8) for _ in range(3)]
    alpha = rng.choice(np.array([0, 1, 255], np.uint8), (12, 15))
    seen = bled(planes, alpha, 4)
    for plane, before in zip(seen, planes, strict=True):
        assert np.allclose(plane[alpha > 0], before[alpha > 0], atol=1e-3)


def test_one_step_is_the_mean_of_the_neighbours_that_are_seen() -> None:
    rng = np.random.default_rng(2)
    plane = rng.integers(0, 256, (9, 9), np.uint8)
    alpha = (rng.random((9, 9)) < 0.5).astype(np.uint8)
    (seen, *_) = bled([plane] * 3, alpha, 1)
    for y, x in zip(*np.nonzero(alpha == 0), strict=True):
        around = (slice(max(0, y - 1), y + 2), slice(max(0, x - 1), x + 2))
        visible = alpha[around] > 0
        if visible.any():
            assert seen[y, x] == pytest.approx(plane[around][visible].mean(), abs=1e-3)


def test_colour_travels_as_far_as_it_is_read() -> None:
    plane = np.full((1, 30), 10, np.uint8)
    plane[0, 0] = 250
    alpha = np.zeros_like(plane)
    alpha[0, 0] = 1
    for reach in (1, 4, 9):
        (seen, *_) = bled([plane] * 3, alpha, reach)
        assert np.allclose(seen[0, : reach + 1], 250, atol=1e-3)


def test_chroma_counts_as_seen_where_any_of_its_pixels_is() -> None:
    """4:2:0, one pixel of four is seen: the colour is that of the block, and it bleeds into the next."""
    format = FrameFormat(family="yuv", subsampling=(1, 1), matrix=1, full_range=True)
    luma, alpha = np.full((4, 6), 120, np.uint8), np.zeros((4, 6), np.uint8)
    alpha[1, 1] = 255
    chroma = np.full((2, 3), 128, np.uint8)
    chroma[0, 0] = 200  # elsewhere hidden gray
    seen = bled([luma, chroma, chroma], alpha, 6, format)
    colour = seen[:, 1, 1]
    assert colour[0] > 130  # reddish
    assert np.allclose(seen[:, :2, :2], colour[:, None, None], atol=0.5)
    assert np.allclose(seen[:, :3, 3], colour[:, None], atol=0.5)


@pytest.mark.parametrize("channels", ["luma", "rgb"])
def test_hidden_colour_changes_nothing_that_is_seen(channels: str) -> None:
    rng = np.random.default_rng(3)
    alpha = np.zeros((30, 34), np.uint8)
    alpha[8:22, 5:25] = 255
    own = [rng.integers(0, 256, (30, 34), np.uint8) for _ in range(3)]
    other = [np.where(alpha > 0, p, rng.integers(0, 256, p.shape)).astype(np.uint8) for p in own]
    with Upscaler(blur(2, channels), device="cpu", precision="float32") as upscaler:  # type: ignore[arg-type]
        a, b = (upscaler.upscale(Frame(planes, RGB, alpha)) for planes in (own, other))
    assert np.array_equal(a.alpha, b.alpha)
    visible = a.alpha > 0
    for mine, theirs in zip(a.planes, b.planes, strict=True):
        assert np.array_equal(mine[visible], theirs[visible])


def test_a_picture_that_is_all_hidden_keeps_its_colour() -> None:
    rng = np.random.default_rng(4)
    planes = [rng.integers(0, 256, (7, 9), np.uint8) for _ in range(3)]
    with Upscaler(nearest(2, "rgb"), device="cpu", precision="float32") as upscaler:
        result = upscaler.upscale(Frame(planes, RGB, np.zeros((7, 9), np.uint8)))
    assert not result.alpha.any()
    assert all(p.std() > 20 for p in result.planes)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("scale", [2, 3])
def test_solid_and_clear_parts_of_alpha_stay_exactly_so(bits: int, scale: int) -> None:
    format = FrameFormat(family="gray", bits=bits)
    top = (1 << bits) - 1
    alpha = np.zeros((16, 16), format.dtype)
    alpha[4:12, 4:12] = top
    alpha[7:9, 7:9] = top // 3
    enlarged = (
        Conversion(format, "luma", scale).enlarge_alpha(torch.from_numpy(alpha[None].astype(np.int32)))[0].numpy()
    )
    assert enlarged.shape == (16 * scale, 16 * scale)
    assert (enlarged[: 2 * scale] == 0).all()
    assert (enlarged[5 * scale, 4 * scale + 2 * scale : 8 * scale] == top).all()
    assert np.array_equal(enlarged, enlarged[::-1, ::-1])  # centred
    assert np.array_equal(enlarged, enlarged.T)
