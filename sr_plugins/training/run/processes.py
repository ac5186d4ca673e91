"""One process, or several that ``torchrun`` started: who we are, on which device, and what all agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from sr_plugins.devices import device_of_torch


@dataclass(frozen=True)
class Processes:
    """This process' ``rank`` among ``world``, and its device."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and talks."""
        return self.rank == 0

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model, with torch's own DistributedDataParallel around it where there are several processes."""
        if self.world == 1:
            return model
        devices = [self.device.index] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(model, device_ids=devices)

    def any(self, flag: bool) -> bool:
        """Whether ``flag`` holds in one of the processes; all must ask."""
        if self.world == 1:
            return flag
        value = torch.tensor(float(flag), device=self.device)
        torch.distributed.all_reduce(value)
        return bool(value.item())


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Join the processes of ``torchrun``, if it started us. ``device``: auto, cpu, cuda or cuda:1 (``DeviceError``)."""
    world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if world > 1 and device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', rank)}"
    place = torch.device(device_of_torch(device))
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if world > 1:
        torch.distributed.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield Processes(rank, world, place)
    finally:
        if world > 1:
            torch.distributed.destroy_process_group()
