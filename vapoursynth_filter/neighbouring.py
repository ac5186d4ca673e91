"""Neighbours of a clip's frames, for models that see them: the same whichever frame is asked for first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import vapoursynth as vs

from sr_plugins.engine.windows import Seen, neighbours
from sr_plugins.errors import FrameError
from sr_plugins.interface.words import Cuts
from sr_plugins.pixels.cuts import Reduced, is_cut, reduced
from sr_plugins.pixels.frame import Frame
from vapoursynth_filter.frames import NOT_FINITE, all_finite, to_frame

# frames of which is known whether a shot begins with them, whether they hold numbers, and what they look like in small
REMEMBERED = 64


class Neighbouring:
    """Which frames a filter needs for one of its own, and which of them its model is shown.

    Args:
        clip: any.
        window: frames before and after that the model sees.
        cuts: where a shot ends; with ``properties`` ``_SceneChangePrev`` and ``_SceneChangeNext`` say so, where a frame
            has them, and the frames themselves elsewhere.

    Attributes:
        clips: what to ask for the same number ``n``: the clip as it is ``before`` frames earlier, and so on, to
            ``after`` frames later; at the ends the first and the last frame stand still.
    """

    def __init__(self, clip: vs.VideoNode, window: tuple[int, int], cuts: Cuts) -> None:
        self._length, self._window, self._cuts = len(clip), window, cuts
        self.clips = [_shifted(clip, by) for by in range(-window[0], window[1] + 1)]
        self._small: OrderedDict[int, Reduced] = OrderedDict()
        self._begins: OrderedDict[int, bool] = OrderedDict()
        self._finite: OrderedDict[int, bool] = OrderedDict()
        self._lock = threading.Lock()

    def now(self, frames: vs.VideoFrame | Sequence[vs.VideoFrame]) -> vs.VideoFrame:
        """Of the frames that :attr:`clips` gave the one that is asked for."""
        return frames if isinstance(frames, vs.VideoFrame) else frames[self._window[0]]

    def seen(self, n: int, frames: vs.VideoFrame | Sequence[vs.VideoFrame]) -> Seen:
        """Frame ``n`` with its neighbours, out of what :attr:`clips` gave.

        Raises:
            FrameError: the frame itself cannot be upscaled; where a neighbour cannot, the shot ends.
        """
        if isinstance(frames, vs.VideoFrame):
            return Seen(to_frame(frames), (), ())
        frame = self._usable(n, self.now(frames))
        first = max(0, n - self._window[0])
        there = list(frames)[first - n + self._window[0] : self._length - n + self._window[0]]
        made: dict[int, Frame | None] = {n - first: frame}

        def at(place: int) -> Frame | None:
            if place not in made:
                try:
                    made[place] = self._usable(first + place, there[place])
                except FrameError:
                    made[place] = None
            return made[place]

        def cut(place: int) -> bool:
            return self._remembered(self._begins, first + place, lambda: self._cut(first, there, at, place))

        before, after = neighbours(len(there), n - first, self._window, cut)
        around = [tuple(f for f in map(at, places) if f is not None) for places in (before, after)]
        return Seen(frame, *around)

    def _usable(self, n: int, source: vs.VideoFrame) -> Frame:
        """``FrameError`` also where a sample is no number: it would go over to the frames beside it."""
        frame = to_frame(source)
        planes = [*frame.planes, *([] if frame.alpha is None else [frame.alpha])]
        if not self._remembered(self._finite, n, lambda: all(map(all_finite, planes))):
            raise FrameError(NOT_FINITE)
        return frame

    def _cut(self, first: int, there: Sequence[vs.VideoFrame], at: Callable[[int], Frame | None], place: int) -> bool:
        earlier, later = at(place - 1), at(place)
        if earlier is None or later is None or _kind(earlier) != _kind(later):
            return True
        if self._cuts == "properties" and (told := _told(there[place - 1], there[place])) is not None:
            return told
        if self._cuts == "none":
            return False
        small = [
            self._remembered(self._small, first + where, lambda f=f: reduced(f))  # type: ignore[misc]
            for where, f in ((place - 1, earlier), (place, later))
        ]
        return is_cut(*small)

    def _remembered[T](self, known: OrderedDict[int, T], n: int, make: Callable[[], T]) -> T:
        """What is known of frame ``n``: it depends on the clip alone, so that it may be made twice, and forgotten."""
        with self._lock:
            if n in known:
                known.move_to_end(n)
                return known[n]
        value = make()
        with self._lock:
            known[n] = value
            if len(known) > REMEMBERED:
                known.popitem(last=False)
        return value


def _kind(frame: Frame) -> tuple[Any, ...]:
    return frame.format, frame.width, frame.height, frame.alpha is None


def _told(earlier: vs.VideoFrame, later: vs.VideoFrame) -> bool | None:
    """What the properties of two neighbouring frames say of a cut between them; ``None``: nothing."""
    said = [earlier.props.get("_SceneChangeNext"), later.props.get("_SceneChangePrev")]
    known = [bool(value) for value in said if isinstance(value, int)]
    return any(known) if known else None


def _shifted(clip: vs.VideoNode, by: int) -> vs.VideoNode:
    """The clip whose frame ``n`` is ``n + by``; the first or the last frame stands in for what lies beyond."""
    length, away = len(clip), min(abs(by), len(clip) - 1)
    if not away:
        return clip
    # never longer than the clip, which may be as long as a clip can be (players do not know the end)
    return clip[0] * away + clip[: length - away] if by < 0 else clip[away:] + clip[length - 1] * away
