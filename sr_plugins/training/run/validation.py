"""How good a network is, measured while it trains."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from sr_plugins.training.run.pictures import Pictures


@torch.no_grad()
def mean_psnr(model: nn.Module, pictures: Pictures, device: torch.device, bfloat16: bool, int8: bool) -> float:
    """PSNR in dB, on average over the pictures, border of ``scale`` left out.

    ``bfloat16`` computes the forward pass so; ``int8`` rounds to 8-bit integers where the network has the ranges.
    """
    if int8 and getattr(model, "int8_ranges", None) is not None:
        model.int8 = True  # type: ignore[assignment]
    model = model.to(device)
    total = 0.0
    for low, high in pictures.pairs:
        x = torch.from_numpy(low.astype(np.float32) / 65535)[None].to(device)
        target = torch.from_numpy(high.astype(np.float32) / 65535)[None].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            y = model(x.contiguous(memory_format=torch.channels_last)).float().clamp(0, 1)
        s = pictures.scale
        total += -10 * math.log10(max((y - target)[..., s:-s, s:-s].square().mean().item(), 1e-12))
    return total / len(pictures.pairs)
