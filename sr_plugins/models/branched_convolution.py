"""The convolution our networks train with: linear branches beside it, folded into one plain 3x3 kernel.

Linear over-parameterisation speeds training up and costs nothing afterwards (ECBSR, Zhang et al. 2021; SESR, Bhardwaj
et al. 2022, who fold in the forward pass as here).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.1  # of the leaky ReLU of our compact networks, which the first weights are drawn for


class BranchedConv3x3(nn.Module):
    """A 3x3 convolution whose kernel is a sum of linear branches, folded in every forward pass.

    kernel = K + 1x1 + (E x 3x3 expanded to ``2 * features``), plus the identity where ``skip``. Folding kernels costs a
    few thousandths of the convolution itself, so training runs at the speed of the folded network.
    """

    def __init__(self, inputs: int, outputs: int, *, skip: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.point = nn.Parameter(torch.zeros(outputs, inputs))
        wide = 2 * max(inputs, outputs)
        self.expand = nn.Parameter(torch.empty(wide, inputs, 3, 3))
        self.squeeze = nn.Parameter(torch.empty(outputs, wide))
        nn.init.kaiming_normal_(self.expand, a=SLOPE, nonlinearity="leaky_relu")
        nn.init.normal_(self.squeeze, std=0.1 / wide**0.5)
        nn.init.kaiming_normal_(self.conv.weight, a=SLOPE, nonlinearity="leaky_relu")
        if skip:
            # the skip carries the signal; what the branches add starts small
            with torch.no_grad():
                self.conv.weight.mul_(0.3)
        nn.init.zeros_(self.conv.bias)  # type: ignore[arg-type]
        self.register_buffer("identity", torch.eye(outputs, inputs) if skip else torch.zeros(outputs, inputs), False)
        self.identity: Tensor

    def kernel(self) -> Tensor:
        """The folded kernel, (outputs, inputs, 3, 3)."""
        wide = (self.squeeze @ self.expand.flatten(1)).view_as(self.conv.weight)
        return self.conv.weight + wide + F.pad((self.point + self.identity)[:, :, None, None], (1, 1, 1, 1))

    def bias(self) -> Tensor:
        """The folded bias, (outputs,)."""
        assert self.conv.bias is not None
        return self.conv.bias

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            kernel, bias = self.kernel(), self.bias()
        return F.conv2d(x, kernel, bias, padding=1)

    def load_folded(self, weight: Tensor, bias: Tensor) -> None:
        """Make the folded kernel equal ``weight`` by changing the plain branch only."""
        with torch.no_grad():
            self.conv.weight.add_(weight - self.kernel())
            assert self.conv.bias is not None
            self.conv.bias.copy_(bias)

    def fold(self) -> nn.Conv2d:
        """The equal plain convolution."""
        folded = nn.Conv2d(self.conv.in_channels, self.conv.out_channels, 3, padding=1)
        with torch.no_grad():
            folded.weight.copy_(self.kernel())
            assert folded.bias is not None
            folded.bias.copy_(self.bias())
        return folded


class GridFreeConv3x3(BranchedConv3x3):
    """The layer before a pixel shuffle, held to kernels that draw no grid.

    Layer and shuffle are one transposed convolution, ``3 * scale`` pixels to each side. It repeats nothing from one
    low-resolution pixel to the next, whatever comes in that is smooth, where its kernel is another one convolved with a
    zero-order hold of ``scale`` pixels (Sugawara, Shiota, Kiya, "Super-resolution using convolutional neural networks
    without any checkerboard artifacts", ICIP 2018). The branches' sum is projected on those kernels, so that the folded
    layer is as plain as any.

    Args:
        inputs, planes: features in, pictures out.
        scale: of the pixel shuffle behind.
    """

    def __init__(self, inputs: int, planes: int, scale: int) -> None:
        super().__init__(inputs, planes * scale**2, skip=False)
        self.scale = scale
        side = 3 * scale
        held = torch.zeros(side, 2 * scale + 1, dtype=torch.float64)
        for start in range(2 * scale + 1):
            held[start : start + scale, start] = 1
        self.register_buffer("projection", (held @ torch.linalg.pinv(held)).float(), persistent=False)
        self.projection: Tensor

    def kernel(self) -> Tensor:
        kernel = super().kernel()
        s, (outputs, inputs) = self.scale, kernel.shape[:2]
        # output (plane, row, column within the pixel) and tap (row, column): what lies where in the transposed kernel
        taps = kernel.reshape(outputs // s**2, s, s, inputs, 3, 3).flip(4, 5).permute(0, 3, 4, 1, 5, 2)
        whole = taps.reshape(outputs // s**2, inputs, 3 * s, 3 * s)
        whole = self.projection @ whole @ self.projection
        taps = whole.reshape(outputs // s**2, inputs, 3, s, 3, s).permute(0, 3, 5, 1, 2, 4).flip(4, 5)
        return taps.reshape(kernel.shape)

    def bias(self) -> Tensor:
        bias = super().bias().view(-1, self.scale**2)
        return bias.mean(1, keepdim=True).expand_as(bias).flatten()


def load_folded(network: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Start from a folded network's tensors, wherever the shapes fit; returns the names of the layers taken."""
    taken = []
    for name, layer in network.named_modules():
        weight, bias = tensors.get(f"{name}.weight"), tensors.get(f"{name}.bias")
        if not isinstance(layer, BranchedConv3x3) or weight is None or bias is None:
            continue
        if weight.shape == layer.conv.weight.shape:
            layer.load_folded(weight, bias)
            taken.append(name)
    return taken
