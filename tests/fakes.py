"""Small real models for tests: a network whose output is known exactly, and one with every property of ours."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins import BackendSpec, LoadedModel, ModelSpec, hookimpl
from sr_plugins.interface.backend import Placement
from sr_plugins.interface.network import TorchNetwork
from sr_plugins.interface.words import Channels, Precision
from sr_plugins.plugins import Plugins


class Nearest(nn.Module):
    """Repeats every pixel; the exact answer is ``numpy.repeat``."""

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()
        self.scale, self.channels = scale, channels

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[1] == self.channels, x.shape
        assert x.dtype == torch.float32, x.dtype
        return F.interpolate(x, scale_factor=self.scale, mode="nearest")


class Blur(nn.Module):
    """Three random 3x3 convolutions and a nearest skip: spreads over a radius of 3, so that wrong tiles show."""

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()
        self.scale = scale
        generator = torch.Generator().manual_seed(7)
        widths = [channels, 8, 8, channels * scale * scale]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for conv in self.convs:
            y = torch.tanh(conv(y))
        return F.interpolate(x, scale_factor=self.scale, mode="nearest") + F.pixel_shuffle(y, self.scale)


class Unexportable(nn.Module):
    """Its arithmetic depends on values, which no graph can hold."""

    def __init__(self, scale: int, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(2 if float(x.mean()) < 2 else 3, 2).repeat_interleave(2, 3)


def model_of(
    network: Callable[[int, int], nn.Module], scale: int = 2, channels: Channels = "luma", radius: int = 0
) -> LoadedModel:
    """A loaded model, ready for ``Upscaler(model=...)``, made of a network class above."""
    count = 1 if channels == "luma" else 3
    module = network(scale, count).eval()
    spec = ModelSpec(
        name=network.__name__.lower(),
        scale=scale,
        channels=channels,
        build=lambda: network(scale, count),
        receptive_radius=radius,
    )
    return LoadedModel(spec, TorchNetwork(module))


def nearest(scale: int = 2, channels: Channels = "luma") -> LoadedModel:
    """A model that repeats pixels."""
    return model_of(Nearest, scale, channels)


def blur(scale: int = 2, channels: Channels = "luma") -> LoadedModel:
    """A model with a receptive radius of 3."""
    return model_of(Blur, scale, channels, radius=3)


class Mixing(nn.Module):
    """Neighbouring frames through two random convolutions: another frame anywhere in the window is another result."""

    def __init__(self, scale: int, channels: int, frames: int) -> None:
        super().__init__()
        self.scale, self.now = scale, frames // 2
        generator = torch.Generator().manual_seed(frames)
        self.mix = nn.Conv2d(channels * frames, 8, 3, padding=1)
        self.out = nn.Conv2d(8, channels * scale * scale, 3, padding=1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.15)

    def forward(self, x: Tensor) -> Tensor:
        y = self.out(torch.tanh(self.mix(x.flatten(1, 2))))
        return F.interpolate(x[:, self.now], scale_factor=self.scale, mode="nearest") + F.pixel_shuffle(y, self.scale)


def mixing(window: tuple[int, int] = (1, 1), scale: int = 2, channels: Channels = "luma") -> LoadedModel:
    """A model that sees neighbouring frames, with a receptive radius of 2."""
    frames, count = sum(window) + 1, 1 if channels == "luma" else 3
    module = Mixing(scale, count, frames).eval()
    module.now = window[0]
    spec = ModelSpec(
        name="mixing",
        scale=scale,
        channels=channels,
        build=lambda: module,
        receptive_radius=2,
        window=window,
        needs_weights=False,
    )
    return LoadedModel(spec, TorchNetwork(module))


class Overflows(nn.Module):
    """Infinite in half precision, right in float32."""

    def forward(self, x: Tensor) -> Tensor:
        y = torch.nn.functional.conv2d(x * 3e4, torch.full((1, 1, 1, 1), 3e4, device=x.device))
        z = (y.float() / 9e8) if torch.is_autocast_enabled("cpu") is False else y * float("inf")
        return z.repeat_interleave(2, 2).repeat_interleave(2, 3)


def with_backend(spec: BackendSpec) -> Plugins:
    """The built-in plugins and this backend."""

    class Plugin:
        @hookimpl
        def sr_backends(self) -> list[BackendSpec]:
            return [spec]

    found = Plugins(installed=False)
    found.register(Plugin(), "sr-plugins-test")
    return found


def with_lanes(run, count: int = 2) -> Plugins:  # type: ignore[no-untyped-def]
    """Plugins with a backend ``laned`` that calls ``run(module, x)`` from ``count`` lanes."""
    return with_backend(
        BackendSpec(
            name="laned",
            build=lambda network, placement: partial(run, network.runnable()),  # type: ignore[union-attr]
            precisions=lambda device: ("float32",),
            lanes=lambda device: count,
        )
    )


def on_cpu(precision: Precision = "float32") -> Placement:
    """Where tests that build runners themselves want them."""
    return Placement(device="cpu", precision=precision)
