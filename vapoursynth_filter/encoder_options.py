"""What an encoder has to be told, as its options: a y4m stream carries neither colours nor pixel aspect.

Codes are those of ITU-T H.273, as VapourSynth's frame properties have them; names are each encoder's own.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import vapoursynth as vs

from sr_plugins.errors import ArgumentError, FrameError, one_line
from vapoursynth_filter.filter import as_vapoursynth_errors, checked_clip
from vapoursynth_filter.frames import frame_format, said

Encoder = Literal["x264", "x265", "svt-av1", "ffmpeg"]

PRIMARIES = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "film",
    9: "bt2020",
    10: "smpte428",
    11: "smpte431",
    12: "smpte432",
}
TRANSFER = {
    1: "bt709",
    4: "bt470m",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "linear",
    9: "log100",
    10: "log316",
    11: "iec61966-2-4",
    12: "bt1361e",
    13: "iec61966-2-1",
    14: "bt2020-10",
    15: "bt2020-12",
    16: "smpte2084",
    17: "smpte428",
    18: "arib-std-b67",
}
MATRIX = {
    1: "bt709",
    4: "fcc",
    5: "bt470bg",
    6: "smpte170m",
    7: "smpte240m",
    8: "ycgco",
    9: "bt2020nc",
    10: "bt2020c",
    11: "smpte2085",
    12: "chroma-derived-nc",
    13: "chroma-derived-c",
    14: "ictcp",
}
FFMPEG_TRANSFER = TRANSFER | {4: "gamma22", 5: "gamma28"}
UNKNOWN = 2
X265_DEPTHS = (8, 10, 12)  # of what it writes; it takes more and rounds


def encoder_options(clip: vs.VideoNode, encoder: Encoder = "x264") -> str:
    """The options that tell ``encoder`` what the first frame says: range, colours, pixel aspect, HDR10 metadata.

    What a frame does not say is left out. For ffmpeg they stand before ``-i``, the pixel aspect excepted, which ffmpeg
    takes from no option there: it is set behind, by ``-vf setsar``, and left out here.

    Args:
        clip: what will be encoded, GRAY or YUV of integers as y4m holds them; what ``vs.get_output()`` gives, too.
        encoder: ``x264``, ``x265``, ``svt-av1`` or ``ffmpeg``.

    Raises:
        vs.Error: another encoder, a clip that y4m does not hold, or a property out of its range.
    """
    with as_vapoursynth_errors():
        if encoder not in get_args(Encoder):
            raise ArgumentError(f"encoder {encoder!r} is not one of {', '.join(get_args(Encoder))}")
        clip = checked_clip(clip, "encoder_options")
        if clip.format.color_family == vs.RGB:
            raise FrameError("a y4m stream holds no RGB: convert the clip to YUV first")
        if clip.format.sample_type == vs.FLOAT:
            raise FrameError("a y4m stream holds no floating point: convert the clip to integers first")
        with clip.get_frame(0) as frame:
            try:
                frame_format(frame.format, frame.props)  # its range and siting
                return shlex.join(_OPTIONS[encoder](frame.props, clip.format.bits_per_sample))
            except FrameError as error:
                raise FrameError(f"frame 0: {one_line(error)}") from None


def _named(props: vs.FrameProps, name: str, names: Mapping[int, str]) -> str | None:
    code = said(props, name, UNKNOWN)
    if code == UNKNOWN:
        return None
    if code not in names:
        raise FrameError(f"its {name} property is {code}, for which encoders have no name")
    return names[code]


def _colours(props: vs.FrameProps, options: tuple[str, str, str], *names: Mapping[int, str]) -> list[str]:
    """Primaries, transfer and matrix by the names of their options, and the names of their codes."""
    found = []
    for option, name, table in zip(options, ("_Primaries", "_Transfer", "_Matrix"), names, strict=True):
        if (value := _named(props, name, table)) is not None:
            found += [option, value]
    return found


def _range(props: vs.FrameProps, option: str, limited: str, full: str) -> list[str]:
    code = said(props, "_Range", -1)
    return [] if code == -1 else [option, full if code == vs.RANGE_FULL else limited]


def _aspect(props: vs.FrameProps) -> list[str]:
    across, down = said(props, "_SARNum", 0), said(props, "_SARDen", 0)
    return ["--sar", f"{across}:{down}"] if across > 0 and down > 0 and across != down else []


def _x264(props: vs.FrameProps, bits: int) -> list[str]:
    found = _range(props, "--range", "tv", "pc")
    found += _colours(props, ("--colorprim", "--transfer", "--colormatrix"), PRIMARIES, TRANSFER, MATRIX)
    return found + _aspect(props)


def _x265(props: vs.FrameProps, bits: int) -> list[str]:
    depth = next((depth for depth in X265_DEPTHS if depth >= bits), X265_DEPTHS[-1])
    found = ["-D", str(depth), *_range(props, "--range", "limited", "full")]
    found += _colours(props, ("--colorprim", "--transfer", "--colormatrix"), PRIMARIES, TRANSFER, MATRIX)
    found += _aspect(props)
    if (display := _mastering(props)) is not None:
        (red, green, blue), white, (low, high) = display
        points = [f"{n}({x * 50000:.0f},{y * 50000:.0f})" for n, (x, y) in (("G", green), ("B", blue), ("R", red))]
        points.append(f"WP({white[0] * 50000:.0f},{white[1] * 50000:.0f})L({high * 10000:.0f},{low * 10000:.0f})")
        found += ["--hdr10", "--master-display", "".join(points)]
    if (light := _light(props)) is not None:
        found += ["--max-cll", light]
    return found


def _svt_av1(props: vs.FrameProps, bits: int) -> list[str]:
    options = "--color-primaries", "--transfer-characteristics", "--matrix-coefficients"
    codes = [{code: str(code) for code in names} for names in (PRIMARIES, TRANSFER, MATRIX)]
    found = _colours(props, options, *codes)
    found += _range(props, "--color-range", "0", "1")
    if (display := _mastering(props)) is not None:
        (red, green, blue), white, (low, high) = display
        points = "".join(
            f"{n}({x:.4f},{y:.4f})" for n, (x, y) in (("G", green), ("B", blue), ("R", red), ("WP", white))
        )
        found += ["--mastering-display", f"{points}L({high:.4f},{low:.4f})"]
    if (light := _light(props)) is not None:
        found += ["--content-light", light]
    return found


def _ffmpeg(props: vs.FrameProps, bits: int) -> list[str]:
    options = "-color_primaries", "-color_trc", "-colorspace"
    return _range(props, "-color_range", "tv", "pc") + _colours(props, options, PRIMARIES, FFMPEG_TRANSFER, MATRIX)


Point = tuple[float, float]


def _numbers(props: vs.FrameProps, name: str) -> list[float]:
    """A property's values, empty where any is no finite number."""
    value: Any = props.get(name, ())
    values = list(value) if isinstance(value, list | tuple) else [value]
    return values if all(isinstance(v, int | float) and math.isfinite(v) for v in values) else []


def _mastering(props: vs.FrameProps) -> tuple[tuple[Point, Point, Point], Point, Point] | None:
    """Red, green and blue, white, and (lowest, highest) luminance in cd/m2, where all are there."""
    xs, ys = (_numbers(props, f"MasteringDisplayPrimaries{axis}") for axis in "XY")
    names = ("WhitePointX", "WhitePointY", "MinLuminance", "MaxLuminance")
    others = [_numbers(props, f"MasteringDisplay{name}")[:1] for name in names]
    if len(xs) != 3 or len(ys) != 3 or not all(others):
        return None
    (x,), (y,), (low,), (high,) = others
    return ((xs[0], ys[0]), (xs[1], ys[1]), (xs[2], ys[2])), (x, y), (low, high)


def _light(props: vs.FrameProps) -> str | None:
    most, average = (_numbers(props, f"ContentLightLevel{name}")[:1] for name in ("Max", "Average"))
    return f"{int(most[0])},{int(average[0])}" if most and average else None


_OPTIONS: Mapping[str, Callable[[vs.FrameProps, int], list[str]]] = {
    "x264": _x264,
    "x265": _x265,
    "svt-av1": _svt_av1,
    "ffmpeg": _ffmpeg,
}
