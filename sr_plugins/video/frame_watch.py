"""What the decoding ffmpeg says of every frame, and whether a frame is still of the film that was planned."""

from __future__ import annotations

import re
import threading
from collections import deque
from dataclasses import dataclass, replace

from sr_plugins.errors import FrameError
from sr_plugins.video.pixel_formats import PixelLayout

_FRAME = re.compile(r"\bn: *\d+ +pts:.* fmt:(\S+) .*\bsar:(\d+/\d+) s:(\d+x\d+) i:(\w)")
# The names of ffmpeg's ranges and matrices: what another of its threads says may follow without a space between.
_MATRICES = (
    "unknown|reserved|gbr|bt709|fcc|bt470bg|smpte170m|smpte240m|ycgco-r[eo]|ycgco|bt2020nc|bt2020c|smpte2085|"
    "chroma-derived-nc|chroma-derived-c|ictcp|ipt-c2"
)
_COLORS = re.compile(rf"\bcolor_range:(unknown|tv|pc) color_space:({_MATRICES})")
_WAIT = 10.0  # seconds at most for a line that was written before its frame


@dataclass(frozen=True)
class Told:
    """What ffmpeg's filter showinfo says of a frame, before ffmpeg makes all frames alike: format and shape of its
    pixels, its size, P for a progressive one, range and matrix."""

    pix_fmt: str
    aspect: str
    size: str
    fields: str
    range: str = ""
    matrix: str = ""


class FrameWatch:
    """Hears the lines of showinfo. A film has one size, one kind of pixels, one matrix and range, and is progressive:
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
        frame, colors = _FRAME.search(line), _COLORS.search(line)
        if frame is None and colors is None:
            return
        with self._news:
            if frame is not None:
                self._whole = len(self._frames)
                self._frames.append(Told(*frame.groups()))
            elif colors is not None and len(self._frames) > self._whole:  # the last line about a frame
                self._frames[-1] = replace(self._frames[-1], range=colors[1], matrix=colors[2])
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

    def unlike(self, told: Told, first: Told) -> tuple[str, str] | None:
        """What is wrong with a frame, and what can be done; ``first`` is the first that was taken."""
        if told.size != self._size:
            return f"its picture changes from {self._size} to {told.size}", _PARTS
        if told.pix_fmt != first.pix_fmt or self._layout != _layout(told.pix_fmt, self._layout):
            return f"its pixels change from {first.pix_fmt} to {told.pix_fmt}", _PARTS
        if told.aspect != first.aspect and "0/1" not in (told.aspect, first.aspect):
            return f"the shape of its pixels changes from {first.aspect} to {told.aspect}", _PARTS
        heard = told.matrix and first.matrix  # a line of ffmpeg's may be lost among those of its other threads
        if heard and (told.matrix != first.matrix or told.range != first.range):
            return f"its colours change from {first.matrix} {first.range} to {told.matrix} {told.range}", _PARTS
        if told.fields in "TB" and not self._interlaced:
            return "it is interlaced", "add --deinterlace, or --progressive where it is only marked so"
        return None


_PARTS = (
    "make two films of it, of what is before with --end {0}, of the rest after: ffmpeg -ss {0} -i IN -c copy OUT.mkv"
)


def _layout(pix_fmt: str, otherwise: PixelLayout) -> PixelLayout:
    try:
        return PixelLayout.of(pix_fmt)
    except FrameError:
        return otherwise
