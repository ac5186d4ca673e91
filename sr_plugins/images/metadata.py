"""What a picture carries beside its pixels, read from one image and given to another: ICC, EXIF, XMP, DPI, texts."""

from __future__ import annotations

import logging
import re
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.PngImagePlugin import PngImageFile, PngInfo

from sr_plugins.images.color_profiles import profile_fits

logger = logging.getLogger("sr_plugins")

# Tags of the first image file directory that say how the pixels are stored (TIFF 6.0; EXIF 2.32, 4.6.4 A), or hold
# what is carried otherwise. They would be wrong in the new file. Private tags from 50706 on describe raw sensors (DNG).
_STORAGE_TAGS = {
    *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 282, 283, 284),
    *(288, 289, 290, 291, 292, 293, 296, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 333, 334),
    *(336, 337, 338, 339, 340, 341, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532, 700, 33723),
    *(34377, 34675, 37724, 42112, 42113),
}
_FIRST_DNG_TAG = 50706
_PIXEL_WIDTH, _PIXEL_HEIGHT = Base.ExifImageWidth.value, Base.ExifImageHeight.value
_ORIENTATION_IN_XMP = re.compile(rb'tiff:Orientation="[0-9]"|<tiff:Orientation>[0-9]</tiff:Orientation>')
_XMP_KEYWORD = "XML:com.adobe.xmp"
_UPRIGHT = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_KEYS = ("exif", "Raw profile type exif", _XMP_KEYWORD)
_PNG_COLOUR = (b"cICP", b"sRGB", b"gAMA", b"cHRM")
# how a PNG says that it is sRGB (PNG, 11.3.2.5, recommends these beside the chunk sRGB)
_SRGB = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What goes from a picture to its enlargement. ``dpi`` is unchanged: more pixels at the same print resolution."""

    icc_profile: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    comment: bytes | None = None
    texts: dict[str, str] = field(default_factory=dict)
    png_colour: dict[bytes, bytes] = field(default_factory=dict)

    def for_format(self, format: str, mode: str) -> dict[str, Any]:
        """Arguments of ``Image.save`` for a picture of ``mode``; what ``format`` cannot hold is left out."""
        icc = self.icc_profile if self.icc_profile and profile_fits(self.icc_profile, mode) else None
        # None, not left out: some of Pillow's writers would fall back to the info of the image
        arguments: dict[str, Any] = {"icc_profile": icc}
        if format in ("JPEG", "PNG", "TIFF", "BMP") and self.dpi:
            arguments["dpi"] = self.dpi
        if format in ("JPEG", "PNG", "WEBP", "AVIF", "TIFF"):
            exif = self._exif_for(format)
            if exif is not None:
                arguments["exif"] = exif if format == "TIFF" else exif.tobytes()
        if format in ("JPEG", "WEBP", "AVIF") and self.xmp:
            arguments["xmp"] = self.xmp
        if format in ("JPEG", "GIF") and self.comment:
            arguments["comment"] = self.comment
        if format == "PNG":
            arguments["pnginfo"] = self._png_chunks()
        return arguments

    def for_info(self) -> dict[str, Any]:
        """The same as entries of ``Image.info``, under the names Pillow's readers use."""
        found = {n: getattr(self, n) for n in ("icc_profile", "exif", "xmp", "dpi", "comment")}
        return {**self.texts, **{name: value for name, value in found.items() if value}}

    def _exif_for(self, format: str) -> Image.Exif | None:
        exif = Image.Exif()
        if self.exif:
            exif.load(self.exif)
        if self.dpi and format in ("WEBP", "AVIF"):  # these have no other place for it
            exif[Base.XResolution], exif[Base.YResolution] = self.dpi
            exif[Base.ResolutionUnit] = 2
        if self.xmp and format == "TIFF":
            exif[Base.XMLPacket] = self.xmp
        return exif if len(exif) else None

    def lost_colour(self, format: str) -> list[str]:
        """What says in a PNG that its colours are not those of sRGB, where ``format`` has no place for it."""
        if format == "PNG" or self.icc_profile or (b"sRGB" in self.png_colour and b"cICP" not in self.png_colour):
            return []
        return [kind.decode() for kind, body in self.png_colour.items() if body != _SRGB.get(kind)]

    def _png_chunks(self) -> PngInfo:
        info = PngInfo()
        for kind, body in self.png_colour.items():
            info.add(kind, body)
        for keyword, text in self.texts.items():
            info.add_itxt(keyword, text)
        if self.xmp:
            info.add_itxt(_XMP_KEYWORD, self.xmp.decode("utf-8", "replace"))
        return info


