"""The networks of a learned degradation: the generator, and the discriminator it is trained against."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

SLOPE = 0.2  # of the leaky ReLUs
GRAIN = 5  # pixels: side of the kernels that turn white noise into grain
START = 0.006  # sigma of the first grain; without any, noise of either sign is as good and nothing pulls
DETAIL = 30.0  # what a degradation leaves is faint beside the picture: the discriminator sees it so much enlarged


class DegradationGenerator(nn.Module):
    """Clean R'G'B' (N, 3, H, W) in [0, 1] to degraded (N, 3, H / scale, W / scale).

    The result is antialiased bicubic plus three parts that start at or near zero: a linear one, for another kernel than
    bicubic's; one of a small network that sees the small picture and the detail that shrinking lost; and grain, white
    noise that a kernel makes coarse, as strong as the same network says for every pixel and colour. ``noise`` is
    (N, noises, H / scale, W / scale), of variance one.
    """

    noises = 4

    def __init__(self, scale: int, features: int) -> None:
        super().__init__()
        self.scale, self.features = scale, features
        self.kernel = nn.Parameter(torch.zeros(1, 1, 4 * scale + 1, 4 * scale + 1))
        clumps = torch.zeros(self.noises, 1, GRAIN, GRAIN)
        clumps[..., GRAIN // 2, GRAIN // 2] = 1
        self.clumps = nn.Parameter(clumps)
        last = _conv(features, 3 + 3 * self.noises)
        bias = torch.zeros(1 + self.noises, 3)
        bias[1] = START  # the first noise is common to the colours, each of the others belongs to one
        bias[2:] = START * torch.eye(3)
        with torch.no_grad():
            last.weight.mul_(0.01)
        last.bias = nn.Parameter(bias.flatten())
        self.layers = nn.Sequential(
            _conv(3 * (1 + scale * scale), features),
            nn.LeakyReLU(SLOPE),
            _conv(features, features),
            nn.LeakyReLU(SLOPE),
            last,
        )

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        scale = self.scale
        small = shrunk(x, scale)
        lost = x - F.interpolate(small, x.shape[-2:], mode="bilinear", align_corners=False)
        padded = F.pad(x, (2 * scale, scale + 1) * 2, mode="replicate")
        kernel = self.kernel - self.kernel.mean()  # flat parts stay as they are
        blurred = F.conv2d(padded, kernel.expand(3, -1, -1, -1), stride=scale, groups=3)
        made = self.layers(torch.cat([small, F.pixel_unshuffle(lost, scale)], 1))
        grain = F.conv2d(noise, self.clumps, padding=GRAIN // 2, groups=self.noises)
        strength = made[:, 3:].unflatten(1, (self.noises, 3))
        result: Tensor = small + blurred + made[:, :3] + (strength * grain[:, :, None]).sum(1)
        return result


class PatchDiscriminator(nn.Module):
    """Logits for patches of 12 x 12 pixels: they show blur, grain and ringing, and little of the content."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            spectral_norm(nn.Conv2d(6, features, 5)),
            nn.LeakyReLU(SLOPE),
            spectral_norm(nn.Conv2d(features, 2 * features, 4, stride=2)),
            nn.LeakyReLU(SLOPE),
            spectral_norm(nn.Conv2d(2 * features, 2 * features, 3)),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(2 * features, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) in [0, 1], sides of at least 12."""
        around = F.avg_pool2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), 5, 1)
        logits: Tensor = self.layers(torch.cat([x, DETAIL * (x - around)], 1))
        return logits


def shrunk(x: Tensor, scale: int) -> Tensor:
    """Antialiased bicubic."""
    size = x.shape[-2] // scale, x.shape[-1] // scale
    return F.interpolate(x, size=size, mode="bicubic", antialias=True, align_corners=False)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")
