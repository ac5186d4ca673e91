"""What a file is that no reader here takes for a picture, by its content, and what to do about it."""

from __future__ import annotations

import re
import struct
from importlib.util import find_spec
from pathlib import Path

from sr_plugins.version import extra_command

_START = 4096
_STILL = (
    b"mif",
    b"msf",
    b"hei",
    b"hev",
    b"avi",
    b"avs",
    b"j2k",
    b"j2i",
    b"jpe",
    b"jpg",
    b"avc",
    b"vvi",
    b"unif",
)  # brands
_USUAL = (b"hvc1", b"av01", b"grid")  # what a HEIF's pictures are mostly coded as
_CODINGS = {
    **{b"j2k1": "JPEG 2000", b"jpeg": "JPEG", b"unci": "samples without compression", b"avc1": "H.264"},
    **{b"vvc1": "H.266", b"evc1": "EVC", b"mjp2": "JPEG 2000"},
}
_OTHERS = (
    *(
        (rb"farbfeld", "farbfeld picture"),
        (rb"id=ImageMagick", "picture of ImageMagick (MIFF)"),
        (rb"gimp xcf", "GIMP picture"),
    ),
    *((rb"\x8aMNG\r\n", "MNG"), (rb"\x8bJNG\r\n", "JNG"), (rb"\x80\x2a\x5f\xd7|\xd7\x5f\x2a\x80", "Cineon film scan")),
    *((rb"SDPX|XPDS", "DPX film scan"), (rb"II\xbc", "JPEG XR"), (rb"BPG\xfb", "BPG"), (rb"FLIF", "FLIF")),
    *((rb"\x08\xf2\xa6\xb6|\xb6\xa6\xf2\x08", "picture of libvips"), (rb"\xab\x01", "VIFF")),
    *((rb"\0\0\0[\x64-\xff]\0\0\0\x07\0\0\0[\0-\2]", "window dump (XWD)"), (rb"\xabKTX [12]", "texture (KTX)")),
    *((rb"PDS_VERSION_ID|ODL_VERSION_ID|CCSD3ZF", "picture of a spacecraft (PDS)"), (rb"\x89HDF\r\n", "HDF5 file")),
    *((rb".{128}DICM", "medical picture (DICOM)"), (rb"AT&TFORM....DJV[UM]", "document (DjVu)")),
    *((rb"FORM....(ILBM|PBM )", "picture of an Amiga (IFF)"), (rb"FOR[4M8].{4}.{0,4}CIMG", "picture of Maya (IFF)")),
)
_SIGNATURES = (
    (rb"version https://git-lfs", "is a git-LFS pointer, not the picture itself: fetch it with 'git lfs pull'"),
    (
        rb"\s*<svg|\s*<\?xml[^>]*>\s*(<!--((?!-->).)*-->\s*)*(<!DOCTYPE svg|<svg)",
        "is a drawing (SVG): save it as PNG first",
    ),
    (rb"\s*<(!doctype|html|head|body|\?xml)", "is a saved web page, not a picture: download the file itself"),
    (
        rb"PK\x03\x04|PK\x05\x06|Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd",
        "is an archive: unpack it first",
    ),
    (rb"%PDF-", "is a document (PDF): save its pages as PNG first"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "is a JPEG XL that cannot be read: it is damaged, or its reader is missing: {extra}"),
    (rb"P7\n", "is a portable map of any bands (PAM), which is not read: save it as PNG or PPM"),
    (rb"8BPS\0\x01.{16}\0[\x10\x20]", "is a PSD of more than 8 bits, which is not read: save it as a TIFF"),
    (rb"8BPS\0\x02", "is a large document (PSB), which is not read: save it as a TIFF"),
    (rb"\x1aE\xdf\xa3|RIFF....AVI |OggS", "is a film: srp video enlarges it"),
    *((signature, f"is a {name}, which is not read: save it as PNG or TIFF first") for signature, name in _OTHERS),
)
# what begins as a picture of a known format, and could not be read on
_DAMAGED = (
    (rb"\x89PNG\r\n", "PNG"),
    (rb"GIF8[79]a", "GIF"),
    (rb"RIFF....WEBP", "WebP"),
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", "TIFF"),
    (rb"BM....\0\0", "BMP"),
    (rb"8BPS\0\x01", "PSD"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
)
_FRAMES = {
    **{1: "", 2: "", 0: "", 3: "lossless"},
    **dict.fromkeys((5, 6, 7), "hierarchical"),
    **dict.fromkeys((9, 10, 11, 13, 14, 15), "arithmetically coded"),
}


# formats that a file of any name is known by; TIFF is not among them, because raw files of cameras begin so
_PICTURES = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF....WEBP|P7\nWIDTH |\0\0\0.ftyp(avi[fs]|hei[cx])|qoif\0|8BPS\0\x01|"
    rb"P[1-6]\s+\d|P[Ff]\n\d|\0\0\0\x0c(jP  |JXL )|\xff\x4f\xff\x51|v/1\x01\x02|#\?RADIANCE\n|DDS \x7c|"
    rb"farbfeld|id=ImageMagick",
    re.DOTALL,
)


