"""How a picture was compressed: from its file where that says so, from its blocks where it does not."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

Luma = NDArray[np.float32]
# Annex K.1 of ITU-T T.81, the luma table of quality 50 in libjpeg's scale
LUMA_TABLE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
# frequencies (y, x) at which steps are looked for
LOW = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (1, 2), (2, 1), (2, 2), (0, 3), (3, 0), (1, 3), (3, 1))
TRAINABLE = {"h264": "h264", "hevc": "h265", "mpeg2video": "mpeg2", "mpeg1video": "mpeg2"}
SMALLEST = 64  # pixels: the shortest side in which compression is looked for
ROUNDED = 0.45  # code values: deviation of a coefficient by rounding, after the way through RGB
_SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


@dataclass(frozen=True)
class Compression:
    """``codec`` is ``none``, ``jpeg``, ``h264``, ``h265`` or ``mpeg2``.

    ``quality`` is a range, in libjpeg's scale or of the quantiser (as ``video`` steps of a recipe take it); ``stored``
    is what a JPEG file says of itself.
    """

    codec: str
    quality: tuple[float, float]
    confidence: float
    subsampling: str = "4:2:0"
    stored: float | None = None

    def tables(self) -> list[dict[str, Any]]:
        """The steps of a degradation recipe that do the same."""
        low, high = (round(value, 1) for value in self.quality)
        if self.codec == "none":
            return []
        if self.codec == "jpeg":
            return [{"name": "jpeg", "quality": [low, high], "subsampling": self.subsampling}]
        return [{"name": "video", "codec": self.codec, "quality": [low, high], "frames": [1, 4], "motion": 2}]


NOTHING = Compression("none", (0, 0), 1.0)


def jpeg_of(image: Image.Image) -> Compression | None:
    """What a JPEG file's quantisation table says; ``None`` for other files."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile):
        return None
    quality = _quality(np.asarray(image.quantization[0], np.float64).reshape(8, 8), LUMA_TABLE)
    sampling = _SUBSAMPLING.get(JpegImagePlugin.get_sampling(image), "4:2:0")
    return Compression("jpeg", _around(quality, 2), 1.0, sampling, quality)


def find_jpeg(picture: Luma) -> Compression:
    """Look for the steps that an earlier JPEG compression left in the DCT of 8 x 8 blocks, wherever they begin.

    The histograms of a frequency's coefficients are combs whose period is the quantiser's step (after Fan and de
    Queiroz, "Identification of bitmap compression history", IEEE TIP 2003). Blocks begin at the corner of a whole
    picture, or end at one where it was turned; in a part of a picture their edges are looked for.
    """
    if min(picture.shape) < SMALLEST:
        return Compression("none", (0, 0), 0.0)
    height, width = picture.shape
    corners = [(y, x) for y in (0, height % 8) for x in (0, width % 8)]
    found: Compression = NOTHING
    for top, left in dict.fromkeys((*corners, _block_origin(picture))):
        found = _find_jpeg(picture[top:, left:])
        if found.codec == "jpeg":
            break
    return found


def _find_jpeg(picture: Luma) -> Compression:
    """As :func:`find_jpeg`, of a picture whose blocks begin at its corner."""
    blocks = _blocks(picture)
    coefficients = np.einsum("ij,njk,lk->nil", DCT, blocks, DCT, optimize=True)
    steps = {}
    for y, x in LOW:
        values = np.abs(coefficients[:, y, x])
        values = values[values > 1.5]  # zeros fit every comb
        if len(values) >= 30 and (step := _comb(values)):
            steps[y, x] = step
    if len(steps) < 5:  # a gradient has four, without any compression
        return Compression("none", (0, 0), 0.8 if len(blocks) > 200 else 0.4)
    at = tuple(np.array(list(steps)).T)
    quality = _quality(np.array(list(steps.values())), LUMA_TABLE[at])
    if quality > 96:
        return Compression("none", (0, 0), 0.6)
    return Compression("jpeg", _around(quality, 3), min(1.0, 1.5 * len(steps) / len(LOW)))


