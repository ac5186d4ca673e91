"""How far networks read, found by trying: against networks whose reach is known from their layers."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.weights.reach import beside_averages, picture, reach_of

Run = Callable[[Tensor], Tensor]


@pytest.fixture(autouse=True)
def without_gradients() -> Iterator[None]:
    with torch.inference_mode():
        yield


def kernel(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(1)) + 0.1


def convolutions(count: int, size: int = 3, dilation: int = 1, scale: int = 1) -> Run:
    torch.manual_seed(1)
    padding = size // 2 * dilation
    layers = nn.Sequential(*(nn.Conv2d(1, 1, size, padding=padding, dilation=dilation) for _ in range(count)))
    layers.eval()
    return lambda x: layers(x).repeat_interleave(scale, 2).repeat_interleave(scale, 3)


def one_sided(x: Tensor) -> Tensor:
    """Reads three pixels to the left and none to the right, and nothing above or below."""
    return F.conv2d(F.pad(x, (3, 0, 0, 0)), kernel(1, 1, 1, 4))


def by_blocks(side: int) -> Run:
    """Mixes each block of pixels with itself, as attention in windows does."""
    mixing = kernel(side * side, side * side) / side**2

    def run(x: Tensor) -> Tensor:
        n, _, h, w = x.shape
        blocks = x.view(n, 1, h // side, side, w // side, side).permute(0, 1, 2, 4, 3, 5).flatten(-2)
        mixed = (blocks @ mixing).view(n, 1, h // side, w // side, side, side)
        return mixed.permute(0, 1, 2, 4, 3, 5).reshape(x.shape)

    return run


def halved_and_back(x: Tensor) -> Tensor:
    """Reads at half the resolution: which pixels it reads depends on whether a place is even."""
    return F.conv_transpose2d(F.conv2d(x, kernel(1, 1, 2, 2), stride=2), kernel(1, 1, 2, 2), stride=2)


@pytest.mark.parametrize(
    ("run", "scale", "multiple", "reach", "period"),
    [
        (lambda x: 2 * x, 1, 1, 0, 1),
        (convolutions(1), 1, 1, 1, 1),
        (convolutions(3), 1, 1, 3, 1),
        (convolutions(2, scale=2), 2, 1, 2, 1),
        (convolutions(2, size=5), 1, 1, 4, 1),
        (convolutions(1, dilation=7), 1, 1, 7, 1),
        (one_sided, 1, 1, 3, 1),
        (lambda x: one_sided(x.mT).mT, 1, 1, 3, 1),
        (by_blocks(4), 1, 4, 3, 4),
        (by_blocks(8), 1, 8, 7, 8),
        (halved_and_back, 1, 2, 1, 2),
    ],
)
def test_the_reach_is_that_of_the_layers(run: Run, scale: int, multiple: int, reach: int, period: int) -> None:
    assert reach_of(run, 1, scale, multiple, 1, swallows=False) == (reach, period)


def test_what_swallows_numbers_that_are_none_is_seen_by_a_change() -> None:
    """A maximum takes no notice of what is not a number where it is compared so: a change shows nevertheless."""

    def run(x: Tensor) -> Tensor:
        return F.max_pool2d(torch.where(torch.isnan(x), torch.zeros(()), x), 5, 1, 2)

    assert reach_of(run, 1, 1, 1, 1, swallows=True)[0] == 2
    assert reach_of(run, 1, 1, 1, 1, swallows=False)[0] == 2


def test_what_mixes_the_whole_picture_has_no_reach() -> None:
    assert reach_of(lambda x: x + x.mean((2, 3), keepdim=True), 1, 1, 1, 1, swallows=False) == (None, 1)
    assert reach_of(lambda x: x.cumsum(3), 1, 1, 1, 1, swallows=False) == (None, 1)


def test_averages_over_the_picture_are_told_from_what_is_local() -> None:
    layer = convolutions(2)

    def gated(x: Tensor) -> Tensor:
        y = layer(x)
        return y * torch.sigmoid(y.mean((2, 3), keepdim=True))

    assert beside_averages(gated, 1, 1, 1, 1) == (2, 1, ((1, 1),))
    assert beside_averages(layer, 1, 1, 1, 1) == (None, 1, ())  # there is none
    assert beside_averages(lambda x: gated(x) + x.amax((2, 3), keepdim=True), 1, 1, 1, 1)[0] is None


def test_the_picture_it_is_tried_on_is_the_same_each_time_and_of_every_seed_another() -> None:
    first = picture(3, 8, 9)
    assert first.shape == (1, 3, 8, 9)
    assert torch.equal(first, picture(3, 8, 9))
    assert not torch.equal(first, picture(3, 8, 9, 2))
    assert 0 <= float(first.min()) < float(first.max()) <= 1
