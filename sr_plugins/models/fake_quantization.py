"""8-bit integers as training sees them: values rounded to the steps they will have, gradients as if they were not.

Quantisation as in Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
inference" (CVPR 2018): activations in 256 steps of one range for each tensor, in which zero is exact; kernels in 255
symmetric steps of a range for each output channel, in which two neighbouring inputs are at most 127 together. These are
the numbers that backends compute in int8.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.branched_convolution import BranchedConv3x3
from sr_plugins.models.symmetric_convolution import SymmetricConv3x3

STEPS = 255  # between the 256 values of an activation
KERNEL_STEPS = 127  # on either side of zero
SMALLEST = 1e-6  # range; where nothing ever is, there still is a step
MOST_GAIN = 100.0  # of a channel that hardly ever is above zero


def around_zero(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Ranges widened and shifted by less than a step, so that zero is one of their 256 values."""
    low, high = low.clamp(max=0), high.clamp(min=SMALLEST)
    step = (high - low) / STEPS
    low = -step * (-low / step).round()
    return low, low + STEPS * step


def fake_quantized(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """``x`` cut to [low, high] and rounded to its 256 values; the gradient is that of the cut alone."""
    cut = x.clamp(low, high)
    span = high - low
    rounded = ((cut.detach() - low) / span * STEPS).round() / STEPS * span + low
    return cut + (rounded - cut.detach())


def fake_quantized_kernel(kernel: Tensor) -> Tensor:
    """(outputs, inputs, height, width) rounded to 255 steps around zero for each output; the gradient passes."""
    largest = _largest(kernel.detach())
    rounded = (kernel.detach() / largest * KERNEL_STEPS).round() / KERNEL_STEPS * largest
    return kernel + (rounded - kernel.detach())


def _largest(kernel: Tensor) -> Tensor:
    """What 127 stands for in each output: no two neighbouring inputs are more, whose products some processors add in
    16 bits."""
    size = F.pad(kernel.abs(), (0, 0, 0, 0, 0, kernel.shape[1] % 2))
    return (size[:, ::2] + size[:, 1::2]).amax((1, 2, 3), keepdim=True).clamp(min=1e-12)


def int8_convolution(layer: nn.Module, x: Tensor, limits: Tensor) -> Tensor:
    """What ``layer`` makes of ``x`` in 8-bit integers; ``limits`` (2,) are the lowest and highest value of ``x``."""
    kernel, bias = kernel_of(layer)
    x = fake_quantized(x, *around_zero(limits[0], limits[1]))
    return F.conv2d(x, fake_quantized_kernel(kernel), bias, padding=1)


def extremes(x: Tensor) -> Tensor:
    """(2,): lowest and highest value of a batch."""
    return torch.stack((x.detach().amin(), x.detach().amax()))


@contextmanager
def rounding(network: nn.Module, wanted: bool) -> Iterator[None]:
    """While it lasts a network that has ranges rounds to 8-bit integers, where that is wanted."""
    if not wanted or getattr(network, "int8_ranges", None) is None:
        yield
        return
    before = network.int8
    network.int8 = True  # type: ignore[assignment]
    try:
        yield
    finally:
        network.int8 = before


def kernel_of(layer: nn.Module) -> tuple[Tensor, Tensor | None]:
    """Kernel and bias of the plain convolution that a layer of ours is."""
    if isinstance(layer, SymmetricConv3x3):
        return layer.written_out()
    if isinstance(layer, BranchedConv3x3):
        return layer.kernel(), layer.conv.bias
    assert isinstance(layer, nn.Conv2d)
    return layer.weight, layer.bias


@torch.no_grad()
def equalize(first: nn.Module, second: nn.Module, seen: Tensor) -> None:
    """Scale each channel between two layers so that all are equally large; what the two compute stays.

    Exact where the activation between them is homogeneous, as ReLU, leaky ReLU and PReLU are (Nagel et al., "Data-free
    quantization through weight equalization and bias correction", ICCV 2019): a small channel no longer gets the few
    steps that a large one leaves it.

    Args:
        first, second: layers with branches to train, or plain convolutions; symmetric ones on both sides or on none.
        seen: (N, C, H, W), what lies between them.
    """
    largest = seen.abs().amax((0, 2, 3))
    order = first.order if isinstance(first, SymmetricConv3x3) else 1
    largest = largest.view(order, -1).amax(0)  # channels of a family share a kernel, and so a scale
    scale = (largest / largest.max().clamp(min=SMALLEST)).clamp(min=1 / MOST_GAIN)
    kernel, bias = _trained(first)
    _load(first, kernel / scale.view(-1, 1, 1, 1), bias / scale)
    kernel, bias = _trained(second)
    _load(second, kernel * scale.repeat(order).view(1, -1, 1, 1), bias)


def _trained(layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Kernel and bias before they are written out to all positions."""
    kernel, bias = kernel_of(layer.shared if isinstance(layer, SymmetricConv3x3) else layer)
    assert bias is not None
    return kernel.clone(), bias.clone()


def _load(layer: nn.Module, kernel: Tensor, bias: Tensor) -> None:
    inner = layer.shared if isinstance(layer, SymmetricConv3x3) else layer
    if isinstance(inner, BranchedConv3x3):
        inner.load_folded(kernel, bias)
    else:
        assert isinstance(inner, nn.Conv2d)
        assert inner.bias is not None
        inner.weight.copy_(kernel)
        inner.bias.copy_(bias)
