"""What an encoder has to be told, as its options: a y4m stream carries neither colours nor pixel aspect.

Codes are those of ITU-T H.273, as VapourSynth's frame properties have them; names are each encoder's own.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import vapoursynth as vs

from sr_plugins.errors import ArgumentError, FrameError
from vapoursynth_filter.filter import as_vapoursynth_errors

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
MATRIX = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020c"}
FFMPEG_TRANSFER = TRANSFER | {4: "gamma22", 5: "gamma28", 9: "log100", 10: "log316", 12: "bt1361e"}
UNKNOWN = 2


def encoder_options(clip: vs.VideoNode, encoder: Encoder = "x264") -> str:
    """The options that tell ``encoder`` what the first frame says: range, colours, pixel aspect, HDR10 metadata.

    What a frame does not say is left out. For ffmpeg they stand before ``-i``, the pixel aspect excepted, which ffmpeg
    takes from no option there: it is set behind, by ``-vf setsar``, and left out here.

    Args:
        clip: what will be encoded.
        encoder: ``x264``, ``x265``, ``svt-av1`` or ``ffmpeg``.

    Raises:
        vs.Error: another encoder, or a property out of its range.
    """
    with as_vapoursynth_errors():
        if encoder not in get_args(Encoder):
            raise ArgumentError(f"encoder {encoder!r} is not one of {', '.join(get_args(Encoder))}")
        said = _numbers(clip.get_frame(0).props)
        if encoder in ("x264", "x265") and clip.format.color_family == vs.RGB:
            raise FrameError("a y4m stream holds no RGB: convert the clip to YUV first")
        return shlex.join(_OPTIONS[encoder](said, clip.format.bits_per_sample))


Numbers = Mapping[str, list[float]]


def _numbers(props: vs.FrameProps) -> Numbers:
    """The properties that are numbers, each as a list."""
    found = {}
    for name, value in props.items():
        values = list(value) if isinstance(value, list | tuple) else [value]
        if values and all(isinstance(v, int | float) for v in values):
            found[name] = values
    return found


def _first(said: Numbers, name: str) -> int | None:
    return int(said[name][0]) if name in said else None


def _named(said: Numbers, name: str, names: Mapping[int, str]) -> str | None:
    code = _first(said, name)
    if code is None or code == UNKNOWN:
        return None
    if code not in names:
        raise FrameError(f"frame 0: its {name} property is {code}, for which encoders have no name")
    return names[code]


def _colours(said: Numbers, options: tuple[str, str, str], transfer: Mapping[int, str] = TRANSFER) -> list[str]:
    """Primaries, transfer and matrix by the names of their options."""
    found = []
    names = (("_Primaries", PRIMARIES), ("_Transfer", transfer), ("_Matrix", MATRIX))
    for option, (name, table) in zip(options, names, strict=True):
        if (value := _named(said, name, table)) is not None:
            found += [option, value]
    return found


def _range(said: Numbers, option: str, limited: str, full: str) -> list[str]:
    code = _first(said, "_Range")
    return [] if code is None else [option, full if code == vs.RANGE_FULL else limited]


def _aspect(said: Numbers) -> str | None:
    across, down = _first(said, "_SARNum"), _first(said, "_SARDen")
    return f"{across}:{down}" if across and down and across != down else None


def _x264(said: Numbers, bits: int) -> list[str]:
    found = _range(said, "--range", "tv", "pc") + _colours(said, ("--colorprim", "--transfer", "--colormatrix"))
    return found + (["--sar", aspect] if (aspect := _aspect(said)) else [])


def _x265(said: Numbers, bits: int) -> list[str]:
    found = ["-D", str(bits), *_range(said, "--range", "limited", "full")]
    found += _colours(said, ("--colorprim", "--transfer", "--colormatrix"))
    found += ["--sar", aspect] if (aspect := _aspect(said)) else []
    if (display := _mastering(said)) is not None:
        (red, green, blue), white, (low, high) = display
        points = [f"{n}({x * 50000:.0f},{y * 50000:.0f})" for n, (x, y) in (("G", green), ("B", blue), ("R", red))]
        points.append(f"WP({white[0] * 50000:.0f},{white[1] * 50000:.0f})L({high * 10000:.0f},{low * 10000:.0f})")
        found += ["--hdr10", "--master-display", "".join(points)]
    if (light := _light(said)) is not None:
        found += ["--max-cll", light]
    return found


def _svt_av1(said: Numbers, bits: int) -> list[str]:
    found = []
    for option, name in (
        ("--color-primaries", "_Primaries"),
        ("--transfer-characteristics", "_Transfer"),
        ("--matrix-coefficients", "_Matrix"),
    ):
        code = _first(said, name)
        found += [] if code in (None, UNKNOWN) else [option, str(code)]
    found += _range(said, "--color-range", "0", "1")
    if (display := _mastering(said)) is not None:
        (red, green, blue), white, (low, high) = display
        points = "".join(
            f"{n}({x:.4f},{y:.4f})" for n, (x, y) in (("G", green), ("B", blue), ("R", red), ("WP", white))
        )
        found += ["--mastering-display", f"{points}L({high:.4f},{low:.4f})"]
    if (light := _light(said)) is not None:
        found += ["--content-light", light]
    return found


def _ffmpeg(said: Numbers, bits: int) -> list[str]:
    colours = _colours(said, ("-color_primaries", "-color_trc", "-colorspace"), FFMPEG_TRANSFER)
    return _range(said, "-color_range", "tv", "pc") + colours


Point = tuple[float, float]


def _mastering(said: Numbers) -> tuple[tuple[Point, Point, Point], Point, Point] | None:
    """Red, green and blue, white, and (lowest, highest) luminance in cd/m2, where all are there."""
    xs, ys = said.get("MasteringDisplayPrimariesX", []), said.get("MasteringDisplayPrimariesY", [])
    others = ["WhitePointX", "WhitePointY", "MinLuminance", "MaxLuminance"]
    if len(xs) != 3 or len(ys) != 3 or not all(f"MasteringDisplay{name}" in said for name in others):
        return None
    x, y, low, high = (said[f"MasteringDisplay{name}"][0] for name in others)
    return ((xs[0], ys[0]), (xs[1], ys[1]), (xs[2], ys[2])), (x, y), (low, high)


def _light(said: Numbers) -> str | None:
    most, average = _first(said, "ContentLightLevelMax"), _first(said, "ContentLightLevelAverage")
    return None if most is None or average is None else f"{most},{average}"


_OPTIONS: Mapping[str, Callable[[Numbers, int], list[str]]] = {
    "x264": _x264,
    "x265": _x265,
    "svt-av1": _svt_av1,
    "ffmpeg": _ffmpeg,
}
