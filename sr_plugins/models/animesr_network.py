"""AnimeSR's network: a recurrent one for drawn films, rolled out over the frames of a window.

Y. Wu, X. Wang, G. Li and Y. Shan, "AnimeSR: Learning Real-World Super-Resolution Models for Animation Videos", NeurIPS
2022: a cell of residual blocks at three sizes (1, 1/2, 1/4) sees the frame before, the frame, the one after, its own
last picture and its own last state. The names of its parts are those of its files.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.1  # of every leaky ReLU


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with a ReLU between them, added to what comes in."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(F.relu(self.conv1(x)))
        return x + y


class Cell(nn.Module):
    """One step: (N, inputs, H, W) to (N, outputs, H, W), H and W multiples of 4.

    Args:
        inputs, features, outputs: channels.
        blocks: how many residual blocks at full, half and quarter size; a smaller size takes part in the last ones.
    """

    def __init__(self, inputs: int, features: int, outputs: int, blocks: tuple[int, int, int]) -> None:
        super().__init__()

        def first(channels: int, stride: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(channels, features, 3, stride, 1), nn.LeakyReLU(SLOPE))

        self.conv_s1_first, self.conv_s2_first, self.conv_s4_first = (
            first(inputs, 1),
            first(features, 2),
            first(features, 2),
        )
        s1, s2, s4 = (nn.ModuleList(ResidualBlock(features) for _ in range(count)) for count in blocks)
        self.body_s1_first, self.body_s2_first, self.body_s4_first = s1, s2, s4
        self.fusion = nn.Sequential(
            nn.Conv2d(3 * features, 2 * outputs, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(2 * outputs, outputs, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        whole = self.conv_s1_first(x)
        half = self.conv_s2_first(whole)
        quarter = self.conv_s4_first(half)
        count = len(self.body_s1_first)
        halves, quarters = count - len(self.body_s2_first), count - len(self.body_s4_first)  # where they begin
        for i, block in enumerate(self.body_s1_first):
            if i > halves:
                whole = whole + _up(half, 2)
            if i > quarters:
                whole = whole + _up(quarter, 4)
            whole = block(whole)
            if i >= halves:
                half = self.body_s2_first[i - halves](half + _up(quarter, 2) if i > quarters else half)
            if i >= quarters:
                quarter = self.body_s4_first[i - quarters](quarter)
        y: Tensor = self.fusion(torch.cat((whole, _up(half, 2), _up(quarter, 4)), 1))
        return y


class AnimeSR(nn.Module):
    """(N, T, 3, H, W), values 0..1, to (N, 3, H * scale, W * scale): the last but one frame, enlarged.

    The cell goes over the frames from the first on, from a state of zeros, so that what it makes depends on the frames
    of the window alone.
    """

    def __init__(self, scale: int, features: int, blocks: tuple[int, int, int]) -> None:
        super().__init__()
        self.scale, self.features, colors = scale, features, 3 * scale * scale
        self.recurrent_cell = Cell(9 + colors + features, features, features + colors, blocks)

    def forward(self, x: Tensor) -> Tensor:
        colors = 3 * self.scale * self.scale
        count, frames, _, height, width = x.shape
        picture = x.new_zeros(count, colors, height, width)  # in the places of the small pixels that it lies in
        state = x.new_zeros(count, self.features, height, width)
        y = x.new_zeros(count, 3, height * self.scale, width * self.scale)
        for now in range(frames - 1):
            seen = x[:, max(0, now - 1)], x[:, now], x[:, now + 1]
            out = self.recurrent_cell(torch.cat((*seen, picture, state), 1))
            y = F.pixel_shuffle(out[:, :colors], self.scale) + _up(x[:, now], self.scale)
            picture, state = F.pixel_unshuffle(y, self.scale), F.leaky_relu(out[:, colors:], SLOPE)
        return y


def _up(x: Tensor, times: int) -> Tensor:
    return F.interpolate(x, scale_factor=times, mode="bilinear")
