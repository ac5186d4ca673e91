"""Training pictures in memory, and the random patches cut from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_plugins.errors import DataError
from sr_plugins.pixels.antialiased import resize
from sr_plugins.pixels.matlab import to_8bit
from sr_plugins.training.material import Draw
from sr_plugins.training.picture_files import Pair, read_rgb, to_channels, turned
from sr_plugins.training.planes_on_device import PlanesOnDevice

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
        self.copy: PicturesOnDevice | None = None
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
        if self.copy is not None:
            self.copy.put(slot, low)

    def draw(self, rng: np.random.Generator, size: int, patch: int) -> Draw:
        """``size`` random patches of low resolution: number of the picture, y, x, and which flip and transposition."""
        rows = []
        for _ in range(size):
            number = int(rng.integers(len(self.pairs)))
            height, width = self.pairs[number][0].shape[1:]
            y, x = int(rng.integers(height - patch + 1)), int(rng.integers(width - patch + 1))
            rows.append((number, y, x, int(rng.integers(8))))
        return np.array(rows, np.int64)

    def cut(self, drawn: Draw, patch: int, teacher: float = 0.0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Patches (N, C, H, W) in [0, 1], low and high; of the latter ``teacher`` is the share of its picture."""
        lows: list[NDArray[np.uint16]] = []
        highs: list[NDArray[np.float32]] = []
        s = self.scale
        for number, y, x, turn in drawn.tolist():
            low, high = self.pairs[number]
            inside = (slice(None), slice(y * s, (y + patch) * s), slice(x * s, (x + patch) * s))
            large = high[inside].astype(np.float32)
            if teacher:
                large += teacher * (self.taught[number][inside] - large)
            lows.append(turned(low[:, y : y + patch, x : x + patch], turn))
            highs.append(turned(large, turn))
        return _scaled(np.stack(lows)), np.stack(highs) / MAXIMUM

    def copied_to(self, device: torch.device) -> PicturesOnDevice:
        """Everything in a device's memory; renewals go there too."""
        self.copy = PicturesOnDevice(self, device)
        return self.copy

    def whole(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Every picture, low and high resolution, (C, H, W) in [0, 1]: for validation."""
        for low, high in self.pairs:
            yield _scaled(low), _scaled(high)


class PicturesOnDevice:
    """The samples of :class:`Pictures` in a device's memory, float32."""

    def __init__(self, pictures: Pictures, device: torch.device) -> None:
        self.scale = pictures.scale
        self.low = PlanesOnDevice([_scaled(low) for low, _ in pictures.pairs], device)
        self.high = PlanesOnDevice([_scaled(high) for _, high in pictures.pairs], device)
        self.taught = PlanesOnDevice([_scaled(p) for p in pictures.taught], device) if pictures.taught else None

    def put(self, slot: int, low: NDArray[np.uint16]) -> None:
        """Another low-resolution picture in one's place."""
        self.low.put(slot, _scaled(low))

    def cut(self, drawn: Draw, patch: int, teacher: float = 0.0) -> tuple[Tensor, Tensor]:
        """What :meth:`Pictures.cut` gives for the same draw."""
        number, y, x, turn = self.low.columns(drawn)
        s = self.scale
        low = self.low.cut(number, y, x, turn, patch)
        high = self.high.cut(number, y * s, x * s, turn, patch * s)
        if teacher and self.taught is not None:
            high = high.lerp(self.taught.cut(number, y * s, x * s, turn, patch * s), teacher)
        return low, high


def _scaled(samples: NDArray[np.uint16]) -> NDArray[np.float32]:
    return samples.astype(np.float32) / MAXIMUM
