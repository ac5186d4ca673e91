"""ST-LPIPS: Ghildyal and Liu, "Shift-tolerant perceptual similarity metric", ECCV 2022, with AlexNet.

The metric is its authors' trained weights, which come whole in their package: nothing is fetched when it is measured,
unlike LPIPS. Only tensors are read from it and none of its code runs, for that imports what it does not need.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.errors import DataError
from sr_plugins.version import package_command
from sr_plugins.weights.torch_files import read_checkpoint

PACKAGE, WEIGHTS = "stlpips_pytorch", "weights/vST0.0/alex_shift_tolerant.pth"
LEAST = 21  # pixels of a side, of which three are left where the last filter mirrors two
WIDTHS = (64, 192, 384, 256, 256)
EPSILON = 1e-10


def missing() -> str | None:
    """What to install, or ``None``."""
    if find_spec(PACKAGE) is None:
        return f"ST-LPIPS is its authors' trained weights: {package_command('stlpips-pytorch')}"
    return None


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


def network() -> STLPIPS:
    """The metric with its authors' weights, ready to measure. ``WeightsError`` where the package's file is another."""
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    tensors = read_checkpoint(Path(spec.submodule_search_locations[0]) / WEIGHTS)
    ours = {
        name.replace("scaling_layer.", "").replace("lin", "weights.").replace(".model.1.weight", ""): tensor
        for name, tensor in tensors.items()
    }
    metric = STLPIPS()
    metric.load_state_dict(ours)
    return metric.eval()


def build() -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]:
    """ST-LPIPS of 8-bit R'G'B' pictures (H, W, 3), sides of at least 21 (``DataError`` otherwise); 0 for the same."""
    metric = network()

    def measure(picture: NDArray[np.uint8], reference: NDArray[np.uint8]) -> float:
        if min(picture.shape[:2]) < LEAST:
            raise DataError(f"stlpips is measured on pictures with sides of at least {LEAST}")
        pair = (
            torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1)))[None].float() / 127.5 - 1
            for p in (picture, reference)
        )
        with torch.inference_mode():
            return float(metric(*pair))

    return measure
