"""Pictures that a format holds as they are, by the writer that writes them whole: Pillow's, imagecodecs' or ours."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np
from PIL import Image

from sr_plugins.images import jpeg_2000, png_texts
from sr_plugins.images.animations import timing_of
from sr_plugins.images.avif_file import bits_for, matrix_of, write_avif
from sr_plugins.images.background import with_background
from sr_plugins.images.color_signals import ColorSignals
from sr_plugins.images.formats import pillow_name
from sr_plugins.images.jpeg_segments import with_aspect
from sr_plugins.images.light_files import write_light
from sr_plugins.images.losses import is_lossless, jpeg2000_ratio
from sr_plugins.images.metadata import Metadata
from sr_plugins.images.modern_files import heif_codes, write_heif, write_jxl
from sr_plugins.images.own_formats import (
    tell_code_points,
    write_bmp,
    write_deep_map,
    write_icns,
    write_pcx,
    write_pfm,
)
from sr_plugins.images.pillow_filter import Picture
from sr_plugins.images.sgi_samples import write_sgi
from sr_plugins.images.sixteen_bit import interleaved, write_png
from sr_plugins.images.tiff_writer import write_tiff
from sr_plugins.images.wide_samples import WideSamples
from sr_plugins.pixels.frame import Frame

# What no writer of PNG takes: put in behind its head when it is written, each before those named above it.
_BEHIND_HEAD: dict[str, Callable[[bytes, Any], bytes]] = {
    "light": png_texts.with_chunks,
    "background": with_background,
    "aspect": png_texts.with_aspect,
}


def write_ready(
    file: IO[bytes],
    format: str,
    ready: Sequence[Picture],
    source: Image.Image,
    carried: Sequence[Metadata],
    arguments: Sequence[dict[str, Any]],
    further: dict[str, Any],
) -> None:
    """One file of pictures that ``format`` holds as they are.

    Args:
        file: open for writing, at its beginning.
        format: as :func:`.formats.format_of` names it.
        ready: frames, samples or images, whose ``info`` holds nothing but transparency.
        source: what they were made from.
        carried: for each picture what goes along with it.
        arguments: for each picture what :meth:`.Metadata.for_format` gives.
        further: how to compress, and what an animation needs.
    """
    first, colors = ready[0], carried[0].colors
    if format == "PNG" and (
        added := [(name, value) for name in _BEHIND_HEAD if (value := arguments[0].pop(name, None))]
    ):
        png = io.BytesIO()
        write_ready(png, format, ready, source, carried, arguments, further)
        content = png.getvalue()
        for name, value in added:
            content = _BEHIND_HEAD[name](content, value)
        file.write(content)
        return
    if format == "TIFF":
        write_tiff(file, zip(ready, arguments, strict=True))
        return
    ours = isinstance(first, Frame) or (is_lossless(source, "AVIF") and further.get("quality") == 100) or colors.light
    if format == "AVIF" and len(ready) == 1 and ours:
        _write_avif(file, first, source, colors, arguments[0], further["quality"])
        return
    if isinstance(first, WideSamples):
        write_light(file, format, first, source)
        return
    if isinstance(first, Frame) and format == "HEIF":
        write_heif(file, interleaved(first), further["quality"], arguments[0] | heif_codes(colors.code_points))
        return
    if isinstance(first, Frame) and format == "JXL":
        write_jxl(file, interleaved(first), further["quality"], **_described(arguments[0]))
        return
    if isinstance(first, Frame) and format in ("JPEG2000", "J2K"):
        jp2 = jpeg_2000.deep_codestream(interleaved(first), jpeg2000_ratio(source), bare=format == "J2K")
        file.write(jp2 if format == "J2K" else _with_boxes(jp2, arguments[0]))
        return
    if isinstance(first, Frame) and format == "SGI":
        write_sgi(file, interleaved(first))
        return
    if isinstance(first, Frame) and format in ("PPM", "PGM"):
        write_deep_map(file, interleaved(first))
        return
    if isinstance(first, Frame):
        frames = [picture for picture in ready if isinstance(picture, Frame)]
        write_png(file, frames, arguments[0], timing_of(source))
        return
    images = [image for image in ready if isinstance(image, Image.Image)]
    told = arguments[0].get("icc_profile") or colors.calibrated
    if format == "BMP" and (first.mode == "RGBA" or (first.mode == "RGB" and told)):
        write_bmp(file, first, arguments[0]["icc_profile"], arguments[0].get("dpi"), colors.calibrated)
    elif format == "ICNS":
        write_icns(file, images)
    elif format == "PFM":
        write_pfm(file, first)
    elif format == "PCX":
        write_pcx(file, first, arguments[0].get("dpi"))
    elif format == "ICO":
        first.save(file, "ICO", sizes=[image.size for image in images], append_images=images[1:])
    elif format == "JPEG2000":
        whole = io.BytesIO()
        first.save(whole, "JPEG2000", **further)
        file.write(_with_boxes(whole.getvalue(), arguments[0]))
    elif format == "JPEG":
        whole, aspect = io.BytesIO(), arguments[0].pop("aspect", None)
        first.save(whole, "JPEG", **arguments[0], **further)
        jpeg = with_aspect(whole.getvalue(), aspect) if aspect else whole.getvalue()
        file.write(carried[0].gain_map.behind(jpeg) if carried[0].gain_map else jpeg)
    elif format == "JXL":
        write_jxl(file, np.asarray(first), further["quality"], **_described(arguments[0]))
    elif format == "HEIF":
        first.save(file, "HEIF", **arguments[0], **further, **heif_codes(colors.code_points))
    elif format == "AVIF" and colors.code_points and not arguments[0]["icc_profile"]:
        whole = io.BytesIO()
        first.save(whole, "AVIF", **arguments[0], **further)
        file.write(tell_code_points(whole.getvalue(), *colors.code_points))
    else:
        first.save(file, pillow_name(format), **arguments[0], **further)


def _with_boxes(jp2: bytes, told: dict[str, Any]) -> bytes:
    uuids = {"exif": jpeg_2000.EXIF, "xmp": jpeg_2000.XMP, "iptc": jpeg_2000.IPTC, "map": jpeg_2000.MAP}
    contents = [(uuid, told[name]) for name, uuid in uuids.items()]
    return jpeg_2000.with_boxes(jp2, told["icc_profile"], told.get("dpi"), contents)


def _described(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: arguments.get(name) for name in ("icc_profile", "exif", "xmp")}


def _write_avif(
    file: IO[bytes],
    picture: Picture,
    source: Image.Image,
    colors: ColorSignals,
    arguments: dict[str, Any],
    quality: int,
) -> None:
    """A still AVIF of more than 8 bits, without loss, or that says how bright it is."""
    deep = isinstance(picture, Frame)
    write_avif(
        file,
        interleaved(picture) if isinstance(picture, Frame) else np.asarray(picture),
        bits=bits_for(source) if deep else 8,
        quality=quality,
        code_points=colors.code_points,
        matrix=matrix_of(source) if source.format == "AVIF" else None,
        light=colors.light,
        **arguments,
    )
