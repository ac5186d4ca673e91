"""What Pillow writes otherwise than it should: BMP with alpha, Apple icons of one size, float maps, told colours."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Apple's icon types that hold a PNG, by their side
ICON_TYPES = {16: b"icp4", 32: b"icp5", 64: b"icp6", 128: b"ic07", 256: b"ic08", 512: b"ic09", 1024: b"ic10"}
_BITFIELDS, _SRGB, _EMBEDDED = 3, b"BGRs", b"DEBM"  # sRGB and MBED, as numbers from the other end


def write_bmp(
    file: IO[bytes],
    image: Image.Image,
    profile: bytes | None,
    dpi: tuple[float, float] | None,
    calibrated: bytes = b"",
) -> None:
    """A bitmap with a V5 header (BITMAPV5HEADER of Windows): masks that name an alpha channel, and a colour profile.

    Args:
        file: open for writing, at its beginning.
        image: RGB or RGBA.
        profile: an ICC profile, or ``None`` for sRGB.
        dpi: dots per inch; ``None``: not told.
        calibrated: 48 bytes of endpoints and gammas in place of a profile.
    """
    width, height = image.size
    alpha = image.mode == "RGBA"
    stored = image.tobytes("raw", "BGRA" if alpha else "BGR", 0 if alpha else (width * 3 + 3) & ~3, -1)
    metres = [round(value / 0.0254) for value in dpi or (0.0, 0.0)]
    masks = (0xFF0000, 0xFF00, 0xFF, 0xFF000000 if alpha else 0)
    offset = 14 + 124
    head = struct.pack("<IiiHHII", 124, width, height, 1, 32 if alpha else 24, _BITFIELDS if alpha else 0, len(stored))
    head += struct.pack("<iiII", *metres, 0, 0) + struct.pack("<4I", *(masks if alpha else (0, 0, 0, 0)))
    head += _EMBEDDED + bytes(48) if profile else bytes(4) + calibrated if calibrated else _SRGB + bytes(48)
    head += struct.pack("<IIII", 4, 124 + len(stored) if profile else 0, len(profile or b""), 0)  # 4: as photographs
    file.write(b"BM" + struct.pack("<IHHI", offset + len(stored) + len(profile or b""), 0, 0, offset))
    file.write(head + stored + (profile or b""))


def write_icns(file: IO[bytes], images: list[Image.Image]) -> None:
    """An Apple icon of exactly these pictures, whose sides are in :data:`ICON_TYPES`."""
    body = b""
    for image in images:
        png = io.BytesIO()
        image.save(png, "PNG")
        body += ICON_TYPES[image.width] + struct.pack(">I", 8 + len(png.getvalue())) + png.getvalue()
    file.write(b"icns" + struct.pack(">I", 8 + len(body)) + body)


def write_pcx(file: IO[bytes], image: Image.Image, dpi: tuple[float, float] | None) -> None:
    """A PCX; Pillow writes 100 dots per inch, whatever it is told."""
    whole = io.BytesIO()
    image.save(whole, "PCX")
    data = bytearray(whole.getvalue())
    struct.pack_into("<HH", data, 12, *map(round, dpi or (0, 0)))
    file.write(data)


def write_pfm(file: IO[bytes], image: Image.Image) -> None:
    """A portable float map: F as it is, L and RGB as 0 to 1; rows from bottom to top, little endian."""
    samples = np.asarray(image).astype("<f4")
    samples = samples if image.mode == "F" else samples / 255
    file.write(b"%s\n%d %d\n-1.0\n" % (b"PF" if image.mode == "RGB" else b"Pf", *image.size))
    file.write(samples[::-1].astype("<f4").tobytes())


def deep_pixmap(path: Path) -> NDArray[np.uint16] | None:
    """The samples of a gray or colour map of more than 8 bits (P2, P3, P5, P6), brought to 16: (height, width, bands).

    ``None`` where Pillow reads all of it; ``ValueError`` where samples are missing.
    """
    data = path.read_bytes()
    head = re.match(rb"P[2356]((?:\s|#[^\n]*\n)+\d+){3}\s", data[:4096])
    if head is None:
        return None
    width, height, white = map(int, re.sub(rb"#[^\n]*\n", b" ", head[0][2:]).split())
    if not 255 < white < 65536:
        return None
    bands = 3 if data[1:2] in b"36" else 1
    if data[1:2] in b"23":  # written out
        told = re.sub(rb"#[^\n]*", b" ", data[head.end() :]).split()[: width * height * bands]
        stored = np.array(told, np.uint16)
    else:
        stored = np.frombuffer(data, ">u2", width * height * bands, head.end())
    stored = stored.reshape(height, width, bands)
    stored = np.minimum(stored, white)  # as readers show what is beyond it
    scaled: NDArray[np.uint16] = ((stored.astype(np.uint32) * 65535 + white // 2) // white).astype(np.uint16)
    return scaled


def write_deep_map(file: IO[bytes], samples: NDArray[np.uint16]) -> None:
    """A binary graymap or pixmap of 16 bits; samples are (height, width) or (height, width, 3)."""
    kind = b"P5" if samples.ndim == 2 else b"P6"
    file.write(b"%s\n%d %d\n65535\n" % (kind, samples.shape[1], samples.shape[0]) + samples.astype(">u2").tobytes())


def tell_code_points(avif: bytes, primaries: int, transfer: int) -> bytes:
    """An AVIF file that names these primaries and transfer (ITU-T H.273); its matrix stays."""
    at = avif.find(b"colrnclx")
    if at < 0:
        return avif
    return avif[: at + 8] + struct.pack(">HH", primaries, transfer) + avif[at + 12 :]
