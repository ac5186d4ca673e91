"""Timing of animations, from one format to another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image


def animation_of(
    images: Sequence[Image.Image], source: Image.Image, format: str
) -> tuple[list[Image.Image], dict[str, Any]]:
    """The frames, and for ``Image.save`` delays in milliseconds, how often to play, and how a frame is cleared."""
    durations = [round(float(image.info.get("duration") or 0)) for image in images]
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
            "duration": durations[1:] if default else durations,
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
    loop = source.info.get("loop")
    if source.format == "GIF":
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return 0 if loop is None else int(loop)
