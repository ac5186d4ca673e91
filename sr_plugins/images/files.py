"""Picture files: open, enlarge, save with everything they carry. Nothing half written, every failure one line."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from sr_plugins.errors import FrameError, ImageError, SRError
from sr_plugins.images.formats import ANIMATIONS, check_fits, encoder_arguments, fitted, format_of
from sr_plugins.images.metadata import metadata_of, upright
from sr_plugins.images.pillow_filter import Picture, check_output_size, upscale_pictures
from sr_plugins.images.sixteen_bit import deep_pages, to_eight_bit, write_png
from sr_plugins.images.tiff_writer import write_tiff
from sr_plugins.pixels.frame import Frame
from sr_plugins.upscaler import Upscaler
from sr_plugins.whole_file import whole_file

logger = logging.getLogger("sr_plugins")


@contextmanager
def open_image(path: Path) -> Iterator[Image.Image]:
    """A picture file, opened by Pillow and closed at the end; ``ImageError`` if it cannot be."""
    with _told(path, "cannot be read"):
        if path.stat().st_size == 0:
            raise ImageError(f"{path} is empty")
        image = Image.open(path)
    with image:
        yield image


def count_pictures(source: Image.Image) -> int:
    """Frames of an animation or pages of a TIFF; 1 for all others, also where a camera hid previews in the file."""
    return int(getattr(source, "n_frames", 1)) if source.format in (*ANIMATIONS, "TIFF") else 1


def read_pictures(path: Path, source: Image.Image) -> Iterator[Picture]:
    """Every frame or page of an opened file: a deep colour picture as an upright ``Frame``, all others as images.

    Raises:
        ImageError: the file is damaged or cut off.
    """
    with _told(path, "is damaged"):
        deep = deep_pages(path, source)
    for number in range(count := count_pictures(source)):
        if number in deep:
            yield deep[number]
            continue
        with _told(path, "is damaged"):
            if count > 1:
                source.seek(number)
            source.load()
        yield source


def upscale_file(
    path: Path,
    target: Path,
    upscaler: Upscaler,
    *,
    quality: int | None = None,
    done: Callable[[int, int], None] = lambda ready, count: None,
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Enlarge one file into another; returns both sizes (width, height).

    Args:
        path: any picture that Pillow reads.
        target: replaced if it exists; its ending says the format.
        upscaler: does the work.
        quality: 1 to 100 for JPEG, WebP and AVIF; ``None``: 95, 90 and 90, and WebP lossless where the source is.
        done: called with the number of finished frames and of all frames.

    Raises:
        ImageError: cannot be read, is damaged, becomes too large, cannot be written; nothing was written then.
    """
    format = format_of(target)
    with open_image(path) as source:
        with _told(path, "is damaged"):
            count = count_pictures(source)
        original = source.size
        results: list[Picture] = []
        try:
            size = check_output_size(upscaler, original, count)
            check_fits(source, count, size, format)
            for result in upscale_pictures(read_pictures(path, source), upscaler):
                results.append(result)
                done(len(results), count)
            save_like(results, target, source, quality=quality)
        except (FrameError, ImageError) as error:
            if any(str(named) in str(error) for named in (path, target, target.resolve())):
                raise
            raise type(error)(f"{path}: {error}") from error
    return original, _size(results[0])


def save_like(
    out: Picture | Sequence[Picture], path: str | os.PathLike[str], source: Image.Image, *, quality: int | None = None
) -> None:
    """Save ``out`` under ``path`` with what ``source`` carries: ICC profile, EXIF, XMP, DPI, texts, loop.

    Args:
        out: an image, a frame of 16 bits, or all frames of an animation; each image's ``info`` gives its duration and
            disposal. An image whose own EXIF still has an orientation is turned upright first.
        path: its ending says the format. Modes that the format lacks are converted, see :mod:`.formats`.
        source: what ``out`` was made from; an animation is rewound.
        quality: as for :func:`upscale_file`.

    Raises:
        ImageError: the format cannot hold the picture, or the file cannot be written; nothing was written then.
    """
    target = Path(path)
    format = format_of(target)
    pictures = [out] if isinstance(out, Image.Image | Frame) else list(out)
    if not pictures:
        raise ImageError(f"{target}: there is no picture to save")
    check_fits(source, len(pictures), _size(pictures[0]), format)
    if count_pictures(source) > 1:
        source.seek(0)  # the first frame's info is the file's
    ready = [
        picture
        if isinstance(picture, Frame) and format in ("PNG", "TIFF")
        else fitted(_image(picture, source), format, target)
        for picture in pictures
    ]
    arguments = _arguments(ready, source, format, quality)
    first = ready[0]
    with (
        _told(target, "cannot be written"),
        whole_file(target, make_folders=False) as temporary,
        temporary.open("w+b") as file,
    ):
        if format == "TIFF":
            write_tiff(file, ready, arguments)
        elif isinstance(first, Frame):
            write_png(file, first, arguments)
        else:
            first.save(file, format, **arguments)


