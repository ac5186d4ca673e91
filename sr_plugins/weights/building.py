"""A bound on the networks that are built to take a file's tensors.

How many layers there are and how wide they are is read from names and from a few shapes, before anything is compared:
a few kilobytes can ask for more than a machine's memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from sr_plugins.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

SPARE = 1 << 24  # values beyond those of the file: tables and masks that a network makes for itself
TIMES = 4  # a file may leave out what its network makes anew


class Bounded(TorchFunctionMode):
    """Within, no network of far more values than these ``tensors`` have is built.

    Raises:
        WeightsError: one was begun.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._left = SPARE + TIMES * sum(tensor.numel() for tensor in tensors.values())

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What layers make their parameters with is counted."""
        given = kwargs or {}
        if func in (torch.empty, torch.zeros, torch.ones, torch.randn, torch.rand):
            sides = args or (given.get("size", ()),)
            self._left -= math.prod(sides[0] if isinstance(sides[0], tuple | list) else sides)
            if self._left < 0:
                raise WeightsError("its names and shapes ask for a network of far more values than it holds")
        return func(*args, **given)
