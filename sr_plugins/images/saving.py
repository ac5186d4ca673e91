"""From enlarged pictures to a file: converted to what its format holds, with what the source carries."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from sr_plugins.errors import ImageError, SRError, one_line
from sr_plugins.images.animations import animation_of, timing_of
from sr_plugins.images.background import in_eight_bits
from sr_plugins.images.color_profiles import is_whole
from sr_plugins.images.formats import encoder_arguments, fitted
from sr_plugins.images.left_behind import DAMAGED_PROFILE
from sr_plugins.images.light_files import LIGHT_FORMATS
from sr_plugins.images.metadata import Metadata
from sr_plugins.images.modes import GRAY16
from sr_plugins.images.narrowing import narrowed
from sr_plugins.images.pillow_filter import Picture
from sr_plugins.images.sixteen_bit import RGB16, to_eight_bit
from sr_plugins.images.tiff_writer import write_tiff
from sr_plugins.images.upright import upright
from sr_plugins.images.wide_samples import WideSamples
from sr_plugins.images.writers import write_ready
from sr_plugins.pixels.frame import Frame, frame_of
from sr_plugins.whole_file import whole_file

logger = logging.getLogger("sr_plugins")


def size_of(picture: Picture) -> tuple[int, int]:
    """(width, height) of an image or a frame."""
    return picture.width, picture.height


def write_pictures(
    target: Path | IO[bytes],
    format: str,
    pictures: Sequence[Picture],
    source: Image.Image,
    carried: Sequence[Metadata],
    quality: int | None,
) -> None:
    """Write ``pictures``, made from ``source``, as one file of ``format``; says what the format cannot hold.

    Args:
        target: a path, which appears only when the file is whole, or a file open for writing.
        format: as :func:`.formats.format_of` names it.
        pictures: frames of 16 bits and images, whose ``info`` is changed.
        source: what they were made from.
        carried: for each picture what goes along with it.
        quality: 1 to 100, or ``None`` for the usual one.

    Raises:
        ImageError: the format cannot hold the picture, or the file cannot be written; nothing was written then.
    """
    name = target if isinstance(target, Path) else Path(f"the {format} file")
    delays = timing_of(source).delays
    if source.format == "PNG" and source.info.get("default_image") and format != "PNG" and len(pictures) > 1:
        pictures, carried, delays = pictures[1:], carried[1:], delays[1:]  # the poster of an APNG is no frame of it
    several = len(pictures) > 1
    pictures = pictures if several else [_with_its_bits(picture, format) for picture in pictures]
    ready = [
        picture if _is_held(picture, format, several=several) else fitted(_image(picture, things, name), format, name)
        for picture, things in zip(pictures, carried, strict=True)
    ]
    lost = [told for things in carried for told in things.told]
    arguments = [
        _carried(picture, things, format, lost, several=several) for picture, things in zip(ready, carried, strict=True)
    ]
    for what in dict.fromkeys(lost):
        logger.warning("%s: %s", _name(source, name), what)
    for image, milliseconds in zip(ready, delays, strict=False):  # frames of 16 bits carry none
        if isinstance(image, Image.Image):
            image.info.setdefault("duration", milliseconds)
    further = encoder_arguments(format, source, quality, name.stem)
    for what in narrowed(pictures, ready, source, format, lossless=further.get("quality") == 100):
        logger.warning("%s %s", name, what)
    images = [image for image in ready if isinstance(image, Image.Image)]
    if len(images) > 1 and format in ("GIF", "PNG", "WEBP", "AVIF"):
        images, animation = animation_of(images, source, format)
        ready = [*images]
        further |= {"save_all": True, "append_images": images[1:], **animation} if len(images) > 1 else animation
    for image in images:
        image.info = {name: value for name, value in image.info.items() if name == "transparency"}
    with _told(name), _written(target) as file:
        write_ready(file, format, ready, source, carried, arguments, further)


def write_pages(target: Path, pages: Iterable[tuple[Picture, Metadata]], source: Image.Image) -> None:
    """Write the pages of a TIFF file as they come, so that none waits in memory for the last.

    Raises:
        ImageError: as for :func:`write_pictures`, and what making the pages raises; nothing was written then.
    """
    lost: list[str] = []

    def ready() -> Iterator[tuple[Picture, dict[str, Any]]]:
        for picture, things in pages:
            held = picture if _is_held(picture, "TIFF") else fitted(_image(picture, things, target), "TIFF", target)
            lost.extend(things.told)
            yield held, _carried(held, things, "TIFF", lost)

    with _told(target), _written(target) as file:
        write_tiff(file, ready())
    for what in dict.fromkeys(lost):
        logger.warning("%s: %s", _name(source, target), what)


def check_samples(picture: Picture, format: str, name: Path) -> None:
    """``ImageError``, before any work, where ``format`` has no place for samples of more than 16 bits."""
    if _is_held(picture, format) or isinstance(picture, Frame):
        return
    image = _narrow(picture, name) if isinstance(picture, WideSamples) else picture
    if image.mode in ("I", "F"):
        fitted(image, format, name)


def check_place(target: Path) -> None:
    """Make the folder of a file to be written; ``ImageError``, before any work, where there can be none."""
    if target.is_dir():
        raise ImageError(f"{target} is a folder: name a file in it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"{target.parent} cannot be made: {error.strerror}") from error


def _carried(
    picture: Picture, things: Metadata, format: str, lost: list[str], *, several: bool = False
) -> dict[str, Any]:
    """Arguments of the writers for one picture; ``several``: of an animation."""
    left: list[str] = []
    if isinstance(picture, Frame):
        mode = "L" if picture.format.family == "gray" and (format != "TIFF" or picture.alpha is None) else "RGB"
        has_alpha = picture.alpha is not None
    elif isinstance(picture, WideSamples):
        mode = "L" if picture.colours == 1 else "RGB"
        has_alpha = picture.has_alpha
    else:
        mode, has_alpha = picture.mode, picture.has_transparency_data
        profile = picture.info.get("icc_profile", things.icc_profile)
        if profile != things.icc_profile:
            if things.icc_profile and not is_whole(things.icc_profile):  # the colours were made sRGB without it
                lost.append(DAMAGED_PROFILE)
            things = replace(things, colors=replace(things.colors, icc_profile=profile, code_points=None))
    arguments = things.for_format(format, mode, left)
    if things.background and format == "WEBP" and several:
        arguments["background"] = in_eight_bits(things.background)
    elif things.background and format != "PNG" and has_alpha:
        left.append("the colour that it asks to be shown on")
    lost += [f"{format} cannot hold {what}" + ("" if "colours" in what else ": left out") for what in left]
    return arguments


def _name(source: Image.Image, target: Path) -> str:
    return str(getattr(source, "filename", "") or target)


def _is_held(picture: Picture, format: str, *, several: bool = False) -> bool:
    """Whether the format's writer takes the samples as they are; ``several``: those of an animation."""
    if isinstance(picture, Frame) and several:
        return format in ("PNG", "TIFF")
    if isinstance(picture, Frame):
        if format == "PPM" or (format == "PGM" and picture.format.family == "gray"):
            return picture.alpha is None
        return format in ("PNG", "TIFF", "AVIF", "HEIF", "JXL", "JPEG2000", "J2K", "SGI")
    return isinstance(picture, WideSamples) and (format == "TIFF" or (picture.is_light and format in LIGHT_FORMATS))


