"""Picture files: open, enlarge, save with everything they carry. Nothing half written, every failure one line."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageFile

from sr_plugins.errors import ImageError
from sr_plugins.images.bitmap_samples import open_masked_bitmap
from sr_plugins.images.damaged_png import open_without_damage
from sr_plugins.images.exif import orientation_of
from sr_plugins.images.failures import named, told
from sr_plugins.images.file_parts import parts_of
from sr_plugins.images.fits_samples import why_fits_is_unread
from sr_plugins.images.formats import MOVING, check_fits, format_of
from sr_plugins.images.further_formats import cure_for, register
from sr_plugins.images.jxl_animation import jxl_timing
from sr_plugins.images.jxl_channels import check_channels, told_of_channels
from sr_plugins.images.left_behind import told_of_further_pictures
from sr_plugins.images.light_files import LightFile
from sr_plugins.images.metadata import Metadata, metadata_of
from sr_plugins.images.output_size import OutputSize, check_output_size
from sr_plugins.images.photoshop import check_document, told_of_document
from sr_plugins.images.pillow_filter import Picture, upscale_pictures
from sr_plugins.images.saving import check_place, check_samples, size_of, write_pages, write_pictures
from sr_plugins.images.sixteen_bit import DeepPages
from sr_plugins.images.tiff_reader import PHOTOMETRIC, check_readable, pages_of, pictures_of
from sr_plugins.images.tiff_samples import open_unread
from sr_plugins.images.true_info import load_truly, make_info_true
from sr_plugins.images.upright import upright_size

if TYPE_CHECKING:
    from typing import IO

    from sr_plugins.upscaler import Upscaler

logger = logging.getLogger("sr_plugins")

_BITS, _CMYK = 258, 5  # TIFF 6.0
_ICONS = ("ICO", "CUR")
_LIKELY = 10_000  # frames


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """A picture file, opened by Pillow and closed at the end; ``ImageError`` if it cannot be."""
    register()
    with told(path, "cannot be read"):
        if path.stat().st_size == 0:
            raise ImageError(f"{path} is empty")
        if cure := cure_for(path):
            raise ImageError(f"{path} cannot be read: {cure}")
        try:
            image = Image.open(path)
        except (OSError, ValueError):
            if reason := why_fits_is_unread(path):
                raise ImageError(f"{path}: {reason}") from None
            unread = open_unread(path) or open_masked_bitmap(path) or open_without_damage(path)
            if unread is None:
                raise
            image = unread
        if isinstance(image, ImageFile.StubImageFile):  # Pillow knows what it is, and a system or user how to read it
            with suppress(OSError):
                image.load()
            if isinstance(image, ImageFile.StubImageFile):
                image.close()
                raise ImageError(f"{path} is a {image.format} file, which nothing here reads: save it as PNG first")
    with image:
        with told(path, "is damaged"):
            make_info_true(image)
        yield image


def count_pictures(source: Image.Image) -> int:
    """Frames of an animation or pages of a TIFF; 1 for all others, also where a camera hid previews in the file."""
    if source.format == "TIFF":
        return len(pictures_of(source))
    if told := jxl_timing(source):
        return len(told.delays)
    count = int(getattr(source, "n_frames", 1)) if source.format in MOVING else 1
    if source.format == "PNG" and count > _LIKELY:  # its head may claim billions; each frame has a part that begins it
        return min(count, 1 + sum(part.kind == b"fcTL" for part in parts_of(source)))
    return count


def read_pictures(path: Path, source: Image.Image, format: str) -> Iterator[Picture]:
    """Every picture of an opened file that goes into ``format``: deep colour as a ``Frame``, all others as images.

    Raises:
        ImageError: the file is damaged or cut off.
    """
    if sides := _icon_sides(source, format):
        for size in sides:
            with told(path, "is damaged"):
                icon = source.ico.getimage(size)  # type: ignore[attr-defined]
            yield icon
        return
    numbers = pictures_of(source) if source.format == "TIFF" else range(count_pictures(source))
    with told(path, "is damaged"):
        deep = DeepPages(path, source)
    with deep:
        for number in numbers:
            with told(path, "is damaged"):
                frame = deep.page(number)
                if frame is None:
                    if len(numbers) > 1 or number:
                        source.seek(number)
                    load_truly(source)
            yield source if frame is None else frame


def upscale_file(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    upscaler: Upscaler,
    *,
    quality: int | None = None,
    wrap: bool = False,
    done: Callable[[int, int], None] = lambda ready, count: None,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Enlarge one picture file into another; returns both sizes (width, height), as the picture is seen.

    Args:
        path: any picture that Pillow reads.
        target: replaced if it exists; its ending says the format. Its folder is made.
        upscaler: does the work.
        quality: 1 to 100 for JPEG, WebP and AVIF; ``None``: 95, 90 and 90, and WebP lossless where the source is.
        wrap: the picture is a tile that repeats: its edges fit together afterwards, too.
        done: called with the number of finished frames and of all frames.

    Raises:
        ImageError: cannot be read, is damaged, becomes too large, cannot be written; nothing was written then.
    """
    path, target = Path(path), Path(target)
    format = format_of(target)
    with open_image(path) as source, named(path, target):
        before, after = _checked_sizes(path, source, format, upscaler.output_size)
        check_place(target)
        _tell_what_stays(path, source, format)
        carried: dict[int, Metadata] = {}

        def pictures() -> Iterator[Picture]:
            for number, picture in enumerate(read_pictures(path, source, format)):
                if number == 0 or source.format == "TIFF":  # what stands behind the pixels is known only now
                    page = pictures_of(source)[number] if source.format == "TIFF" else 0
                    carried[number] = metadata_of(source, after[number], page, gain_map=format == "JPEG")
                check_samples(picture, format, target)
                yield picture
                if picture is source and len(before) == 1:  # its frame holds a copy: room for the result
                    source.close()

        def enlarged() -> Iterator[tuple[Picture, Metadata]]:
            moving = source.format in MOVING or jxl_timing(source) is not None
            results = upscale_pictures(pictures(), upscaler, with_metadata=False, wrap=wrap, film=moving)
            for number, result in enumerate(results):
                yield result, carried.pop(number) if format == "TIFF" else carried.get(number, carried[0])
                done(number + 1, len(before))

        if format == "TIFF":
            write_pages(target, enlarged(), source)
        else:
            ready = list(enlarged())
            write_pictures(target, format, [r for r, _ in ready], source, [things for _, things in ready], quality)
    return before[0], after[0]


