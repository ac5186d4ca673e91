"""CMYK and LAB pictures to RGB and back, for networks that know RGB alone.

With an embedded profile the conversion is Little CMS's (relative colorimetric, black point compensation), through sRGB.
CMYK without a profile has no defined colour; the formulas of PDF 1.7, 10.3.5 are used with full black generation, so
that text in black ink stays in black ink.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from functools import cache

import numpy as np
from PIL import Image, ImageCms

from sr_plugins.errors import ImageError

INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
# Unoptimised: the tables that Little CMS puts together for speed cost up to 13 codes of 8 bits on the way LAB - sRGB.
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOOPTIMIZE

# chromaticities (x, y) of red, green, blue and white (H.273, table 2)
_D65 = (0.3127, 0.329)
_PRIMARIES = {
    1: ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06), _D65),
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.31, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.6), (0.15, 0.06), _D65),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    7: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07), _D65),
    9: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), _D65),
    11: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), (0.314, 0.351)),
    12: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), _D65),
}
_BT709 = (3, (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081))
# function type and parameters of ICC.1:2022, table 68
_CURVES: dict[int, tuple[int, tuple[float, ...]]] = {
    **dict.fromkeys((1, 6, 14, 15), _BT709),
    **dict.fromkeys((2, 13), (3, (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045))),
    4: (0, (2.2,)),
    5: (0, (2.8,)),
    8: (0, (1.0,)),
}
_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))

# The data colour space signatures of ICC.1:2022, table 19, and the Pillow modes they describe.
_SPACE = {"L": b"GRAY", "LA": b"GRAY", "I;16": b"GRAY", "1": b"GRAY", "CMYK": b"CMYK", "LAB": b"Lab "}


def profile_fits(profile: bytes, mode: str) -> bool:
    """Whether an ICC profile describes pictures of this mode; a gray profile in an RGB file is worse than none."""
    return profile[16:20] == _SPACE.get(mode, b"RGB ")


def is_whole(profile: bytes) -> bool:
    """Whether an ICC profile has its mark, and is as long as it says (ICC.1:2022, 7.2)."""
    return len(profile) >= int.from_bytes(profile[:4]) and profile[36:40] == b"acsp"


@cache
def is_readable(profile: bytes) -> bool:
    """Whether Little CMS makes sense of an ICC profile."""
    try:
        ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError):
        return False
    return True


@cache
def srgb_profile() -> bytes:
    """An sRGB profile as stored in files."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@cache
def is_srgb(profile: bytes) -> bool:
    """Whether the colours of a profile are those of sRGB, whatever it calls itself: to 2 codes of 8 bits."""
    mode = {b"GRAY": "L", b"RGB ": "RGB"}.get(profile[16:20])
    if mode is None:
        return False
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(*[steps] * 3), axis=-1).reshape(1, -1, 3)
    image = Image.fromarray(colours if mode == "RGB" else colours[..., 0])
    try:
        opened, srgb = (ImageCms.ImageCmsProfile(io.BytesIO(data)) for data in (profile, srgb_profile()))
        seen = ImageCms.profileToProfile(image, opened, srgb, INTENT, "RGB", flags=FLAGS)
    except (ImageCms.PyCMSError, OSError):
        return False
    found = np.asarray(seen).astype(int)
    return bool(np.abs(found - np.asarray(image.convert("RGB"))).max() <= 2)


