"""Some frames of a film, and what a model makes of them: a look before a night of work."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import Frame
from sr_plugins.pixels.matrix import matrix_in_use
from sr_plugins.upscaler import Upscaler
from sr_plugins.video.decode import DecodeOptions, Decoder
from sr_plugins.video.decoder_choice import as_decoded
from sr_plugins.video.pixel_formats import frame_format, to_frame, to_picture
from sr_plugins.video.probe import probe
from sr_plugins.video.source import Source

_PLACES = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))  # of the film, where none are named
# libswscale's codes of matrices (SWS_CS_*), by those of H.273; all others are BT.601.
_SCALER = {1: 1, 4: 4, 7: 7, 9: 9}


@dataclass(frozen=True)
class Still:
    """A frame of a film, at so many seconds from its beginning."""

    time: float
    frame: Frame


def stills(
    path: Path, at: Sequence[float], options: DecodeOptions, executable: str, rate: Fraction | None = None
) -> tuple[Source, list[Still]]:
    """The film, and its frames that are shown at these seconds; of a quarter, half and three quarters for none.

    Raises:
        PipeError: the film cannot be read, or does not last so long.
    """
    source = as_decoded(executable, probe(path, given_rate=rate))
    if source.turned:
        source, options = source.upright(), replace(options, turn=True)
    first, base = source.timeline[0], source.time_base
    lasting = source.finish - first * base
    places = [Fraction(t).limit_denominator(10**6) for t in at] or [lasting * part for part in _PLACES]
    found = []
    for place in places:
        if place >= lasting:
            raise PipeError(f"{path}: there is no frame at {float(place):g} s: it lasts {float(lasting):.3f} s")
        tick = max(t for t in source.timeline if (t - first) * base <= place)
        decoder = Decoder(executable, source, options, since=tick)
        try:
            picture = next((picture for when, picture in decoder if when >= tick), None)
        finally:
            decoder.close()
        if picture is None:
            raise PipeError(f"{path}: the frame at {float(place):g} s cannot be decoded")
        frame = to_frame(picture, frame_format(source.pix_fmt, source.colors)).copied()
        found.append(Still(float((tick - first) * base), frame))
    return source, found


def enlarged(upscaler: Upscaler, found: Sequence[Still]) -> tuple[list[Frame], float]:
    """The frames, larger, and how many seconds one takes: of two rounds, the first of which readies all, the faster."""
    seconds = []
    for _ in range(2):
        begun = time.perf_counter()
        results = list(upscaler.stream([still.frame for still in found]))
        seconds.append((time.perf_counter() - begun) / len(found))
    return results, min(seconds)


def as_rgb(frame: Frame) -> NDArray[np.uint8]:
    """As a screen shows it: (height, width, 3), or 4 with transparency."""
    picture = to_picture(frame)
    kind = "rgba" if frame.alpha is not None else "rgb24"
    if frame.format.family != "yuv":
        return np.asarray(picture.to_ndarray(format=kind), np.uint8)
    matrix = _SCALER.get(matrix_in_use(frame.format, frame.width, frame.height), 5)
    colors = {"src_colorspace": matrix, "src_color_range": 2 if frame.format.full_range else 1, "dst_color_range": 2}
    shown = picture.reformat(format=kind, interpolation="BICUBIC", **colors)
    return np.asarray(shown.to_ndarray(), np.uint8)
