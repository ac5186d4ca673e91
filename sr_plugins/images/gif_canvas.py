"""GIF frames laid over each other as browsers do it (GIF89a, sections 18 to 23), where Pillow fills with a colour.

The canvas begins transparent, a frame leaves it where its own index is the transparent one, and what is disposed "to
background" is transparent again, whether or not the frame names a transparent index.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.file_parts import kept_with

_CONTROL, _IMAGE, _EXTENSION = b"\xf9", b",", b"!"
_TO_BACKGROUND, _TO_PREVIOUS = 2, 3
_MOST = 1_000_000  # frames


class GifFrame(NamedTuple):
    """One frame: its place on the canvas, what happens to it, and itself as a file of its own."""

    left: int
    top: int
    disposal: int
    clear: int | None
    file: bytes

    def samples(self) -> tuple[NDArray[np.uint8], NDArray[np.bool]]:
        """Its colours (height, width, 3), and where it is drawn."""
        width, height = struct.unpack_from("<HH", self.file, 6)
        if not width or not height:
            return np.zeros((height, width, 3), np.uint8), np.zeros((height, width), bool)
        with Image.open(io.BytesIO(self.file)) as image:
            indices = np.asarray(image)
            colours = np.asarray(image.convert("RGB"))
        return colours, np.ones(indices.shape, bool) if self.clear is None else indices != self.clear


class GifCanvas:
    """The canvas of one file, drawn as far as was asked for."""

    def __init__(self, frames: tuple[GifFrame, ...], screen: tuple[int, int]) -> None:
        self.frames, self.screen = frames, screen
        self._next, self._canvas = 0, np.zeros((0, 0, 4), np.uint8)
        self._before: NDArray[np.uint8] | None = None

    @property
    def is_plain(self) -> bool:
        """Whether the file is one picture that fills the screen: there is nothing to lay over anything."""
        if len(self.frames) != 1:
            return not self.frames
        (frame,) = self.frames
        return (frame.left, frame.top) == (0, 0) and frame.file[6:10] == struct.pack("<HH", *self.screen)

    def at(self, number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
        """Red, green, blue, alpha (height, width, 4) of a frame, on a canvas of ``size``; the next is the quickest."""
        if number < self._next - 1 or self._canvas.shape[1::-1] != size:
            self._next, self._canvas = 0, np.zeros((size[1], size[0], 4), np.uint8)
        while self._next <= number:
            self._draw(self._next)
            self._next += 1
        return self._canvas.copy()

    def _draw(self, number: int) -> None:
        if number:
            self._dispose(self.frames[number - 1])
        frame = self.frames[number]
        self._before = self._canvas.copy() if frame.disposal == _TO_PREVIOUS else None
        colours, drawn = frame.samples()
        place = self._canvas[frame.top :, frame.left :]
        height, width = min(place.shape[0], drawn.shape[0]), min(place.shape[1], drawn.shape[1])
        colours, drawn, place = colours[:height, :width], drawn[:height, :width], place[:height, :width]
        place[drawn, :3] = colours[drawn]
        place[drawn, 3] = 255
        if number == 0:  # what lies under the transparent index
            place[~drawn, :3] = colours[~drawn]

    def _dispose(self, frame: GifFrame) -> None:
        width, height = struct.unpack_from("<HH", frame.file, 6)
        if frame.disposal == _TO_BACKGROUND:
            self._canvas[frame.top : frame.top + height, frame.left : frame.left + width, 3] = 0
        elif self._before is not None:
            self._canvas = self._before


def canvas_of(source: Image.Image) -> GifCanvas | None:
    """The canvas of an opened GIF that has one; ``None`` for all others. To be asked before the picture is loaded."""
    if source.format != "GIF":
        return None
    canvas = kept_with(source, "canvas", lambda file: _read(file.read()), None)
    return None if canvas is None or canvas.is_plain or source.tell() >= len(canvas.frames) else canvas


def _read(gif: bytes) -> GifCanvas:
    screen = struct.unpack_from("<HH", gif, 6)
    frames = []
    for frame in _frames(gif):
        frames.append(frame)
        if len(frames) == _MOST:
            break
    return GifCanvas(tuple(frames), screen)


def _frames(gif: bytes) -> Iterator[GifFrame]:
    """Every whole frame; a file that is cut off ends with the last of them."""
    at = 13 + _palette_size(gif[10])
    palette, control = gif[13:at], b"\0\0\0\0"
    while at + 10 <= len(gif):
        kind, begin = gif[at : at + 1], at + 2
        if kind == _IMAGE:
            left, top, width, height, flags = struct.unpack_from("<4HB", gif, at + 1)
            own = gif[at + 10 : at + 10 + _palette_size(flags)]
            data = at + 10 + len(own)
            at = _end_of_blocks(gif, data + 1)
            colours = own or palette
            packed = (flags if own else gif[10]) & 0x87
            head = gif[:6] + struct.pack("<2H3B", width, height, packed, 0, 0) + colours
            block = _IMAGE + struct.pack("<4HB", 0, 0, width, height, flags & 0x40)
            clear = control[3] if control[0] & 1 else None
            yield GifFrame(left, top, control[0] >> 2 & 7, clear, head + block + gif[data:at] + b";")
            control = b"\0\0\0\0"
        elif kind == _EXTENSION:
            if gif[at + 1 : at + 3] == _CONTROL + b"\4":
                control = gif[at + 3 : at + 7]
            at = _end_of_blocks(gif, begin)
        elif kind == b";":
            return
        else:
            at += 1  # as readers do: filling between the blocks


def _palette_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _end_of_blocks(gif: bytes, at: int) -> int:
    while at < len(gif) and gif[at]:
        at += gif[at] + 1
    return at + 1
