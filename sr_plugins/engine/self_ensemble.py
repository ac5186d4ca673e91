"""The mean of what a network makes of a picture in its eight positions."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# The eight positions of a picture: transposed or not, then mirrored along these dimensions; undone in reverse order.
POSITIONS = tuple((transposed, mirrored) for transposed in (False, True) for mirrored in ((), (-2,), (-1,), (-2, -1)))
# Those that differ for a network that treats so many alike (``ModelSpec.symmetry``).
DIFFERENT = {
    1: POSITIONS,
    2: tuple((transposed, mirrored) for transposed, mirrored in POSITIONS if -1 not in mirrored),
    4: tuple((transposed, mirrored) for transposed, mirrored in POSITIONS if not mirrored),
    8: POSITIONS[:1],
}


def self_ensemble(run: Callable[[Tensor], Tensor], x: Tensor, symmetry: int) -> Tensor:
    """The geometric self-ensemble of ``run`` at ``x`` (..., H, W), float32.

    R. Timofte, R. Rothe and L. Van Gool, "Seven ways to improve example-based single image super resolution", CVPR
    2016. What a symmetric network would only compute again is left out.
    """
    total = torch.zeros(())
    positions = DIFFERENT[symmetry]
    for transposed, mirrored in positions:
        turned = (x.mT if transposed else x).flip(mirrored)
        y = run(turned.contiguous()).flip(mirrored)
        total = total + (y.mT if transposed else y)
    return total / len(positions)
