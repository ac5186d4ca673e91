"""The EXIF of a picture, made true for its upright enlargement: orientation, sizes, places, resolution, thumbnail."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction

from PIL import Image
from PIL.ExifTags import Base

from sr_plugins.images.exif_block import EXIF, HEAD, INTEROP, ExifBlock, Field, field_of, numbers
from sr_plugins.images.file_parts import bodies, image_resources, parts_of
from sr_plugins.images.placement import Placement
from sr_plugins.images.png_texts import raw_profile
from sr_plugins.images.tiff_reader import (
    GEO_KEYS,
    HEIGHT,
    NO_DATA,
    ORIENTATION,
    PIXEL_SCALE,
    RPC,
    TIE_POINTS,
    TRANSFORMATION,
    WIDTH,
    X_POSITION,
    X_RESOLUTION,
    Y_POSITION,
    Y_RESOLUTION,
    Page,
)
from sr_plugins.images.tiff_tags import DESCRIPTION
from sr_plugins.images.xmp import area_of

_SUBJECT_AREA, _SUBJECT_LOCATION = 0x9214, 0xA214
_FOCAL_X, _FOCAL_Y = 0xA20E, 0xA20F
_GDAL = 42112
_STATISTICS = re.compile(
    rb"""\s*<Item\s[^>]*\bname\s*=\s*["']STATISTICS_[^>]*>[^<]*</Item>"""
)  # of the smaller picture
_MAP = {PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, RPC, GEO_KEYS, 34736, 34737, NO_DATA, _GDAL}
_TIFF_HEAD = re.compile(rb"II\*\0|MM\0\*")
_UPRIGHT_ORIENTATIONS = range(1, 9)


def exif_of(image: Image.Image) -> Image.Exif:
    """Pillow's reading of it, which is empty where it is damaged; for what is asked, never for what is written."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return image.getexif()
    except Exception:  # Pillow reads it without checks, so anything can happen in damaged EXIF
        return Image.Exif()


def orientation_of(image: Image.Image) -> int:
    """How the picture lies in its file, 1 to 8 as in EXIF; 1, upright, where its EXIF is damaged."""
    if image.format == "PNG" and _says_no_orientation(image):
        return 1  # Pillow would load the picture to see
    if image.format == "JXL" and not getattr(image, "jpeg", False):
        return 1  # the codestream says how it lies (ISO 18181-2), and was obeyed; EXIF does not count
    orientation = exif_of(image).get(Base.Orientation, 1)
    if isinstance(orientation, bytes) and len(orientation) == 1:  # of type BYTE, where SHORT is meant
        (orientation,) = orientation
    return orientation if orientation in _UPRIGHT_ORIENTATIONS else 1


def _says_no_orientation(image: Image.Image) -> bool:
    parts = parts_of(image)
    return bool(parts) and not any(
        part.kind == b"eXIf" or b"rientation" in part.body or part.body.startswith(b"Raw profile") for part in parts
    )


def stored_exif(source: Image.Image, page: Page | None) -> bytes | None:
    """The EXIF block as the file holds it."""
    if page is not None:
        return page.block()
    found = source.info.get("exif")
    if isinstance(found, bytes) and found:
        return found
    if source.format == "PNG":
        for keyword in ("exif", "APP1"):
            profile = raw_profile(source, keyword) or b""
            if found_head := _TIFF_HEAD.search(profile[:20]):
                return HEAD + profile[found_head.start() :]
    if source.format == "PSD":
        return dict(source_resources(source)).get(1058)
    # images that were made in memory and given EXIF by Pillow's own means
    memory = exif_of(source) if source.format is None else None
    return memory.tobytes() if memory else None


def source_resources(source: Image.Image) -> Iterable[tuple[int, bytes]]:
    """Photoshop's image resources of a PSD file, as number and content."""
    return [(number, content) for body in bodies(source, b"8BIM") for number, _, content in image_resources(body)]


def mended_exif(data: bytes, to: Placement) -> ExifBlock | None:
    """The block with everything that the new size and position change; the rest keeps its bytes.

    Raises:
        ValueError: it is damaged.
    """
    block = ExifBlock(data)
    block.without_thumbnail()
    first = block.first()
    order = block.order
    below, interop = block.directory(block.place_of(EXIF)), block.directory(block.place_of(EXIF, INTEROP))
    if not block.place_of(EXIF):
        below = {}
    if not block.place_of(EXIF, INTEROP):
        interop = {}
    for fields, across, down in ((first, WIDTH, HEIGHT), (below, 0xA002, 0xA003), (interop, 0x1001, 0x1002)):
        for tag, side in ((across, to.size[0]), (down, to.size[1])):
            if tag in fields:
                _overwrite(block, fields[tag], [side])
    if to.turned:
        _exchange(block, first, X_RESOLUTION, Y_RESOLUTION, (1.0, 1.0))
    _exchange(block, first, X_POSITION, Y_POSITION, to.factors, turned=to.turned)
    _exchange(block, below, _FOCAL_X, _FOCAL_Y, to.factors, turned=to.turned)
    unusable = [tag for tag in (_SUBJECT_AREA, _SUBJECT_LOCATION) if tag in below and not _moved(block, below[tag], to)]
    if unusable:
        block.remove(block.place_of(EXIF), unusable)
    out = {ORIENTATION} & set(first)
    if _MAP & set(first):
        if to.orientation != 1:
            out |= _MAP & set(first)
        else:
            block.add(_on_map(first, order, to))
    if _GDAL in first and (kept := _STATISTICS.sub(b"", first[_GDAL].value)) != first[_GDAL].value:
        if b"<Item" not in kept:
            out.add(_GDAL)
        elif _GDAL not in out:
            block.add([field_of(_GDAL, 2, kept, order)])
    if out:
        block.remove(block.first_at, out)
    if DESCRIPTION in first and (text := _described(first[DESCRIPTION].value, to)) is not None:
        block.add([field_of(DESCRIPTION, 2, text, order)])
    return block if block.first() else None


