"""Colour of 16 bits from PNG and TIFF files, and into PNG; Pillow would make it 8. See :mod:`.tiff_writer` for TIFF."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import IO, Any, Self

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.exif import orientation_of
from sr_plugins.images.file_parts import bodies
from sr_plugins.images.modes import GRAY16
from sr_plugins.images.tiff_reader import PHOTOMETRIC, SAMPLES, Page, pages_of
from sr_plugins.pixels.frame import Frame, FrameFormat, frame_of

RGB16 = FrameFormat(family="rgb", bits=16)

_BITS, _SAMPLE_FORMAT = 258, 339
_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA = 1, 2  # ExtraSamples of TIFF 6.0


class DeepPages:
    """The pages of an opened file whose samples Pillow would cut down, one at a time; closes with the block.

    Args:
        path: the file that ``source`` was opened from.
        source: the picture, not loaded yet.
    """

    def __init__(self, path: Path, source: Image.Image) -> None:
        self._png = path if source.format == "PNG" and _is_deep_png(source) else None
        self._orientation = orientation_of(source) if self._png else 1
        self._tiff: tifffile.TiffFile | None = None
        if source.format == "TIFF" and any(map(_is_deep, pages_of(source))):
            pixels = sum(page.size[0] * page.size[1] for page in pages_of(source) if _is_deep(page))
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and pixels > 2 * limit:  # twice, as in Pillow
                raise Image.DecompressionBombError(f"{pixels} pixels on all pages, more than {2 * limit}")
            self._tiff = tifffile.TiffFile(path)
            self._deep = [_is_deep(page) for page in pages_of(source)]

    def page(self, number: int) -> Frame | Image.Image | None:
        """The upright picture on a page; ``None`` where Pillow reads it whole."""
        if self._png:
            return _frame(imagecodecs.png_decode(self._png.read_bytes()), self._orientation)
        if self._tiff is None or number >= len(self._deep) or not self._deep[number]:
            return None
        page: Any = self._tiff.pages[number]
        return _signed(page) if page.dtype == np.int8 else _tiff_page(page) if _is_deep_colour(page) else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._tiff is not None:
            self._tiff.close()


def to_eight_bit(frame: Frame) -> Image.Image:
    """A deep frame as an ordinary L, LA, RGB or RGBA image, rounded."""
    samples = (_interleaved(frame).astype(np.uint32) * 255 + 32767) // 65535
    return Image.fromarray(samples.astype(np.uint8))


def write_png(file: IO[bytes], frame: Frame, arguments: dict[str, Any]) -> None:
    """A PNG of 16 bits; ``arguments`` are those of Pillow, which writes everything beside the pixels."""
    pixels = _chunks(bytes(imagecodecs.png_encode(_interleaved(frame), level=6)))
    carrier = io.BytesIO()
    one_pixel = Image.new("L" if frame.format.family == "gray" else "RGB", (1, 1))
    one_pixel.save(carrier, "PNG", **arguments)
    carried = [c for c in _chunks(carrier.getvalue()) if c[0] not in (b"IHDR", b"IDAT", b"IEND")]
    essential = [c for c in pixels if c[0] in (b"IHDR", b"IDAT", b"IEND")]
    file.write(b"\x89PNG\r\n\x1a\n")
    for kind, body in (essential[0], *carried, *essential[1:]):
        file.write(struct.pack(">I4s", len(body), kind))
        file.write(body)
        file.write(struct.pack(">I", zlib.crc32(body, zlib.crc32(kind))))


def _is_deep_png(source: Image.Image) -> bool:
    head = next(iter(bodies(source, b"IHDR")), b"")
    if len(head) != 13 or head[8] != 16 or getattr(source, "n_frames", 1) > 1:
        return False
    return head[9] != 0 or bool(bodies(source, b"tRNS"))


def _is_deep(page: Page) -> bool:
    """16-bit colour, which Pillow makes 8, and signed 8 bits, which it takes for unsigned."""
    kind = page.value(_SAMPLE_FORMAT, 1)
    if page.value(_BITS) == 8:
        return kind == 2 and page.value(SAMPLES, 1) == 1
    return page.value(_BITS) == 16 and kind == 1 and page.value(SAMPLES, 1) > 1 and page.value(PHOTOMETRIC) in (0, 1, 2)


def _is_deep_colour(page: Any) -> bool:
    return bool(page.dtype == np.uint16)


def _signed(page: Any) -> Image.Image:
    orientation = page.tags.get("Orientation")
    samples = _upright(page.asarray(), 1 if orientation is None else int(orientation.value))
    return Image.fromarray(np.ascontiguousarray(samples).astype(np.int32))


def _tiff_page(page: Any) -> Frame:
    samples = page.asarray()
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE:
        samples = np.moveaxis(samples, 0, -1)
    colours = 3 if page.photometric == tifffile.PHOTOMETRIC.RGB else 1
    colour, alpha = samples[..., :colours], None
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        colour = 65535 - colour
    kinds = [int(kind) for kind in page.extrasamples]
    if found := [k for k in kinds if k in (_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA)]:
        index = kinds.index(found[0])
        alpha = samples[..., colours + index, np.newaxis]
        if found[0] == _ASSOCIATED_ALPHA:
            straight = (colour * np.uint64(65535) + alpha // 2) // np.maximum(alpha, 1)
            colour = np.minimum(straight, 65535).astype(np.uint16)
    orientation = page.tags.get("Orientation")
    samples = colour if alpha is None else np.concatenate((colour, alpha), axis=2)
    return _frame(samples, 1 if orientation is None else int(orientation.value))


def _frame(samples: NDArray[Any], orientation: int) -> Frame:
    samples = _upright(samples, orientation)
    format = RGB16 if samples.shape[2] > 2 else GRAY16
    return frame_of(format, [samples[..., i] for i in range(samples.shape[2])])


def _upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The picture as it is to be seen; ``orientation`` as in TIFF 6.0 and EXIF, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        samples = np.swapaxes(samples, 0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples


def _interleaved(frame: Frame) -> NDArray[Any]:
    """The samples as (height, width) or (height, width, bands), alpha last."""
    planes = frame.samples()
    return np.ascontiguousarray(planes[0] if len(planes) == 1 else np.stack(planes, axis=2))


def _chunks(png: bytes) -> list[tuple[bytes, memoryview]]:
    chunks, place, view = [], 8, memoryview(png)
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        chunks.append((kind, view[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks
