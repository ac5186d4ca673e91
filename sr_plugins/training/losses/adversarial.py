"""The adversarial loss and its discriminator, which learns along."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from sr_plugins.devices import bfloat16_is_faster
from sr_plugins.training.tables import is_number


def _conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Module:
    return spectral_norm(nn.Conv2d(inputs, outputs, size, stride, 1, bias=False))


class UNetDiscriminator(nn.Module):
    """Real or not, for every pixel: a U-Net with spectral norm (Schönfeld et al., CVPR 2020, as in Real-ESRGAN).

    ``module(x)`` takes (N, C, H, W), sides of at least 8, and returns logits (N, 1, H, W) and the features on the way.
    """

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.head = nn.Conv2d(channels, features, 3, padding=1)
        self.down = nn.ModuleList(_conv(features * 2**i, features * 2 ** (i + 1), 4, 2) for i in range(3))
        self.up = nn.ModuleList(_conv(features * 2 ** (i + 1), features * 2**i) for i in reversed(range(3)))
        self.last = _conv(features, features)
        self.tail = nn.Conv2d(features, 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bfloat16_is_faster(x.device.type)):
            logits, features = self._judge(x)
        return logits.float(), [feature.float() for feature in features]

    def _judge(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        y = F.leaky_relu(self.head(x), 0.2)
        skips = [y]
        for down in self.down:
            y = F.leaky_relu(down(y), 0.2)
            skips.append(y)
        features = list(skips)
        y = skips.pop()
        for up in self.up:
            skip = skips.pop()
            y = F.interpolate(y, size=skip.shape[-2:], mode="bilinear", align_corners=False)
            y = F.leaky_relu(up(y), 0.2) + skip
        return self.tail(F.leaky_relu(self.last(y), 0.2)), features


class AdversarialLoss(nn.Module):
    """Relativistic average GAN loss (ESRGAN: Wang et al., ECCVW 2018) with feature matching.

    Output and target are compared with each other: the target should look more real than the mean output, and the
    output, for the generator, more real than the mean target.

    Args:
        channels: 1 or 3.
        features: width of the discriminator's first layer.
        learning_rate: of the discriminator's Adam.
        matching: weight of the L1 distance of the discriminator's features (Salimans et al., 2016), beside.
    """

    def __init__(self, channels: int, features: int = 32, learning_rate: float = 1e-4, matching: float = 0.0) -> None:
        super().__init__()
        if not is_number(features) or not isinstance(features, int) or features < 1:
            raise ValueError(f"features = {features!r} is not a whole number of at least 1")
        for name, value, least in (("learning_rate", learning_rate, 1e-12), ("matching", matching, 0)):
            if not is_number(value) or not least <= value < 1e6:
                raise ValueError(f"{name} = {value!r} is not a number of at least {least}")
        self.discriminator = UNetDiscriminator(channels, features)
        self.matching = matching
        self.learning_rate = learning_rate
        self._optimizer: torch.optim.Optimizer | None = None

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Made on first use, when the discriminator is on its device."""
        if self._optimizer is None:
            self._optimizer = torch.optim.Adam(self.discriminator.parameters(), self.learning_rate, betas=(0.9, 0.99))
        return self._optimizer

    def get_extra_state(self) -> Any:
        return self.optimizer.state_dict()

    def set_extra_state(self, state: Any) -> None:
        self.optimizer.load_state_dict(state)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        # the discriminator learns in update() only
        self.discriminator.requires_grad_(False)
        with torch.no_grad():
            real, real_features = self.discriminator(target)
        fake, fake_features = self.discriminator(output)
        loss = relativistic(fake, real)
        if self.matching:
            pairs = zip(fake_features, real_features, strict=True)
            loss = loss + self.matching * torch.stack([F.l1_loss(a, b) for a, b in pairs]).mean()
        return loss

    def update(self, output: Tensor, target: Tensor) -> None:
        """One step of the discriminator; over all processes, where there are several."""
        self.discriminator.requires_grad_(True)
        real, fake = self.discriminator(target)[0], self.discriminator(output)[0]
        loss = relativistic(real, fake)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            for parameter in self.discriminator.parameters():
                assert parameter.grad is not None
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= torch.distributed.get_world_size()
        self.optimizer.step()


def relativistic(wanted: Tensor, unwanted: Tensor) -> Tensor:
    """Binary cross-entropy of logits relative to the other side's mean; ``wanted`` is to win."""
    better, worse = wanted - unwanted.mean(), unwanted - wanted.mean()
    return (F.softplus(-better).mean() + F.softplus(worse).mean()) / 2
