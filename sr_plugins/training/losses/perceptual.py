"""Losses on features of a network: content (distance) and texture (statistics). Luma is shown to it as gray."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.errors import PluginError
from sr_plugins.folders import home_folder

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet, as VGG was trained


class RandomFeatures(nn.Module):
    """Features of a fixed random network: five convolutions in three octaves, the same weights in every run.

    Random filters with a nonlinearity carry much of what trained ones do for comparing textures (Ustyuzhaninov et
    al., "What does it take to generate natural textures?", ICLR 2017), and need no download. Kernels are orthogonal and
    free of the mean, so that the features see structure, not brightness.
    """

    def __init__(self, widths: Sequence[int] = (16, 32, 32, 64, 64), seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.convs = nn.ModuleList()
        for i, (inputs, outputs) in enumerate(zip((3, *widths[:-1]), widths, strict=True)):
            conv = nn.Conv2d(inputs, outputs, 3, bias=False)
            kernel = torch.randn(outputs, inputs * 9, generator=generator)
            if i == 0:
                kernel -= kernel.mean(1, keepdim=True)
            rows = min(outputs, inputs * 9 - 1)
            basis = torch.linalg.qr(kernel.T[:, :rows])[0].T
            rest = kernel[rows:]  # more filters than dimensions cannot all be orthogonal
            kernel = torch.cat([basis, rest / rest.norm(dim=1, keepdim=True)])
            conv.weight = nn.Parameter(kernel.view_as(conv.weight) * 2**0.5, requires_grad=False)
            self.convs.append(conv)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for i, conv in enumerate(self.convs):
            if i in (2, 4):
                x = F.avg_pool2d(x, 2)
            x = F.leaky_relu(conv(F.pad(x, (1, 1, 1, 1), mode="reflect")), 0.2)
            features.append(x)
        return features


class VGGFeatures(nn.Module):
    """torchvision's VGG19: conv1_2, 2_2, 3_4, 4_4 and 5_4 before their ReLU.

    Raises ``PluginError`` where torchvision or its weights file are absent; nothing is downloaded.
    """

    LAYERS = (2, 7, 16, 25, 34)

    def __init__(self) -> None:
        super().__init__()
        try:
            from torchvision.models import VGG19_Weights, vgg19
        except ImportError as error:
            raise PluginError("features = 'vgg19' needs torchvision: install it, or use features = 'random'") from error
        home = Path(os.environ.get("TORCH_HOME", home_folder() / ".cache" / "torch"))
        path = home / "hub" / "checkpoints" / VGG19_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
        if not path.is_file():
            raise PluginError(
                f"features = 'vgg19' needs the weights {path}: fetch them with torchvision "
                "(vgg19(weights='IMAGENET1K_V1')), or use features = 'random', which needs no download"
            )
        network = vgg19()
        network.load_state_dict(torch.load(path, weights_only=True))
        self.layers = network.features[: self.LAYERS[-1] + 1].requires_grad_(False).eval()
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(STD)[:, None, None])
        self.mean: Tensor
        self.std: Tensor

    def forward(self, x: Tensor) -> list[Tensor]:
        x = (x - self.mean) / self.std
        features = []
        for i, layer in enumerate(self.layers):
            # the features are kept, so the ReLU after them must not work in place
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)
            if i in self.LAYERS:
                features.append(x)
        return features


def _network(features: str) -> nn.Module:
    if features == "random":
        return RandomFeatures()
    if features == "vgg19":
        return VGGFeatures()
    raise ValueError(f"features = {features!r} is neither 'random' nor 'vgg19'")


def _rgb(x: Tensor) -> Tensor:
    return x.expand(-1, 3, -1, -1)


class ContentLoss(nn.Module):
    """Mean absolute distance of features, averaged over the layers (Johnson et al., ECCV 2016; ESRGAN's L1 form).

    Args:
        features: ``random`` (a fixed random network) or ``vgg19`` (torchvision's, where its weights are present).
    """

    def __init__(self, features: str = "random") -> None:
        super().__init__()
        self.network = _network(features)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.network(_rgb(target))
        pairs = zip(self.network(_rgb(output)), wanted, strict=True)
        return torch.stack([F.l1_loss(got, want) for got, want in pairs]).mean()


class TextureLoss(nn.Module):
    """Distance of Gram matrices over patches of features (EnhanceNet: Sajjadi, Schölkopf and Hirsch, ICCV 2017).

    Args:
        features: as for :class:`ContentLoss`.
        patch: side of the patches in output pixels; statistics are compared within each.
    """

    def __init__(self, features: str = "random", patch: int = 16) -> None:
        super().__init__()
        if not isinstance(patch, int) or patch < 8:
            raise ValueError(f"patch = {patch!r} is not a whole number of at least 8")
        self.network, self.patch = _network(features), patch

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        size = output.shape[-1]
        with torch.no_grad():
            wanted = [self._gram(f, size) for f in self.network(_rgb(target))[:3]]
        got = [self._gram(f, size) for f in self.network(_rgb(output))[:3]]
        return torch.stack([F.l1_loss(a, b) for a, b in zip(got, wanted, strict=True)]).mean()

    def _gram(self, features: Tensor, size: int) -> Tensor:
        side = max(1, min(round(self.patch * features.shape[-1] / size), *features.shape[-2:]))
        c, h, w = features.shape[1:]
        whole = features[..., : h // side * side, : w // side * side]
        patches = whole.unfold(2, side, side).unfold(3, side, side)  # (N, C, rows, columns, side, side)
        return gram(patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, c, side * side))


def gram(features: Tensor) -> Tensor:
    """Gram matrices (N, C, C) of (N, C, positions), divided by the number of positions."""
    return features @ features.transpose(1, 2) / features.shape[-1]
