"""Some frames of a film, and what a model makes of them: a look before a night of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sr_plugins.engine.windows import Seen, Windows, timed_windows
from sr_plugins.errors import PipeError
from sr_plugins.interface.words import Cuts
from sr_plugins.pixels.frame import Frame
from sr_plugins.pixels.matrix import matrix_in_use
from sr_plugins.video.decode import DecodeOptions, Decoder
from sr_plugins.video.decoder_choice import as_decoded
from sr_plugins.video.pixel_formats import frame_format, to_frame, to_picture
from sr_plugins.video.plan import between, check_cut, on_clock
from sr_plugins.video.probe import probe

_PLACES = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4))  # of the film, where none are named
# libswscale's codes of matrices (SWS_CS_*), by those of H.273; all others are BT.601.
_SCALER = {1: 1, 4: 4, 7: 7, 9: 9}


@dataclass(frozen=True)
class Still:
    """A frame of a film, with its neighbours, at so many seconds from its beginning."""

    time: float
    seen: Seen

    @property
    def frame(self) -> Frame:
        return self.seen.frame


class Stills:
    """Frames of a film, each once: those that are shown at these seconds of it; at a quarter, half and three quarters
    for none.

    ``cut``: only what lies between these seconds is looked at; ``count`` is the number of frames there. ``told`` is a
    line about what the frames show and the film must not (combs).

    Raises:
        PipeError: the film cannot be read, does not last so long, or a time lies outside the cut.
    """

    def __init__(
        self,
        path: Path,
        at: Sequence[float],
        options: DecodeOptions,
        executable: str,
        rate: Fraction | None = None,
        cut: tuple[float | None, float | None] = (None, None),
    ) -> None:
        check_cut(*cut)
        source = as_decoded(executable, probe(path, given_rate=rate), options.hwaccel)
        if source.turned:
            source, options = source.upright(), replace(options, turn=True)
        self.source, self._options, self._executable = source, options, executable
        shown = between(source, *on_clock(source, cut))
        self.count = len(shown)
        self.told = options.combs(source)
        self._ticks = list(dict.fromkeys(self._tick(place, cut, shown) for place in at or self._inside(cut, shown)))
        self._found: dict[tuple[tuple[int, int], Cuts], list[Still]] = {}

    def _inside(self, cut: tuple[float | None, float | None], shown: Sequence[int]) -> list[float]:
        """Seconds from the film's beginning at which it is looked at where none are named."""
        source = self.source
        since, until = shown[0] * source.time_base - source.start, source.finish - source.start
        until = min(until, Fraction(cut[1])) if cut[1] is not None else until
        return [float(since + (until - since) * part) for part in _PLACES]

    def _tick(self, place: float, cut: tuple[float | None, float | None], shown: Sequence[int]) -> int:
        """The time of the frame that is shown at so many seconds from the film's beginning: the first where it begins
        later."""
        source, (start, end) = self.source, cut
        lasting = source.finish - source.start
        if place >= lasting:
            raise PipeError(f"{source.path}: there is no frame at {place:g} s: it lasts {float(lasting):.3f} s")
        if place < (start or 0) or (end is not None and place >= end):
            words = [f"--{word} {at:g}" for word, at in (("start", start), ("end", end)) if at is not None]
            raise PipeError(f"{source.path}: {place:g} s lies outside {' '.join(words)}: name times of the part")
        sought, _ = on_clock(source, (place, None))
        assert sought is not None
        return max((t for t in shown if t * source.time_base <= sought), default=shown[0])

    def seen(self, window: tuple[int, int] = (0, 0), cuts: Cuts = "auto") -> list[Still]:
        """The frames, each with the neighbours that a model with this ``window`` sees.

        Raises:
            PipeError: one of them cannot be decoded.
        """
        key = window, "auto" if window == (0, 0) else cuts
        if key not in self._found:
            self._found[key] = [self._still(tick, *key) for tick in self._ticks]
        return self._found[key]

    def _still(self, tick: int, window: tuple[int, int], cuts: Cuts) -> Still:
        source, number = self.source, self.source.timeline.index(tick)
        time = float(tick * source.time_base - source.start)
        decoder = Decoder(self._executable, source, self._options, since=source.timeline[max(0, number - window[0])])
        format = frame_format(source.pix_fmt, source.colors)
        frames = ((when, to_frame(picture, format)) for when, picture in decoder)
        try:
            seen = next((s for when, s in timed_windows(frames, Windows(window, cuts)) if when >= tick), None)
        finally:
            decoder.close()
        if seen is None:
            raise PipeError(f"{source.path}: the frame at {time:.3f} s cannot be decoded")
        return Still(time, _copied(seen))


def _copied(seen: Seen) -> Seen:
    before, after = (tuple(frame.copied() for frame in frames) for frames in (seen.before, seen.after))
    return Seen(seen.frame.copied(), before, after)


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
