"""What comes instead of a frame that cannot be upscaled, where a script asks for it: the frame enlarged by bicubic."""

from __future__ import annotations

import logging
import threading

import numpy as np
import vapoursynth as vs

from sr_plugins.pixels.frame import Frame
from sr_plugins.pixels.resampling import resized_frame
from vapoursynth_filter.frames import finite, first_value, meaning, with_props

logger = logging.getLogger("sr_plugins")

PROPERTY = "sr_plugins_error"  # on such a frame: why
NAMED = 8  # numbers of frames in the last line


class Instead:
    """Makes such frames, says each reason once, and counts."""

    def __init__(self) -> None:
        self._reasons: set[str] = set()
        self._numbers: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, n: int, source: vs.VideoFrame, size: tuple[int, int], reason: str) -> vs.VideoFrame:
        """Frame ``n`` at ``size`` (width, height), with all its properties and one that tells the reason."""
        with self._lock:
            new = reason not in self._reasons
            self._reasons.add(reason)
            self._numbers.add(n)
        if new:
            logger.warning(f"frame {n} is enlarged by bicubic instead: {reason}")
        target = _enlarged(source, size)
        alpha = first_value(source.props, "_Alpha")
        if isinstance(alpha, vs.VideoFrame):
            target.props["_Alpha"] = _enlarged(alpha, size)
        target.props[PROPERTY] = reason
        return target

    def tell(self) -> None:
        """How many frames there were, once no more will come."""
        if numbers := sorted(self._numbers):
            which = ", ".join(map(str, numbers[:NAMED])) + (", ..." if len(numbers) > NAMED else "")
            logger.warning(
                f"{len(numbers)} {'frame was' if len(numbers) == 1 else 'frames were'} enlarged by bicubic instead of "
                f"upscaled: {which} (property {PROPERTY} says why)"
            )


def _enlarged(source: vs.VideoFrame, size: tuple[int, int]) -> vs.VideoFrame:
    planes = [finite(np.asarray(source[i])) for i in range(source.format.num_planes)]
    larger = resized_frame(Frame(planes, meaning(source)), *size)
    return with_props(source.format, larger.planes, source.props)
