"""How alike two sets of pictures are in what a degradation leaves behind: lost detail, and grain.

The sets need not show the same things, only things of the same kind: what is compared are spectra over many patches.
Their mean tells what became of detail; it is taken relative to its coarse part, which degradations leave alone. That of
the calmest patches, where there is little else than noise, tells how strong and how coarse the noise is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr_plugins.training.estimation.source import luma
from sr_plugins.training.spectrum import Floats, patch_spectra, polar_power

COARSE = 3  # bands that the others are relative to
CALM = 0.1  # share of the patches
ROUNDING = 1 / 12  # variance that rounding to 8 bits leaves


@dataclass(frozen=True)
class Traces:
    """Of a set of pictures, from coarse to fine bands of frequency, in dB: ``detail``, luma's mean power relative to
    the coarsest bands; ``calm``, the power in calm patches relative to rounding to 8 bits."""

    detail: Floats
    calm: Floats

    def distance(self, other: Traces) -> float:
        """Root mean square difference in dB."""
        parts = [self.detail - other.detail, self.calm - other.calm]
        return float(np.sqrt(np.square(np.concatenate(parts)).mean()))


def traces(pictures: Sequence[NDArray[np.uint8]]) -> Traces:
    """What a degradation left in pictures (H, W, 3), 8-bit R'G'B'."""
    power = np.concatenate([polar_power(patch_spectra(luma(picture))) for picture in pictures]).mean(2)
    detail = 10 * np.log10(power.mean(0) + ROUNDING)
    calm = 10 * np.log10(np.quantile(power, CALM, axis=0) / ROUNDING + 1)
    return Traces(detail[COARSE:] - detail[:COARSE].mean(), calm[COARSE:])