def metadata_of(source: Image.Image, size: tuple[int, int]) -> Metadata:
    """What ``source`` carries, made true for an upright picture of ``size`` (width, height).

    The orientation is removed, pixel dimensions are updated, the thumbnail is dropped.
    """
    info = source.info
    xmp = info.get("xmp")
    comment = info.get("comment")
    texts = dict(source.text) if isinstance(source, PngImageFile) else {}
    return Metadata(
        icc_profile=info.get("icc_profile") or None,
        exif=_clean_exif(source, size),
        xmp=_ORIENTATION_IN_XMP.sub(b"", xmp.encode() if isinstance(xmp, str) else xmp) if xmp else None,
        dpi=_dpi(source),
        comment=comment.encode("latin-1", "replace") if isinstance(comment, str) else comment,
        texts={name: str(text) for name, text in texts.items() if name not in _EXIF_KEYS},
        png_colour=_png_colour(source),
    )


def _png_colour(source: Image.Image) -> dict[bytes, bytes]:
    """The chunks of a PNG file that say what its samples mean; Pillow reads some of them, and writes none."""
    name = getattr(source, "filename", "")
    if source.format != "PNG" or not name or not Path(name).is_file():
        return {}
    found = {}
    with Path(name).open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"IDAT":
                break
            if kind in _PNG_COLOUR and length <= 32:
                found[kind] = file.read(length)
                length = 0
            file.seek(length + 4, 1)
    return found


def _dpi(source: Image.Image) -> tuple[float, float] | None:
    """Dots per inch by the file's own field, or by its EXIF where the format has none."""
    unit = 1.0
    value: Any = source.info.get("dpi")
    try:
        if value is None:
            exif = _exif_of(source)
            unit = 2.54 if exif.get(Base.ResolutionUnit) == 3 else 1.0
            value = exif.get(Base.XResolution), exif.get(Base.YResolution)
        x, y = (float(v) * unit for v in value)
    except Exception:  # absent, or damaged EXIF
        return None
    return (x, y) if x > 1 and y > 1 else None  # (1, 1) is how TIFF says that it does not know


def orientation_of(image: Image.Image) -> int:
    """How the picture lies in its file, 1 to 8 as in EXIF; 1, upright, where its EXIF is damaged."""
    orientation = _exif_of(image).get(Base.Orientation, 1)
    return orientation if orientation in _UPRIGHT else 1


def upright(image: Image.Image) -> Image.Image:
    """The picture as it is to be seen: itself, or a turned copy, whose ``info`` still tells the old orientation."""
    method = _UPRIGHT[orientation_of(image)]
    return image if method is None else image.transpose(method)


def _exif_of(image: Image.Image) -> Image.Exif:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return image.getexif()
    except Exception as error:  # Pillow reads it without checks, so anything can happen in damaged EXIF
        logger.warning("EXIF is damaged and left out: %s", error)
        return Image.Exif()


def _clean_exif(source: Image.Image, size: tuple[int, int]) -> bytes | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            clean = _cleaned(_exif_of(source), size)
            return clean.tobytes() if len(clean) else None
    except Exception as error:  # as above
        logger.warning("EXIF is damaged and left out: %s", error)
        return None


def _cleaned(found: Image.Exif, size: tuple[int, int]) -> Image.Exif:
    clean = Image.Exif()
    for tag, value in found.items():
        if tag not in _STORAGE_TAGS and tag < _FIRST_DNG_TAG and tag not in (IFD.Exif, IFD.GPSInfo):
            clean[tag] = value
    if str(clean.get(Base.ImageDescription, "")).startswith('{"shape"'):  # tifffile's note of the array's old size
        del clean[Base.ImageDescription]
    details = dict(found.get_ifd(IFD.Exif))
    for tag, length in ((_PIXEL_WIDTH, size[0]), (_PIXEL_HEIGHT, size[1])):
        if tag in details:
            details[tag] = length
    if IFD.Interop in details:
        details[IFD.Interop] = found.get_ifd(IFD.Interop)
    for directory, tags in ((IFD.Exif, details), (IFD.GPSInfo, found.get_ifd(IFD.GPSInfo))):
        if tags:
            clean[directory] = tags
    return clean
