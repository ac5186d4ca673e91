"""How much memory a network needs at work: the most that its tensors hold at once, seen while it runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class _Watched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all tensors that are alive, each storage once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._users: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._seen(tensor)
        return result

    def _seen(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if not self._users.get(place):
            self.now += size
            self.most = max(self.most, self.now)
        self._users[place] = self._users.get(place, 0) + 1
        weakref.finalize(tensor, self._gone, place, size)

    def _gone(self, place: int, size: int) -> None:
        self._users[place] -= 1
        if not self._users[place]:
            self.now -= size


def working_bytes(run: Callable[[Tensor], Tensor], x: Tensor) -> int:
    """Bytes for each pixel of ``x`` (1, C, H, W), without the network's own weights."""
    watched = _Watched()
    with watched:
        run(x)
    return -(-watched.most // (x.shape[2] * x.shape[3]))
