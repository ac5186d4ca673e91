"""From enlarged pictures to a file: converted to what its format holds, with what the source carries."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from PIL import Image

from sr_plugins.errors import ImageError, SRError, one_line
from sr_plugins.images.formats import encoder_arguments, fitted, pillow_name
from sr_plugins.images.metadata import Metadata
from sr_plugins.images.own_formats import tell_code_points, with_jp2_profile, write_bmp, write_icns, write_pfm
from sr_plugins.images.pillow_filter import Picture
from sr_plugins.images.sixteen_bit import to_eight_bit, write_png
from sr_plugins.images.tiff_writer import write_tiff
from sr_plugins.images.upright import upright
from sr_plugins.pixels.frame import Frame
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
    if source.format == "PNG" and source.info.get("default_image") and format != "PNG" and len(pictures) > 1:
        pictures, carried = pictures[1:], carried[1:]  # the poster of an APNG is no frame of it
    ready = [
        picture
        if isinstance(picture, Frame) and format in ("PNG", "TIFF")
        else fitted(_image(picture, things, name), format, name)
        for picture, things in zip(pictures, carried, strict=True)
    ]
    lost = [told for things in carried for told in things.told]
    arguments = [_carried(picture, things, format, lost) for picture, things in zip(ready, carried, strict=True)]
    for what in dict.fromkeys(lost):
        logger.warning("%s: %s", _name(source, name), what)
    further = encoder_arguments(format, source, quality, name.stem)
    images = [image for image in ready if isinstance(image, Image.Image)]
    if len(images) > 1 and format in ("GIF", "PNG", "WEBP", "AVIF"):
        images, animation = _animation(images, source, format)
        ready = [*images]
        further |= {"save_all": True, "append_images": images[1:], **animation} if len(images) > 1 else animation
    for image in images:
        image.info = {name: value for name, value in image.info.items() if name == "transparency"}
    with _told(name), _written(target) as file:
        _write(file, format, ready, carried, arguments, further)


def _write(
    file: IO[bytes],
    format: str,
    ready: Sequence[Picture],
    carried: Sequence[Metadata],
    arguments: Sequence[dict[str, Any]],
    further: dict[str, Any],
) -> None:
    first, colors = ready[0], carried[0].colors
    if format == "TIFF":
        write_tiff(file, ready, arguments)
        return
    if isinstance(first, Frame):
        write_png(file, first, arguments[0])
        return
    images = [image for image in ready if isinstance(image, Image.Image)]
    if format == "BMP" and (first.mode == "RGBA" or (first.mode == "RGB" and arguments[0]["icc_profile"])):
        write_bmp(file, first, arguments[0]["icc_profile"], arguments[0].get("dpi"))
    elif format == "ICNS":
        write_icns(file, images)
    elif format == "PFM":
        write_pfm(file, first)
    elif format == "ICO":
        first.save(file, "ICO", sizes=[image.size for image in images], append_images=images[1:])
    elif format == "JPEG2000" and arguments[0]["icc_profile"]:
        whole = io.BytesIO()
        first.save(whole, "JPEG2000")
        file.write(with_jp2_profile(whole.getvalue(), arguments[0]["icc_profile"]))
    elif format == "AVIF" and colors.code_points and not arguments[0]["icc_profile"]:
        whole = io.BytesIO()
        first.save(whole, "AVIF", **arguments[0], **further)
        file.write(tell_code_points(whole.getvalue(), *colors.code_points))
    else:
        first.save(file, pillow_name(format), **arguments[0], **further)


def check_place(target: Path) -> None:
    """Make the folder of a file to be written; ``ImageError``, before any work, where there can be none."""
    if target.is_dir():
        raise ImageError(f"{target} is a folder: name a file in it")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"{target.parent} cannot be made: {error.strerror}") from error


def _carried(picture: Picture, things: Metadata, format: str, lost: list[str]) -> dict[str, Any]:
    """Arguments of the writers for one picture."""
    left: list[str] = []
    if isinstance(picture, Frame):
        mode = "L" if picture.format.family == "gray" and format == "PNG" else "RGB"  # gray and alpha in TIFF: RGB
    else:
        mode = picture.mode
        profile = picture.info.get("icc_profile", things.icc_profile)
        if profile != things.icc_profile:
            things = replace(things, colors=replace(things.colors, icc_profile=profile, code_points=None))
    arguments = things.for_format(format, mode, left)
    lost += [f"{format} cannot hold {what}" + ("" if "colours" in what else ": left out") for what in left]
    return arguments


def _name(source: Image.Image, target: Path) -> str:
    return str(getattr(source, "filename", "") or target)


def _image(picture: Picture, carried: Metadata, name: Path) -> Image.Image:
    """The upright picture as an image whose ``info`` may be changed; the samples are shared where they can be."""
    if isinstance(picture, Frame):
        logger.warning("%s holds 8 bits of colour: 16 became 8", name)
        image = to_eight_bit(picture)
        image.info["icc_profile"] = carried.icc_profile
        return image
    picture.load()
    turned = upright(picture)
    return turned._new(turned.im) if turned is picture else turned


def _animation(
    images: Sequence[Image.Image], source: Image.Image, format: str
) -> tuple[list[Image.Image], dict[str, Any]]:
    """The frames; delays in milliseconds, how often to play, and how a frame is cleared."""
    durations = [round(float(image.info.get("duration") or 0)) for image in images]
    plays = _plays(source)
    if format == "GIF":
        transparent = any(image.has_transparency_data for image in images)
        disposals = [int(image.info.get("disposal") or 0) for image in images]
        # Frames are whole pictures. To restore an earlier one (3) is no longer meant, and one with holes needs a clear
        # canvas (2).
        disposals = [2 if transparent or disposal == 3 else disposal for disposal in disposals]
        if all(_same(image, images[0]) for image in images[1:]):  # Pillow's writer fails on them
            return [images[0]], {}
        disposal: int | list[int] = disposals if len(set(disposals)) > 1 else disposals[0]
        loop = {} if plays == 1 else {"loop": max(plays - 1, 0)}
        return list(images), {"duration": durations, "disposal": disposal, "optimize": False, **loop}
    if format == "PNG":
        default = bool(source.info.get("default_image")) and source.format == "PNG"
        return list(images), {
            "duration": durations[1:] if default else durations,
            "loop": plays,
            "default_image": default,
            "disposal": 0,
            "blend": 0,
        }
    return list(images), {"duration": durations, **({"loop": plays} if format == "WEBP" else {})}


def _same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and one.convert("RGBA").tobytes() == other.convert("RGBA").tobytes()


def _plays(source: Image.Image) -> int:
    """How often an animation is shown, 0 for ever. GIF counts repetitions after the first time, the others all."""
    loop = source.info.get("loop")
    if source.format == "GIF":
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return 0 if loop is None else int(loop)


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
