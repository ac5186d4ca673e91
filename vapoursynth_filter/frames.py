"""VapourSynth video frames <-> :class:`sr_plugins.pixels.frame.Frame`: the same planes, and what its properties say."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import vapoursynth as vs

from sr_plugins.errors import FrameError
from sr_plugins.pixels.frame import ChromaLocation, Family, Frame, FrameFormat, Matrix, Plane

NOT_FINITE = "the frame holds samples that are not a number or infinite"

_FAMILIES: dict[int, Family] = {vs.GRAY: "gray", vs.YUV: "yuv", vs.RGB: "rgb"}


def frame_format(video_format: vs.VideoFormat, props: vs.FrameProps | None = None) -> FrameFormat:
    """What samples of this format mean, given a frame's properties.

    What a frame does not say is taken as VapourSynth's own resizer takes it: full range for RGB and limited for the
    others, chroma sited left. An absent matrix stays unspecified.

    Raises:
        FrameError: samples or subsampling that no model can take.
    """
    if video_format.color_family not in _FAMILIES:
        raise FrameError("the clip's format varies or is unknown: split it by format, or convert it with resize")
    full_range = said(props, "_Range", vs.RANGE_FULL if video_format.color_family == vs.RGB else vs.RANGE_LIMITED)
    if full_range not in (vs.RANGE_FULL, vs.RANGE_LIMITED):
        raise FrameError(
            f"its _Range property is {full_range}, which is neither full nor limited: set it with "
            "clip.std.SetFrameProps(_Range=vs.RANGE_LIMITED)"
        )
    located = said(props, "_ChromaLocation", ChromaLocation.LEFT)
    return FrameFormat(
        family=_FAMILIES[video_format.color_family],
        bits=video_format.bits_per_sample,
        is_float=video_format.sample_type == vs.FLOAT,
        subsampling=(video_format.subsampling_w, video_format.subsampling_h),
        full_range=full_range == vs.RANGE_FULL,
        matrix=said(props, "_Matrix", Matrix.UNSPECIFIED),
        chroma_location=ChromaLocation.LEFT if located == -1 else located,  # the core's word for absent
    )


def said(props: vs.FrameProps | None, name: str, absent: int) -> int:
    """A property's number: of several values the first, as VapourSynth's own filters read it."""
    value = None if props is None else first_value(props, name)
    if value is None:
        return int(absent)
    if not isinstance(value, int):
        raise FrameError(
            f"its {name} property is {value!r}, which is no whole number: remove it with "
            f"clip.std.RemoveFrameProps({name!r})"
        )
    return int(value)


def first_value(props: vs.FrameProps, name: str) -> object:
    """Of a property's values the first; ``None`` where there is none."""
    value: object = props.get(name)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return value[0] if value else None
    return value


def to_frame(source: vs.VideoFrame) -> Frame:
    """The frame's planes as views on VapourSynth's memory, with its ``_Alpha`` frame as the alpha plane.

    Raises:
        FrameError: an interlaced frame, or an ``_Alpha`` that does not belong to it.
    """
    fields = said(source.props, "_FieldBased", vs.FIELD_PROGRESSIVE)
    if fields not in (vs.FIELD_PROGRESSIVE, vs.FIELD_TOP, vs.FIELD_BOTTOM):
        raise FrameError(
            f"its _FieldBased property is {fields}, which is neither progressive nor a field: say what it is with "
            "clip.std.SetFieldBased(0)"
        )
    if fields != vs.FIELD_PROGRESSIVE:
        raise FrameError(
            "the frame is interlaced (_FieldBased): deinterlace the clip first, or, if it is progressive in truth, "
            "say so with clip.std.SetFieldBased(0)"
        )
    alpha = first_value(source.props, "_Alpha")
    return Frame(
        [np.asarray(source[i]) for i in range(source.format.num_planes)],
        frame_format(source.format, source.props),
        None if alpha is None else _alpha_plane(source, alpha),
    )


