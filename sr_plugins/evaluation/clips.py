"""Measure a model on clips: films, or folders of frames, such as Vid4 (Liu and Sun, CVPR 2011).

The protocol of pictures, frame by frame: every frame is cropped to a multiple of the scale and shrunk with the exact
antialiased bicubic; luma (BT.601, 16..235, 8 bits) is compared without a border of ``scale`` pixels; the mean over the
frames of a clip, then over clips. The low-resolution luma goes in as a film brings it, in whole 8-bit codes, and on
request through H.264 first. Models that see other frames are given them; at the ends the nearest one is repeated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import DataError
from sr_plugins.evaluation.quality import Image, Result, inner
from sr_plugins.interface.metric import MetricSpec
from sr_plugins.pixels.frame import Frame, FrameFormat
from sr_plugins.pixels.matlab import downscale_bicubic, to_luma
from sr_plugins.training.picture_files import SUFFIXES, read_rgb
from sr_plugins.training.sequences.clips import list_clips, read_luma
from sr_plugins.training.sequences.coding import code
from sr_plugins.upscaler import Upscaler

GRAY = FrameFormat(family="gray", full_range=False)
Luma = NDArray[np.uint8]  # (T, H, W)
Enlarge = Callable[[Luma], Luma]


@dataclass(frozen=True)
class Clip:
    """Luma of a clip at both resolutions, (T, h, w) and (T, H, W), 8 bits."""

    name: str
    low: Luma
    high: Luma


def find_clips(data: Path, *, frames_of_one: bool) -> list[Path]:
    """The clips that ``data`` stands for, by name: a film, or a folder with films and folders of frames in it.

    Of a folder of pictures there are none, for they are pictures; with ``frames_of_one`` they are frames of one clip.
    """
    if data.is_file():
        return [data]
    if not data.is_dir():
        return []
    if _has_pictures(data):
        return [data] if frames_of_one else []
    folders = [path for path in data.iterdir() if path.is_dir() and _has_pictures(path)]
    return sorted([*folders, *list_clips(data)])


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in SUFFIXES for path in folder.iterdir())


def read_clip(path: Path, scale: int, *, frames: int | None = None, crf: int | None = None) -> Clip:
    """A film, or a folder of frames in the order of their names, with its low-resolution luma.

    Args:
        path: the file or folder.
        scale: how much smaller.
        frames: only the first so many.
        crf: code the low-resolution clip by libx264, preset medium, at this quality (0 to 51).

    Raises:
        DataError: it cannot be read, its frames differ in size, or are smaller than the scale.
    """
    multiple = 2 * scale if crf is not None else scale  # 4:2:0 has even sides
    if path.is_dir():
        names = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)[:frames]
        pictures = [_cropped(read_rgb(name), multiple, path) for name in names]
        if len({picture.shape for picture in pictures}) > 1:
            raise DataError(f"{path} is no clip: its pictures differ in size")
        low = np.stack([to_luma(downscale_bicubic(picture, scale)) for picture in pictures])
        high = np.stack([to_luma(picture) for picture in pictures])
    else:
        high = np.stack([_cropped(luma, multiple, path) for luma in read_luma(path, frames)])
        low = np.stack([downscale_bicubic(luma, scale) for luma in high])
    if crf is not None:
        if min(low.shape[1:]) < 32:
            raise DataError(f"{path} is too small to be coded: {low.shape[2]} x {low.shape[1]} pixels made small")
        low = code(low, "h264", {"crf": str(crf), "preset": "medium", "threads": "1"})
    return Clip(path.stem if path.is_file() else path.name, low, high)


def _cropped(picture: Image, multiple: int, path: Path) -> Image:
    height, width = (side // multiple * multiple for side in picture.shape[:2])
    if not height or not width:
        raise DataError(f"{path}: {picture.shape[1]} x {picture.shape[0]} pixels are too few")
    return picture[:height, :width]


def enlarge_with(upscaler: Upscaler) -> Enlarge:
    """How a model makes a clip's luma (T, H, W) from its low-resolution luma, with the neighbours that it sees."""
    before, after = upscaler.loaded.spec.window

    def enlarge(low: Luma) -> Luma:
        frames = [Frame([luma], GRAY) for luma in low]
        waiting: deque[Future[Frame]] = deque()
        made = []
        for i, frame in enumerate(frames):
            earlier, later = frames[max(0, i - before) : i][::-1], frames[i + 1 : i + 1 + after]
            waiting.append(upscaler.submit(frame, earlier, later))
            if len(waiting) >= upscaler.lookahead:
                made.append(waiting.popleft().result().planes[0])
        made += [future.result().planes[0] for future in waiting]
        return np.stack(made)

    return enlarge


def bicubic(scale: int) -> Enlarge:
    """The same for bicubic interpolation."""
    import torch

    from sr_plugins.models.interpolation import BicubicUpsample

    network = BicubicUpsample(scale)

    def enlarge(low: Luma) -> Luma:
        larger = (network(torch.from_numpy(luma)[None, None].float())[0] for luma in low)
        return np.concatenate([frame.add(0.5).floor().clamp(0, 255).byte().numpy() for frame in larger])

    return enlarge


def evaluate_clips(
    ways: Mapping[str, Enlarge],
    clips: Iterator[Clip],
    scale: int,
    metrics: Sequence[MetricSpec],
    done: Callable[[str], None] = lambda name: None,
) -> dict[str, Result]:
    """Measure each of ``ways`` on clips: one value of each metric for a clip, the mean over its frames."""
    measures = [(metric, metric.build()) for metric in metrics]
    results = {way: Result(values={metric.name: [] for metric in metrics}) for way in ways}
    for clip in clips:
        truth = np.stack([inner(luma, scale) for luma in clip.high])
        for way, enlarge in ways.items():
            made = np.stack([inner(luma, scale) for luma in enlarge(clip.low)])
            results[way].names.append(clip.name)
            for metric, measure in measures:
                try:
                    if metric.clip:
                        value = measure(made, truth)
                    else:
                        value = float(np.mean([measure(*pair) for pair in zip(made, truth, strict=True)]))
                except DataError as error:
                    raise DataError(f"{clip.name}: {error}") from error
                results[way].values[metric.name].append(value)
        done(clip.name)
    return results
