"""The filter as ``srp bench`` measures it: on a source that costs nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import vapoursynth as vs

from sr_plugins.pixels.frame import Frame
from sr_plugins.upscaler import Upscaler
from vapoursynth_filter.filter import upscale


def through_filter(upscaler: Upscaler, pictures: Sequence[Frame], count: int) -> None:
    """``upscale(clip)`` on ``count`` frames of YUV420P8, the pictures in turn."""
    for frame in upscale(source(pictures, count), upscaler).frames(close=True):
        del frame


def source(pictures: Sequence[Frame], length: int) -> vs.VideoNode:
    """A clip that hands out pictures (YUV 4:2:0, 8 bits) in turn, made beforehand."""
    width, height = pictures[0].width, pictures[0].height
    blank = vs.core.std.BlankClip(format=vs.YUV420P8, width=width, height=height, length=length, keep=True)
    made = []
    for picture in pictures:
        frame = blank.get_frame(0).copy()
        for i, plane in enumerate(picture.planes):
            np.copyto(np.asarray(frame[i]), plane)
        made.append(frame)
    return blank.std.ModifyFrame(blank, lambda n, f: made[n % len(made)])
