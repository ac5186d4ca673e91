"""What a file says its samples mean: an ICC profile, or what stands for one in other formats."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sr_plugins.images.avif_file import light_levels
from sr_plugins.images.color_profiles import is_readable, is_srgb, is_whole, matrix_profile, profile_fits
from sr_plugins.images.file_parts import bodies, parts_of
from sr_plugins.images.png_texts import Text, put_texts, raw_profile
from sr_plugins.images.tiff_reader import Page

_PNG_COLOUR = (b"cICP", b"sRGB", b"gAMA", b"cHRM", b"mDCV", b"cLLI")
# how a PNG says that it is sRGB (PNG, 11.3.2.5, recommends these beside the chunk sRGB)
_SRGB = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
}
_HOLD_PROFILES = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "JPEG2000", "BMP", "HEIF", "JXL")
_SRGB_CODES = ((1, 13), (1, 2), (2, 13), (2, 2))  # primaries and transfer of ITU-T H.273; 2 is unspecified
_TIFF_COLOUR = {318: "white point", 319: "primaries", 301: "transfer function"}
_TIFF_SRGB = {318: (0.3127, 0.3290), 319: (0.64, 0.33, 0.30, 0.60, 0.15, 0.06)}  # IEC 61966-2-1
_ENUMERATED = {16: "sRGB", 17: "gray", 18: "sYCC"}  # ISO 15444-1, table I.10


@dataclass(frozen=True)
class ColorSignals:
    """Says what the samples mean.

    Attributes:
        icc_profile: an ICC profile.
        code_points: primaries and transfer of ITU-T H.273; ``None`` where they are those of sRGB or not told.
        png: the chunks of a PNG.
        others: in words, what has no place but in the source's own format; ``format`` is that.
        calibrated: endpoints and gammas of a bitmap, as they stand in its head (BITMAPV4HEADER).
    """

    icc_profile: bytes | None = None
    code_points: tuple[int, int] | None = None
    png: Mapping[bytes, bytes] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    format: str = ""
    calibrated: bytes = b""

    def profile_for(self, format: str, mode: str, lost: list[str]) -> bytes | None:
        """The profile to be written for a picture of ``mode``; names what ``format`` cannot hold."""
        is_kept = format == self.format and (format == "TIFF" or (format == "BMP" and mode.startswith("RGB")))
        colours: list[str] = [] if is_kept else list(self.others)
        profile = self._profile_for(format, mode, colours)
        lost += [f"{what}, so colours may look different" for what in colours]
        return profile

    def _profile_for(self, format: str, mode: str, lost: list[str]) -> bytes | None:
        if profile := self.icc_profile:
            if not is_whole(profile):
                lost.append("its damaged ICC profile")
                return None
            if not profile_fits(profile, mode):
                lost.append("an ICC profile that is none of its colours")
                return None
            if format not in _HOLD_PROFILES and not is_srgb(profile):
                lost.append("its ICC profile")
            if format == "JXL" and not is_readable(profile):  # its readers would leave it out without a word
                lost.append("its damaged ICC profile")
                return None
            return profile
        if self.code_points and self.light and format not in ("PNG", "AVIF"):
            lost.append(" and ".join(kind.decode() for kind in self.light))
        if self.code_points and format not in ("PNG", "AVIF", "HEIF"):
            made = matrix_profile(*self.code_points) if format in _HOLD_PROFILES and mode.startswith("RGB") else None
            if made is None:
                named = "cICP" if b"cICP" in self.png else "primaries {} and transfer {} of H.273"
                lost.append(named.format(*self.code_points))
            return made
        if format != "PNG" and (b"sRGB" not in self.png or b"cICP" in self.png) and not self.code_points:
            chunks = [kind.decode() for kind, body in self.png.items() if body != _SRGB.get(kind)]
            lost += [" and ".join(chunks)] if chunks else []
        return None

    @property
    def light(self) -> dict[bytes, bytes]:
        """How bright the picture and its display are: PNG's chunks cLLI and mDCV, which Pillow does not write."""
        return {kind: body for kind, body in self.png.items() if kind in (b"cLLI", b"mDCV")}

    def png_chunks(
        self, texts: Iterable[Text], comments: Iterable[bytes], xmp: bytes | None, resources: bytes
    ) -> PngInfo:
        """Everything beside the pixels that Pillow's PNG writer does not know by itself."""
        info = PngInfo()
        chunks = dict(self.png)
        if self.code_points and not self.icc_profile:
            chunks.setdefault(b"cICP", bytes((*self.code_points, 0, 1)))
        for kind, body in chunks.items():
            info.add(kind, body)
        put_texts(info, texts, comments, xmp)
        if resources:  # ImageMagick's way, which exiftool reads
            digits = resources.hex()
            lines = "\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
            info.add_text("Raw profile type iptc", f"\niptc\n{len(resources):8}\n{lines}\n", zip=True)
        return info


def colors_of(source: Image.Image, page: Page | None) -> ColorSignals:
    """What the file behind a picture says about its colours."""
    profile = source.info.get("icc_profile")
    profile = profile if isinstance(profile, bytes) else None
    others: list[str] = []
    codes: tuple[int, int] | None = None
    calibrated = b""
    if page is not None:
        profile = page.first[34675].value if 34675 in page.first else None
        others = [f"its {name}" for tag, name in _TIFF_COLOUR.items() if tag in page.first and not _is_srgbs(page, tag)]
    elif source.format == "PNG":
        profile = profile or raw_profile(source, "icc", "icm")
    elif source.format in ("AVIF", "HEIF"):
        for body in bodies(source, b"colr", b"nclx")[:1]:
            codes = struct.unpack_from(">HH", body)
    elif source.format == "JPEG2000":
        profile, told = _jpeg_2000(source)
        others += told
    elif source.format in ("BMP", "DIB"):
        profile = next(iter(bodies(source, b"profile")), profile)
        head = next(iter(bodies(source, b"head")), b"")
        if len(head) >= 108 and head[:4] != b"(\0\0\0" and head[56:60] == bytes(4):  # LCS_CALIBRATED_RGB
            calibrated = head[60:108] if any(head[60:108]) else b""
            others = ["its primaries and gamma"] if calibrated else []
    elif source.format == "GIF":
        profile = next(iter(bodies(source, b"\xff", b"ICCRGBG1012")), profile)
    png = {kind: body for kind, body in parts_of(source) if kind in _PNG_COLOUR and len(body) <= 64}
    if len(png.get(b"cICP", b"")) == 4:
        codes = png[b"cICP"][0], png[b"cICP"][1]
    if source.format in ("AVIF", "HEIF"):
        png |= light_levels(source)
    if codes in _SRGB_CODES:
        codes = None
    return ColorSignals(profile or None, codes, png, tuple(others), source.format or "", calibrated)


def _is_srgbs(page: Page, tag: int) -> bool:
    """Whether a white point or primaries are those of sRGB, which programs write to whatever they make."""
    told, meant = page.values(tag), _TIFF_SRGB.get(tag, ())
    return len(told) == len(meant) and all(abs(float(a) - b) < 0.0015 for a, b in zip(told, meant, strict=True))


def _jpeg_2000(source: Image.Image) -> tuple[bytes | None, list[str]]:
    for body in bodies(source, b"colr"):
        if body[:1] in (b"\2", b"\3"):  # restricted or any ICC profile
            return body[3:], []
        if body[:1] == b"\1" and len(body) >= 7 and (code := struct.unpack_from(">I", body, 3)[0]) not in _ENUMERATED:
            return None, [f"its colour space (enumerated {code})"]
    return None, []
