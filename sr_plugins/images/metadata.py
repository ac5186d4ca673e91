"""What a picture carries beside its pixels, read from one image and given to another: ICC, EXIF, XMP, IPTC, texts."""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from typing import Any

from PIL import Image
from PIL.ExifTags import Base

from sr_plugins.images.avif_file import bits_of
from sr_plugins.images.background import Background, background_of
from sr_plugins.images.color_signals import ColorSignals, colors_of
from sr_plugins.images.exif import exif_of, mended_exif, mended_map, source_resources, stored_exif
from sr_plugins.images.exif_block import HEAD, RATIONAL, SHORT, ExifBlock, field_of
from sr_plugins.images.file_parts import bodies
from sr_plugins.images.gain_map import GainMap, gain_map_of, stored_map
from sr_plugins.images.jpeg_2000 import MAP, box_of
from sr_plugins.images.jpeg_2000_samples import bits_of_jpeg_2000
from sr_plugins.images.jpeg_segments import LARGEST_SEGMENT, extended_xmp, segments_for
from sr_plugins.images.left_behind import left_behind
from sr_plugins.images.modern_files import jxl_xmp, told_of
from sr_plugins.images.photoshop import iptc_of, resources_of
from sr_plugins.images.placement import Placement
from sr_plugins.images.png_texts import Text, as_comment, texts_of
from sr_plugins.images.tiff_reader import (
    RESOLUTION_UNIT,
    X_RESOLUTION,
    XMP,
    Y_RESOLUTION,
    Page,
    pages_of,
)
from sr_plugins.images.tiff_tags import DESCRIPTION
from sr_plugins.images.upright import placement_of
from sr_plugins.images.xmp import Xmp

logger = logging.getLogger("sr_plugins")

