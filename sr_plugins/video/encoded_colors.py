"""From the colours of the upscaled frames to those that an encoder takes, said in full: ffmpeg's own guesses differ.

What has the family of the source keeps its samples, matrix and range. Anything else is converted by the source's own
matrix and range, and tagged as what it then is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sr_plugins.pixels.frame import FrameFormat, Matrix
from sr_plugins.pixels.matrix import NAMES, matrix_in_use
from sr_plugins.video.full_range import FULL, writes_range
from sr_plugins.video.pixel_formats import Colors, PixelLayout, frame_format, pipe_format
from sr_plugins.video.source import Source

LIMITED = 1  # ffmpeg's code of the range
_CENTER = 2  # of chroma, as in JFIF
_GBR = 0
BT601 = {Matrix.BT470BG, Matrix.SMPTE170M}
_RANGES = {LIMITED: "limited", FULL: "full"}
# Matrices by the names of ffmpeg's scale filter.
_SCALE = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 9: "bt2020"}


@dataclass(frozen=True)
class EncodedColors:
    """``given``: options that tell ffmpeg what the frames are; ``filters``: what is done to them, behind the person's
    own; ``tags``: the colours of what is encoded; ``notices``: what a person should know."""

    given: dict[str, int]
    filters: tuple[str, ...]
    tags: Colors
    notices: tuple[str, ...] = ()


def encoded_colors(
    source: Source, size: tuple[int, int], encoder: str, pix_fmt: str, tells_full: Callable[[], bool]
) -> EncodedColors:
    """How frames of this source, upscaled to ``size``, become ``pix_fmt`` of this encoder; ``tells_full`` is asked
    whether the result can say that its range is full, where it matters."""
    carrier, target = PixelLayout.of(pipe_format(source.pix_fmt)), PixelLayout.of(pix_fmt)
    format = frame_format(source.pix_fmt, source.colors)
    told, notices = source.colors, list[str]()
    if carrier.family == "gray" and told.matrix == _GBR:  # so says the decoder of PNG, also of what has one channel
        told = replace(told, matrix=Matrix.UNSPECIFIED)
    if carrier.family == "yuv" and told.matrix == Matrix.UNSPECIFIED:
        matrix = matrix_in_use(format, source.width, source.height)
        # A film that players take for the same at its new size stays untagged.
        if target.family != "yuv" or matrix != matrix_in_use(format, *size):
            told = replace(told, matrix=matrix)
        if target.family == "yuv" and told.matrix == matrix:
            notices.append(f"untagged: taken as {_name(matrix)}, as players do at its size, and tagged so")
    if carrier.family == "rgb":
        told = replace(told, matrix=Matrix.UNSPECIFIED, range=0, chroma_location=0)
    jfif = "mjpeg" in encoder and target.family == "yuv"
    in_use = matrix_in_use(format, source.width, source.height) if carrier.family == "yuv" else None
    vp8 = (encoder == "libvpx" or encoder.startswith("vp8")) and target.family == "yuv" and in_use not in BT601
    squeezed = carrier.family == target.family == "yuv" and format.full_range and not (jfif or vp8 or tells_full())
    if carrier.family == target.family and not (jfif or vp8 or squeezed):
        return EncodedColors(told.options(with_range=writes_range(encoder)), (), told, tuple(notices))
    told = replace(told, range=FULL if format.full_range else LIMITED)
    tags = _tags(told, target, size, carrier)
    if (jfif or vp8) and in_use is not None and told.matrix == Matrix.UNSPECIFIED:
        told = replace(told, matrix=in_use)
    if squeezed:
        tags = replace(tags, range=LIMITED)
        notices.append(f"{encoder} cannot tell here that its range is full: converted to limited")
    if jfif:  # a JPEG is BT.601 in full range by definition, VP8 in limited
        tags = replace(tags, matrix=Matrix.BT470BG, range=FULL, chroma_location=_CENTER)
    elif vp8:
        tags = replace(tags, matrix=Matrix.BT470BG, range=LIMITED)
    if jfif or vp8:
        if told.matrix in BT601:
            notices.clear()
        elif carrier.family == "yuv":
            notices = [f"{encoder} is BT.601 by definition: converted from {_name(told.matrix)}"]
    elif carrier.family == "rgb" and target.family == "yuv":
        notices.append(f"RGB becomes Y'CbCr by {_name(tags.matrix)}, and is tagged so")
    scale = ["scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp"]
    if carrier.family != "rgb":
        scale.append(f"in_range={_RANGES[told.range]}")
    if carrier.family == "yuv" and told.matrix in _SCALE:
        scale.append(f"in_color_matrix={_SCALE[told.matrix]}")
    if target.family != "rgb":
        scale.append(f"out_range={_RANGES[tags.range]}")
    if target.family == "yuv" and tags.matrix in _SCALE:
        scale.append(f"out_color_matrix={_SCALE[tags.matrix]}")
    matrix = _GBR if target.family == "rgb" else tags.matrix
    final = f"setparams=colorspace={matrix}:range={_RANGES.get(tags.range, 'full')}"
    return EncodedColors(
        told.options(with_range=True), (":".join(scale), f"format={pix_fmt}", final), tags, tuple(notices)
    )


def _tags(told: Colors, target: PixelLayout, size: tuple[int, int], carrier: PixelLayout) -> Colors:
    """What samples of the family of ``told`` become in another family."""
    if target.family == "rgb":
        return replace(told, matrix=Matrix.UNSPECIFIED, range=0, chroma_location=0)
    if target.family == "gray":
        return replace(told, matrix=Matrix.UNSPECIFIED, range=told.range if carrier.family == "yuv" else FULL)
    if carrier.family == "yuv":
        return told
    if carrier.family == "gray":  # limited, as any player takes it
        return replace(told, matrix=Matrix.UNSPECIFIED, range=LIMITED, chroma_location=0)
    matrix = matrix_in_use(FrameFormat(family="yuv"), *size)
    return replace(told, matrix=matrix, range=LIMITED, chroma_location=0)


def _name(matrix: int) -> str:
    return next((name for name, code in NAMES.items() if code == matrix), f"matrix {matrix}")
