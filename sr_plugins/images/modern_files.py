"""HEIF (HEIC) and JPEG XL beyond 8 bits, where the extra ``formats`` is installed.

Pillow's plug-ins for them (pillow-heif, pillow-jxl-plugin) give 8 bits. HEIF of 10 and 12 bits goes through
pillow-heif's own door, JPEG XL through imagecodecs (libjxl).
"""

from __future__ import annotations

import io
import logging
import struct
from pathlib import Path
from typing import IO, Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sr_plugins.images.avif_file import box, boxes
from sr_plugins.images.color_profiles import is_srgb
from sr_plugins.images.exif_block import HEAD
from sr_plugins.images.file_parts import bodies, in_letters, kept_with
from sr_plugins.images.jxl_channels import header_of
from sr_plugins.images.jxl_profile import with_profile

logger = logging.getLogger("sr_plugins")

_GAIN_MAP = ":hdrgainmap"  # of Apple and Samsung
_SIGNATURE = struct.pack(">I4sI", 12, b"JXL ", 0x0D0A870A)
_BROTLI = b"brob"


def deep_heif(path: Path, source: Image.Image) -> NDArray[np.uint16] | None:
    """The upright samples of a HEIF of more than 8 bits, brought to 16; ``None`` for 8 bits."""
    bits = int(source.info.get("bit_depth", 8))
    if bits <= 8:
        return None
    import pillow_heif

    whole = pillow_heif.open_heif(path, convert_hdr_to_8bit=False, hdr_to_16bit=True)
    samples = np.asarray(whole[whole.primary_index])
    if samples.dtype != np.uint16:
        return None
    # moved up, its zeros below: white of 10 bits would be 65472, and so would be what hides all behind it
    stored = (samples >> (16 - bits)).reshape(*samples.shape[:2], -1)
    return in_whole_range(stored, bits)


def write_heif(file: IO[bytes], samples: NDArray[np.uint16], quality: int, arguments: dict[str, Any]) -> None:
    """A HEIF of 10 bits; samples of 16 bits, (height, width, 3 or 4)."""
    import pillow_heif

    if samples.ndim == 2:
        samples = samples[..., np.newaxis].repeat(3, axis=2)
    if samples.shape[2] == 2:
        samples = np.concatenate((samples[..., :1].repeat(3, axis=2), samples[..., 1:]), axis=2)
    mode = "RGBA;16" if samples.shape[2] == 4 else "RGB;16"
    whole = pillow_heif.from_bytes(mode, samples.shape[1::-1], np.ascontiguousarray(samples).tobytes())
    profile = arguments.pop("icc_profile", None)
    if profile:
        whole[0].info["icc_profile"] = profile
    whole.save(file, quality=quality, chroma=444, **arguments)


def heif_codes(code_points: tuple[int, int] | None) -> dict[str, int]:
    """What pillow-heif is to say about colours that are told by numbers of ITU-T H.273."""
    if code_points is None:
        return {}
    primaries, transfer = code_points
    matrix = 9 if primaries == 9 else 6
    return {"color_primaries": primaries, "transfer_characteristics": transfer, "matrix_coefficients": matrix}


def jxl_samples(source: Image.Image) -> NDArray[Any] | None:
    """The upright samples of a JPEG XL, (height, width, bands) or, of an animation, (frames, height, width, bands).

    Floats are cut off below 0 and above 1: what is brighter than white has no place in the formats that take them.
    """
    data = kept_with(source, "whole", lambda file: file.read(), b"")
    if not data:
        return None
    samples: NDArray[Any] = imagecodecs.jpegxl_decode(data)
    if samples.dtype.kind == "f":
        if samples.size and not 0 <= samples.min() <= samples.max() <= 1:
            logger.warning("%s: what is brighter than white or darker than black is cut off", _name_of(source))
        samples = np.rint(np.clip(samples.astype(np.float64), 0, 1) * 65535).astype(np.uint16)
    else:  # libjxl's numbers are those of the codestream: of 10 bits up to 1023
        samples = in_whole_range(samples, header_of(source).bits or 8 * samples.dtype.itemsize)
    gray = samples.ndim == 2 or (samples.ndim == 3 and len(source.getbands()) == 1)  # one picture, or an animation
    return samples[..., np.newaxis] if gray else samples


def in_whole_range(samples: NDArray[Any], bits: int) -> NDArray[Any]:
    """Unsigned samples of so many bits, brought to the range of the type that holds them."""
    white, top = (1 << bits) - 1, np.iinfo(samples.dtype).max
    if white >= top:
        return samples
    scaled = (samples.astype(np.uint32) * top + white // 2) // white
    found: NDArray[Any] = np.minimum(scaled, top).astype(samples.dtype)
    return found


def _name_of(source: Image.Image) -> str:
    return str(getattr(source, "filename", "") or "the JPEG XL")


def jxl_xmp(source: Image.Image) -> bytes | None:
    """The XMP of a JPEG XL file (ISO 18181-2), which may be compressed."""
    for body in bodies(source, b"xml "):
        return body
    for body in bodies(source, _BROTLI, b"xml "):
        try:
            return bytes(imagecodecs.brotli_decode(body))
        except (RuntimeError, ValueError):
            return None
    return None


def write_jxl(
    file: IO[bytes],
    samples: NDArray[Any],
    quality: int,
    *,
    icc_profile: bytes | None = None,
    exif: bytes | None = None,
    xmp: bytes | None = None,
) -> None:
    """A JPEG XL of 8 or 16 bits; quality 100 loses nothing.

    With a profile other than sRGB the samples are stored in its colours, and those of 16 bits without loss: no
    encoder here knows another way for both.
    """
    profile = icc_profile if icc_profile is not None and not is_srgb(icc_profile) else None
    if samples.dtype == np.uint16:
        lossless = quality == 100 or profile is not None
        srgb = imagecodecs.JPEGXL.TRANSFER_FUNCTION.SRGB  # of 16 bits it would say that they are linear
        told: dict[str, Any] = {"transfer": srgb, "usecontainer": True}
        data = bytes(imagecodecs.jpegxl_encode(samples, level=quality, lossless=lossless, **told))
    else:
        whole = io.BytesIO()
        options = {"quality": quality, "lossless": quality == 100, "use_original_profile": profile is not None}
        Image.fromarray(samples).save(whole, "JXL", **options)
        data = whole.getvalue()
    if not data.startswith(_SIGNATURE):
        data = _SIGNATURE + box(b"ftyp", b"jxl \0\0\0\0jxl ") + box(b"jxlc", data)
    for kind, part in boxes(data):
        if kind == b"jxlc" and profile is not None:
            part = box(b"jxlc", with_profile(part[8:], profile))
        file.write(part)
    if exif:
        file.write(box(b"Exif", bytes(4) + exif.removeprefix(HEAD)))
    if xmp:
        file.write(box(b"xml ", xmp))


def told_of(source: Image.Image) -> list[str]:
    """What is in a HEIF or JPEG XL beside the picture, in words."""
    found = []
    if source.format == "HEIF":
        further = [in_letters(urn.encode()) for urn in source.info.get("aux", {})]
        if any(urn.endswith(_GAIN_MAP) for urn in further):
            found.append("the gain map (HDR) is left out")
        if names := [urn.rpartition(":")[2] for urn in further if not urn.endswith(_GAIN_MAP)]:
            found.append(f"auxiliary pictures ({', '.join(names)}) are left out")
        if source.info.get("depth_images"):
            found.append("the depth map is left out")
        if (others := int(getattr(source, "n_frames", 1)) - 1) > 0:
            found.append(f"{others} further pictures in it are left out")
    return found
