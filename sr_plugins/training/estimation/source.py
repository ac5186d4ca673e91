"""Pictures and films as a source to learn from: a few frames, full of detail and unlike each other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.errors import DataError
from sr_plugins.estimation.compression import Compression, jpeg_of, mean_quantiser, video_compression
from sr_plugins.training.picture_files import LUMA, SUFFIXES, frame_to_rgb, opened_picture, to_rgb
from sr_plugins.video.containers import FILM_SUFFIXES
from sr_plugins.video.source import opened

Rgb = NDArray[np.uint8]
THUMBNAIL = 16  # pixels


@dataclass
class Source:
    """Frames (H, W, 3), 8-bit R'G'B', and what their file says about compression (``None``: nothing)."""

    name: str
    frames: list[Rgb]
    compression: Compression | None


def luma(picture: Rgb) -> NDArray[np.float32]:
    """Y' (H, W) in 0..255, full range, BT.601 weights: what networks for luma are trained on."""
    return np.asarray(picture @ LUMA, np.float32)


def sources_in(paths: Iterable[Path]) -> list[Path]:
    """The paths, folders replaced by the pictures and films in them, by name; ``DataError`` where there are none."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        try:
            inside = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES | FILM_SUFFIXES)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        inside = [p for p in inside if p.is_file() and not p.name.startswith(".")]
        if not inside:
            raise DataError(f"{path} holds no pictures and no films")
        found += inside
    return found


def read_source(path: Path, count: int = 12) -> Source:
    """A picture, or the ``count`` best frames of a film: spread over it, detailed, unlike each other.

    Raises:
        DataError: neither a picture nor a video.
        PipeError: a damaged video.
    """
    if path.suffix.lower() in SUFFIXES:
        with opened_picture(path) as image:
            compression = jpeg_of(image)
            return Source(path.name, [to_rgb(image, path)], compression)
    frames, quantisers = [], []
    with opened(path) as container:
        stream = next((s for s in container.streams.video), None)
        if stream is None:
            raise DataError(f"{path} holds no video")
        stream.codec_context.options = {"export_side_data": "venc_params"}
        rate = _bits_per_pixel(container, stream)
        for frame in _spread(container, stream, 3 * count):
            frames.append(frame_to_rgb(frame))
            side = next((bytes(frame.side_data[k]) for k in frame.side_data.keys() if "ENC" in k.name), None)  # noqa: SIM118
            if side:
                quantisers.append(mean_quantiser(side))
        codec = stream.codec_context.codec.canonical_name
    if not frames:
        raise DataError(f"{path} holds no picture that can be decoded")
    chosen = [frames[i] for i in choose(frames, count)]
    return Source(path.name, chosen, video_compression(codec, quantisers, rate))


def choose(frames: Sequence[Rgb], count: int) -> list[int]:
    """Indices, in order, of ``count`` frames: the most detailed first, then those least like the ones chosen."""
    details, thumbnails = [], []
    for frame in frames:
        small = np.asarray(Image.fromarray(frame).convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX))
        thumbnails.append(small.astype(np.float32).ravel())
        y = luma(frame[::2, ::2]) if min(frame.shape[:2]) > 200 else luma(frame)
        details.append(float(np.abs(np.diff(y, axis=0)).mean() + np.abs(np.diff(y, axis=1)).mean()))
    worth, places = np.array(details), np.array(thumbnails)
    chosen = [int(np.argmax(worth))]
    distance = np.abs(places - places[chosen[0]]).mean(1)
    while len(chosen) < min(count, len(frames)):
        score = (worth + 0.1) * np.minimum(distance, 30)
        score[chosen] = -1
        best = int(np.argmax(score))
        if score[best] <= 0:  # only copies are left
            break
        chosen.append(best)
        distance = np.minimum(distance, np.abs(places - places[best]).mean(1))
    return sorted(chosen)


def _spread(container: Any, stream: Any, count: int) -> Iterator[av.VideoFrame]:
    """``count`` frames at even distances; where the length is not known, or short, every n-th of those there are."""
    length = stream.duration or (
        int(container.duration / av.time_base / stream.time_base) if container.duration else None
    )
    start = stream.start_time or 0
    if length is None or float(length * stream.time_base) < 4 * count:
        yield from _every(container, stream, count, length)
        return
    for i in range(count):
        at = start + int(length * (i + 0.5) / count)
        container.seek(at, stream=stream)
        for n, frame in enumerate(container.decode(stream)):
            # a few frames after a key frame: what most of the film looks like
            if n >= 4 or (frame.pts is not None and frame.pts >= at):
                yield frame
                break


def _every(container: Any, stream: Any, count: int, length: int | None) -> Iterator[av.VideoFrame]:
    total = stream.frames
    if not total and length and stream.average_rate:
        total = int(length * stream.time_base * stream.average_rate)
    step = max(1, (total or 300) // count)
    for n, frame in enumerate(container.decode(stream)):
        if n % step == step // 2:
            yield frame


def _bits_per_pixel(container: Any, stream: Any) -> float:
    rate = stream.bit_rate or container.bit_rate or 0
    pixels = stream.width * stream.height * float(stream.average_rate or 25)
    return rate / pixels if pixels else 0.0