def begins_as_picture(path: Path) -> bool:
    """Whether a file is a picture by its first bytes, whatever its name ends in."""
    try:
        with path.open("rb") as file:
            return bool(_PICTURES.match(file.read(16)))
    except OSError:
        return False


def why_unread(path: Path) -> str:
    """The end of a line that begins with the file's name."""
    with path.open("rb") as file:
        start = file.read(1 << 20)
    head = start[:_START]
    for signature, reason in _SIGNATURES:
        if re.match(signature, head, re.IGNORECASE | re.DOTALL):
            return reason.replace("{extra}", extra_command("formats"))
    if head[4:8] == b"ftyp":
        return _why_unread_heif(start)
    if head.startswith(b"\xff\xd8"):
        kind, bits = _jpeg_frame(start)
        what = " ".join(filter(None, (kind, f"of {bits} bits" if bits != 8 else "")))
        return (
            f"is a JPEG of a kind that is not read ({what}): convert it to PNG or TIFF first"
            if what
            else _damaged("JPEG")
        )
    for signature, name in _DAMAGED:
        if re.match(signature, head, re.DOTALL):
            return _damaged(name)
    return "is not a picture that can be read"


def _why_unread_heif(start: bytes) -> str:
    brand, length = start[8:12], int.from_bytes(start[:4])
    others = {start[at : at + 4] for at in range(16, min(length, _START) - 3, 4)}
    if brand in (b"avif", b"avis"):
        return "is a damaged AVIF"
    if not brand.startswith(_STILL) and b"mif1" not in others:
        return "is a film: srp video enlarges it"
    if find_spec("pillow_heif") is None:
        return f"is a HEIF, and its reader is missing: {extra_command('formats')}"
    items = {entry[1] for entry in re.finditer(rb"infe[\2\3].{3}(?:..){2}(....)", start, re.DOTALL)}
    coded = next((told for coding, told in _CODINGS.items() if coding in items), None)
    if coded and not items & set(_USUAL):
        return f"is a HEIF of a kind that is not read ({coded}): convert it to PNG or TIFF first"
    return _damaged("HEIF")


def _damaged(name: str) -> str:
    return f"is damaged: it begins as a {name}, and what follows cannot be read"


def _jpeg_frame(data: bytes) -> tuple[str, int]:
    """The coding of a JPEG's frame (ITU-T T.81, table B.1), in words where it is no usual one, and its bits."""
    place = 2
    while place + 5 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _FRAMES[marker - 0xC0], data[place + 4]
        if marker == 0xF7:
            return "JPEG-LS", 8
        place += 2 + int(struct.unpack_from(">H", data, place + 2)[0])
    return "", 8