_GIF_XMP_END = b"\x01\xff\xfe\xfd"
_WITHOUT_MAP = "the gain map (HDR) is left out"
# dots per inch that a format's field holds: whole dots of 16 bits, dots per metre of 31
_MOST_DPI = {
    **{"JPEG": 65535.0, "PNG": (2**31 - 1) * 0.0254, "BMP": (2**31 - 1) * 0.0254, "TIFF": 4e9, "JPEG2000": 1.6e6},
    **{"DIB": (2**31 - 1) * 0.0254, "PCX": 65535.0, "PDF": 4e9},
}
_LARGEST_TGA_NOTE = 255  # bytes of the field that Truevision calls image ID
_DPI_IN_EXIF = ("WEBP", "AVIF", "HEIF", "JXL")  # these have no other place for it


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What goes from a picture to its enlargement. ``dpi`` is unchanged: more pixels at the same print resolution.

    Attributes:
        colors: what says what the samples mean: a profile, or what stands for one.
        exif: a block with its head; ``resources`` Photoshop's, IPTC among them; ``xmp`` a packet of any length.
        aspect: resolution where it has no unit of length: a ratio, or what a program like ImageJ counts in.
        gain_map: what makes a photo an HDR photo; JPEG alone holds it here.
        map: where on the map it lies, as JPEG 2000 holds it (GeoJP2); TIFF has that in ``exif``.
        background: what it asks to be shown on.
        told: what is left out whatever the target is.
    """

    colors: ColorSignals
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    aspect: tuple[float, float] | None = None
    comments: tuple[bytes, ...] = ()
    texts: tuple[Text, ...] = ()
    resources: bytes = b""
    gain_map: GainMap | None = None
    map: bytes | None = None
    background: Background | None = None
    told: tuple[str, ...] = ()

    @property
    def icc_profile(self) -> bytes | None:
        return self.colors.icc_profile

    def for_format(self, format: str, mode: str, lost: list[str]) -> dict[str, Any]:
        """Arguments of ``Image.save`` for a picture of ``mode``; names what ``format`` cannot hold in ``lost``."""
        # profiles are None, not left out: some of Pillow's writers would fall back to the info of the image
        arguments: dict[str, Any] = {"icc_profile": self.colors.profile_for(format, mode, lost)}
        if self.map and format != "JPEG2000":
            lost.append("its place on the map (GeoJP2)")
        if format in ("BMP", "DIB"):  # where Pillow tells of 96, asked or not
            arguments["dpi"] = (0, 0)
        if self.dpi and max(self.dpi) <= _MOST_DPI.get(format, 0):
            arguments["dpi"] = self.dpi
        elif self.dpi and format not in _DPI_IN_EXIF:
            lost.append(f"a resolution of {max(self.dpi):.0f} dpi")
        if self.aspect and self.aspect[0] != self.aspect[1]:
            if format in ("JPEG", "PNG"):
                arguments["aspect"] = self.aspect
            elif format != "TIFF":
                lost.append("how wide its pixels are beside their height")
        if format == "TIFF":
            return arguments | {
                "exif": ExifBlock(self.exif) if self.exif else None,
                "aspect": self.aspect,
                "xmp": self.xmp,
                "resources": self.resources,
                **self._without_texts(lost),
            }
        if format in ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "JXL"):
            self._exif_for(format, arguments, lost)
            if self.xmp and format in ("WEBP", "AVIF", "HEIF", "JXL"):
                arguments["xmp"] = self.xmp
        elif format == "JPEG2000":
            exif = self.exif.removeprefix(HEAD) if self.exif else None
            arguments |= {"exif": exif, "xmp": self.xmp, "iptc": iptc_of(self.resources), "map": self.map}
            if self.resources and len(self.resources) > len(arguments["iptc"] or b"") + 13:
                lost.append("Photoshop's notes")
        elif self.exif or self.xmp:
            lost.append(" and ".join(name for name, there in (("EXIF", self.exif), ("XMP", self.xmp)) if there))
        if format == "JPEG":
            comments = [*self.comments, *map(as_comment, self.texts)]
            segments = segments_for(self.xmp, self.resources, comments, lost)
            arguments["extra"] = segments + (self.gain_map.segments() if self.gain_map else b"")
        elif format == "PNG":
            arguments["light"], arguments["background"] = self.colors.light, self.background
            arguments["pnginfo"] = self.colors.png_chunks(self.texts, self.comments, self.xmp, self.resources)
        elif format == "GIF":
            comments = [*self.comments, *map(as_comment, self.texts)]
            arguments |= {"comment": b"\n".join(comments)} if comments else {}
        elif format == "TGA":
            note = b"\n".join([*self.comments, *map(as_comment, self.texts)])
            if len(note) > _LARGEST_TGA_NOTE:
                lost.append(f"a comment of {len(note)} bytes")
            else:
                arguments["id_section"] = note
        else:
            self._without_texts(lost)
        if format not in ("JPEG", "PNG", "JPEG2000") and self.resources:
            lost.append("IPTC and Photoshop's notes")
        return arguments

    def for_info(self) -> dict[str, Any]:
        """The same as entries of ``Image.info``, under the names Pillow's readers use."""
        found = {"icc_profile": self.icc_profile, "exif": self.exif, "xmp": self.xmp, "dpi": self.dpi}
        found["comment"] = b"\n".join(self.comments)
        texts = {text.keyword: text.text for text in self.texts}
        return {**texts, **{name: value for name, value in found.items() if value}}

    def _without_texts(self, lost: list[str]) -> dict[str, Any]:
        if self.texts or self.comments:
            lost.append(f"texts ({', '.join([t.keyword for t in self.texts] or ['comment'])})")
        return {}

    def _exif_for(self, format: str, arguments: dict[str, Any], lost: list[str]) -> None:
        exif = self.exif
        if self.dpi and format in _DPI_IN_EXIF:
            block = ExifBlock(exif or b"II*\0\x08\0\0\0" + bytes(6))
            if X_RESOLUTION not in block.first():
                order, fields = block.order, []
                for tag, value in ((X_RESOLUTION, self.dpi[0]), (Y_RESOLUTION, self.dpi[1])):
                    if value <= 0xFFFFFFFF:
                        fields.append(field_of(tag, RATIONAL, [value], order))
                block.add([*fields, field_of(RESOLUTION_UNIT, SHORT, [2], order)])
            exif = bytes(block)
        if exif and format == "JPEG" and len(exif) > LARGEST_SEGMENT:
            lost.append(f"EXIF of {len(exif)} bytes")
        elif exif:
            arguments["exif"] = exif


def metadata_of(source: Image.Image, size: tuple[int, int], page: int = 0, *, gain_map: bool = False) -> Metadata:
    """What ``source`` carries, made true for an upright picture of ``size`` (width, height).

    Args:
        source: best not loaded yet, if it was opened from a file object: Pillow forgets that when it loads.
        size: of the result.
        page: of a TIFF file: which one's.
        gain_map: whether a gain map behind the picture goes along, which JPEG alone holds.
    """
    pages = pages_of(source)
    directory = pages[page] if page < len(pages) else None
    to = placement_of(source, size, directory)
    told: list[str] = []
    found = stored_exif(source, directory)
    exif = None
    if found:
        try:
            block = mended_exif(found, to)
            exif = bytes(block) if block else None
        except (ValueError, struct.error, OverflowError) as error:
            told.append(f"EXIF is damaged ({error}) and left out")
    if (bits := _bits_cut_down(source)) > 8:
        told.append(f"{bits} bits become 8")
    found_map = gain_map_of(source, to) if gain_map else None
    if found_map is None and (stored_map(source) or any(b"tmap" in body for body in bodies(source, b"iinf"))):
        told.append(_WITHOUT_MAP)
    told += told_of(source) + (directory.told() if directory else [])
    resources, without = resources_of(source, directory, to)
    told += without
    xmp = _mended_xmp(source, directory, to, told, found_map)
    # what the notes before told of lies there, too
    told += left_behind(source, behind=not stored_map(source) and not any("motion photo" in what for what in told))
    dpi = _dpi(source, directory)
    comments = bodies(source, b"\xff\xfe") or bodies(source, b"\xfe")
    if not comments and source.format != "JPEG2000":  # where every encoder leaves its name
        comments = _comment(source.info.get("comment") or source.info.get("id_section"))
    return Metadata(
        colors=colors_of(source, directory),
        exif=exif,
        xmp=xmp,
        dpi=to.exchanged(*dpi) if dpi else None,
        aspect=None if dpi else _aspect(source, directory, to),
        comments=tuple(comments),
        texts=texts_of(source),
        resources=resources,
        gain_map=found_map,
        map=mended_map(on_map, to) if (on_map := box_of(source, MAP)) else None,
        background=background_of(source),
        told=tuple(dict.fromkeys(told)),
    )