def video_compression(codec: str, quantisers: Sequence[float], bits_per_pixel: float) -> Compression:
    """From a stream's codec and, where the decoder tells them, the quantisers of its frames (else from its rate)."""
    name = TRAINABLE.get(codec, "h265")
    if quantisers:
        # frames that others are predicted from carry the detail, and have the lower quantisers
        low, high = np.quantile(quantisers, (0.1, 0.5))
        if name == "mpeg2":  # recipes give MPEG-2 half of their number
            low, high = 2 * low, 2 * high
        return Compression(name, (max(0.0, float(low) - 1), min(51.0, float(high) + 1)), 0.9)
    if bits_per_pixel <= 0:
        return Compression(name, (20, 34), 0.2)
    # twice the rate for six steps of the quantiser
    guess = float(np.clip(27 - 6 * np.log2(bits_per_pixel / 0.08), 12, 40))
    return Compression(name, (max(0, guess - 4), min(51, guess + 4)), 0.3)


def mean_quantiser(side_data: bytes) -> float:
    """The mean quantiser of a frame, from libavutil's AVVideoEncParams."""
    blocks, offset, size, _, quantiser = struct.unpack_from("=I4xQQii", side_data)
    if not blocks:
        return float(quantiser)
    table = np.frombuffer(side_data, np.uint8, blocks * size, offset).reshape(blocks, size)
    differences = np.ascontiguousarray(table[:, 16:20]).view(np.int32)
    return float(quantiser + differences.mean())


def _around(quality: float, width: float) -> tuple[float, float]:
    """A range that recipes take, whose JPEG goes up to 95."""
    return max(1.0, min(95.0, quality) - width), min(95.0, quality + width)


def _quality(table: NDArray[np.floating[Any]], reference: NDArray[np.integer[Any]]) -> float:
    """libjpeg's quality for quantisation steps beside those of quality 50."""
    if (table <= 1).all():
        return 100.0
    percent = float(np.median(table / reference)) * 100
    return float(np.clip(5000 / percent if percent > 100 else (200 - percent) / 2, 1, 100))


def _block_origin(picture: Luma) -> tuple[int, int]:
    """Where the grid of blocks begins: the phase at which neighbours differ most."""
    origin = []
    for axis in (0, 1):
        difference = np.abs(np.diff(picture, 2, axis=axis)).mean(axis=1 - axis)
        usable = len(difference) // 8 * 8
        phases = difference[:usable].reshape(-1, 8).mean(0)
        # a step between samples 7 and 8 raises second differences 6 and 7
        origin.append((int(np.argmax(phases + np.roll(phases, -1))) + 2) % 8)
    return origin[0], origin[1]


def _blocks(picture: Luma, most: int = 4000) -> Luma:
    height, width = (side // 8 * 8 for side in picture.shape)
    blocks = picture[:height, :width].reshape(height // 8, 8, width // 8, 8).transpose(0, 2, 1, 3).reshape(-1, 8, 8)
    blocks = blocks[(blocks.min((1, 2)) > 0) & (blocks.max((1, 2)) < 255)]  # clipping moves coefficients
    return blocks[:: max(1, len(blocks) // most)] - 128


def _comb(values: NDArray[np.floating[Any]]) -> int | None:
    """The largest step that magnitudes are multiples of, or ``None``.

    Rounding to 8 bits and the way through RGB blur the teeth, and those of small steps most.
    """
    steps = np.arange(2, 80)
    likeness = np.cos(2 * np.pi * values[:, None] / steps).mean(0)
    sharpest = np.exp(-2 * (np.pi * ROUNDED / steps) ** 2)
    good = (likeness > 0.75 * sharpest) & (likeness > 4 / np.sqrt(2 * len(values)))  # four deviations of chance
    good &= np.array([(values > 0.5 * step).mean() > 0.8 for step in steps])
    return int(steps[good][-1]) if good.any() else None


def _dct_matrix() -> NDArray[np.float64]:
    k, n = np.mgrid[0:8, 0:8]
    matrix = np.cos(np.pi * (n + 0.5) * k / 8) / 2
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float64)


DCT = _dct_matrix()  # orthonormal DCT-II of 8 samples: DCT @ block @ DCT.T
