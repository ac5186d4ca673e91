"""What a plugin tells us about one measure of quality."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sr_plugins.interface.words import Channels


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """One measure of quality.

    Attributes:
        name: what users type after ``--metrics``.
        build: returns ``measure(picture, reference)``, both 8-bit arrays of one shape: ``luma`` (H, W), limited range
            (16..235); ``rgb`` (H, W, 3). With ``clip`` a time axis comes first. Raises ``DataError`` where the
            pictures are too small. A metric without ``reference`` ignores its second argument.
        channels: what it looks at.
        larger_is_better: the direction.
        decimals: digits worth printing.
        reference: it compares with the true picture.
        clip: it looks at consecutive pictures of one size instead of one.
        missing: returns what to install or fetch when it cannot be used here, else ``None``.
        replaces: the distribution whose metric of the same name this one stands in for.
    """

    name: str
    build: Callable[[], Callable[[NDArray[np.uint8], NDArray[np.uint8]], float]]
    channels: Channels = "luma"
    larger_is_better: bool = True
    decimals: int = 4
    reference: bool = True
    clip: bool = False
    missing: Callable[[], str | None] = lambda: None
    replaces: str | None = None
