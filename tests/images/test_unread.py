"""What no reader takes for a picture is called what it is."""

import io
import struct
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from sr_plugins.errors import ImageError
from sr_plugins.images.files import open_image
from sr_plugins.images.further_formats import cure_for
from sr_plugins.images.unread import begins_as_picture, why_unread


def encoded(format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (9, 7), "red").save(file, format)
    return file.getvalue()


def heif(brand: bytes, coding: bytes) -> bytes:
    """The start of a HEIF with one item (ISO 14496-12, 8.11.6)."""
    return b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1miaf\0\0\0\x15infe\2\0\0\0\0\1\0\0" + coding + b"\0"


DEEP = np.full((8, 8), 3000, np.uint16)
FILES = {
    "a web page": (b"\n<!doctype html><title>404</title>", "saved web page"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 12\n", "git lfs pull"),
    "a drawing": (b'<?xml version="1.0"?>\n<!-- x -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
    "an archive": (b"PK\x03\x04" + bytes(40), "unpack it first"),
    "a document": (b"%PDF-1.7\n", "PDF"),
    "a film": (b"\0\0\0\x20ftypisom" + bytes(40), "srp video"),
    "matroska": (b"\x1aE\xdf\xa3" + bytes(40), "srp video"),
    "12 bits": (imagecodecs.jpeg_encode(DEEP, bitspersample=12), "of 12 bits"),
    "lossless": (imagecodecs.ljpeg_encode(DEEP, bitspersample=12), "lossless of 12 bits"),
    "a cut JPEG": (encoded("JPEG")[:30], "damaged: it begins as a JPEG"),
    "a cut PNG": (encoded("PNG")[:20], "damaged: it begins as a PNG"),
    "a cut WebP": (encoded("WEBP")[:20], "damaged: it begins as a WebP"),
    "a cut TIFF": (b"II*\0\x08\0\0\0", "damaged: it begins as a TIFF"),
    "a cut GIF": (b"GIF89a", "damaged: it begins as a GIF"),
    "a deep PSD": (b"8BPS\0\1" + bytes(6) + b"\0\3\0\0\0\1\0\0\0\1\0\x10\0\3" + bytes(40), "PSD of more than 8 bits"),
    "a large PSD": (b"8BPS\0\2" + bytes(40), "PSB"),
    "a PAM": (b"P7\nWIDTH 2\nHEIGHT 1\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n" + bytes(8), "PAM"),
    "HEIF of JPEG": (
        b"\0\0\0\x18ftypjpeg\0\0\0\0mif1jpeg" + b"\0\0\0\x15infe\2\0\0\0\0\1\0\0jpeg\0",
        "is a HEIF of a kind that is not read (JPEG)",
    ),
    "HEIF of JPEG 2000": (
        b"\0\0\0\x18ftypj2ki\0\0\0\0mif1j2ki" + b"\0\0\0\x15infe\2\0\0\0\0\1\0\0j2k1\0",
        "is not read (JPEG 2000): convert it to PNG",
    ),
    "HEIF of samples": (heif(b"mif1", b"unci"), "(samples without compression): convert it to PNG"),
    "Amiga": (b"FORM\0\0\1\0ILBMBMHD" + bytes(20), "picture of an Amiga (IFF), which is not read: save it"),
    "Maya": (b"FOR4\0\0\1\0CIMGFOR4" + bytes(20), "picture of Maya (IFF), which is not read: save it"),
    "farbfeld": (b"farbfeld" + bytes(16), "farbfeld picture, which is not read: save it as PNG"),
    "MIFF": (b"id=ImageMagick  version=1.0\n", "MIFF"),
    "MNG": (b"\x8aMNG\r\n\x1a\n" + bytes(20), "MNG, which is not read"),
    "Cineon": (b"\x80\x2a\x5f\xd7" + bytes(40), "Cineon"),
    "DICOM": (bytes(128) + b"DICM" + bytes(20), "DICOM"),
    "JPEG XR": (b"II\xbc\x01" + bytes(20), "JPEG XR"),
    "words": (b"Dear diary, today", "is not a picture"),
    "a byte": (b"\xff", "is not a picture"),
}


@pytest.mark.parametrize("name", FILES)
def test_it_is_called_what_it_is(name: str, tmp_path: Path) -> None:
    data, word = FILES[name]
    path = tmp_path / "photo.jpg"
    path.write_bytes(bytes(data))
    assert word in why_unread(path)
    if name in ("a cut JPEG", "a cut PNG", "a cut WebP"):
        word = "cannot be read"  # their readers say why
    with pytest.raises(ImageError, match=r"photo\.jpg") as caught, open_image(path):
        pass
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "HDF5"),
        (b"BUFR" + bytes(64), "BUFR"),
        (b"GRIB\0\0\0\1" + bytes(64), "GRIB"),
    ],
)
def test_data_that_pillow_knows_by_name_alone_is_no_damaged_picture(data: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(data)
    expected = rf"photo is a {name} file, which nothing here reads: save it as PNG first$"
    with pytest.raises(ImageError, match=expected), open_image(tmp_path / "photo"):
        pass


@pytest.mark.parametrize(
    "data",
    [
        *(encoded(format) for format in ("PPM", "JPEG2000", "PNG", "GIF", "DDS")),
        b"P4 8 2\n" + bytes(2),
        b"8BPS\0\1" + bytes(20),
        bytes(imagecodecs.rgbe_encode(np.ones((2, 2, 3), np.float32))),
        bytes(imagecodecs.exr_encode(np.ones((2, 2, 3), np.float32))),
    ],
)
def test_a_picture_without_an_ending_is_one(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(data)
    assert begins_as_picture(tmp_path / "photo")


@pytest.mark.parametrize("ending", ["ff", "cin", "miff", "xwd", "ktx2", "dcm", "MNG"])
def test_pictures_that_nothing_reads_have_a_cure_by_their_ending(ending: str) -> None:
    assert cure_for(Path(f"scan.{ending}")) == "save it as PNG or TIFF first"


def test_text_is_no_picture(tmp_path: Path) -> None:
    for text in (b"P6 is a processor", b"Pf", b"DDS stands for", b"#!/bin/sh\n", b"idle"):
        (tmp_path / "notes").write_bytes(text)
        assert not begins_as_picture(tmp_path / "notes")


def test_kinds_that_a_reader_does_not_know_are_not_called_damaged(tmp_path: Path) -> None:
    """What the reader says, and a cure; the header of a BMP and of a texture are whole, and their kinds rare."""
    two_bits = struct.pack("<IiiHHIIiiII", 40, 4, 1, 1, 2, 0, 4, 0, 0, 4, 0) + bytes(4 * 4 + 4)
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 14 + len(two_bits), 0, 0, 70) + two_bits)
    surface = struct.pack("<7I44x", 124, 0x1007, 4, 4, 0, 0, 0) + struct.pack("<II4s5I", 32, 4, b"UYVY", 0, 0, 0, 0, 0)
    (tmp_path / "b.dds").write_bytes(b"DDS " + (surface + struct.pack("<I", 0x1000)).ljust(124, b"\0") + bytes(32))
    for name, word in (("a.bmp", "Unsupported BMP pixel depth"), ("b.dds", "Unimplemented pixel format")):
        with pytest.raises(ImageError) as refused, open_image(tmp_path / name):
            pass
        assert str(refused.value).startswith(f"{tmp_path / name} cannot be read: {word}")
        assert str(refused.value).endswith(": open it in another program and save it as PNG or TIFF")
