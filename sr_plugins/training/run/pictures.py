"""Training pictures in memory, and the random patches cut from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import DataError
from sr_plugins.pixels.antialiased import resize
from sr_plugins.pixels.matlab import to_8bit
from sr_plugins.training.picture_files import Pair, read_rgb, to_channels, turned

logger = logging.getLogger(__name__)

MAXIMUM = np.float32(65535)
Degrade = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
Source = tuple[int, Path, float]  # number, file, size


class Pictures:
    """Pairs of low- and high-resolution pictures, held in memory (2 bytes a sample).

    A random degradation is drawn anew during training: picture by picture, in turn, a fresh low-resolution copy takes
    the place of the old one. Which copy is in use at an iteration depends on the seed and the iteration alone.

    Args:
        paths: picture files; damaged ones and those smaller than ``least`` pixels are skipped with a warning.
        scale: how much smaller the low-resolution picture is.
        channels: ``luma`` or ``rgb``.
        degrade: (H, W, 3) 8-bit to (H / scale, W / scale, 3) 8-bit, with a seeded generator.
        seed: seeds the generator of picture i with (seed, i), of its n-th fresh copy with (seed, i, n).
        least: the smallest usable side of a high-resolution picture.
        renewed: how many fresh copies there were before.
        sizes: each picture is there in each of these sizes, at most 1, shrunk by antialiased bicubic: small sharp
            pictures show edges that photographs straight from the camera do not.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        scale: int,
        channels: str,
        degrade: Degrade,
        seed: int,
        least: int,
        renewed: int = 0,
        sizes: Sequence[float] = (1.0,),
    ) -> None:
        self.scale, self.channels, self.degrade, self.seed, self.least = scale, channels, degrade, seed, least
        self.pairs: list[Pair] = []
        self.taught: list[NDArray[np.uint16]] = []  # what a teacher makes of each low-resolution picture
        self.sources: list[Source] = []
        sources = [(i, path, size) for i, (size, path) in enumerate(product(sizes, paths))]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            for source, pair in zip(sources, pool.map(self._pair, sources), strict=True):
                if pair is not None:
                    self.pairs.append(pair)
                    self.sources.append(source)
        if not self.pairs:
            raise DataError(
                f"none of {len(paths)} pictures can be used, the first of them {paths[0] if paths else None}"
            )
        for n in range(max(0, renewed - len(self.pairs)), renewed):
            self.put(n, self.renewal(n))

    def _pair(self, source: Source) -> Pair | None:
        """A picture's pair; ``None``, and a warning, where it cannot be used."""
        try:
            picture = self._high(source)
        except DataError as error:
            logger.warning("skipped: %s", error)
            return None
        height, width = picture.shape[:2]
        if min(height, width) < self.least:
            logger.warning("skipped: %s is %d x %d, smaller than a patch (%d)", source[1], width, height, self.least)
            return None
        small = self.degrade(picture, np.random.default_rng([self.seed, source[0]]))
        return to_channels(small, self.channels), to_channels(picture, self.channels)

    def _high(self, source: Source) -> NDArray[np.uint8]:
        """The high-resolution picture, cropped to a multiple of the scale."""
        _, path, size = source
        picture = read_rgb(path)
        height, width = (max(1, round(side * size)) // self.scale * self.scale for side in picture.shape[:2])
        if size == 1:
            return picture[:height, :width]
        if not height or not width:
            return picture[:0, :0]
        return to_8bit(resize(picture.astype(np.float32), height, width, "bicubic"))

    def renewal(self, n: int) -> NDArray[np.uint16]:
        """The n-th fresh low-resolution copy; may run in another thread."""
        source = self.sources[n % len(self.sources)]
        rng = np.random.default_rng([self.seed, source[0], 1 + n // len(self.sources)])
        return to_channels(self.degrade(self._high(source), rng), self.channels)

    def put(self, n: int, low: NDArray[np.uint16]) -> None:
        """Put the n-th fresh copy in its place."""
        slot = n % len(self.pairs)
        self.pairs[slot] = (low, self.pairs[slot][1])

    def batch(
        self, rng: np.random.Generator, size: int, patch: int, share: slice = slice(None), teacher: float = 0.0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """``size`` random patches with random flips and transposition, (N, C, H, W) in [0, 1], low and high.

        ``share`` picks some of them: what one of several processes works on. Of the high-resolution ones ``teacher``
        is the share of the teacher's picture.
        """
        lows, highs = [], []
        s = self.scale
        for _ in range(size):
            number = int(rng.integers(len(self.pairs)))
            low, high = self.pairs[number]
            y = int(rng.integers(low.shape[1] - patch + 1))
            x = int(rng.integers(low.shape[2] - patch + 1))
            small = low[:, y : y + patch, x : x + patch]
            inside = (slice(None), slice(y * s, (y + patch) * s), slice(x * s, (x + patch) * s))
            large = high[inside].astype(np.float32)
            if teacher:
                large += teacher * (self.taught[number][inside] - large)
            turn = int(rng.integers(8))
            lows.append(turned(small, turn))
            highs.append(turned(large, turn))
        return np.stack(lows[share]).astype(np.float32) / MAXIMUM, np.stack(highs[share]) / MAXIMUM

    def whole(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Every picture, low and high resolution, (C, H, W) in [0, 1]: for validation."""
        for low, high in self.pairs:
            yield low.astype(np.float32) / MAXIMUM, high.astype(np.float32) / MAXIMUM
