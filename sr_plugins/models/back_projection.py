"""One step of back-projection: what the result, made small again, lacks of the input is enlarged and added.

After Irani and Peleg, "Improving resolution by image registration" (CVGIP 1991). The shrinking is the antialiased
bicubic one that networks are trained against, so the result of a trained network keeps closer to its input; nothing
here is trained. Works on phases (what a pixel shuffle puts together), where a pixel of the input meets its own.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sr_plugins.models.interpolation import BicubicUpsample
from sr_plugins.pixels.cubic import cubic_taps


class BackProjection(nn.Module):
    """Input (N, 1, H, W) and phases (N, scale * scale, H, W) to better phases; float32, no trained weights."""

    radius = 2 + BicubicUpsample.radius  # of both steps, in pixels of the input

    def __init__(self, scale: int) -> None:
        super().__init__()
        taps = torch.tensor(cubic_taps(range(-2 * scale, 3 * scale), (scale - 1) / 2, scale), dtype=torch.float32)
        taps = (taps / taps.sum()).view(5, scale)  # of each pixel within two of the input's, and each of its phases
        # negative: OpenVINO makes a difference a sum with a factor, which it then computes in the layers' precision
        kernel = -torch.einsum("ia,jb->abij", taps, taps).reshape(1, scale * scale, 5, 5)
        self.register_buffer("kernel", kernel, persistent=False)
        self.kernel: Tensor
        self.enlarge = BicubicUpsample(scale)

    def forward(self, x: Tensor, phases: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            lacking = x.float() + F.conv2d(F.pad(phases.float(), (2, 2, 2, 2), mode="replicate"), self.kernel.float())
            return phases + self.enlarge.phases(lacking)
