"""A look at some frames of a film before work begins."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av

from sr_plugins.errors import PipeError
from sr_plugins.video.source import decoded, opened
from sr_plugins.video.timeline import fraction, new_times

_SAMPLES = 24  # places in the film, at most, at which frames are looked at
_REORDERED = 16  # frames after which an encoder has reordered some, if it ever does


def look(
    path: Path, given: dict[str, str], main: int, timeline: Sequence[int], keyframes: Sequence[int]
) -> list[av.VideoFrame]:
    """Some frames from the start and from further on: broadcasts often begin progressive and go on interlaced."""
    within = [key for key in keyframes if timeline[0] < key <= timeline[-1]]
    places = [timeline[0], *within[:: max(1, -(-len(within) // _SAMPLES))]]
    aspects: set[Fraction] = set()
    found: list[av.VideoFrame] = []
    with opened(path, given) as container:
        stream: Any = container.streams[main]
        if stream.codec_context is None:
            raise PipeError(f"{path}: no decoder for the codec of its video")
        for number, place in enumerate(places):
            # Further places are a look ahead: what cannot be decoded there is told when its turn comes.
            with contextlib.suppress(*([av.FFmpegError] if number else [])):
                if number:
                    container.seek(place, stream=stream)
                for picture in islice(decoded(container, stream), 3):
                    if not number or picture.pts is None or picture.pts <= timeline[-1]:  # seeking may lead too far
                        found.append(picture)
                        aspects.add(fraction(stream.codec_context.sample_aspect_ratio or 0))
    if not found:
        raise PipeError(f"{path}: not one frame of its video can be decoded")
    if len(shapes := {f"{a.numerator}:{a.denominator}" for a in aspects if a}) > 1:
        raise PipeError(
            f"{path}: the shape of its pixels changes ({', '.join(sorted(shapes))}): make a film of each part, cut by "
            "ffmpeg -ss START -to END -i IN -c copy OUT.mkv"
        )
    return found


def disorder_of(path: Path, main: int, time_base: Fraction, start: Fraction, rate: Fraction) -> str | None:
    """A line where the first frames come out of the decoder at times that run backward, as those of a film whose frames
    are shown as they are decoded by its container alone; ``None``: they come in order. AVI tells no such times."""
    latest = None
    with opened(path) as container, contextlib.suppress(av.FFmpegError):  # what cannot be decoded is told elsewhere
        stream: Any = container.streams[main]
        if not stream.codec_context.has_b_frames:
            return None
        for picture in islice(decoded(container, stream), _REORDERED):
            if picture.pts is None:
                continue
            if latest is not None and picture.pts < latest:
                after, at = (float(time * time_base - start) for time in (latest, picture.pts))
                return (
                    f"its times contradict the order of its frames: that of {at:.3f} s comes after that of "
                    f"{after:.3f} s; what ffmpeg makes of them is taken; {new_times(rate)} gives all new ones"
                )
            latest = picture.pts
    return None
