"""Estimate how pictures or a film came about, from them alone, and write it as a degradation recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sr_plugins.errors import DataError
from sr_plugins.estimation.compression import NOTHING, Compression, find_jpeg
from sr_plugins.estimation.enlargement import Enlargement, find_enlargement
from sr_plugins.estimation.noise import Noise, estimate_noise
from sr_plugins.training.estimation.kernel import Blur, estimate_blur, gaussian_kernel_of
from sr_plugins.training.estimation.source import Source, luma
from sr_plugins.training.spectrum import Floats
from sr_plugins.whole_file import whole_file

FRAMES_VOTING = 24
SMALLEST_NOISE = 0.4  # code values: less is rounding
# Soft things look like blurred ones. Correcting a blur that is none harms more than leaving a narrow one.
NARROW = 0.55  # small pixels, geometric mean of the sigmas
SURE = {"gaussian": 0.75, "lanczos": 0.4, "area": 0.4}  # confidence from which a narrow Gaussian, and a filter, count


@dataclass(frozen=True)
class Estimate:
    """What was found, for shrinking by ``scale``.

    ``blur`` is ``None`` where the pictures do not say (too small, no detail): bicubic is assumed then. ``gray`` is the
    share of the noise's energy that red, green and blue have in common.
    """

    scale: int
    blur: Blur | None
    noise: Noise
    gray: float
    compression: Compression
    enlargement: Enlargement
    size: tuple[int, int]
    sources: tuple[str, ...]
    frames: int

    @property
    def kernel(self) -> Floats | None:
        """The blur kernel at high resolution where a Gaussian was found; ``None`` means one of the plain filters."""
        if self.blur is None or self.blur.shape != "gaussian":
            return None
        return gaussian_kernel_of(self.blur.covariance, self.scale)

    def tables(self) -> list[dict[str, Any]]:
        """The steps of a degradation recipe."""
        kernel = self.kernel
        if kernel is not None:
            values = [[float(f"{v:.4g}") for v in row] for row in kernel]
            steps: list[dict[str, Any]] = [
                {"name": "kernel", "values": values},
                {"name": "subsample", "factor": self.scale},
            ]
        else:
            steps = [{"name": self.blur.shape if self.blur else "bicubic"}]
        if self.noise.sigma >= SMALLEST_NOISE:
            if self.noise.constant > SMALLEST_NOISE**2:
                sigma = round(float(np.sqrt(self.noise.constant)), 2)
                steps.append({"name": "gaussian_noise", "sigma": sigma, "gray": round(self.gray, 2)})
            if self.noise.slope > 0:
                photons = round(255 / self.noise.slope, 1)
                steps.append({"name": "poisson_noise", "photons": photons, "gray": round(self.gray, 2)})
        return steps + self.compression.tables()

    def lines(self) -> list[str]:
        """For people: what was found and how sure it is."""
        if self.blur is None:
            blur = "blur: the pictures are too small or too plain to tell; bicubic is assumed"
        elif self.blur.shape == "gaussian":
            long, short = (s * self.scale for s in self.blur.sigmas)
            blur = (
                f"blur: Gaussian, sigma {long:.2f} x {short:.2f} pixels of the large picture at {self.blur.angle:.0f} "
                f"degrees (confidence {self.blur.confidence:.2f})"
            )
        else:
            blur = f"blur: no blur beyond {self.blur.shape} found (confidence {self.blur.confidence:.2f})"
        kind = "growing with brightness" if self.noise.signal_dependent else "the same in all tones"
        noise = f"noise: sigma {self.noise.sigma:.2f} of 255, {kind} (confidence {self.noise.confidence:.2f})"
        if self.noise.sigma < SMALLEST_NOISE:
            noise = f"noise: none found (confidence {self.noise.confidence:.2f})"
        low, high = self.compression.quality
        found = (
            "none found" if self.compression.codec == "none" else f"{self.compression.codec}, {low:.0f} to {high:.0f}"
        )
        compression = f"compression: {found} (confidence {self.compression.confidence:.2f})"
        enlarged = f"enlarged before: no sign of it (confidence {self.enlargement.confidence:.2f})"
        if self.enlargement.factor > 1:
            width, height = (round(side / self.enlargement.factor) for side in self.size)
            enlarged = (
                f"enlarged before: by {self.enlargement.factor:.3g}; its true size is about {width} x {height}, shrink "
                f"it to that first (confidence {self.enlargement.confidence:.2f})"
            )
        return [blur, noise, compression, enlarged]


def estimate(sources: Sequence[Source], scale: int = 2) -> Estimate:
    """Estimate the degradation that all ``sources`` share; the same sources give the same answer.

    Raises:
        DataError: there is no picture.
    """
    frames = [frame for source in sources for frame in source.frames]
    if not frames:
        raise DataError("there is no picture to estimate from")
    picked = [frames[round(i)] for i in np.linspace(0, len(frames) - 1, min(FRAMES_VOTING, len(frames)))]
    pictures = [luma(frame) for frame in picked]
    largest = max(picked, key=lambda frame: frame.size)
    compression = _compression(sources, [p for p in pictures if min(p.shape) >= 64])
    enlargements = sorted((find_enlargement(p) for p in pictures[:8]), key=lambda e: e.factor)
    enlargement = enlargements[len(enlargements) // 2]
    if compression.codec != "none":  # what a codec adds hides the traces
        enlargement = Enlargement(enlargement.factor, min(enlargement.confidence, 0.3))
    noise = estimate_noise(pictures)
    return Estimate(
        scale=scale,
        blur=cautious(estimate_blur(pictures, max(6, len(pictures)))),
        noise=noise,
        gray=_gray_share([frame.astype(np.float32) for frame in picked], noise),
        compression=compression,
        enlargement=enlargement,
        size=(largest.shape[1], largest.shape[0]),
        sources=tuple(source.name for source in sources),
        frames=len(frames),
    )


def cautious(blur: Blur | None) -> Blur | None:
    """Bicubic in place of what is neither clear nor far from it."""
    if blur is None or blur.shape == "bicubic" or blur.confidence >= SURE[blur.shape]:
        return blur
    wide = blur.shape == "gaussian" and np.prod(blur.sigmas) >= NARROW**2
    return blur if wide else replace(blur, shape="bicubic")


def _compression(sources: Sequence[Source], pictures: list[Any]) -> Compression:
    told = [source.compression for source in sources if source.compression is not None]
    if not told:
        found = [find_jpeg(picture) for picture in pictures[:4]]
        jpegs = [f for f in found if f.codec == "jpeg"]
        if 2 * len(jpegs) <= len(found):
            return max((f for f in found if f.codec == "none"), key=lambda f: f.confidence, default=NOTHING)
        told = jpegs
    codecs = [c.codec for c in told]
    common = max(sorted(set(codecs)), key=codecs.count)
    same = [c for c in told if c.codec == common]
    quality = min(c.quality[0] for c in same), max(c.quality[1] for c in same)
    return Compression(common, quality, min(c.confidence for c in same), same[0].subsampling)


def _gray_share(frames: list[Any], noise: Noise) -> float:
    """1 where the noise of red, green and blue is the same, 0 where it is independent."""
    if noise.sigma < SMALLEST_NOISE:
        return 0.0
    difference = estimate_noise([frame[..., 0] - frame[..., 1] + 128 for frame in frames])
    single = estimate_noise([frame[..., 1] for frame in frames])
    both = 2 * single.sigma**2
    return float(np.clip(1 - difference.sigma**2 / both, 0, 1)) if both > 0 else 0.0


def write_estimate(estimate: Estimate, path: Path) -> None:
    """Write the recipe, whole or not at all; ``DataError`` where that is not possible."""
    names = ", ".join(estimate.sources[:3]) + (", ..." if len(estimate.sources) > 3 else "")
    lines = [f"# The degradation of {names}, estimated from {estimate.frames} pictures, for scale {estimate.scale}."]
    lines += [f"# {line}" for line in estimate.lines()]
    for table in estimate.tables():
        lines += ["", "[[degradation]]"] + [f"{key} = {_toml(value)}" for key, value in table.items()]
    write_text(path, "\n".join(lines) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all; ``DataError`` where that is not possible."""
    try:
        with whole_file(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="replace")  # names of files need not be text
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from error


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + "".join(f"    {_toml(row)},\n" for row in value) + "]"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    return repr(value)