def mended_map(data: bytes, to: Placement) -> bytes | None:
    """A block that says where on the map the picture lies, as GeoJP2 holds it; ``None`` where it would not be true."""
    block = ExifBlock(data)
    if to.orientation != 1:
        return None
    block.add(_on_map(block.first(), block.order, to))
    return bytes(block).removeprefix(HEAD)


def _overwrite(block: ExifBlock, field: Field, values: list[float | Fraction]) -> bool:
    with suppress(OverflowError):
        block.set_numbers(field, values)
        return True
    return False


def _exchange(
    block: ExifBlock,
    fields: dict[int, Field],
    across: int,
    down: int,
    factors: tuple[float, float],
    *,
    turned: bool = True,
) -> None:
    if across not in fields or down not in fields:
        return
    values = [numbers(fields[tag], block.order) for tag in (across, down)]
    if any(len(v) != 1 for v in values):
        return
    x, y = values[0][0], values[1][0]
    if turned:
        x, y = y, x
    _overwrite(block, fields[across], [x * Fraction(factors[0])])
    _overwrite(block, fields[down], [y * Fraction(factors[1])])


def _moved(block: ExifBlock, field: Field, to: Placement) -> bool:
    values = [float(v) for v in numbers(field, block.order)]
    return len(values) in (2, 3, 4) and _overwrite(block, field, list(area_of(values, to)))


def _on_map(first: dict[int, Field], order: str, to: Placement) -> list[Field]:
    """GeoTIFF 1.1, chapter 7: pixels of the enlargement are smaller, its corners are where they were."""
    across, down = to.factors
    keys = [int(v) for v in numbers(first[GEO_KEYS], order)] if GEO_KEYS in first else []
    # GTRasterTypeGeoKey 2: a pixel's place is its centre, half a pixel from the corner that stays
    points = any(keys[i] == 1025 and keys[i + 3] == 2 for i in range(4, len(keys) - 3, 4))
    half = 0.5 if points else 0.0
    found: dict[int, list[float]] = {
        tag: [float(v) for v in numbers(first[tag], order)]
        for tag in (PIXEL_SCALE, TIE_POINTS, TRANSFORMATION, RPC)
        if tag in first
    }
    if len(scale := found.get(PIXEL_SCALE, [])) >= 2:
        scale[:2] = [scale[0] / across, scale[1] / down]
    ties = found.get(TIE_POINTS, [])
    for i in range(0, len(ties) - 5, 6):
        ties[i] = (ties[i] + half) * across - half
        ties[i + 1] = (ties[i + 1] + half) * down - half
    if len(matrix := found.get(TRANSFORMATION, [])) == 16:
        for row in range(0, 16, 4):
            matrix[row + 3] += matrix[row] * (half / across - half) + matrix[row + 1] * (half / down - half)
            matrix[row] /= across
            matrix[row + 1] /= down
    if len(rpc := found.get(RPC, [])) == 92:  # line and sample: offsets of pixels' centres, and scales
        rpc[2], rpc[3] = (rpc[2] + 0.5) * down - 0.5, (rpc[3] + 0.5) * across - 0.5
        rpc[7], rpc[8] = rpc[7] * down, rpc[8] * across
    return [field_of(tag, 12, values, order) for tag, values in found.items()]


def _described(text: bytes, to: Placement) -> bytes | None:
    """OME-XML with the new size, and the physical size of a pixel that belongs to it."""
    if b"<OME" not in text or b"<Pixels" not in text:
        return None

    def pixels(found: re.Match[bytes]) -> bytes:
        tag = found[0]
        for name, side, factor in ((b"X", to.size[0], to.factors[0]), (b"Y", to.size[1], to.factors[1])):
            tag = re.sub(rb'\bSize%s="\d+"' % name, b'Size%s="%d"' % (name, side), tag)
            old = re.search(rb'\bPhysicalSize%s="([^"]+)"' % name, tag)
            if old:
                with suppress(ValueError):
                    value = f"{float(old[1]) / factor:.10g}".encode()
                    tag = tag.replace(old[0], b'PhysicalSize%s="%s"' % (name, value))
        return tag

    return re.sub(rb"<Pixels\b[^>]*>", pixels, text)
