"""The losses that come with us. Their modules are imported when a loss is built, so that listing them stays cheap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from sr_plugins.interface.hookspecs import hookimpl
from sr_plugins.interface.loss import LossSpec

if TYPE_CHECKING:
    from torch import nn


def l1(channels: int) -> nn.Module:
    """Mean absolute error."""
    from torch import nn

    return nn.L1Loss()


def l2(channels: int) -> nn.Module:
    """Mean squared error."""
    from torch import nn

    return nn.MSELoss()


def charbonnier(channels: int, epsilon: float = 1e-3) -> nn.Module:
    """Mean of ``sqrt(error ** 2 + epsilon ** 2)``."""
    from sr_plugins.training.losses.pixel import Charbonnier

    return Charbonnier(epsilon)


def frequency(channels: int) -> nn.Module:
    """Mean absolute error of the two-dimensional spectrum."""
    from sr_plugins.training.losses.pixel import Frequency

    return Frequency()


def total_variation(channels: int) -> nn.Module:
    """Mean absolute difference of neighbours in the output."""
    from sr_plugins.training.losses.pixel import TotalVariation

    return TotalVariation()


def artifacts(channels: int, window: int = 7) -> nn.Module:
    """Mean absolute error, weighted by its variance within ``window`` pixels: made-up texture that goes wrong."""
    from sr_plugins.training.losses.pixel import Artifacts

    return Artifacts(window)


def content(channels: int, features: str = "random") -> nn.Module:
    """Distance of a network's features (``random`` or ``vgg19``)."""
    from sr_plugins.training.losses.perceptual import ContentLoss

    return ContentLoss(features)


def texture(channels: int, features: str = "random", patch: int = 16) -> nn.Module:
    """Distance of the features' Gram matrices within patches of ``patch`` pixels."""
    from sr_plugins.training.losses.perceptual import TextureLoss

    return TextureLoss(features, patch)


def adversarial(channels: int, features: int = 32, learning_rate: float = 1e-4, matching: float = 0.0) -> nn.Module:
    """A discriminator's opinion, and the distance of its features times ``matching``."""
    from sr_plugins.training.losses.adversarial import AdversarialLoss

    return AdversarialLoss(channels, features, learning_rate, matching)


@hookimpl
def sr_losses() -> Iterable[LossSpec]:
    for build in (l1, l2, charbonnier, frequency, total_variation, artifacts, content, texture, adversarial):
        yield LossSpec(name=build.__name__, build=build)
