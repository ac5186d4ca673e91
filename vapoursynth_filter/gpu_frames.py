"""Frames that lie on a GPU (VapourSynth R80 and newer), where they have no memory that a host can read."""

from __future__ import annotations

import vapoursynth as vs

from vapoursynth_filter.frames import first_frame, first_value


def in_memory(clip: vs.VideoNode) -> vs.VideoNode:
    """The clip, downloaded if its frames lie on a GPU."""
    return clip.std.GPUDownload() if getattr(clip, "gpu_resident", False) else clip


def alpha_in_memory(clip: vs.VideoNode) -> vs.VideoNode:
    """The clip, the ``_Alpha`` of its frames downloaded if the first one's lies on a GPU.

    ``GPUDownload`` leaves frames that are properties where they are, and a clip does not tell where those lie.
    """
    if not hasattr(vs.VideoFrame, "gpu_resident") or (first := first_frame(clip)) is None:
        return clip
    with first:
        if not getattr(first_value(first.props, "_Alpha"), "gpu_resident", False):
            return clip
    return clip.std.ClipToProp(in_memory(clip.std.PropToClip(prop="_Alpha")), prop="_Alpha")
