"""The torch modules of ST-LPIPS: kept apart so that listing metrics imports no torch."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (64, 192, 384, 256, 256)
EPSILON = 1e-10


class Blur(nn.Module):
    """Every second pixel of a picture filtered by 1-2-1, its border mirrored by two pixels (Zhang, ICML 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", torch.empty(channels, 1, 3, 3))
        self.filt: Tensor

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), self.filt, stride=2, groups=x.shape[1])


class ShiftTolerantAlexNet(nn.Module):
    """AlexNet that shrinks by filtered steps alone; the features after each of its five ReLUs.

    Modules are named as in the weights file: a slice for each ReLU, its layers counted on through all slices.
    """

    def __init__(self) -> None:
        super().__init__()
        first, second, third, fourth, fifth = WIDTHS
        slices: tuple[tuple[nn.Module, ...], ...] = (
            (nn.Conv2d(3, first, 11, padding=2), Blur(first), nn.ReLU()),
            (nn.MaxPool2d(3, 1), Blur(first), nn.Conv2d(first, second, 5, padding=2), nn.ReLU()),
            (nn.MaxPool2d(3, 1), Blur(second), nn.Conv2d(second, third, 3, padding=1), nn.ReLU()),
            (nn.Conv2d(third, fourth, 3, padding=1), nn.ReLU()),
            (nn.Conv2d(fourth, fifth, 3, padding=1), nn.ReLU()),
        )
        count = 0
        for i, layers in enumerate(slices, 1):
            part = nn.Sequential()
            for layer in layers:
                part.add_module(str(count), layer)
                count += 1
            self.add_module(f"slice{i}", part)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for part in self.children():
            x = part(x)
            features.append(x)
        return features


class STLPIPS(nn.Module):
    """Distance (N,) of R'G'B' pictures (N, 3, H, W) in [-1, 1].

    Features are scaled to unit length over the channels; their squared differences are weighted by channel and
    averaged over the picture, and the layers are added up (LPIPS: Zhang et al., CVPR 2018).
    """

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.empty(1, 3, 1, 1))
        self.register_buffer("scale", torch.empty(1, 3, 1, 1))
        self.shift: Tensor
        self.scale: Tensor
        self.net = ShiftTolerantAlexNet()
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(1, width, 1, 1)) for width in WIDTHS)

    def forward(self, picture: Tensor, reference: Tensor) -> Tensor:
        pairs = zip(self._features(picture), self._features(reference), self.weights, strict=True)
        layers = [(torch.square(a - b) * weight).sum(1).mean((1, 2)) for a, b, weight in pairs]
        return torch.stack(layers).sum(0)

    def _features(self, x: Tensor) -> list[Tensor]:
        layers: list[Tensor] = self.net((x - self.shift) / self.scale)
        return [layer / (layer.norm(dim=1, keepdim=True) + EPSILON) for layer in layers]
