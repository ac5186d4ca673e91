"""Frames of a window and channels: modules take (N, T, C, H, W), runners and files (N, T * C, H, W)."""

from __future__ import annotations

from torch import Tensor, nn


class FramesAsChannels(nn.Module):
    """A module of (N, T, C, H, W) for who has its frames one after the other as channels: every backend can run it."""

    def __init__(self, network: nn.Module, frames: int) -> None:
        super().__init__()
        self.network, self.frames = network, frames
        self.write, self.planes = (
            getattr(network, "write", None),
            getattr(network, "planes", None),
        )  # frames as channels
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """(N, T * C, H, W) to what the network makes of (N, T, C, H, W)."""
        count, together, height, width = x.shape
        y: Tensor = self.network(x.reshape(count, self.frames, together // self.frames, height, width))
        return y

    def steps(self) -> tuple[nn.Module, nn.Module] | None:
        """Both of the network's steps, with frames as channels, if it has such."""
        steps = getattr(self.network, "steps", None)
        if steps is None:
            return None
        first, rest = (FramesAsChannels(step, self.frames) for step in steps())
        return nn.Sequential(first, nn.Flatten(1, 2)), rest


class ChannelsAsFrames(nn.Module):
    """A network of (N, T * C, H, W), as files hold them, as a module of (N, T, C, H, W)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, C, H, W) to what the network makes of (N, T * C, H, W)."""
        y: Tensor = self.network(x.flatten(1, 2))
        return y
