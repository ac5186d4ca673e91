"""Networks one after the other as one: nothing is rounded, clamped or copied to a frame between them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sr_plugins.interface.model import ModelSpec
from sr_plugins.pixels.conversion import Conversion
from sr_plugins.pixels.frame import FrameFormat
from sr_plugins.pixels.resampling import mirrored_to

RGB = FrameFormat(family="rgb", bits=32, is_float=True)


class Link(nn.Module):
    """One network of a chain: sides that it does not take are mirrored to some that it does, and cropped.

    Args:
        network: as its spec describes it.
        spec: of its model.
        lifted: the chain is one of RGB, and this network of luma: R' - G' and B' - G' are interpolated beside it, as
            for a frame of RGB.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec, *, lifted: bool) -> None:
        super().__init__()
        self.network, self.scale, self.lifted = network, spec.scale, lifted
        self.multiple, self.minimum = spec.size_multiple, spec.minimum_size
        self.now = spec.window[0] if spec.window != (0, 0) else None  # of several frames the one to enlarge
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Float (N, C, H, W), or (N, T, C, H, W) where it sees T frames, 0..1, to (N, C, H * scale, W * scale)."""
        if not self.lifted:
            return self._fitted(x)
        conversion = Conversion(RGB, "luma", self.scale)
        luma, colors = conversion.to_model(list(x.unbind(-3)), None, 0)
        if self.now is not None:
            luma, colors = luma.transpose(1, 2), [color[:, self.now] for color in colors]
        return torch.stack(conversion.to_planes(self._fitted(luma), colors), 1)

    def _fitted(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        taken = [-(-max(side, self.minimum) // self.multiple) * self.multiple for side in (height, width)]
        y: Tensor = self.network(mirrored_to(x, *taken) if taken != [height, width] else x)
        return y[..., : height * self.scale, : width * self.scale]


class ChainedNetwork(nn.Module):
    """Float pictures, values 0..1, through each of ``links`` in order."""

    def __init__(self, links: list[Link]) -> None:
        super().__init__()
        self.links = nn.ModuleList(links)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H * scale, W * scale), the product of their scales; values between two are not limited.

        (N, T, C, H, W) where one of them sees T frames; those before it go over each.
        """
        for link in self.links:
            assert isinstance(link, Link)
            each = x.ndim == 5 and link.now is None
            x = link(x.flatten(0, 1)).unflatten(0, x.shape[:2]) if each else link(x)
        return x
