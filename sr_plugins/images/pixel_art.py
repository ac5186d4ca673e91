"""What textures and pixel art want: edges that fit together, and pixels that are repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from sr_plugins.errors import ArgumentError
from sr_plugins.pixels.frame import Frame, Plane, frame_of
from sr_plugins.upscaler import Upscaler

_NEAREST = "nearest"
_LEAST, _MOST = 32, 96  # pixels of the other edge that a network sees; more than most see


def border_for(scale: float | None) -> int:
    """Pixels of the other edge that are put beyond each; ``ArgumentError`` as there (``None``: a size)."""
    border = None if scale is None else next((b for b in range(_LEAST, _MOST + 1) if (b * scale).is_integer()), None)
    if border is None:
        raise ArgumentError("--wrap needs a scale such as 2, 3 or 1.5: sizes and other factors do not fit together")
    return border


def wrapped(frame: Frame, upscaler: Upscaler) -> tuple[Frame, Callable[[Frame], Frame]]:
    """The frame with what lies at the other edge put beyond each, and what cuts that off the enlargement.

    Raises:
        ArgumentError: the enlargement is asked for as a size, or by a factor that no whole border survives.
    """
    across, down = upscaler.output_size(frame.width, frame.height)
    scale = upscaler.native_scale if upscaler.scale is None else upscaler.scale
    border = border_for(scale if upscaler.size is None else None)
    planes = [np.pad(plane, border, mode="wrap") for plane in frame.samples()]
    left = round(border * scale)

    def cut(result: Frame) -> Frame:
        return frame_of(result.format, [p[left : left + down, left : left + across] for p in result.samples()])

    return frame_of(frame.format, planes), cut


def is_nearest(upscaler: Upscaler) -> bool:
    """Whether pixels are to be repeated, which needs no network, and then alpha and any factor are exact too."""
    return upscaler.loaded.spec.name == _NEAREST and not upscaler.loaded.spec.needs_weights


def repeated(frames: Iterable[Frame], upscaler: Upscaler) -> Iterator[Frame]:
    """Every sample of the result is that of the source which lies under its centre."""
    for frame in frames:
        width, height = upscaler.output_size(frame.width, frame.height)
        rows = ((np.arange(height) + 0.5) * frame.height / height).astype(np.intp)
        columns = ((np.arange(width) + 0.5) * frame.width / width).astype(np.intp)

        def enlarged(plane: Plane, rows: Plane = rows, columns: Plane = columns) -> Plane:
            return plane[rows][:, columns]

        yield frame_of(frame.format, [enlarged(plane) for plane in frame.samples()])
