"""The torch modules of ``lapsrn``."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.interpolation import BicubicUpsample

SLOPE = 0.2


class LapSRN(nn.Module):
    """(N, 1, H, W) in [0, 1] to (N, 1, H * 2**levels, W * 2**levels): every level doubles and adds a residual.

    All levels share their weights; the tensors of one level are the tensors of every number of levels.
    """

    def __init__(self, levels: int, features: int, layers: int) -> None:
        super().__init__()
        self.levels = levels
        self.base = BicubicUpsample(2)
        self.head = nn.Conv2d(1, features, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(features, features, 3, padding=1) for _ in range(layers))
        self.upsample = nn.ConvTranspose2d(features, features, 4, stride=2, padding=1)
        self.tail = nn.Conv2d(features, 1, 3, padding=1)
        with torch.no_grad():  # start near the bicubic picture; the skips carry the features
            self.tail.weight.mul_(0.1)
            for layer in self.body:
                layer.weight.mul_(0.3)  # type: ignore[operator]

    def pyramid(self, x: Tensor, levels: int) -> list[Tensor]:
        """The pictures of the first ``levels`` levels, each twice the one before."""
        picture, features, pictures = x, self.head(x), []
        for _ in range(levels):
            for layer in self.body:
                features = features + F.leaky_relu(layer(features), SLOPE)
            features = F.leaky_relu(self.upsample(features), SLOPE)
            picture = self.base(picture) + self.tail(features).float()
            pictures.append(picture)
        return pictures

    def forward(self, x: Tensor) -> Tensor:
        return self.pyramid(x, self.levels)[-1]


class Pyramid(nn.Module):
    """:class:`LapSRN` to train: returns the pictures of all levels, or of those up to ``scale``."""

    def __init__(self, levels: int, features: int, layers: int) -> None:
        super().__init__()
        self.network = LapSRN(levels, features, layers)

    def forward(self, x: Tensor, scale: int | None = None) -> list[Tensor]:
        levels = self.network.levels if scale is None else scale.bit_length() - 1
        return self.network.pyramid(x, levels)

    def fold(self) -> nn.Module:
        """The inference network, in eval mode."""
        return self.network.eval()

    def load_folded(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Start from the inference network's tensors, wherever the shapes fit; returns the names of those taken."""
        own = self.network.state_dict()
        taken = {key: value for key, value in tensors.items() if key in own and own[key].shape == value.shape}
        self.network.load_state_dict(taken, strict=False)
        return list(taken)
