"""What a picture went through, as far as its luma shows: JPEG, noise, how much fine detail there is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from sr_plugins.estimation.compression import DCT, find_jpeg
from sr_plugins.estimation.noise import noise_sigma
from sr_plugins.pixels.frame import Frame
from sr_plugins.pixels.matrix import LUMA

Luma = NDArray[np.float32]

SIDE = 768  # pixels of the middle of a picture that is looked at
BLOCK = 8
CALMEST = 0.02  # share of the blocks, those whose finest frequencies are weakest
CALM = 1.5  # the deviation of white noise over that of the finest frequencies of its calmest blocks
FINE = 5  # frequencies (rows + columns) from which detail counts as fine


@dataclass(frozen=True)
class Sight:
    """What was seen.

    Attributes:
        quality: of JPEG, in libjpeg's scale; ``None``: no trace of it.
        noise: deviation of white noise, in code values of luma (0..255).
        floor: deviation of the finest frequencies in the calmest blocks, in code values: what a codec takes away first.
        detail: mean square of fine detail, without noise.
    """

    quality: int | None = None
    noise: float = 0.0
    floor: float = 0.0
    detail: float = 0.0


def luma_of(frame: Frame) -> Luma:
    """Y' (H, W) in 0..255 of the middle of a frame, whatever its format.

    R'G'B' is weighted as by BT.601, as networks for luma see it. What is cut off are whole blocks, so that those of
    a compression begin and end where they did.
    """
    format = frame.format
    height, width = frame.height, frame.width
    rows, columns = middle(height), middle(width)
    planes = [plane[rows, columns].astype(np.float32) for plane in frame.planes[: 3 if format.family == "rgb" else 1]]
    weights = LUMA if format.family == "rgb" else (1.0,)
    luma = np.tensordot(np.array(weights, np.float32), np.stack(planes), 1)
    black, white = 0.0, 1.0 if format.is_float else float((1 << format.bits) - 1)
    if not format.is_float and not format.full_range:
        black, white = float(16 << format.bits - 8), float(235 << format.bits - 8)
    scaled = (luma - black) * (255 / (white - black))
    return np.asarray(np.clip(np.nan_to_num(scaled), 0, 255), np.float32)


def middle(length: int) -> slice:
    """The pixels of a side that are looked at, whole blocks cut off."""
    kept = min(length, SIDE + length % BLOCK)
    first = (length - kept) // 2 // BLOCK * BLOCK
    return slice(first, first + kept)


def look(picture: Luma) -> Sight:
    """What shows in one picture."""
    height, width = (side // BLOCK * BLOCK for side in picture.shape)
    if not height or not width:
        return Sight()
    found = find_jpeg(picture)
    quality = round(sum(found.quality) / 2) if found.codec == "jpeg" else None
    parted = picture[:height, :width].reshape(height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    blocks = parted.transpose(0, 2, 1, 3).reshape(-1, BLOCK, BLOCK)
    coefficients = np.einsum("ij,njk,lk->nil", DCT, blocks, DCT, optimize=True)
    finest = coefficients[:, BLOCK // 2 :, BLOCK // 2 :].reshape(len(blocks), -1).std(1)
    unclipped = (blocks.min((1, 2)) > 1) & (blocks.max((1, 2)) < 254)
    floor = float(np.quantile(finest[unclipped], CALMEST)) if unclipped.any() else 0.0
    # fine texture looks like noise to the one and calm skies like none to the other: noise is what both see
    noise = min(noise_sigma(picture), CALM * floor)
    row, column = np.mgrid[:BLOCK, :BLOCK]
    fine = float(np.square(coefficients[:, row + column >= FINE]).mean())
    return Sight(quality, noise, floor, max(0.0, fine - noise**2))


def look_at(frames: Sequence[Frame]) -> Sight:
    """What shows in several frames of one thing: the median of each, and a JPEG where most of them are."""
    seen = [look(luma_of(frame)) for frame in frames]
    qualities = [one.quality for one in seen if one.quality is not None]
    quality = round(median(qualities)) if 2 * len(qualities) > len(seen) else None
    return Sight(
        quality,
        median(one.noise for one in seen),
        median(one.floor for one in seen),
        median(one.detail for one in seen),
    )