def _with_its_bits(picture: Picture, format: str) -> Picture:
    """Gray of 16 bits in the form that the format's writer does not cut down: a frame, or an image of Pillow's."""
    if isinstance(picture, Image.Image) and picture.mode.startswith("I;16") and format in ("AVIF", "HEIF", "SGI"):
        return frame_of(GRAY16, [np.asarray(upright(picture)).astype(np.uint16)])
    if isinstance(picture, Frame) and format == "SGI" and picture.format.family == "gray" and picture.alpha is not None:
        return frame_of(
            RGB16, [*picture.planes, *picture.planes, *picture.planes, picture.alpha]
        )  # it knows no gray with alpha
    return picture


def _image(picture: Picture, carried: Metadata, name: Path) -> Image.Image:
    """The upright picture as an image whose ``info`` may be changed; the samples are shared where they can be."""
    if isinstance(picture, WideSamples):
        wide = _narrow(picture, name)
        wide.info["icc_profile"] = carried.icc_profile
        return wide
    if isinstance(picture, Frame):
        image = to_eight_bit(picture)
        image.info["icc_profile"] = carried.icc_profile
        return image
    picture.load()
    turned = upright(picture)
    return turned._new(turned.im) if turned is picture else turned


def _narrow(samples: WideSamples, name: Path) -> Image.Image:
    image = samples.as_image()
    if image is None:
        of = "gray" if samples.colours == 1 else "colours"
        raise ImageError(f"{name}: it cannot hold {samples.values.dtype} samples of {of}: write .tiff")
    return image


@contextmanager
def _told(target: Path) -> Iterator[None]:
    try:
        yield
    except (SRError, MemoryError):
        raise
    except OSError as error:
        raise ImageError(f"{target} cannot be written: {error.strerror or error}") from error
    except Exception as error:  # codecs raise what they like
        raise ImageError(f"{target} cannot be written: {one_line(error)}") from error


@contextmanager
def _written(target: Path | IO[bytes]) -> Iterator[IO[bytes]]:
    """A file that appears under its name only when it is complete; what is open already gets it at once at the end."""
    if not isinstance(target, Path):
        whole = io.BytesIO()
        yield whole
        target.write(whole.getvalue())
        return
    with _told(target), whole_file(target, make_folders=False) as temporary, temporary.open("w+b") as file:
        yield file
