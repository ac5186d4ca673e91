"""A model without weights and a step of a degradation chain, as an installed plugin offers them."""

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from sr_plugins import DegradationSpec, ModelSpec, hookimpl

Picture = NDArray[np.float32]


def sharpened_cubic():  # type: ignore[no-untyped-def]
    """The network. torch is imported here, not above: listing models must stay quick."""
    from torch import nn
    from torch.nn import functional as F

    class SharpenedCubic(nn.Module):
        """(N, 1, H, W) in [0, 1] to (N, 1, 2 H, 2 W): an unsharp mask, then a cubic."""

        def forward(self, x):  # type: ignore[no-untyped-def]
            blurred = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
            return F.interpolate(2 * x - blurred, scale_factor=2, mode="bicubic")

    return SharpenedCubic()


@hookimpl
def sr_models() -> Iterable[ModelSpec]:
    yield ModelSpec(
        name="sharpened-cubic",
        scale=2,
        channels="luma",
        build=sharpened_cubic,
        receptive_radius=3,  # 1 for the blur, 2 for the cubic
        needs_weights=False,
        symmetry=8,
        architecture="unsharp mask, then bicubic",
        license="MIT",
    )


def scan_lines(scale: int, depth: float = 0.3) -> Callable[[Picture, np.random.Generator], Picture]:
    """Every second line darker by ``depth``, as a cathode ray tube filmed from near."""

    def step(picture: Picture, generator: np.random.Generator) -> Picture:
        lines = np.where((np.arange(len(picture)) + generator.integers(2)) % 2, 1.0, 1.0 - depth).astype(np.float32)
        return picture * lines[:, None, None]

    return step


@hookimpl
def sr_degradations() -> Iterable[DegradationSpec]:
    yield DegradationSpec(name="scan-lines", build=scan_lines)
