"""The blur kernel of a picture, from the picture alone.

The prior is a family: anisotropic Gaussian kernels, and the shrinking filters people use (bicubic, Lanczos, area). A
small network, trained on pictures degraded with known kernels (:mod:`.kernel_estimator_fit`), reads the kernel's
covariance from statistics of the spectrum and of differences, in which the content of the picture matters least.
Several crops, each turned eight ways, vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_plugins.estimation.noise import noise_sigma
from sr_plugins.training.spectrum import Floats, Luma, patch_spectra, polar_power

WEIGHTS = Path(__file__).with_name("kernel_estimator.safetensors")
SHAPES = ("gaussian", "bicubic", "lanczos", "area")
CROP = 224  # pixels: the size of crop the network has learnt from
LEAST = 48  # pixels: smaller pictures say too little
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1), (1, 2), (2, 1), (1, -2), (2, -1))
QUANTILES = (0.5, 0.9, 0.99, 0.999)
# what Gaussian has bicubic's response (1/2) at the small picture's Nyquist frequency: variance in its pixels squared
BICUBIC_VARIANCE = float(np.log(2) / (2 * np.pi**2 * 0.25))


@dataclass(frozen=True)
class Blur:
    """What made the picture small.

    Attributes:
        shape: one of :data:`SHAPES`; all but ``gaussian`` mean that no blur beyond that filter was found.
        covariance: of the equivalent Gaussian, in small pixels squared, (y, x) order.
        confidence: how sure shape and size are, 0 to 1.
        votes: covariances that single crops voted for.
    """

    shape: str
    covariance: Floats
    confidence: float
    votes: Floats

    @property
    def sigmas(self) -> tuple[float, float]:
        """Standard deviations along the long and the short axis, in small pixels."""
        short, long = np.sqrt(np.linalg.eigvalsh(self.covariance))
        return float(long), float(short)

    @property
    def angle(self) -> float:
        """Direction of the long axis in degrees, 0 to 180, from the x axis towards larger y."""
        _, vectors = np.linalg.eigh(self.covariance)
        y, x = vectors[:, 1]
        return float(np.degrees(np.arctan2(y, x)) % 180)


def gaussian_kernel_of(covariance: Floats, scale: int) -> Floats:
    """The Gaussian before taking every ``scale``-th pixel: sums to one, odd sides.

    ``covariance`` is in small pixels squared. The centre of mass lies (scale - 1) / 2 pixels right of and below the
    middle tap, so that the small picture's pixels lie in the middle of the large pixels they replace.
    """
    large = np.asarray(covariance) * scale**2
    shift = (scale - 1) / 2
    radius = int(np.ceil(3.5 * np.sqrt(np.linalg.eigvalsh(large)[1]) + shift))
    at = np.arange(-radius, radius + 1) - shift
    y, x = np.meshgrid(at, at, indexing="ij")
    inverse = np.linalg.inv(large)
    kernel = np.exp(-0.5 * (inverse[0, 0] * y * y + 2 * inverse[0, 1] * y * x + inverse[1, 1] * x * x))
    kernel /= kernel.sum()
    return np.asarray(kernel, np.float64)


def features(picture: Luma) -> NDArray[np.float32]:
    """Statistics (F,) of a picture, independent of its contrast: powers by frequency and direction, differences."""
    sigma = noise_sigma(picture)
    spread = float(picture.std()) + 0.5
    power = polar_power(patch_spectra(picture))
    detailed = power / (power.sum((1, 2), keepdims=True) + 1)
    floor = 1e-9
    parts = [
        np.log(power.mean(0) / spread**2 + floor).ravel(),
        np.log(np.quantile(power, 0.9, axis=0) / spread**2 + floor).ravel(),
        np.log(detailed.mean(0) + floor).ravel(),
        np.log(np.maximum(power.mean(0) - sigma**2, 0.05) / spread**2).ravel(),
    ]
    for dy, dx in DIRECTIONS:
        for step in (1, 2, 3):
            ahead, behind = (_moved(picture, sign * step * dy, sign * step * dx) for sign in (1, -1))
            parts.append(_tails(ahead - behind, spread))
        middle = picture[abs(dy) : picture.shape[0] - abs(dy), abs(dx) : picture.shape[1] - abs(dx)]
        parts.append(_tails(_moved(picture, dy, dx) + _moved(picture, -dy, -dx) - 2 * middle, spread))
    parts.append(np.log([sigma + 0.3, (sigma + 0.3) / spread, spread]))
    return np.concatenate(parts).astype(np.float32)


def _moved(picture: Luma, dy: int, dx: int) -> Luma:
    """The picture moved by (dy, dx), less a border of |dy| and |dx|."""
    height, width = picture.shape
    ry, rx = abs(dy), abs(dx)
    return picture[ry + dy : height - ry + dy, rx + dx : width - rx + dx]


def _tails(values: NDArray[np.float32], spread: float) -> Floats:
    """Logarithms of upper quantiles of the magnitude."""
    flat = np.abs(values).ravel()
    places = [min(len(flat) - 1, int(q * len(flat))) for q in QUANTILES]
    return np.asarray(np.log((np.partition(flat, places)[places] + 0.25) / spread), np.float64)


def estimate_blur(pictures: Sequence[Luma], crops: int = 6) -> Blur | None:
    """The blur that ``pictures`` (of one source) share, by the votes of their most detailed crops.

    ``None`` where nothing can be told: pictures too small, or without any detail.
    """
    chosen = [crop for picture in pictures for crop in _detailed_crops(picture, max(1, crops // len(pictures)))]
    if not chosen:
        return None
    votes, certainty, shapes = [], [], []
    for crop in chosen:
        for turned in _turns(crop):
            mean, variance, shape = _network(features(turned.picture))
            votes.append(turned.back(mean))
            certainty.append(1 / variance)
            shapes.append(shape)
    weight = np.array(certainty) / np.sum(certainty)
    logs = np.array(votes)
    center = _weighted_median(logs, weight)
    probability = np.einsum("n,nk->k", weight, np.array(shapes))
    shape_index = int(np.argmax(probability))
    sure = float(np.exp(-np.sqrt(np.mean(1 / np.array(certainty)))))
    confidence = float(probability[shape_index]) * sure
    return Blur(SHAPES[shape_index], _expm(center), confidence, np.array([_expm(v) for v in logs]))


@dataclass(frozen=True)
class _Turned:
    picture: Luma
    flip_y: bool
    flip_x: bool
    transpose: bool

    def back(self, log: Floats) -> Floats:
        """The symmetric matrix (yy, yx, xx) as seen in the picture before it was turned."""
        yy, yx, xx = log
        if self.transpose:
            yy, xx = xx, yy
        return np.array([yy, -yx if self.flip_y != self.flip_x else yx, xx])


def _turns(picture: Luma) -> list[_Turned]:
    turned = []
    for code in range(8):
        flip_y, flip_x, transpose = bool(code & 1), bool(code & 2), bool(code & 4)
        view = picture[:: -1 if flip_y else 1, :: -1 if flip_x else 1]
        turned.append(_Turned(np.ascontiguousarray(view.T if transpose else view), flip_y, flip_x, transpose))
    return turned


def _detailed_crops(picture: Luma, count: int) -> list[Luma]:
    """The ``count`` crops with most detail that do not overlap by more than half; the whole picture if it is small."""
    height, width = (min(CROP, side) for side in picture.shape)
    if min(height, width) < LEAST:
        return []
    places = []
    for top in _starts(picture.shape[0], height):
        for left in _starts(picture.shape[1], width):
            crop = picture[top : top + height, left : left + width]
            gradient = np.abs(np.diff(crop, axis=0)).mean() + np.abs(np.diff(crop, axis=1)).mean()
            places.append((float(gradient), top, left))
    places.sort(key=lambda place: (-place[0], place[1:]))
    return [picture[t : t + height, x : x + width] for detail, t, x in places[:count] if detail > 0.5]


def _starts(length: int, size: int) -> list[int]:
    count = 1 + -(-(length - size) // (size // 2 or 1))
    return sorted({round(v) for v in np.linspace(0, length - size, count)})


def _weighted_median(values: Floats, weight: Floats) -> Floats:
    result = np.empty(values.shape[1])
    for i, column in enumerate(values.T):
        order = np.argsort(column, kind="stable")
        passed = np.cumsum(weight[order])
        result[i] = column[order][int(np.searchsorted(passed, 0.5 * passed[-1]))]
    return result


def _expm(log: Floats) -> Floats:
    """The covariance whose matrix logarithm is ((yy, yx), (yx, xx))."""
    values, vectors = np.linalg.eigh(np.array([[log[0], log[1]], [log[1], log[2]]]))
    return np.asarray((vectors * np.exp(values)) @ vectors.T, np.float64)


@lru_cache(maxsize=1)
def _tensors() -> dict[str, NDArray[np.float32]]:
    from safetensors.numpy import load_file

    return dict(load_file(WEIGHTS))


def _network(x: NDArray[np.float32]) -> tuple[Floats, float, Floats]:
    """Features to the mean and variance of the covariance's logarithm (yy, yx, xx), and the shapes' probabilities."""
    t = _tensors()
    y = (x - t["mean"]) / t["deviation"]
    for i in (0, 1):
        y = np.maximum(t[f"weight{i}"] @ y + t[f"bias{i}"], 0)
    out = (t["weight2"] @ y + t["bias2"]).astype(np.float64)
    logits = np.exp(out[4:] - out[4:].max())
    return out[:3], float(np.exp(np.clip(out[3], -8, 4))), logits / logits.sum()
