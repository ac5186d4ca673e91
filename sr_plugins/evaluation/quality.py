"""Measure a model on a test set, by the literature's protocol.

The high-resolution picture is cropped to a multiple of the scale, the published low-resolution picture goes through
:class:`~sr_plugins.upscaler.Upscaler`, and luma (ITU-R BT.601, 16..235, 8 bits) is compared without a border of
``scale`` pixels. Bicubic interpolation of the same luma is measured beside it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import DataError, WeightsError
from sr_plugins.interface.metric import MetricSpec
from sr_plugins.pixels.frame import Frame, FrameFormat, Matrix
from sr_plugins.pixels.matlab import (
    LUMA_SPAN,
    MATRIX,
    OFFSET,
    downscale_bicubic,
    to_8bit,
    to_luma,
    to_ycbcr,
    ycbcr_to_rgb,
)
from sr_plugins.plugins import plugins
from sr_plugins.training.picture_files import list_pictures, read_rgb
from sr_plugins.upscaler import Upscaler
from sr_plugins.weights.safetensors_files import write_weights

Image = NDArray[np.uint8]
Upscale = Callable[[Image], Image]
GRAY = FrameFormat(family="gray", bits=32, is_float=True)
YUV = FrameFormat(family="yuv", matrix=Matrix.SMPTE170M)
RGB = FrameFormat(family="rgb")


@dataclass
class Result:
    """Values by metric for each picture, in the order of ``names``, and their means."""

    names: list[str] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def mean(self, metric: str) -> float:
        """Mean over the pictures; not a number if there are none."""
        values = self.values[metric]
        return math.fsum(values) / len(values) if values else math.nan


def picture_pairs(folder: Path, scale: int, shrink: Upscale | None = None) -> Iterator[tuple[str, Image, Image]]:
    """Name, low and high resolution (R'G'B') of every picture in ``folder``.

    The low-resolution picture is that of the same name in ``LRx{scale}`` beside it; where there is no such folder, or
    ``shrink`` is given, it is made from the high-resolution one (by default with the exact bicubic).
    """
    lows = folder / f"LRx{scale}"
    for path in list_pictures(folder):
        picture = read_rgb(path)
        height, width = (side // scale * scale for side in picture.shape[:2])
        if not height or not width:
            raise DataError(f"{path} is smaller than the scale {scale}")
        high = picture[:height, :width]
        if shrink is not None:
            low = shrink(high)
        elif lows.is_dir():
            low = read_rgb(lows / path.name)
        else:
            low = downscale_bicubic(high, scale)
        if (low.shape[0] * scale, low.shape[1] * scale) != (height, width):
            raise DataError(
                f"{lows / path.name} is {low.shape[1]} x {low.shape[0]}: times {scale} that is not {width} x {height}, "
                f"the size of {path} cropped to a multiple of {scale}"
            )
        yield path.stem, low, high


def upscale_rgb(upscaler: Upscaler, low: Image) -> Image:
    """An 8-bit R'G'B' picture (H, W, 3), enlarged as such by any model."""
    return np.stack(upscaler.upscale(Frame(list(np.moveaxis(low, 2, 0)), RGB)).planes, -1)


def upscale_with(upscaler: Upscaler) -> tuple[Upscale, Upscale]:
    """How a model makes luma (H, W), and R'G'B', from a low-resolution R'G'B' picture.

    A luma model gets the picture's luma unrounded, as it does inside every R'G'B' frame; only its answer is rounded.
    """

    def rgb(low: Image) -> Image:
        if upscaler.loaded.spec.channels == "rgb":
            return upscale_rgb(upscaler, low)
        ycbcr = np.moveaxis(to_ycbcr(low), 2, 0)
        return ycbcr_to_rgb(np.stack(upscaler.upscale(Frame(list(ycbcr), YUV)).planes, -1))

    def luma(low: Image) -> Image:
        if upscaler.loaded.spec.channels == "rgb":
            return to_luma(rgb(low))
        exact = ((low @ MATRIX[0]) / LUMA_SPAN).astype(np.float32)
        return to_8bit(upscaler.upscale(Frame([exact], GRAY)).planes[0] * LUMA_SPAN + OFFSET[0])

    return luma, rgb


def bicubic(scale: int) -> tuple[Upscale, Upscale]:
    """The same two for bicubic interpolation."""
    import torch

    from sr_plugins.models.interpolation import BicubicUpsample

    network = BicubicUpsample(scale)

    def planes(picture: Image) -> Image:
        x = torch.from_numpy(np.ascontiguousarray(picture.reshape(*picture.shape[:2], -1).transpose(2, 0, 1))).float()
        y = network(x[None])[0].add(0.5).floor().clamp(0, 255).byte().numpy()
        return np.asarray(y.transpose(1, 2, 0)).reshape(*y.shape[1:], *picture.shape[2:])

    return lambda low: to_luma(planes(low)), planes


def evaluate(
    ways: dict[str, tuple[Upscale, Upscale]],
    folder: Path,
    scale: int,
    metrics: Sequence[MetricSpec],
    *,
    shrink: Upscale | None = None,
    done: Callable[[str], None] = lambda name: None,
) -> dict[str, Result]:
    """Measure each of ``ways`` (see :func:`upscale_with`) on the pictures of ``folder``; ``DataError`` if unusable.

    A clip metric sees all pictures, in the order of their names, as one clip, and has one value.
    """
    measures = [(metric, metric.build()) for metric in metrics]
    results = {way: Result(values={metric.name: [] for metric in metrics}) for way in ways}
    clips: dict[tuple[str, str], list[tuple[Image, Image]]] = {}
    for name, low, high in picture_pairs(folder, scale, shrink):
        for way, (luma, rgb) in ways.items():
            results[way].names.append(name)
            for channels, upscale, truth in (("luma", luma, to_luma), ("rgb", rgb, np.asarray)):
                if not any(metric.channels == channels for metric in metrics):
                    continue
                pair = inner(upscale(low), scale), inner(truth(high), scale)
                for metric, measure in measures:
                    if metric.channels == channels and metric.clip:
                        clips.setdefault((way, metric.name), []).append(pair)
                    elif metric.channels == channels:
                        results[way].values[metric.name].append(_named(name, measure, *pair))
        done(name)
    for (way, metric_name), pairs in clips.items():
        if len({picture.shape for picture, _ in pairs}) > 1:
            raise DataError(f"{metric_name} needs the pictures of one clip, but those in {folder} differ in size")
        measure = {m.name: f for m, f in measures}[metric_name]
        results[way].values[metric_name].append(measure(*(np.stack(part) for part in zip(*pairs, strict=True))))
    return results


def write_card(path: Path, name: str, scale: int, means: dict[str, float | None]) -> None:
    """Note the means on the test set ``name`` in a weights file's model card, under ``metrics``.

    The scale is added to the name where it is not the file's own (LapSRN's x2 from its x4 weights).
    """
    loaded = plugins().open_weights(path)
    if "model" not in loaded.card:
        raise WeightsError(f"{path} is not a weights file of ours, and is not written to")
    if scale != loaded.card.get("scale"):
        name += f" x{scale}"
    metrics = dict(loaded.card.get("metrics", {}))
    metrics[name] = metrics.get(name, {}) | means
    write_weights(path, loaded.torch().module, loaded.card | {"metrics": metrics})


def inner(picture: Image, border: int) -> Image:
    """Without a border; ``DataError`` where nothing is left."""
    if min(picture.shape[:2]) <= 2 * border:
        raise DataError(f"{picture.shape[1]} x {picture.shape[0]} pixels have nothing left inside a border of {border}")
    return picture[border:-border, border:-border]


def _named(name: str, measure: Callable[[Image, Image], float], picture: Image, reference: Image) -> float:
    try:
        return measure(picture, reference)
    except DataError as error:
        raise DataError(f"{name}: {error}") from error
