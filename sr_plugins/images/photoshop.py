"""Photoshop's image resources, IPTC among them: out of JPEG, TIFF, PNG and PSD files, true for the enlargement."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from hashlib import md5
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageFile

from sr_plugins.errors import ImageError
from sr_plugins.images.color_profiles import srgb_profile, to_srgb
from sr_plugins.images.file_parts import bodies, image_resources, kept_with
from sr_plugins.images.iptc import true_records
from sr_plugins.images.jpeg_2000 import IPTC as IPTC_BOX
from sr_plugins.images.jpeg_2000 import box_of
from sr_plugins.images.placement import Placement
from sr_plugins.images.png_texts import raw_profile
from sr_plugins.images.tiff_reader import IPTC, PHOTOSHOP, Page

# Adobe Photoshop File Formats Specification, "Image Resource IDs"
_IPTC, _RESOLUTION, _GUIDES, _CLEAR = 1028, 1005, 1032, 1047
_MULTICHANNEL, _DUOTONE = 7, 8  # the same, "File Header Section"
_COLOURS, _PACKED = {1: 1, 3: 3, 4: 4, 9: 3}, 1  # channels of gray, R'G'B', CMYK and Lab; run-length code
_BY_WAY_OF_RGB = ("CMYK", "LAB")  # Pillow has no mode for these with transparency
_COPYRIGHTED, _URL, _IPTC_DIGEST = 1034, 1035, 1061
# size, thumbnails, slices; profile, EXIF and XMP go elsewhere
_OF_THE_PIXELS = {1000, 1033, 1036, 1050, 1039, 1058, 1059, 1060}
_PATHS = range(2000, 2999)
_OPAQUE = 255
_FARTHEST = (1 << 31) - 1  # of a guide
_FROM_PSD = {_IPTC, _COPYRIGHTED, _URL, _IPTC_DIGEST, _GUIDES, *_PATHS}  # others tell of its layers


def check_document(source: Image.Image) -> None:
    """``ImageError`` for a PSD of inks that are no colours, of which Pillow shows the first as gray."""
    if source.format == "PSD" and _head_of(source)[0] == _MULTICHANNEL:
        raise ImageError("its channels are inks without colours (multichannel): convert it to RGB or CMYK first")


def told_of_document(source: Image.Image) -> Iterator[str]:
    """What a PSD holds beside its flat picture's colours and no file of ours will, as ends of lines."""
    if source.format != "PSD":
        return
    mode, channels = _head_of(source)
    if mode == _DUOTONE:
        yield "its inks (duotone) are left out: it is gray"
    alpha = document_alpha(source)
    if alpha is not None and _is_to_be_rgb(source, alpha):
        yield "its colours become sRGB, beside which its transparency can stay"
    if (further := channels - len(source.getbands()) - (alpha is not None)) > 0:
        yield f"{further} further channels (selections, transparency, spot colours) are left out"


def clear_index_of(source: Image.Image) -> int | None:
    """The transparent index of a PSD with a palette."""
    found = (content for body in bodies(source, b"8BIM") for n, _, content in image_resources(body) if n == _CLEAR)
    content = next(found, b"")
    return int.from_bytes(content[:2]) if len(content) >= 2 and content[0] == 0 else None


class Flat(NamedTuple):
    """The flat picture of a PSD: ``layers`` is negative where it has transparency, ``at`` where its lengths, or, not
    packed, its samples begin."""

    mode: int
    channels: int
    height: int
    width: int
    layers: int
    packed: bool
    at: int


def mend_tiles(source: Image.Image) -> None:
    """Before a PSD is loaded: Pillow (13.0) looks for packed samples behind the lengths of the colours' rows alone."""
    flat = _flat_of(source)
    if flat is not None and flat.packed and isinstance(source, ImageFile.ImageFile) and source.tile:
        short = flat.at + 2 * flat.channels * flat.height - source.tile[0][2]
        source.tile = [type(tile)(tile[0], tile[1], tile[2] + short, tile[3]) for tile in source.tile]


def document_alpha(source: Image.Image) -> Image.Image | None:
    """The transparency of a PSD's flat picture where Pillow leaves it out; to be asked before it is loaded.

    That is the first channel behind the colours where the number of layers is negative; otherwise it is a selection.
    """
    if source.mode not in ("L", "RGB", *_BY_WAY_OF_RGB) or _flat_of(source) is None:
        return None
    return kept_with(source, "alpha", _read_alpha, None)


def set_transparency(image: Image.Image, alpha: Image.Image) -> None:
    """Give a loaded picture, in place, the alpha that its reader left out; CMYK and Lab become sRGB for it."""
    if _is_to_be_rgb(image, alpha):
        image.im, image._mode = to_srgb(image, image.info.get("icc_profile")).im, "RGB"
        image.info["icc_profile"] = srgb_profile()
    if image.mode not in _BY_WAY_OF_RGB:
        image.putalpha(alpha)


def _is_to_be_rgb(image: Image.Image, alpha: Image.Image) -> bool:
    return image.mode in _BY_WAY_OF_RGB and alpha.getextrema()[0] != _OPAQUE


def _flat_of(source: Image.Image) -> Flat | None:
    """``None`` for other files, and where a layer was chosen, which lies before the flat picture."""
    flat = kept_with(source, "flat", _read_flat, None) if source.format == "PSD" else None
    tiles = source.tile if isinstance(source, ImageFile.ImageFile) else []
    return None if flat is None or (tiles and tiles[0][2] < flat.at) else flat