def _bits_cut_down(source: Image.Image) -> int:
    """Bits of a sample, where there are more than are kept: in animations, inks and textures of light."""
    if source.format == "AVIF" and getattr(source, "n_frames", 1) > 1:
        return bits_of(source)
    if source.format == "JPEG2000" and source.mode == "CMYK":
        return bits_of_jpeg_2000(source)
    return 16 if str(getattr(source, "pixel_format", "")).startswith("BC6H") else 8


def _mended_xmp(
    source: Image.Image, page: Page | None, to: Placement, told: list[str], gain_map: GainMap | None
) -> bytes | None:
    packet = page.bytes_of(XMP) if page is not None else source.info.get("xmp")
    packet = packet.encode() if isinstance(packet, str) else packet
    if source.format == "JXL":
        packet = packet or jxl_xmp(source)
    if source.format == "PSD":
        packet = dict(source_resources(source)).get(1060)
    for body in bodies(source, b"\xff", b"XMP DataXMP") if source.format == "GIF" else ():
        packet = packet or body[: body.rfind(_GIF_XMP_END)]
    if not packet:
        return None
    xmp = Xmp(packet, extended_xmp(source))
    xmp.place(to)
    xmp.without_video()
    if gain_map is not None:
        xmp.set_gain_map_length(len(gain_map.jpeg))
    elif xmp.without_gain_map():
        told.append(_WITHOUT_MAP)
    told += xmp.told
    return bytes(xmp)


def _dpi(source: Image.Image, page: Page | None) -> tuple[float, float] | None:
    """Dots per inch by the file's own field, or by its EXIF where the format has none."""
    unit = 1.0
    value: Any = source.info.get("dpi")
    if source.format in ("JPEG", "MPO") and not source.info.get("jfif_unit"):  # Pillow makes up 72 where it tells none
        value = None
    try:
        if page is not None:
            unit = {2: 1.0, 3: 2.54}[page.value(RESOLUTION_UNIT, 2)]
            value = *page.values(X_RESOLUTION), *page.values(Y_RESOLUTION)
        elif value is None or not isinstance(value, tuple):
            exif = exif_of(source)
            unit = {1: 0.0, 3: 2.54}.get(exif.get(Base.ResolutionUnit, 2), 1.0)  # 1: it is a ratio alone
            value = exif.get(Base.XResolution), exif.get(Base.YResolution)
        x, y = (float(v) * unit for v in value)
    except Exception:  # absent, or damaged EXIF
        return None
    return (x, y) if x > 1 and y > 1 else None  # (1, 1) is how TIFF says that it does not know


def _aspect(source: Image.Image, page: Page | None, to: Placement) -> tuple[float, float] | None:
    if page is None and source.format in ("AVIF", "HEIF"):
        shape = next((struct.unpack(">II", body) for body in bodies(source, b"pasp") if len(body) == 8), (1, 1))
        return to.exchanged(float(shape[1]), float(shape[0])) if all(shape) and shape[0] != shape[1] else None
    if page is None:
        found: Any = source.info.get("jfif_density") if source.info.get("jfif_unit") == 0 else source.info.get("aspect")
        if not isinstance(found, tuple) or len(found) != 2 or not all(found) or found[0] == found[1]:
            return None
        return to.exchanged(*map(float, found))
    if page.value(RESOLUTION_UNIT, 2) != 1:
        return None
    values = *page.values(X_RESOLUTION), *page.values(Y_RESOLUTION)
    if len(values) != 2:
        return None
    x, y = to.exchanged(*map(float, values))
    if page.text(DESCRIPTION).startswith("ImageJ="):  # pixels a unit of length
        return x * to.factors[0], y * to.factors[1]
    return x, y


def _comment(comment: object) -> list[bytes]:
    if isinstance(comment, str):
        return [comment.encode("latin-1", "replace")]
    return [comment] if isinstance(comment, bytes) and comment else []