def _alpha_plane(source: vs.VideoFrame, alpha: object) -> Plane:
    if not isinstance(alpha, vs.VideoFrame) or alpha.format.color_family != vs.GRAY:
        raise FrameError("its _Alpha property is not a gray frame: remove it with clip.std.RemoveFrameProps('_Alpha')")
    if getattr(alpha, "gpu_resident", False):
        raise FrameError(
            "its _Alpha frame lies on the GPU, the first one's does not: call GPUDownload on the mask before ClipToProp"
        )
    if (alpha.format.sample_type, alpha.format.bits_per_sample, alpha.width, alpha.height) != (
        source.format.sample_type,
        source.format.bits_per_sample,
        source.width,
        source.height,
    ):
        raise FrameError(
            f"its _Alpha frame is {alpha.format.name} {alpha.width}x{alpha.height} beside {source.format.name} "
            f"{source.width}x{source.height}: give it the same size and depth"
        )
    return np.asarray(alpha[0])


def to_resize(source: vs.VideoFrame) -> vs.VideoFrame:
    """The frame as VapourSynth's resizer is to see it: every sample a number, and with range and siting alone.

    It refuses frames for properties that change nothing in a resize (``_Primaries`` out of range, a matrix of YUV on
    RGB), and those that this filter refuses itself or enlarges otherwise.
    """
    target = source.copy()
    target.props.clear()
    format = meaning(source)
    target.props["_Range"] = vs.RANGE_FULL if format.full_range else vs.RANGE_LIMITED
    target.props["_ChromaLocation"] = int(format.chroma_location)
    for i in range(source.format.num_planes):
        if not all_finite(plane := np.asarray(source[i])):
            np.copyto(np.asarray(target[i]), finite(plane))
    return target


def meaning(source: vs.VideoFrame) -> FrameFormat:
    """By its properties where they make sense, for range and siting."""
    try:
        return frame_format(source.format, source.props)
    except FrameError:
        return frame_format(source.format)


def first_frame(clip: vs.VideoNode) -> vs.VideoFrame | None:
    """The first frame; ``None`` where the filters before fail, which will be told with the frame.

    Not where the script is evaluated inside a filter's callback, which must not wait for frames.
    """
    if isinstance(threading.current_thread(), threading._DummyThread):
        return None
    try:
        return clip.get_frame(0)
    except vs.Error:
        return None


def all_finite(plane: Plane) -> bool:
    """Whether every sample is a number."""
    return plane.dtype.kind != "f" or bool(np.isfinite(plane).all())


def finite(plane: Plane) -> Plane:
    """The plane with a number for every sample: one that is none would spread."""
    return plane if all_finite(plane) else np.nan_to_num(plane, nan=0.0, posinf=1.0, neginf=0.0)


def to_video_frame(frame: Frame, source: vs.VideoFrame) -> vs.VideoFrame:
    """A new VapourSynth frame of ``source``'s format with these planes and every property of ``source``.

    ``_Alpha`` becomes the frame's alpha plane, with the properties of the ``_Alpha`` it came from.
    """
    target = with_props(source.format, frame.planes, source.props)
    if frame.alpha is not None:
        before = first_value(source.props, "_Alpha")
        assert isinstance(before, vs.VideoFrame)  # to_frame made the alpha plane of it
        target.props["_Alpha"] = with_props(before.format, [frame.alpha], before.props)
    return target


def with_props(video_format: vs.VideoFormat, planes: Sequence[Plane], props: vs.FrameProps) -> vs.VideoFrame:
    """A new VapourSynth frame of these planes with a copy of these properties."""
    height, width = planes[0].shape
    # Much cheaper than copying a blank frame, which is written twice: once as a copy of the blank, once by us.
    target = vs.core.create_video_frame(video_format, width, height)
    for i, plane in enumerate(planes):
        np.copyto(np.asarray(target[i]), plane)
    target.props.update(props)
    return target
