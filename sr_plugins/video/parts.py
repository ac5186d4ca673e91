"""What is told where a film changes on the way: when, and how it becomes two films."""

from __future__ import annotations

import math
from fractions import Fraction


def moment(at: Fraction) -> str:
    """Seconds for a message and for ffmpeg: cut to milliseconds, for a time rounded up lies behind its own frame."""
    return f"{math.floor(at * 1000) / 1000:.3f}"


def two_films(at: Fraction, suffix: str = "mkv") -> str:
    """The cure, where the frame shown at ``at`` seconds from the beginning is the first of another kind.

    ffmpeg's segments begin with that key frame. ``-ss`` with ``-c copy`` does not: where frames are reordered it begins
    with the key frame before.
    """
    given = f"-c copy -f segment -segment_times {moment(at)} -reset_timestamps 1"
    return f"make two films of it first: ffmpeg -i IN {given} PART%d.{suffix}"
