"""Frames of an APNG laid over each other (PNG third edition, 11.3.6.2), where readers mix half transparent ones ill.

Pillow and imagecodecs mix alpha as they mix colours: what is half transparent over an opaque frame became so itself.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.file_parts import bodies, kept_with
from sr_plugins.images.frame_canvas import After, Canvas
from sr_plugins.images.png_pictures import PngPicture, pictures_of_png

_CONTROL, _DEPTH = struct.Struct(">4x4I4xBB"), 24  # what fcTL holds; where IHDR says how many bits a sample has
_OVER = 1
_WITH_ALPHA = (b"\4", b"\6")  # colour types
_AFTER = {1: After.CLEARED, 2: After.RESTORED}


@dataclass(frozen=True, eq=False)
class ApngFrame:
    """One frame: where it lies, what becomes of it, whether it is mixed with what is there, and its samples."""

    box: tuple[int, int, int, int]
    after: After
    over: bool
    picture: PngPicture

    def draw(self, place: NDArray[Any], *, first: bool) -> None:
        """By the formula for straight alpha (PNG third edition, 13.16)."""
        samples = self._samples()
        if first or not self.over:
            place[:] = samples
            return
        top = np.iinfo(place.dtype).max
        seen, under = samples[..., 3:] / top, place[..., 3:] / top
        alpha = seen + under * (1 - seen)
        mixed = samples[..., :3] * seen + place[..., :3] * (under * (1 - seen))
        colours = np.divide(mixed, alpha, out=samples[..., :3].astype(np.float64), where=alpha > 0)
        place[:] = np.rint(np.concatenate((colours, alpha * top), axis=2)).astype(place.dtype)

    def _samples(self) -> NDArray[Any]:
        samples = self.picture.samples()
        colours = samples[..., : samples.shape[2] - (samples.shape[2] in (2, 4))]
        alpha = samples[..., -1:] if samples.shape[2] in (2, 4) else np.full_like(colours[..., :1], -1)
        return np.concatenate((colours.repeat(3 // colours.shape[2], axis=2), alpha), axis=2)


def apng_canvas_of(source: Image.Image) -> Canvas | None:
    """The canvas of an opened APNG that mixes frames; ``None`` for all others. To be asked before it is loaded."""
    if source.format != "PNG" or not any(map(_mixes, bodies(source, b"fcTL"))):
        return None
    if not bodies(source, b"tRNS") and bodies(source, b"IHDR")[0][9:10] not in _WITH_ALPHA:
        return None
    return kept_with(source, "canvas", lambda file: _read(file.read()), None)


def frame_number(source: Image.Image) -> int:
    """Which frame of the animation a picture is at: -1 at one that is not of it."""
    return source.tell() - bool(source.info.get("default_image"))


def _mixes(control: bytes) -> bool:
    return len(control) == _CONTROL.size and control[-1] == _OVER


def _read(png: bytes) -> Canvas | None:
    frames = [_frame(picture) for picture in pictures_of_png(png) if picture.control]
    return Canvas(frames, np.uint16 if png[_DEPTH] == 16 else np.uint8) if len(frames) > 1 else None


def _frame(picture: PngPicture) -> ApngFrame:
    width, height, left, top, after, over = _CONTROL.unpack(picture.control)
    return ApngFrame((left, top, width, height), _AFTER.get(after, After.KEPT), over == _OVER, picture)
