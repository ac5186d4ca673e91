"""Samples between the host and a device.

On CUDA they travel by page-locked memory and on the calling thread's stream, so that one lane's copies run while
another lane computes.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from sr_plugins.pixels.frame import Plane


def lane_stream(device: str) -> AbstractContextManager[object]:
    """Within it, this thread's work on a CUDA ``device`` waits for no other thread's."""
    if not device.startswith("cuda"):
        return nullcontext()
    return torch.cuda.stream(torch.cuda.Stream(device))  # type: ignore[no-untyped-call]


def upload(parts: Sequence[Plane], device: str) -> Tensor:
    """Planes (H, W) of one shape as one tensor (N, H, W) on ``device``; on CUDA it may still be on its way."""
    if not device.startswith("cuda"):
        # what computes on Vulkan takes its pictures from the host
        return torch.from_numpy(np.stack(parts)).to("cpu" if device.startswith("vulkan") else device)
    dtype = torch.from_numpy(np.empty(0, parts[0].dtype)).dtype
    staging = torch.empty((len(parts), *parts[0].shape), dtype=dtype, pin_memory=True)
    np.stack(parts, out=staging.numpy())
    return staging.to(device, non_blocking=True)  # the allocator keeps the staging memory until it was read


def download(tensors: Sequence[Tensor]) -> list[Plane]:
    """Tensors as arrays on the host, of their own memory; waits once for all."""
    if tensors[0].device.type != "cuda":
        return [t.cpu().numpy() for t in tensors]
    staging = [torch.empty(t.shape, dtype=t.dtype, pin_memory=True) for t in tensors]
    for host, tensor in zip(staging, tensors, strict=True):
        host.copy_(tensor, non_blocking=True)
    torch.cuda.current_stream(tensors[0].device).synchronize()
    return [host.numpy() for host in staging]
