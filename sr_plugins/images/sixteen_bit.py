"""Colour of more than 8 bits from PNG, TIFF and AVIF files, and into PNG; Pillow would make it 8.

See :mod:`.tiff_writer` and :mod:`.avif_file` for the way back into those.
"""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.animations import Timing
from sr_plugins.images.apng_canvas import apng_canvas_of
from sr_plugins.images.avif_file import bits_of, deep_samples
from sr_plugins.images.bitmap_samples import masked_samples
from sr_plugins.images.exif import orientation_of
from sr_plugins.images.file_parts import bodies
from sr_plugins.images.fits_samples import fits_samples
from sr_plugins.images.jpeg_2000_samples import bits_of_jpeg_2000, deep_jpeg_2000
from sr_plugins.images.jxl_animation import jxl_timing
from sr_plugins.images.jxl_channels import has_associated_alpha
from sr_plugins.images.light_files import LightFile, light_of
from sr_plugins.images.modern_files import deep_heif, jxl_samples
from sr_plugins.images.modes import GRAY16
from sr_plugins.images.own_formats import deep_pixmap
from sr_plugins.images.png_pictures import pictures_of_png
from sr_plugins.images.png_texts import chunk, chunks
from sr_plugins.images.sgi_samples import sgi_samples
from sr_plugins.images.tiff_reader import pages_of
from sr_plugins.images.tiff_samples import UnreadTiff, is_beyond_pillow, read_page, upright_samples, with_straight_alpha
from sr_plugins.images.wide_samples import WideSamples
from sr_plugins.pixels.frame import Frame, FrameFormat, eight_bits, frame_of

if TYPE_CHECKING:
    import tifffile

logger = logging.getLogger("sr_plugins")

ONE = Timing()
_INTERLACED = 28  # where the head of a PNG says so (PNG third edition, 11.2.1)
RGB16 = FrameFormat(family="rgb", bits=16)


