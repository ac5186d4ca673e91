"""Pairs of a source's own frames and their children, for adapting to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sr_plugins.training.degradations.chain import Chain, build_chain
from sr_plugins.training.picture_files import LUMA, Pair, to_channels, turned

Rgb = NDArray[np.uint8]
LEAST = 32  # pixels: the side of the smallest child
JUDGED = 6  # frames that compression is tried on
BEST = {"jpeg": 95, "video": 0}  # quality
LEAST_NOISE = 0.4  # code values: less is rounding
SHARE = 4  # one frame of so many is held out; of a single picture, that part


def split(frames: Sequence[Rgb], scale: int) -> tuple[list[Rgb], list[Rgb]]:
    """Frames to learn from and frames held out, cropped to multiples of the scale.

    Of less than three frames, a strip of each is held out. Frames too small for that are left out.
    """
    cropped = [f[: f.shape[0] // scale * scale, : f.shape[1] // scale * scale] for f in frames]
    usable = [f for f in cropped if min(f.shape[:2]) >= LEAST * scale]
    if len(usable) >= 3:
        held = {round(i) for i in np.linspace(0, len(usable) - 1, max(1, len(usable) // SHARE))}
        return [f for i, f in enumerate(usable) if i not in held], [f for i, f in enumerate(usable) if i in held]
    training, held_out = [], []
    for frame in usable:
        upright = frame.shape[0] > frame.shape[1]
        picture = frame.transpose(1, 0, 2) if upright else frame
        strip = max(picture.shape[1] // SHARE, LEAST) // scale * scale
        at = picture.shape[1] - strip
        parts = picture[:, :at], picture[:, at:]
        left, right = ((p.transpose(1, 0, 2) if upright else p) for p in parts)
        training.append(np.ascontiguousarray(left))
        held_out.append(np.ascontiguousarray(right))
    return training, held_out


def with_compression_as_noise(
    tables: Sequence[Mapping[str, Any]], frames: Sequence[Rgb], path: Path
) -> list[Mapping[str, Any]]:
    """The same degradation with white noise in place of compression, as strong as what that does to ``frames``.

    A codec harms a child more than the frame it was made from, whose pixels hold less detail; what a network learns
    from such children it overdoes on the film. White noise of the right strength keeps it from sharpening what a codec
    left, and does no more than that. What the codec changes at its best (colour conversion, rounding) is no harm, and
    noise of less than :data:`LEAST_NOISE` is none.
    """
    codecs = [table for table in tables if table["name"] in BEST]
    others = [table for table in tables if table["name"] not in BEST]
    if not codecs or not frames:
        return others
    compress = build_chain(codecs, 1, path)
    at_best = build_chain([{**table, "quality": BEST[table["name"]]} for table in codecs], 1, path)
    damage = []
    for i, frame in enumerate(frames[:: max(1, len(frames) // JUDGED)]):
        difference = (compress(frame, np.random.default_rng(i)) @ LUMA) - (
            at_best(frame, np.random.default_rng(i)) @ LUMA
        )
        damage.append(float(np.square(difference).mean()))
    sigma = float(np.sqrt(np.mean(damage)))
    return [*others, {"name": "gaussian_noise", "sigma": sigma, "gray": 1.0}] if sigma >= LEAST_NOISE else others


class Children:
    """Frames and the children that a degradation makes of them, held in memory.

    ``pairs`` holds (small, large), each (C, H, W) in 0..65535.
    """

    def __init__(self, frames: Sequence[Rgb], chain: Chain, scale: int, channels: str, seed: int) -> None:
        self.frames, self.chain, self.scale, self.channels, self.seed = list(frames), chain, scale, channels, seed
        self.pairs: list[Pair] = []
        for i, frame in enumerate(self.frames):
            child = chain(frame, np.random.default_rng([seed, i]))
            self.pairs.append((to_channels(child, channels), to_channels(frame, channels)))

    @property
    def plain(self) -> bool:
        """There is nothing to see in any of the pictures."""
        return all(int(np.ptp(high)) <= 2 * 257 for _, high in self.pairs)

    def renew(self, n: int) -> None:
        """Give one frame, in turn, a fresh child: the n-th."""
        slot = n % len(self.frames)
        child = self.chain(self.frames[slot], np.random.default_rng([self.seed, slot, 1 + n // len(self.frames)]))
        self.pairs[slot] = (to_channels(child, self.channels), self.pairs[slot][1])

    def batch(self, rng: np.random.Generator, size: int, patch: int) -> tuple[Tensor, Tensor]:
        """``size`` random patches, each turned at random: small and large, (N, C, H, W) in [0, 1]."""
        patch = min(patch, *(side for low, _ in self.pairs for side in low.shape[1:]))
        lows, highs, s = [], [], self.scale
        for _ in range(size):
            low, high = self.pairs[rng.integers(len(self.pairs))]
            y, x = (int(rng.integers(side - patch + 1)) for side in low.shape[1:])
            way = int(rng.integers(8))
            lows.append(turned(low[:, y : y + patch, x : x + patch], way))
            highs.append(turned(high[:, y * s : (y + patch) * s, x * s : (x + patch) * s], way))
        return tuple(torch.from_numpy(np.stack(part).astype(np.float32) / 65535) for part in (lows, highs))  # type: ignore[return-value]

    def noise_and_power(self, clean: Callable[[Rgb, np.random.Generator], Rgb]) -> tuple[float, float]:
        """Mean squares of what the random steps add to what ``clean`` makes, and variance of the result."""
        noise, power = [], []
        for (low, _), frame in zip(self.pairs, self.frames, strict=True):
            without = to_channels(clean(frame, np.random.default_rng(0)), self.channels).astype(np.float64)
            noise.append(np.square(low - without).mean())
            power.append(without.var())
        return float(np.mean(noise)), float(np.mean(power))
