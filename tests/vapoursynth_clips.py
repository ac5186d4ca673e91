"""Clips with known content for the tests of the VapourSynth filter."""

from collections.abc import Callable
from typing import Any

import numpy as np
import vapoursynth as vs
from numpy.typing import NDArray

from sr_plugins import FrameFormat

FAMILIES = {vs.GRAY: "gray", vs.YUV: "yuv", vs.RGB: "rgb"}
SUBSAMPLINGS = {(0, 0): "444", (1, 0): "422", (1, 1): "420", (2, 0): "411", (2, 2): "410", (0, 1): "440"}

PlaneOf = Callable[[int, int, tuple[int, int]], NDArray[Any]]


def all_formats() -> list[vs.VideoFormat]:
    """Every format the filter takes: three families, every subsampling with a name, 8 to 16 bits, half and float."""
    samples = [(vs.INTEGER, bits) for bits in range(8, 17)] + [(vs.FLOAT, 16), (vs.FLOAT, 32)]
    layouts = [(vs.GRAY, 0, 0), (vs.RGB, 0, 0), *((vs.YUV, w, h) for w, h in SUBSAMPLINGS)]
    return [vs.core.query_video_format(family, kind, bits, w, h) for family, w, h in layouts for kind, bits in samples]


def meaning(format: vs.VideoFormat, **differs: Any) -> FrameFormat:
    """The FrameFormat that VapourSynth's defaults give these samples, or with something else said in ``differs``."""
    expected = {
        "family": FAMILIES[format.color_family],
        "bits": format.bits_per_sample,
        "is_float": format.sample_type == vs.FLOAT,
        "subsampling": (format.subsampling_w, format.subsampling_h),
        "full_range": format.color_family == vs.RGB,
    }
    return FrameFormat(**(expected | differs))


def noise(format: vs.VideoFormat) -> PlaneOf:
    """``noise(format)(n, plane, shape)`` is plane ``plane`` of frame ``n``, the same at each call."""

    def plane_of(n: int, plane: int, shape: tuple[int, int]) -> NDArray[Any]:
        random = np.random.default_rng((n, plane))
        if format.sample_type == vs.INTEGER:
            kind = np.uint8 if format.bits_per_sample == 8 else np.uint16
            return random.integers(0, 1 << format.bits_per_sample, shape, kind)
        low = -0.5 if plane and format.color_family == vs.YUV else 0.0
        return (random.random(shape) + low).astype(np.float16 if format.bits_per_sample == 16 else np.float32)

    return plane_of


def clip_of(
    format: vs.VideoFormat | int,
    width: int = 24,
    height: int = 16,
    length: int = 1,
    *,
    plane_of: PlaneOf | None = None,
    props: Callable[[int], dict[str, Any]] = lambda n: {},
) -> vs.VideoNode:
    """A clip whose frame ``n`` has the planes ``plane_of`` gives and the properties ``props(n)``."""
    format = vs.core.get_video_format(format)
    content = plane_of or noise(format)
    blank = vs.core.std.BlankClip(format=format, width=width, height=height, length=length, keep=True)

    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        filled = f.copy()
        for i in range(format.num_planes):
            plane = np.asarray(filled[i])
            plane[:] = content(n, i, plane.shape)
        filled.props.update(props(n))
        return filled

    return blank.std.ModifyFrame(blank, fill)


def planes_of(frame: vs.VideoFrame) -> list[NDArray[Any]]:
    """Copies of a frame's planes."""
    return [np.array(frame[i]) for i in range(frame.format.num_planes)]
