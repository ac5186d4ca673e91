"""The torch module of ``corrected``: kept apart so that opening its hook imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CorrectedNetwork(nn.Module):
    """``network`` behind one ``side`` x ``side`` filter that every channel goes through, replicated border.

    The filter starts as the identity, and is computed in float32 always: what it sharpens, rough arithmetic would
    roughen.
    """

    def __init__(self, network: nn.Module, side: int) -> None:
        super().__init__()
        self.network = network
        kernel = torch.zeros(1, 1, side, side)
        kernel[..., side // 2, side // 2] = 1
        self.kernel = nn.Parameter(kernel)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        radius = self.kernel.shape[-1] // 2
        with torch.autocast(x.device.type, enabled=False):
            padded = F.pad(x.float().reshape(n * c, 1, h, w), (radius,) * 4, mode="replicate")
            filtered = F.conv2d(padded, self.kernel.float()).reshape(n, c, h, w)
        result: Tensor = self.network(filtered)
        return result

    def fold(self) -> CorrectedNetwork:
        """The network for inference."""
        return self._before(getattr(self.network, "fold", None))

    def plain(self) -> CorrectedNetwork:
        """The equal network without shared kernels."""
        return self._before(getattr(self.network, "plain", None))

    def _before(self, changed: Callable[[], nn.Module] | None) -> CorrectedNetwork:
        result = CorrectedNetwork(changed() if changed is not None else self.network, self.kernel.shape[-1])
        with torch.no_grad():
            result.kernel.copy_(self.kernel)
        return result.eval()

    def load_network(self, tensors: Mapping[str, Tensor]) -> None:
        """Put the tensors of an inference network into the one behind the filter."""
        load_folded = getattr(self.network, "load_folded", None)
        if callable(load_folded):
            load_folded(dict(tensors))
        else:
            self.network.load_state_dict(dict(tensors))