def _read_alpha(file: IO[bytes]) -> Image.Image | None:
    import imagecodecs

    flat = _read_flat(file)
    colours = _COLOURS.get(flat.mode) if flat else None
    if flat is None or colours is None or flat.channels <= colours or flat.layers >= 0:
        return None
    rows = flat.height
    file.seek(flat.at)
    try:
        if flat.packed:
            lengths = struct.unpack(f">{flat.channels * rows}H", file.read(2 * flat.channels * rows))
            file.seek(sum(lengths[: colours * rows]), io.SEEK_CUR)
            stored = bytes(imagecodecs.packbits_decode(file.read(sum(lengths[colours * rows :][:rows]))))
        else:
            file.seek(colours * rows * flat.width, io.SEEK_CUR)
            stored = file.read(rows * flat.width)
        return Image.fromarray(np.frombuffer(stored, np.uint8, rows * flat.width).reshape(rows, flat.width))
    except (struct.error, ValueError):  # cut off, of which Pillow tells
        return None


def _read_flat(file: IO[bytes]) -> Flat | None:
    """Adobe Photoshop File Formats Specification, "Layer Info" and "Image Data Section"."""
    try:
        file.seek(12)
        channels, height, width, _, mode = struct.unpack(">HIIHH", file.read(14))
        for _ in range(2):  # colour mode, resources
            file.seek(struct.unpack(">I", file.read(4))[0], io.SEEK_CUR)
        (section,) = struct.unpack(">I", file.read(4))
        begin = file.tell()
        length, count = struct.unpack(">Ih", file.read(6)) if section >= 6 else (0, 0)
        file.seek(begin + section)
        (packing,) = struct.unpack(">H", file.read(2))
    except struct.error:  # cut off, of which Pillow tells
        return None
    return Flat(mode, channels, height, width, count if length else 0, packing == _PACKED, file.tell())


def _head_of(source: Image.Image) -> tuple[int, int]:
    """The number of a PSD's colour mode, and how many channels its flat picture has."""
    head = next(iter(bodies(source, b"head")), b"")
    return (int.from_bytes(head[24:26]), int.from_bytes(head[12:14])) if len(head) == 26 else (0, 0)


def resources_of(source: Image.Image, page: Page | None, to: Placement) -> tuple[bytes, list[str]]:
    """The resources that still hold, one after the other, and what is left out."""
    found = _stored(source, page)
    records = iptc_of(found) or b""
    mended = true_records(records, to)
    kept, told = b"", []
    for number, whole, content in image_resources(found):
        if not whole.startswith(b"8BIM"):  # numbers of another program
            kept += whole + b"\0" * (len(whole) % 2)
            continue
        if number in _OF_THE_PIXELS or (source.format == "PSD" and number not in _FROM_PSD):
            continue
        if to.orientation != 1 and (number in _PATHS or number == _GUIDES):
            told.append("paths and guides are left out, because the picture was turned")
            continue
        if number == _IPTC and content == records:
            whole = _resource(number, mended)
        elif number == _IPTC_DIGEST and content == _digest(records):
            whole = _resource(number, _digest(mended))
        elif number == _GUIDES:
            whole = _resource(number, _guides(content, to))
        elif number == _RESOLUTION and to.turned and len(content) == 16:
            whole = _resource(number, content[8:] + content[:8])
        kept += whole + b"\0" * (len(whole) % 2)
    return kept, sorted(set(told))


def _digest(records: bytes) -> bytes:
    return md5(records, usedforsecurity=False).digest()


def iptc_of(resources: bytes) -> bytes | None:
    """The IPTC records among resources."""
    return next((content for number, _, content in image_resources(resources) if number == _IPTC), None)


def _stored(source: Image.Image, page: Page | None) -> bytes:
    if page is not None:
        resources, iptc = page.bytes_of(PHOTOSHOP) or b"", page.first.get(IPTC)
        if iptc is not None and iptc_of(resources) is None:  # often of type LONG, the bytes being the same
            resources += _resource(_IPTC, iptc.value)
        return resources
    if source.format == "PNG":
        profile = raw_profile(source, "8bim", "iptc") or b""
        return profile if profile.startswith(b"8BIM") or not profile else _resource(_IPTC, profile)
    if source.format == "PSD":
        return b"".join(bodies(source, b"8BIM"))
    if source.format == "JPEG2000":
        records = box_of(source, IPTC_BOX)
        return _resource(_IPTC, records) if records else b""
    return b"".join(bodies(source, b"\xff\xed", b"Photoshop 3.0\0"))


def _resource(number: int, content: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(content)) + content + b"\0" * (len(content) % 2)


def _guides(content: bytes, to: Placement) -> bytes:
    """Guides lie at 32nds of a pixel: the position, then 0 for a vertical one and 1 for a horizontal one."""
    moved = bytearray(content)
    for at in range(16, len(content) - 4, 5):
        (place,) = struct.unpack_from(">i", content, at)
        place = round(place * to.factors[content[at + 4] & 1])
        struct.pack_into(">i", moved, at, max(-_FARTHEST, min(place, _FARTHEST)))
    return bytes(moved)