def check_file(path: Path, target: Path, output_size: OutputSize) -> None:
    """All that :func:`upscale_file` refuses before it begins to work, without an upscaler; nothing is made.

    Raises:
        ImageError, FrameError: as there.
    """
    format = format_of(target)
    with open_image(path) as source, named(path, target):
        _checked_sizes(path, source, format, output_size)


def _checked_sizes(
    path: Path, source: Image.Image, format: str, output_size: OutputSize
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(width, height) of every picture before and after; raises where the file, or ``format``, does not allow it."""
    with told(path, "is damaged"):
        parts_of(source)
        check_readable(source)
        check_document(source)
        check_channels(source)
        before = _sizes(source, format)
    after = [check_output_size(output_size, size, len(before)) for size in before]
    check_fits(source, after, format)
    return before, after


def save_like(
    out: Picture | Sequence[Picture],
    path: str | os.PathLike[str] | IO[bytes],
    source: Image.Image,
    *,
    quality: int | None = None,
    format: str | None = None,
) -> None:
    """Save ``out`` under ``path`` with what ``source`` carries: ICC profile, EXIF, XMP, IPTC, DPI, texts, loop.

    Args:
        out: an image, a frame of 16 bits, or all frames of an animation; each image's ``info`` gives its duration and
            disposal. An image whose own EXIF still has an orientation is turned upright first.
        path: its ending says the format; or a file open for writing. Modes that the format lacks are converted, see
            :mod:`.formats`.
        source: what ``out`` was made from; an animation is rewound.
        quality: as for :func:`upscale_file`.
        format: an ending such as ``png``, where ``path`` says none.

    Raises:
        ImageError: the format cannot hold the picture, or the file cannot be written; nothing was written then.
    """
    target = Path(path) if isinstance(path, str | os.PathLike) else None
    name = target or Path(str(getattr(path, "name", "picture")))
    kind = format_of(name.with_suffix(f".{format.lower().lstrip('.')}") if format else name)
    pictures = [out] if isinstance(out, Image.Image) or not isinstance(out, Sequence) else list(out)
    if not pictures:
        raise ImageError(f"{name}: there is no picture to save")
    check_fits(source, [size_of(picture) for picture in pictures], kind)
    carried: list[Metadata] = []
    pages = pictures_of(source) if source.format == "TIFF" else [0]
    if count_pictures(source) > 1:
        source.seek(pages[0])  # the first frame's info is the file's
    for number, picture in enumerate(pictures):
        page = pages[number] if number < len(pages) else pages[0]
        turned = size_of(picture)[::-1] if _is_to_be_turned(picture) else size_of(picture)
        if number == 0 or len(pages) > 1:
            carried.append(metadata_of(source, turned, page, gain_map=kind == "JPEG"))
        else:
            carried.append(carried[0])
    write_pictures(target or path, kind, pictures, source, carried, quality)  # type: ignore[arg-type]


def _is_to_be_turned(picture: Picture) -> bool:
    return isinstance(picture, Image.Image) and orientation_of(picture) >= 5


def _icon_sides(source: Image.Image, format: str) -> list[tuple[int, int]]:
    """Every size of an icon that stays one, the largest first."""
    if source.format not in _ICONS or format != "ICO":
        return []
    return sorted(source.info.get("sizes", {source.size}), reverse=True)


def _sizes(source: Image.Image, format: str) -> list[tuple[int, int]]:
    """(width, height) of every picture that will be enlarged, upright."""
    if sides := _icon_sides(source, format):
        return sides
    pages = pages_of(source)
    if len(pages) > 1:
        found = [pages[number] for number in pictures_of(source)]
        return [page.size[::-1] if 5 <= page.value(274, 1) <= 8 else page.size for page in found]
    return [upright_size(source)] * count_pictures(source)


def _tell_what_stays(path: Path, source: Image.Image, format: str) -> None:
    """Pictures in the file that are not enlarged."""
    pages = pages_of(source)
    for sidecar in (path.with_name(f"{path.name}.xmp"), path.with_suffix(".xmp")):
        if sidecar.is_file():
            logger.warning("%s: %s beside it is not taken along: it tells of the smaller picture", path, sidecar.name)
    for what in source.told(format) if isinstance(source, LightFile) else ():
        logger.warning("%s: %s", path, what)
    for what in (*told_of_document(source), *told_of_channels(source)):
        logger.warning("%s: %s", path, what)
    if bands := sum(page.further_bands for page in pages if not page.is_mask and not page.is_overview):
        logger.warning("%s: %d further bands, neither colours nor transparency, are left out", path, bands)
    if any(page.value(PHOTOMETRIC, 1) == _CMYK and page.value(_BITS, 8) > 8 for page in pages):
        logger.warning("%s: 16 bits of CMYK become 8", path)
    if below := sum(page.sub_directories for page in pages):
        logger.warning("%s: %d smaller versions in directories below are left out", path, below)
    for what, count in (
        ("overviews", sum(page.is_overview and not page.is_mask for page in pages)),
        ("masks", sum(page.is_mask for page in pages)),
    ):
        if count and len(pages) > 1:
            logger.warning("%s: %d %s of its pages are left out", path, count, what)
    if further := told_of_further_pictures(source):
        logger.warning("%s: %s", path, further)
    icon = source.format == "ICNS" or (source.format in _ICONS and format != "ICO")
    if source.format == "CUR":
        logger.warning("%s: the point that clicks is left out", path)
    if icon and len(source.info.get("sizes", ())) > 1:
        logger.warning("%s: the smaller pictures of the icon are left out", path)