def _arguments(ready: Sequence[Picture], source: Image.Image, format: str, quality: int | None) -> dict[str, Any]:
    """For ``Image.save`` and its likes; takes from images' ``info`` what Pillow's writers must not find there."""
    first = ready[0]
    carried = metadata_of(source, _size(first))
    if lost := carried.lost_colour(format):
        told = " and ".join(lost)
        logger.warning("%s: %s cannot hold %s, so colours may look different", _name(source), format, told)
    arguments = encoder_arguments(format, source, quality)
    images = [image for image in ready if isinstance(image, Image.Image)]
    if isinstance(first, Frame):
        gray = first.format.family == "gray" and format == "PNG"  # in TIFF it becomes RGB
        arguments |= carried.for_format(format, "L" if gray else "RGB")
    else:
        carried = replace(carried, icc_profile=first.info.get("icc_profile", carried.icc_profile))
        arguments |= carried.for_format(format, first.mode)
    if len(images) > 1 and format != "TIFF":
        arguments |= {"save_all": True, "append_images": images[1:], **_animation(images, source, format)}
    for image in images:
        image.info = {name: value for name, value in image.info.items() if name == "transparency"}
    return arguments


def _name(source: Image.Image) -> str:
    return str(getattr(source, "filename", "") or "the picture")


def _size(picture: Picture) -> tuple[int, int]:
    return picture.width, picture.height


def _image(picture: Picture, source: Image.Image) -> Image.Image:
    """The upright picture as an image whose ``info`` may be changed; the samples are shared where they can be."""
    if isinstance(picture, Frame):
        image = to_eight_bit(picture)
        image.info["icc_profile"] = source.info.get("icc_profile")
        return image
    picture.load()
    turned = upright(picture)
    return turned._new(turned.im) if turned is picture else turned


def _animation(images: Sequence[Image.Image], source: Image.Image, format: str) -> dict[str, Any]:
    """Delays in milliseconds, how often to play, and how a frame is cleared."""
    durations = [round(float(image.info.get("duration") or 0)) for image in images]
    plays = _plays(source)
    if format == "GIF":
        transparent = any(image.has_transparency_data for image in images)
        disposals = [int(image.info.get("disposal") or 0) for image in images]
        # Frames are whole pictures. To restore an earlier one (3) is no longer meant, and one with holes needs a clear
        # canvas (2).
        disposals = [2 if transparent or disposal == 3 else disposal for disposal in disposals]
        loop = {} if plays == 1 else {"loop": max(plays - 1, 0)}
        return {"duration": durations, "disposal": disposals, "optimize": False, **loop}
    if format == "PNG":
        default = bool(source.info.get("default_image")) and source.format == "PNG"
        return {
            "duration": durations[1:] if default else durations,
            "loop": plays,
            "default_image": default,
            "disposal": 0,
            "blend": 0,
        }
    if format == "WEBP":
        return {"duration": durations, "loop": plays}
    return {"duration": durations} if format == "AVIF" else {}


def _plays(source: Image.Image) -> int:
    """How often an animation is shown, 0 for ever. GIF counts repetitions after the first time, the others all."""
    loop = source.info.get("loop")
    if source.format == "GIF":
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return 0 if loop is None else int(loop)


@contextmanager
def _told(path: Path, what: str) -> Iterator[None]:
    """Turns whatever a codec raises into one line about the file, and keeps codecs' warnings to ourselves."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except SRError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{path} is not a picture that can be read") from error
    except Image.DecompressionBombError as error:
        cure = "--max-pixels allows more (in Python PIL.Image.MAX_IMAGE_PIXELS)"
        raise ImageError(f"{path} {what}: {str(error).rstrip('.')}: {cure}") from error
    except OSError as error:
        raise ImageError(f"{path} {what}: {error.strerror or error}") from error
    except Exception as error:  # codecs raise what they like on damaged data
        raise ImageError(f"{path} {what}: {error or type(error).__name__}") from error
