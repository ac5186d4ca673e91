"""What the decoding ffmpeg says of every frame, and whether a frame is still of the film that was planned."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction

from sr_plugins.video.parts import moment, two_films
from sr_plugins.video.pixel_formats import PixelLayout, is_known
from sr_plugins.video.pixel_shapes import WITHOUT_SHAPE

_FRAME = re.compile(r"\bn: *\d+ +pts:.* fmt:(\S+) .*\bsar:(\d+/\d+) s:(\d+x\d+) i:(\w)")
# The names of ffmpeg's ranges, matrices, primaries and transfers: what another of its threads says may follow without a
# space between.
_MATRICES = (
    "unknown|reserved|gbr|bt709|fcc|bt470bg|smpte170m|smpte240m|ycgco-r[eo]|ycgco|bt2020nc|bt2020c|smpte2085|"
    "chroma-derived-nc|chroma-derived-c|ictcp|ipt-c2"
)
_PRIMARIES = "unknown|reserved|bt709|bt470m|bt470bg|smpte170m|smpte240m|film|bt2020|smpte428|smpte431|smpte432|ebu3213"
_TRANSFERS = (
    "unknown|reserved|bt709|bt470m|bt470bg|smpte170m|smpte240m|linear|log100|log316|iec61966-2-4|bt1361e|iec61966-2-1|"
    "bt2020-10|bt2020-12|smpte2084|smpte428|arib-std-b67"
)
_COLORS = re.compile(
    rf"\bcolor_range:(unknown|tv|pc) color_space:({_MATRICES})"
    rf"(?: color_primaries:({_PRIMARIES}) color_trc:({_TRANSFERS}))?"
)
_WAIT = 10.0  # seconds at most for a line that was written before its frame


@dataclass(frozen=True)
class Told:
    """What ffmpeg's filter showinfo says of a frame, before ffmpeg makes all frames alike: format and shape of its
    pixels, its size, P for a progressive one, and its colours: range, matrix, primaries and transfer."""

    pix_fmt: str
    aspect: str
    size: str
    fields: str
    colors: tuple[str, ...] = ()


def told_of_frame(line: str) -> Told | None:
    """What showinfo's line says of a frame, but for its colours; ``None``: it is about something else."""
    frame = _FRAME.search(line)
    return None if frame is None else Told(frame[1], frame[2], frame[3], frame[4])


class FrameWatch:
    """Hears the lines of showinfo. A film has one size, one kind of pixels, the same colours, and is progressive:
    ffmpeg would squeeze any other frame into what the first one was, and upscaling would bake its fields in.

    Args:
        size: the decoder's, such as ``1920x1080``.
        layout: that of the source's pixels.
        interlaced: fields are expected.
    """

    def __init__(self, size: str, layout: PixelLayout, interlaced: bool) -> None:
        self._size, self._layout, self._interlaced = size, layout, interlaced
        self._frames: deque[Told] = deque()
        self._whole = 0  # how many of them nothing more will be said about
        self._ended = False
        self._news = threading.Condition()

    def hear(self, line: str) -> None:
        """A line that ffmpeg said."""
        frame, colors = told_of_frame(line), _COLORS.search(line)
        if frame is None and colors is None:
            return
        with self._news:
            if frame is not None:
                self._whole = len(self._frames)
                self._frames.append(frame)
            elif colors is not None and len(self._frames) > self._whole:  # the last line about a frame
                self._frames[-1] = replace(self._frames[-1], colors=tuple(filter(None, colors.groups())))
                self._whole = len(self._frames)
            self._news.notify_all()

    def end(self) -> None:
        """Nothing more will be heard."""
        with self._news:
            self._ended = True
            self._news.notify_all()

    def next(self) -> Told | None:
        """What was said of the next frame; ``None``: nothing."""
        with self._news:
            self._news.wait_for(lambda: self._ended or self._whole, timeout=_WAIT)
            if not self._frames:
                return None
            self._whole = max(0, self._whole - 1)
            return self._frames.popleft()

    def unlike(self, told: Told, first: Told, at: Fraction) -> str | None:
        """What is wrong with a frame, shown ``at`` so many seconds from the beginning, and what can be done; ``first``
        is the first that was taken."""
        if told.size != self._size:
            wrong, cure = f"its picture changes from {self._size} to {told.size}", two_films(at)
        elif told.pix_fmt != first.pix_fmt or self._layout != _layout(told.pix_fmt, self._layout):
            wrong, cure = f"its pixels change from {first.pix_fmt} to {told.pix_fmt}", two_films(at)
        elif told.aspect != first.aspect and "0/1" not in (told.aspect, first.aspect):
            wrong = f"the shape of its pixels changes from {first.aspect} to {told.aspect}"
            cure = two_films(at, WITHOUT_SHAPE)
        elif changed := _changed(first.colors, told.colors):
            wrong, cure = f"its colours change from {changed[0]} to {changed[1]}", two_films(at)
        elif told.fields in "TB" and not self._interlaced:
            wrong, cure = "it is interlaced", "add --deinterlace, or --progressive where it is only marked so"
        else:
            return None
        return f"{wrong} at {moment(at)} s: {cure}"


def _changed(first: tuple[str, ...], told: tuple[str, ...]) -> tuple[str, str] | None:
    """The names that differ, before and after. A line of ffmpeg's, or its end, may be lost among those of its other
    threads: what was not heard tells nothing."""
    changed = [pair for pair in zip(first, told, strict=False) if pair[0] != pair[1]]
    return (" ".join(was for was, _ in changed), " ".join(now for _, now in changed)) if changed else None


def _layout(pix_fmt: str, otherwise: PixelLayout) -> PixelLayout:
    return PixelLayout.of(pix_fmt) if is_known(pix_fmt) else otherwise
