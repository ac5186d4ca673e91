"""The pictures of a PNG (PNG third edition, 5.6), each with all that its samples need, and their samples as stored."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from sr_plugins.errors import ImageError
from sr_plugins.images.png_texts import chunk, chunks

_BANDS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type (11.2.1)
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class PngPicture(NamedTuple):
    """One picture: ``control`` is what its chunk fcTL holds, nothing for one that is not of the animation.

    ``head`` is the chunk IHDR of a file of its own, ``common`` its chunks PLTE and tRNS, ``packed`` its samples.
    """

    control: bytes
    head: bytes
    common: bytes
    packed: bytes

    def samples(self) -> NDArray[Any]:
        """(height, width, bands) of 8 or 16 bits: colours of a palette are looked up, what is transparent is alpha.

        An interlaced picture is read pass by pass (8.2), each as a picture of its own: libpng complains on stderr
        where it is given it whole.
        """
        if self.head[12:13] != b"\1":
            return _decoded(self.head, self.common, self.packed)
        width, height = struct.unpack_from(">II", self.head)
        bits = self.head[8] * _BANDS[self.head[9]]
        passes = [(p, -(-(width - p[0]) // p[2]), -(-(height - p[1]) // p[3])) for p in _ADAM7]
        passes = [(p, across, down) for p, across, down in passes if across > 0 and down > 0]
        sizes = [down * (1 + (across * bits + 7) // 8) for _, across, down in passes]
        lines = zlib.decompressobj().decompress(self.packed, sum(sizes))
        if len(lines) < sum(sizes):
            raise ValueError("its samples are cut off")
        found, at = np.zeros((height, width, 0)), 0
        for ((left, top, right, below), across, down), size in zip(passes, sizes, strict=True):
            head = struct.pack(">II", across, down) + self.head[8:12] + b"\0"
            part = _decoded(head, self.common, zlib.compress(lines[at : at + size], 0))
            if at == 0:
                found = np.zeros((height, width, part.shape[2]), part.dtype)
            found[top::below, left::right] = part
            at += size
        return found


def pictures_of_png(png: bytes) -> Iterator[PngPicture]:
    """Every picture of a file in memory, the one that a still shows first; frames end with the last whole one.

    Raises:
        ImageError: a frame lies beyond the canvas.
    """
    head, control, common = b"", b"", b""
    packed: list[bytes | memoryview] = []
    for kind, body in chunks(png):
        if kind == b"IHDR":
            head = bytes(body)
        elif kind in (b"PLTE", b"tRNS"):
            common += chunk(kind, body)
        elif kind == b"IDAT":
            packed.append(body)
        elif kind == b"fdAT":
            packed.append(body[4:])
        elif kind == b"fcTL":
            if packed:
                yield PngPicture(control, _own_head(head, control), common, b"".join(packed))
            control, packed = bytes(body), []
        elif kind == b"IEND":
            break
    else:
        packed = [] if control else packed
    if packed:
        yield PngPicture(control, _own_head(head, control), common, b"".join(packed))


def _own_head(head: bytes, control: bytes) -> bytes:
    if not control:
        return head
    width, height, left, top = struct.unpack_from(">4x4I", control)
    all_width, all_height = struct.unpack_from(">II", head)
    if left + width > all_width or top + height > all_height:
        raise ImageError("the file is damaged: a frame lies beyond the animation's canvas")
    return struct.pack(">II", width, height) + head[8:]


def _decoded(head: bytes, common: bytes, packed: bytes) -> NDArray[Any]:
    file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + common + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    samples: NDArray[Any] = imagecodecs.png_decode(file)
    return samples if samples.ndim == 3 else samples[..., np.newaxis]
