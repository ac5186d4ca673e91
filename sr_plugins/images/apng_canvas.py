"""Frames of an APNG laid over each other (PNG third edition, 11.3.6.2), where readers mix half transparent ones ill.

Pillow and imagecodecs mix alpha as they mix colours: what is half transparent over an opaque frame became so itself.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.errors import ImageError
from sr_plugins.images.file_parts import bodies, kept_with
from sr_plugins.images.frame_canvas import After, Canvas
from sr_plugins.images.png_texts import chunk, chunks

_HEAD, _CONTROL = struct.Struct(">IIB4s"), struct.Struct(">4x4I4xBB")
_OVER = 1
_WITH_ALPHA = (b"\4", b"\6")  # colour types
_AFTER = {1: After.CLEARED, 2: After.RESTORED}


@dataclass(frozen=True, eq=False)
class ApngFrame:
    """One frame: where it lies, what becomes of it, whether it is mixed with what is there, and its own PNG."""

    box: tuple[int, int, int, int]
    after: After
    over: bool
    file: bytes

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
        samples: NDArray[Any] = imagecodecs.png_decode(self.file)
        samples = samples[..., np.newaxis] if samples.ndim == 2 else samples
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
    frames = tuple(_frames(png))
    head = _HEAD.unpack_from(png, 16)
    return Canvas(frames, np.uint16 if head[2] == 16 else np.uint8) if len(frames) > 1 else None


def _frames(png: bytes) -> Iterator[ApngFrame]:
    """Every frame of the animation; a file that is cut off ends with the last whole one."""
    head, control = memoryview(b""), memoryview(b"")
    common, packed = b"", b""
    for kind, body in chunks(png):
        if kind == b"IHDR":
            head = body
        elif kind in (b"PLTE", b"tRNS"):
            common += chunk(kind, body)
        elif kind == b"IDAT" and control:
            packed += body
        elif kind == b"fdAT":
            packed += body[4:]
        elif kind in (b"fcTL", b"IEND"):
            if control and packed:
                yield _frame(head, common, control, packed)
            control, packed = body, b""


def _frame(head: memoryview, common: bytes, control: memoryview, packed: bytes) -> ApngFrame:
    width, height, left, top, after, over = _CONTROL.unpack(control)
    all_width, all_height = struct.unpack_from(">II", head)
    if left + width > all_width or top + height > all_height:
        raise ImageError("the file is damaged: a frame lies beyond the animation's canvas")
    own = struct.pack(">II", width, height) + head[8:]
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", own) + common + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return ApngFrame((left, top, width, height), _AFTER.get(after, After.KEPT), over == _OVER, file)
