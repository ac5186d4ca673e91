"""Timing of animations, from one format to another."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from sr_plugins.images.file_parts import bodies
from sr_plugins.images.jxl_animation import jxl_timing


@dataclass(frozen=True)
class Timing:
    """What the control chunks of an APNG say (PNG third edition, 11.3.6), or the frames of a JPEG XL.

    Attributes:
        delays: milliseconds of each picture in the file, 0 for one that is not of the animation.
        plays: how often it is shown, 0 for ever.
        poster: whether the first picture is not of the animation.
    """

    delays: tuple[float, ...] = ()
    plays: int = 0
    poster: bool = False


def timing_of(source: Image.Image) -> Timing:
    """That of an APNG or an animated JPEG XL; nothing for all others."""
    if told := jxl_timing(source):
        return Timing(told.delays, told.plays)
    controls = bodies(source, b"fcTL") if source.format == "PNG" else []
    if not controls:
        return Timing()
    poster = bool(source.info.get("default_image"))
    pairs = [struct.unpack_from(">HH", body, 20) for body in controls if len(body) == 26]
    delays = [1000 * over / (below or 100) for over, below in pairs]
    return Timing((*([0.0] if poster else []), *delays), _plays(source), poster)


def animation_of(
    images: Sequence[Image.Image], source: Image.Image, format: str
) -> tuple[list[Image.Image], dict[str, Any]]:
    """The frames, and for ``Image.save`` delays in milliseconds, how often to play, and how a frame is cleared."""
    exact = [float(image.info.get("duration") or 0) for image in images]
    durations = [round(milliseconds) for milliseconds in exact]
    plays = _plays(source)
    if format == "GIF":
        transparent = any(image.has_transparency_data for image in images)
        disposals = [int(image.info.get("disposal") or 0) for image in images]
        # Frames are whole pictures. To restore an earlier one (3) is no longer meant, and one with holes needs a clear
        # canvas (2).
        disposals = [2 if transparent or disposal == 3 else disposal for disposal in disposals]
        if all(_same(image, images[0]) for image in images[1:]):  # Pillow's writer fails on them
            return [images[0]], {}
        disposal: int | list[int] = disposals if len(set(disposals)) > 1 else disposals[0]
        loop = {} if plays == 1 else {"loop": max(plays - 1, 0)}
        return list(images), {"duration": durations, "disposal": disposal, "optimize": False, **loop}
    if format == "PNG":
        default = bool(source.info.get("default_image")) and source.format == "PNG"
        return list(images), {
            "duration": exact[1:] if default else exact,  # fractions of a second, written as such
            "loop": plays,
            "default_image": default,
            "disposal": 0,
            "blend": 0,
        }
    return list(images), {"duration": durations, **({"loop": plays} if format == "WEBP" else {})}


def _same(one: Image.Image, other: Image.Image) -> bool:
    return one.size == other.size and one.convert("RGBA").tobytes() == other.convert("RGBA").tobytes()


def _plays(source: Image.Image) -> int:
    """How often an animation is shown, 0 for ever. GIF counts repetitions after the first time, the others all."""
    if told := jxl_timing(source):
        return told.plays
    loop = source.info.get("loop")
    if source.format == "GIF":
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return 0 if loop is None else int(loop)
