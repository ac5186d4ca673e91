"""What Pillow says of an opened file, made what the file says: texts of a PNG stand in the place of other entries."""

from __future__ import annotations

import struct
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from PIL import Image, ImageChops, ImageFile

from sr_plugins.images.bitmap_samples import bitmap_alpha
from sr_plugins.images.file_parts import bodies, parts_of
from sr_plugins.images.fits_samples import fits_samples, loaded_fits
from sr_plugins.images.jpeg_2000 import XMP as XMP_BOX
from sr_plugins.images.jpeg_2000 import box_of, exif_in_box
from sr_plugins.images.jpeg_2000_samples import narrowed_truly
from sr_plugins.images.jxl_channels import has_associated_alpha
from sr_plugins.images.photoshop import clear_index_of, document_alpha, mend_tiles, set_transparency
from sr_plugins.images.png_texts import embedded_profile, packet_of
from sr_plugins.images.sgi_samples import sgi_samples
from sr_plugins.images.tiff_reader import XMP, page_of
from sr_plugins.images.tiff_samples import with_straight_alpha
from sr_plugins.pixels.frame import eight_bits

# names that Pillow's own entries of info have: a text of that keyword stands in their place
_NAMES_OF_INFO = (
    *("transparency", "icc_profile", "dpi", "exif", "xmp", "gamma", "srgb", "aspect", "background", "interlace"),
    *("duration", "disposal", "loop", "default_image", "comment", "bbox", "blend", "chromaticity", "timestamp"),
)
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_loaded: WeakValueDictionary[int, Image.Image] = WeakValueDictionary()  # what was mended is not mended again


def make_info_true(image: Image.Image) -> None:
    """Before an image is loaded: nothing in ``info`` is of a kind that Pillow, or who reads it, does not expect."""
    if image.format == "PNG":
        # not by image.text, which loads the picture with what is wrong
        texts = {body.split(b"\0", 1)[0] for kind, body in parts_of(image) if kind in _TEXTS}
        for name in _NAMES_OF_INFO:
            value = image.info.get(name)
            # of a text "exif" Pillow makes bytes, as of the chunk
            if name.encode() in texts and (isinstance(value, str) or (value and name == "exif")):
                del image.info[name]
                if name == "bbox" and isinstance(image, ImageFile.ImageFile):  # it has become the place of the samples
                    image.tile = [type(t)(t[0], (0, 0, *image.size), t[2], t[3]) for t in image.tile]
                if (told := _told(image, name)) is not None:
                    image.info[name] = told
        if embedded_profile(image) is None:  # of what is cut off Pillow gives the beginning
            image.info.pop("icc_profile", None)
        for name in ("exif", "xmp"):  # behind the pixels of an animation Pillow never looks
            if name not in image.info and (told := _told(image, name)) is not None:
                image.info[name] = told
    elif image.format == "JPEG2000":
        boxes = {"exif": exif_in_box(image), "xmp": box_of(image, XMP_BOX)}
        image.info |= {name: value for name, value in boxes.items() if value}
    elif image.format == "PSD":
        mend_tiles(image)
        if image.mode == "P" and (clear := clear_index_of(image)) is not None:
            image.info["transparency"] = clear
    elif image.format == "TIFF" and not isinstance(image.info.get("xmp", b""), bytes):
        page = page_of(image)
        packet = page.bytes_of(XMP) if page is not None else None
        del image.info["xmp"]
        if packet:
            image.info["xmp"] = packet


def load_truly(image: Image.Image) -> None:
    """Load an image, after :func:`make_info_true`.

    Pillow maps uncompressed files of modes L, P, I;16 and CMYK into memory. Where a TIFF file is turned by 90 degrees,
    it does that with the sides exchanged (seen in 13.0), and the picture is scrambled; without a name it reads them.
    It shows X bitmaps as negatives: their ones are ink. Of bitmaps of 16 bits, and of a PSD other than RGB, it reads
    no alpha.
    For each frame of an interlaced PNG it says once more that it is interlaced, and its decoder refuses the second.
    Colours of JPEG XL come multiplied with alpha where they are stored so. Run-length code of SGI it refuses where no
    zero ends each line.
    """
    make_info_true(image)
    is_new = _loaded.get(id(image)) is not image
    narrow = narrowed_truly(image) if is_new else None  # now: Pillow forgets the file when it loads
    alpha = bitmap_alpha(image) or document_alpha(image) if is_new else None
    associated = is_new and has_associated_alpha(image)
    numbers = fits_samples(image) if is_new else None
    coded = sgi_samples(image) if is_new else None
    if coded is not None and isinstance(image, ImageFile.ImageFile):
        narrow = Image.fromarray(eight_bits(coded.squeeze(2) if coded.shape[2] == 1 else coded))
        image.im, image.tile = narrow.im, []  # nothing is left to decode
    if image.format == "PNG" and isinstance(image, ImageFile.ImageFile):
        image.decoderconfig = ()
    name = getattr(image, "filename", "")
    if image.format == "TIFF" and name:
        image.filename = ""  # type: ignore[attr-defined]
    try:
        image.load()
    finally:
        if image.format == "TIFF" and name:
            image.filename = name  # type: ignore[attr-defined]
    make_info_true(image)  # of texts behind the pixels
    if is_new and image.format == "XBM":
        image.im = ImageChops.invert(image).im
    if associated and image.mode in ("LA", "RGBA"):
        image.im = Image.fromarray(with_straight_alpha(np.asarray(image), len(image.mode) - 1, [1])).im
    if numbers is not None:
        image.im = loaded_fits(image, numbers).im
    if alpha is not None:
        set_transparency(image, alpha)
    if narrow is not None:
        image.im = narrow.im
    _loaded[id(image)] = image


def _told(image: Image.Image, name: str) -> Any:
    """What the PNG's own chunk says under this name, as Pillow gives it."""
    parts = {kind: body for kind, body in reversed(parts_of(image)) if kind not in _TEXTS}
    if name == "interlace":
        head = bodies(image, b"IHDR")
        return 1 if head and head[0][12:13] == b"\1" else None
    if name == "dpi" and len(body := parts.get(b"pHYs", b"")) == 9 and body[8] == 1:
        x, y = struct.unpack_from(">II", body)
        return x * 0.0254, y * 0.0254
    if name == "exif" and b"eXIf" in parts:
        return b"Exif\0\0" + parts[b"eXIf"]
    if name == "xmp":
        return packet_of(image)
    if name == "icc_profile":
        return embedded_profile(image) or None
    if name == "transparency" and (clear := parts.get(b"tRNS")):
        if image.mode == "P":
            return clear
        values = struct.unpack(f">{len(clear) // 2}H", clear[: len(clear) // 2 * 2])
        return values if len(values) == 3 else values[0] if values else None
    return None
