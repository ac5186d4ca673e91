"""Colour of 16 bits from PNG and TIFF files and into them; Pillow would make it 8.

The samples go through imagecodecs and tifffile, everything beside them (ICC, EXIF, DPI, texts) through Pillow's own
writers, so that a deep picture carries just what any other does.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin
from PIL.ExifTags import Base

from gimp_bridge.pillow_modes import GRAY16
from sr_plugins import Frame, FrameFormat
from sr_plugins.errors import ImageError

RGB16 = FrameFormat(family="rgb", bits=16)
FORMATS = ("PNG", "TIFF")

_ASSOCIATED_ALPHA, _STRAIGHT_ALPHA = 1, 2  # ExtraSamples of TIFF 6.0
_DEFLATE, _HORIZONTAL_DIFFERENCES = 8, 2
_STRIP_BYTES = 1 << 20
_LARGEST_TIFF = 0xFFFF_FFFF - (1 << 24)  # offsets are of 32 bits; leaves room for the directory


def deep_pages(path: Path, source: Image.Image) -> list[Frame] | None:
    """The upright pages of a picture file whose colour has 16 bits, or ``None`` for a picture that Pillow reads whole.

    Args:
        path: the file that ``source`` was opened from.
        source: the picture, not loaded yet.
    """
    if source.format == "PNG" and _is_deep_png(source):
        samples = imagecodecs.png_decode(path.read_bytes())
        return [_frame(samples, source.getexif().get(Base.Orientation, 1))]
    if source.format == "TIFF":
        with tifffile.TiffFile(path) as file:
            pages: list[Any] = list(file.pages)
            if all(_is_deep_page(page) for page in pages):
                pixels, limit = sum(page.imagewidth * page.imagelength for page in pages), Image.MAX_IMAGE_PIXELS
                if limit is not None and pixels > 2 * limit:  # twice, as in Pillow
                    raise Image.DecompressionBombError(f"{pixels} pixels on all pages, more than {2 * limit}")
                return [_tiff_page(page) for page in pages]
    return None


def to_eight_bit(frame: Frame) -> Image.Image:
    """A deep frame as an ordinary L, LA, RGB or RGBA image, rounded."""
    samples = (_samples(frame).astype(np.uint32) * 255 + 32767) // 65535
    return Image.fromarray(samples.astype(np.uint8))


def write_png(file: IO[bytes], frame: Frame, arguments: dict[str, Any]) -> None:
    """A PNG of 16 bits; ``arguments`` are Pillow's for the same picture in 8 bits."""
    pixels = _chunks(bytes(imagecodecs.png_encode(_samples(frame), level=6)))
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


def write_tiff(file: IO[bytes], frames: Sequence[Frame], arguments: dict[str, Any]) -> None:
    """A TIFF of 16 bits with a page for each frame, deflated; ``arguments`` are Pillow's for the picture in 8 bits."""
    if sum(_samples(f).nbytes for f in frames) > _LARGEST_TIFF:
        raise ImageError("more than 4 GB of pixels do not fit into a TIFF file: write PNG, or choose a smaller scale")
    file.write(b"II*\0" + struct.pack("<I", 8))
    link = 4  # where the offset of the next page's directory belongs
    for number, frame in enumerate(frames):
        start = file.seek(0, io.SEEK_END)
        directory, strips = _tiff_directory(_samples(frame), arguments if number == 0 else {})
        file.write(directory.tobytes(start))
        for strip in strips:
            file.write(strip)
        if file.tell() % 2:  # directories begin at even offsets
            file.write(b"\0")
        file.seek(link)
        file.write(struct.pack("<I", start))
        link = start + 2 + 12 * len(directory)


def _is_deep_png(source: Image.Image) -> bool:
    assert isinstance(source, ImageFile.ImageFile)
    if not source.tile or getattr(source, "n_frames", 1) > 1 or not str(source.tile[0].args).endswith(";16B"):
        return False
    return source.mode != "I;16" or "transparency" in source.info


def _is_deep_page(page: Any) -> bool:
    return bool(page.dtype == np.uint16 and page.samplesperpixel > 1 and page.photometric in (0, 1, 2))


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
    planes = [samples[..., i] for i in range(samples.shape[2])]
    return Frame(planes[: format.planes], format, planes[format.planes] if len(planes) > format.planes else None)


def _upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """The picture as it is to be seen; ``orientation`` as in TIFF 6.0 and EXIF, 1 to 8."""
    if orientation in (5, 6, 7, 8):
        samples = np.swapaxes(samples, 0, 1)
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    return samples


def _samples(frame: Frame) -> NDArray[Any]:
    planes = [*frame.planes, *(() if frame.alpha is None else (frame.alpha,))]
    return np.ascontiguousarray(planes[0] if len(planes) == 1 else np.stack(planes, axis=2))


def _chunks(png: bytes) -> list[tuple[bytes, memoryview]]:
    chunks, place, view = [], 8, memoryview(png)
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        chunks.append((kind, view[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def _tiff_directory(
    samples: NDArray[Any], arguments: dict[str, Any]
) -> tuple[TiffImagePlugin.ImageFileDirectory_v2, list[bytes]]:
    if samples.ndim == 3 and samples.shape[2] == 2:  # gray with alpha: few programs open it in 16 bits
        samples = samples[..., [0, 0, 0, 1]]
    height, width, count = (*samples.shape, 1)[:3]
    rows = max(1, _STRIP_BYTES // (2 * width * count))
    strips = [_deflated(samples[y : y + rows]) for y in range(0, height, rows)]
    lengths = [len(strip) for strip in strips]
    directory = TiffImagePlugin.ImageFileDirectory_v2(ifh=b"II*\0\x08\0\0\0")
    exif: Image.Exif = arguments.get("exif") or Image.Exif()
    for tag in exif:
        directory[tag] = exif.get_ifd(tag) if tag in (Base.ExifOffset, Base.GPSInfo) else exif[tag]
    directory[Base.ImageWidth], directory[Base.ImageLength] = width, height
    directory[Base.BitsPerSample], directory[Base.SamplesPerPixel] = (16,) * count, count
    directory[Base.Compression], directory[Base.Predictor] = _DEFLATE, _HORIZONTAL_DIFFERENCES
    directory[Base.PhotometricInterpretation] = 1 if count == 1 else 2
    if count == 4:
        directory[Base.ExtraSamples] = _STRAIGHT_ALPHA
    directory[Base.RowsPerStrip], directory[Base.PlanarConfiguration] = rows, 1
    directory[Base.StripByteCounts] = tuple(lengths)
    directory[Base.StripOffsets] = tuple(sum(lengths[:i]) for i in range(len(lengths)))
    for tag in (Base.StripByteCounts, Base.StripOffsets):
        directory.tagtype[tag] = 4  # LONG, also where the numbers would fit into 16 bits
    if icc := arguments.get("icc_profile"):
        directory[Base.InterColorProfile] = icc
    if dpi := arguments.get("dpi"):
        directory[Base.XResolution], directory[Base.YResolution] = dpi
        directory[Base.ResolutionUnit] = 2
    return directory, strips


def _deflated(rows: NDArray[Any]) -> bytes:
    """Deflate with horizontal differencing (TIFF 6.0, section 14): each sample minus its left neighbour's."""
    differences = rows.astype("<u2")
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.tobytes(), 6)