@cache
def matrix_profile(primaries: int, transfer: int) -> bytes | None:
    """A profile (ICC.1:2022, 8.4.2) for primaries and a transfer of ITU-T H.273; ``None`` for codes that need more.

    The curves of BT.709 and sRGB are those for pictures to be seen on a display: H.273, table 3, inverted.
    """
    if primaries not in _PRIMARIES or transfer not in _CURVES:
        return None
    red, green, blue, white = (np.array([x, y, 1 - x - y]) / y for x, y in _PRIMARIES[primaries])
    columns = np.stack((red, green, blue), axis=1)
    to_xyz = columns * np.linalg.solve(columns, white)
    cone = np.array(_BRADFORD)
    scale = np.diag((cone @ np.array(_D50)) / (cone @ white))
    adaptation = np.linalg.solve(cone, scale @ cone)
    colorants = adaptation @ to_xyz

    def numbers(values: Iterable[float]) -> bytes:
        return b"".join(struct.pack(">i", round(float(value) * 65536)) for value in values)

    def text(value: str) -> bytes:
        body = value.encode("utf-16-be")
        return b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(body), 28) + body

    kind, parameters = _CURVES[transfer]
    curve = b"para" + struct.pack(">IHH", 0, kind, 0) + numbers(parameters)
    tags = {
        b"desc": text(f"ITU-T H.273 primaries {primaries}, transfer {transfer}"),
        b"cprt": text("No copyright, use freely"),
        b"wtpt": b"XYZ " + bytes(4) + numbers(_D50),
        b"chad": b"sf32" + bytes(4) + numbers(adaptation.flatten()),
        **{b"%cXYZ" % n: b"XYZ " + bytes(4) + numbers(colorants[:, i]) for i, n in enumerate(b"rgb")},
        **{b"%cTRC" % n: curve for n in b"rgb"},
    }
    at, table, data = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += name + struct.pack(">II", at + len(data), len(body))
        data += body + bytes(-len(body) % 4)
    head = struct.pack(">I4sI4s4s4s", at + len(data), bytes(4), 0x04400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + numbers(_D50)
    return head.ljust(128, b"\0") + table + data


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """A CMYK, LAB or gray picture as sRGB; ``profile`` is the picture's own, which is not asked where it is cut off."""
    if image.mode == "LAB":
        return _convert(image, _lab(), _open(srgb_profile()), "RGB")
    if profile and is_whole(profile) and profile_fits(profile, image.mode):
        return _convert(image, _open(profile), _open(srgb_profile()), "RGB")
    return _ink_to_light(image) if image.mode == "CMYK" else image.convert("RGB")


def from_srgb(image: Image.Image, mode: str, profile: bytes | None) -> Image.Image:
    """The way back of :func:`to_srgb`, to mode CMYK or LAB."""
    if mode == "LAB":
        return _convert(image, _open(srgb_profile()), _lab(), "LAB")
    if profile and is_whole(profile) and profile_fits(profile, mode):
        return _convert(image, _open(srgb_profile()), _open(profile), mode)
    return _light_to_ink(image)


def _lab() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))


def _open(profile: bytes) -> ImageCms.ImageCmsProfile:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except (ImageCms.PyCMSError, OSError) as error:
        raise ImageError(f"the ICC profile in the picture is damaged ({error}): remove or replace it") from error


def _convert(
    image: Image.Image, source: ImageCms.ImageCmsProfile, target: ImageCms.ImageCmsProfile, mode: str
) -> Image.Image:
    try:
        result = ImageCms.profileToProfile(image, source, target, INTENT, mode, flags=FLAGS)
    except (ImageCms.PyCMSError, ValueError) as error:
        raise ImageError(f"the ICC profile in the picture cannot convert {image.mode} to {mode} ({error})") from error
    assert result is not None  # it is None only where the conversion is in place
    return result


def _ink_to_light(image: Image.Image) -> Image.Image:
    light = 255 - np.asarray(image).astype(np.uint16)
    return Image.fromarray(((light[..., :3] * light[..., 3:] + 127) // 255).astype(np.uint8))


def _light_to_ink(image: Image.Image) -> Image.Image:
    light = np.asarray(image).astype(np.uint16)
    brightest = light.max(axis=2, keepdims=True)
    ink = 255 - (light * 255 + brightest // 2) // np.maximum(brightest, 1)
    ink[np.broadcast_to(brightest == 0, ink.shape)] = 0
    bands = np.concatenate((ink, 255 - brightest), axis=2).astype(np.uint8)
    return Image.merge("CMYK", [Image.fromarray(np.ascontiguousarray(bands[..., i])) for i in range(4)])
