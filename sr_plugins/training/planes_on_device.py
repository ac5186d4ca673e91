"""Planes of samples in a device's memory, and patches cut from all over them at once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_plugins.training.picture_files import turned


class PlanesOnDevice:
    """Arrays (planes, H, W) of any sizes, one behind the other; all have as many planes, unless ``cut`` is told which.

    Args:
        arrays: of one type, which the device keeps.
        device: where to.
    """

    def __init__(self, arrays: Sequence[NDArray[np.generic]], device: torch.device) -> None:
        sizes = [array.size for array in arrays]
        starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        self.planes = arrays[0].shape[0]
        self.samples = torch.empty(sum(sizes), dtype=torch.from_numpy(arrays[0][:0]).dtype, device=device)
        self.starts = [int(start) for start in starts]
        table = [(start, a.shape[1] * a.shape[2], a.shape[2]) for start, a in zip(self.starts, arrays, strict=True)]
        self.table = torch.tensor(table, dtype=torch.int64, device=device)
        for number, array in enumerate(arrays):
            self.put(number, array)

    def put(self, number: int, array: NDArray[np.generic]) -> None:
        """Other samples in an array's place, of its size."""
        start = self.starts[number]
        self.samples[start : start + array.size].copy_(torch.from_numpy(array.reshape(-1)))

    def columns(self, drawn: NDArray[np.int64]) -> tuple[Tensor, ...]:
        """The columns of a table of the host's, (N, K), on the device."""
        table = torch.from_numpy(drawn)
        if self.samples.is_cuda:
            table = table.pin_memory()
        return table.to(self.samples.device, non_blocking=True).unbind(1)

    def cut(
        self,
        number: Tensor,
        y: Tensor,
        x: Tensor,
        turn: Tensor,
        side: int,
        first: Tensor | None = None,
        planes: int = 0,
    ) -> Tensor:
        """Squares (N, planes, side, side), each from an array's y and x on and turned as ``picture_files.turned`` does.

        ``first`` names the first of ``planes`` planes of each; without it they are all.
        """
        rows, columns = _turned_places(side, self.samples.device)
        start, plane, width = self.table[number].unbind(1)
        start = start + y * width + x
        if first is not None:
            start = start + first * plane
        count = torch.arange(planes or self.planes, device=start.device)
        inside = rows[turn] * width[:, None, None] + columns[turn]
        places = (start[:, None] + plane[:, None] * count)[:, :, None, None] + inside[:, None]
        return self.samples[places]


@cache
def _turned_places(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Of each of the eight flips and transpositions: the row and the column that each place takes, (8, side, side)."""
    rows, columns = np.mgrid[:side, :side]
    tables = (np.concatenate([turned(grid[None], turn) for turn in range(8)]) for grid in (rows, columns))
    first, second = (torch.from_numpy(np.ascontiguousarray(table)).to(device) for table in tables)
    return first, second