class DeepPages:
    """The pages of an opened file whose samples Pillow would cut down, one at a time; closes with the block.

    Args:
        path: the file that ``source`` was opened from.
        source: the picture, not loaded yet.
    """

    def __init__(self, path: Path, source: Image.Image) -> None:
        self._png = path if source.format == "PNG" and _is_deep_png(source) else None
        self._moves = self._png is not None and int(getattr(source, "n_frames", 1)) > 1
        self._canvas = apng_canvas_of(source) if self._moves else None
        self._poster, self._size = bool(source.info.get("default_image")), source.size
        self._bands = [0, 3] if source.mode in ("L", "LA", "I;16", "I") else [0, 1, 2, 3]
        self._read: NDArray[Any] | None = None
        self._light = source if isinstance(source, LightFile) else None
        self._map = deep_pixmap(path) if source.format == "PPM" and source.mode in ("RGB", "I") else None
        self._modern = source if source.format in ("HEIF", "JXL") else None
        self._avif = source if source.format == "AVIF" and bits_of(source) > 8 else None
        self._jpeg_2000 = source if bits_of_jpeg_2000(source) > 8 else None
        self._orientation = orientation_of(source) if self._png or self._avif or self._jpeg_2000 else 1
        self._numbers = fits_samples(source)
        masked = masked_samples(source)
        self._samples = sgi_samples(source) if masked is None else masked
        self._tiff: tifffile.TiffFile | None = None
        self._pages = pages_of(source)
        self._refused = isinstance(source, UnreadTiff)
        self._path = path
        beyond = [page for page in self._pages if self._refused or is_beyond_pillow(page)]
        pixels = sum(page.size[0] * page.size[1] for page in beyond)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and pixels > 2 * limit:  # twice, as in Pillow
            raise Image.DecompressionBombError(f"{pixels} pixels on all pages, more than {2 * limit}")

    def page(self, number: int) -> Frame | Image.Image | WideSamples | None:
        """The upright picture on a page; ``None`` where Pillow reads it whole."""
        if self._modern is not None:
            return self._of_modern(self._modern, number)
        if self._numbers is not None:
            return self._numbers if self._numbers.no_data is not None else self._numbers.as_picture()
        if self._samples is not None:
            return WideSamples(self._samples, has_alpha=self._samples.shape[2] in (2, 4)).as_picture()
        if self._light is not None:
            return light_of(self._light)
        if self._map is not None:
            return _frame(self._map, 1)
        if self._png:
            if self._canvas is not None and 0 <= (at := number - self._poster) < len(self._canvas.layers):
                return _frame(self._canvas.at(at, self._size)[..., self._bands], self._orientation)
            return _frame(self._of_png(self._png)[number], self._orientation)
        if self._avif is not None:
            samples = deep_samples(self._avif)
            return None if samples is None else _frame(samples, self._orientation)
        if self._jpeg_2000 is not None:
            samples = deep_jpeg_2000(self._jpeg_2000)
            return None if samples is None else _frame(samples, self._orientation)
        if number >= len(self._pages) or not (self._refused or is_beyond_pillow(self._pages[number])):
            return None
        if self._tiff is None:
            import tifffile

            self._tiff = tifffile.TiffFile(self._path)
        return read_page(self._tiff.pages[number], self._pages[number])

    def _of_png(self, path: Path) -> NDArray[Any]:
        """(pictures, height, width, bands), those of an animation laid over each other as it says."""
        if self._read is None:
            data = path.read_bytes()
            samples: NDArray[Any] = imagecodecs.apng_decode(data) if self._moves else _png_samples(data)[None]
            self._read = samples if samples.ndim == 4 else samples[..., None]
        return self._read

    def _of_modern(self, source: Image.Image, number: int) -> Frame | Image.Image | None:
        if source.format == "HEIF":
            samples: NDArray[Any] | None = deep_heif(self._path, source)
            return _frame(samples, 1) if samples is not None and samples.dtype == np.uint16 else None
        if self._read is None:
            self._read = jxl_samples(source)
            if self._read is not None and self._read.ndim == 4:
                self._check_frames(source, len(self._read))
        if self._read is None:
            return None
        moves = self._read.ndim == 4
        samples = self._read[number] if moves else self._read
        if not moves and samples.dtype == np.uint8:  # of a still Pillow reads all of it
            return None
        if has_associated_alpha(source):
            samples = with_straight_alpha(samples, samples.shape[2] - 1, [1])
        if samples.dtype == np.uint8:  # pillow-jxl-plugin gives the last frame alone
            return Image.fromarray(samples.squeeze(2) if samples.shape[2] == 1 else samples)
        return _frame(samples, 1)

    def _check_frames(self, source: Image.Image, found: int) -> None:
        timing = jxl_timing(source)
        if timing is None and found > 1:
            what = "how long each is shown cannot be read in this one"
            logger.warning("%s: all frames of the animation but the first are left out: %s", self._path, what)
        elif timing is not None and found != len(timing.delays):
            raise ValueError(f"it tells of {len(timing.delays)} frames and holds {found}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._tiff is not None:
            self._tiff.close()


def to_eight_bit(frame: Frame) -> Image.Image:
    """A deep frame as an ordinary L, LA, RGB or RGBA image, rounded."""
    return Image.fromarray(eight_bits(interleaved(frame)))


def write_png(file: IO[bytes], frames: Sequence[Frame], arguments: dict[str, Any], timing: Timing = ONE) -> None:
    """A PNG of 16 bits, animated where there are several frames; PNG third edition, 5.6 and 11.3.6.

    ``arguments`` are those of Pillow, which writes everything beside the pixels.
    """
    carrier = io.BytesIO()
    one_pixel = Image.new("L" if frames[0].format.family == "gray" else "RGB", (1, 1))
    one_pixel.save(carrier, "PNG", **arguments)
    carried = [c for c in chunks(carrier.getvalue()) if c[0] not in (b"IHDR", b"IDAT", b"IEND")]
    file.write(b"\x89PNG\r\n\x1a\n")
    moves, sequence = len(frames) > 1, 0
    for number, frame in enumerate(frames):
        pixels = list(chunks(bytes(imagecodecs.png_encode(interleaved(frame), level=6))))
        if number == 0:
            file.write(chunk(b"IHDR", pixels[0][1]))
            for kind, body in carried:
                file.write(chunk(kind, body))
            if moves:
                file.write(chunk(b"acTL", struct.pack(">II", len(frames) - timing.poster, timing.plays)))
        if moves and not (number == 0 and timing.poster):
            delay = timing.delays[number] if number < len(timing.delays) else 100.0
            time = Fraction(delay / 1000).limit_denominator(65535)
            box = struct.pack(">IIIII", sequence, frame.width, frame.height, 0, 0)
            file.write(chunk(b"fcTL", box + struct.pack(">HHBB", time.numerator, time.denominator, 0, 0)))
            sequence += 1
        for _, body in [part for part in pixels if part[0] == b"IDAT"]:
            if number == 0:
                file.write(chunk(b"IDAT", body))
            else:
                file.write(chunk(b"fdAT", struct.pack(">I", sequence) + bytes(body)))
                sequence += 1
    file.write(chunk(b"IEND", b""))


def _is_deep_png(source: Image.Image) -> bool:
    head = next(iter(bodies(source, b"IHDR")), b"")
    if len(head) != 13 or head[8] != 16:
        return False
    return head[9] != 0 or bool(bodies(source, b"tRNS"))


def _png_samples(data: bytes) -> NDArray[Any]:
    """The samples of a still PNG of 16 bits."""
    if data[_INTERLACED : _INTERLACED + 1] != b"\1":
        return np.asarray(imagecodecs.png_decode(data))
    for first in pictures_of_png(data):
        return first.samples()
    raise ValueError("it has no samples")


def _frame(samples: NDArray[Any], orientation: int) -> Frame:
    samples = upright_samples(samples, orientation)
    format = RGB16 if samples.shape[2] > 2 else GRAY16
    return frame_of(format, [samples[..., i] for i in range(samples.shape[2])])


def interleaved(frame: Frame) -> NDArray[Any]:
    """A frame's samples as (height, width) or (height, width, bands), alpha last."""
    planes = frame.samples()
    return np.ascontiguousarray(planes[0] if len(planes) == 1 else np.stack(planes, axis=2))
