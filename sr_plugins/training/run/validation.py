"""How good a network is, measured while it trains."""

from __future__ import annotations

import math

import torch
from torch import nn

from sr_plugins.models.fake_quantization import rounding
from sr_plugins.training.material import Material, on_device


@torch.no_grad()
def mean_psnr(model: nn.Module, pictures: Material, device: torch.device, bfloat16: bool, int8: bool) -> float:
    """PSNR in dB, on average over the pictures, border of ``scale`` left out.

    ``bfloat16`` computes the forward pass so; ``int8`` rounds to 8-bit integers where the network has the ranges.
    """
    model = model.to(device)
    total, count, s = 0.0, 0, pictures.scale
    with rounding(model, int8):
        for low, high in pictures.whole():
            x, target = on_device(torch.from_numpy(low)[None], device), torch.from_numpy(high)[None].to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
                y = model(x).float().clamp(0, 1)
            total += -10 * math.log10(max((y - target)[..., s:-s, s:-s].square().mean().item(), 1e-12))
            count += 1
    return total / count
