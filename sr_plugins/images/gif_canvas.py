"""GIF frames laid over each other as browsers do it (GIF89a, sections 18 to 23), where Pillow fills with a colour.

The canvas begins transparent, a frame leaves it where its own index is the transparent one, and what is disposed "to
background" is transparent again, whether or not the frame names a transparent index.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.file_parts import kept_with
from sr_plugins.images.frame_canvas import After, Canvas

_CONTROL, _IMAGE, _EXTENSION = b"\xf9", b",", b"!"
_AFTER = {2: After.CLEARED, 3: After.RESTORED}
_MOST = 1_000_000  # frames


@dataclass(frozen=True, eq=False)
class GifFrame:
    """One frame: its place on the canvas, what happens to it, and itself as a file of its own."""

    left: int
    top: int
    disposal: int
    clear: int | None
    file: bytes

    @property
    def box(self) -> tuple[int, int, int, int]:
        width, height = struct.unpack_from("<HH", self.file, 6)
        return self.left, self.top, width, height

    @property
    def after(self) -> After:
        return _AFTER.get(self.disposal, After.KEPT)

    def draw(self, place: NDArray[Any], *, first: bool) -> None:
        """Where it is not transparent; the first also leaves the colours that lie under its transparent index."""
        if not place.size:
            return
        with Image.open(io.BytesIO(self.file)) as image:
            indices = np.asarray(image)[: place.shape[0], : place.shape[1]]
            colours = np.asarray(image.convert("RGB"))[: place.shape[0], : place.shape[1]]
        drawn = np.ones(indices.shape, bool) if self.clear is None else indices != self.clear
        place[drawn, :3] = colours[drawn]
        place[drawn, 3] = 255
        if first:
            place[~drawn, :3] = colours[~drawn]


def gif_canvas_of(source: Image.Image) -> Canvas | None:
    """The canvas of an opened GIF that has one; ``None`` for all others. To be asked before the picture is loaded."""
    if source.format != "GIF":
        return None
    return kept_with(source, "canvas", lambda file: _read(file.read()), None)


def _read(gif: bytes) -> Canvas | None:
    frames = tuple(islice(_frames(gif), _MOST))
    screen: tuple[int, int] = struct.unpack_from("<HH", gif, 6)
    is_plain = len(frames) == 1 and frames[0].box == (0, 0, *screen)  # there is nothing to lay over anything
    return Canvas(frames) if frames and not is_plain else None


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
