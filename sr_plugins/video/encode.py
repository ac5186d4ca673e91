"""How a film is encoded: in the source's colours and depth, by an encoder that its container holds."""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import av

from sr_plugins.errors import PipeError
from sr_plugins.video.containers import GOOD, Container, held_by
from sr_plugins.video.encoded_colors import encoded_colors
from sr_plugins.video.ffmpeg_process import encoder_formats
from sr_plugins.video.full_range import tells_full_range
from sr_plugins.video.output_options import FILTERS, OutputOptions
from sr_plugins.video.pixel_formats import Colors, PixelLayout, depth, loss_of, pipe_format
from sr_plugins.video.source import Light, Source

# What every player of MP4 shows, for films that have transparency, which none of these encoders holds.
_EVERYWHERE = {"libx264": "yuv420p", "libx265": "yuv420p10le"}
_REORDERING = {"libx264", "libx264rgb", "libx265"}
# Frames a second below which libavformat finds out when frames of NUT are decoded: chunks tell no more, and the film
# gets its own times when they are joined.
_FASTEST = Fraction(960)
_LARGEST = 2**31 - 1  # number of a ratio in ffmpeg
_FLOAT = re.compile(r"f(16|32)(le|be)$")
# What encoders make that PyAV's libavcodec may not have, and whose names do not tell.
_MAKES = {
    **dict.fromkeys(("libaom-av1", "librav1e"), "av1"),
    "libkvazaar": "hevc",
    "libopenh264": "h264",
    "libopenjpeg": "jpeg2000",
    "libtheora": "theora",
    "libvvenc": "vvc",
    "libxvid": "mpeg4",
    "mpeg2_vaapi": "mpeg2video",
}


@dataclass(frozen=True)
class Encoding:
    """How every chunk is encoded: all chunks alike, or they could not be joined. ``given`` tells
    ffmpeg what the frames are, ``tags`` are the colours of the result.
    """

    encoder: str
    pix_fmt: str
    rate: Fraction
    given: dict[str, int]
    tags: Colors
    options: tuple[str, ...]
    notices: tuple[str, ...] = ()

    @property
    def codec(self) -> str:
        """What the encoder makes, by libavcodec's name."""
        return codec_of(self.encoder)

    @property
    def container(self) -> str:
        """What a chunk is: NUT, or QuickTime for codecs that NUT has no name for."""
        return carrier_of(self.codec)


def codec_of(encoder: str) -> str:
    """What an encoder of ffmpeg's makes, by libavcodec's name."""
    if encoder in _MAKES:
        return _MAKES[encoder]
    name = encoder.partition("_")[0]
    for likely in (encoder, name):
        with contextlib.suppress(ValueError):
            return av.Codec(likely, "w").canonical_name
    return name


def carrier_of(codec: str) -> str:
    """The container in which a codec's packets, and what they say of themselves, travel between two ffmpegs."""
    return "nut" if codec in held_by("nut") or codec not in held_by("mov") else "mov"


def check_encoder(executable: str, asked: OutputOptions) -> None:
    """Refuse an encoder that this ffmpeg has not and a pixel format that none knows.

    Raises:
        PipeError: it is so.
    """
    _asked_format(asked)
    if asked.encoder:
        encoder_formats(executable, asked.encoder)


def plan_encoding(
    executable: str,
    source: Source,
    size: tuple[int, int],
    aspect: Fraction | None,
    asked: OutputOptions,
    target: Container,
) -> Encoding:
    """Choose encoder, pixel format and tags for this source, upscaled to ``size``; what the person asked for wins.

    Raises:
        PipeError: this ffmpeg has no such encoder, or it does not take the pixel format that was asked for.
    """
    layout = PixelLayout.of(pipe_format(source.pix_fmt))
    wanted = _asked_format(asked)
    own = target.encoder or _default_encoder(PixelLayout.of(wanted) if wanted else layout, target.plain)
    if target.finish:  # what was asked for concerns the last step; see `Container`
        if asked.encoder and not asked.encoder.removeprefix("lib").startswith(target.muxer):
            raise PipeError(f"{target.muxer} holds nothing that {asked.encoder} makes: leave -c:v out, or take .mkv")
        encoder_formats(executable, asked.encoder or target.finish[0])
        filters = [word for pair in pairwise(asked.encode) if pair[0] in FILTERS for word in pair]
        asked = replace(asked, encoder=None, encode=tuple(filters))
    encoder, defaults = asked.encoder or own[0], () if asked.encoder else own[1:]
    offered = encoder_formats(executable, encoder)
    if wanted and offered and wanted not in offered:
        raise PipeError(f"{encoder} does not take {wanted}: it takes {', '.join(offered)}")
    if not (wanted or asked.encoder) and target.plain and layout.family == "rgb" and encoder in _EVERYWHERE:
        wanted = _EVERYWHERE[encoder]
    if target.finish and wanted is None:  # of 16 bits decoders know but a part
        wanted = "rgba" if layout.alpha else "rgb24"
    # An x265 that holds transparency does so at the price of chroma, and no player of these containers shows it.
    opaque = [name for name in offered if _known(name) and not PixelLayout.of(name).alpha]
    likely = tuple(opaque) if target.quicktime and not asked.encoder and opaque else offered
    pix_fmt = wanted or (nearest_format(layout, likely) if likely else layout.carrier)
    if "mjpeg" in encoder and "yuvj" + pix_fmt[3:] in offered:
        pix_fmt = "yuvj" + pix_fmt[3:]
    carrier = carrier_of(codec_of(encoder))
    colors = encoded_colors(
        source,
        size,
        encoder,
        pix_fmt,
        lambda: tells_full_range(executable, encoder, pix_fmt, size, carrier, target.muxer),
    )
    notices = list(colors.notices)
    if target.muxer == "gif":
        notices.append("a GIF has 256 colours a frame, and transparency is all or nothing")
    if loss := loss_of(PixelLayout.of(source.pix_fmt), pix_fmt):
        notices.append(f"{encoder} holds no {layout.carrier}: encoding as {pix_fmt}, which loses {loss}")
    if _FLOAT.search(source.pix_fmt):
        notices.append(
            f"{source.pix_fmt} is floating point: what lies below 0 or above 1 is cut off, the rest has 16 bits"
        )
    params, without = _light_params(encoder, source.light)
    notices += without
    options: list[str] = ["-vf" if token in FILTERS else token for token in asked.encode]
    if aspect is not None and asked.value("aspect") is None:
        params["-vf"] = f"setsar={aspect.numerator}/{aspect.denominator}:max={_LARGEST}"  # by itself it rounds at 100
    if colors.filters:
        mine = [options[options.index("-vf") + 1]] if "-vf" in options else []
        joined = ",".join([*mine, *colors.filters])
        options = [*options[: options.index("-vf")], *options[options.index("-vf") + 2 :]] if mine else options
        options += ["-vf", joined]
    for name, value in params.items():
        separator = "," if name == "-vf" else ":"
        if name in options:  # ours first, so that the person's wins
            options[options.index(name) + 1] = value + separator + options[options.index(name) + 1]
        else:
            options += [name, value]
    options += ["-pix_fmt", pix_fmt]
    if target.counts and encoder in _REORDERING and asked.value("bf") is None:  # AVI tells no time but that of decoding
        options += ["-bf", "0"]
    rate = source.rate if target.bare else min(source.rate, _FASTEST)
    return Encoding(encoder, pix_fmt, rate, colors.given, colors.tags, (*defaults, *options), tuple(notices))


def _asked_format(asked: OutputOptions) -> str | None:
    """The pixel format that the person names, by an option or at the end of the filters, as libavutil calls it."""
    filters = asked.value("vf") or asked.value("filter") or ""
    last = re.search(r"(?:^|[,;\]])\s*format=(?:pix_fmts=)?([a-z0-9]+)\s*$", filters)
    name = asked.value("pix_fmt") or (last[1] if last else None)
    if name is None:
        return None
    try:
        return av.VideoFormat(name.removeprefix("+"), 64, 64).name
    except ValueError:
        raise PipeError(f"ffmpeg knows no pixel format {name!r}: see ffmpeg -pix_fmts") from None


def _default_encoder(layout: PixelLayout, plain: bool) -> tuple[str, ...]:
    if (layout.alpha or layout.bits > 12) and not plain:
        return ("ffv1",)  # no lossy encoder here holds it
    if layout.bits > 8:
        return ("libx265", *GOOD)
    if layout.family == "rgb" and not layout.alpha:
        return ("libx264rgb", *GOOD)
    return ("libx264", *GOOD)


def nearest_format(layout: PixelLayout, offered: tuple[str, ...]) -> str:
    """Of an encoder's pixel formats the one that loses least, then the smallest."""

    def cost(name: str) -> tuple[object, ...]:
        other = PixelLayout.of(name)
        x, y = layout.subsampling
        ox, oy = other.subsampling
        return (
            layout.family != "gray" and other.family == "gray",
            layout.family != other.family and not (layout.family == "gray" and other.family == "yuv"),
            layout.alpha and not other.alpha,
            max(0, layout.bits - depth(name)),
            0 if layout.family == "gray" else max(0, ox - x) + max(0, oy - y),
            layout.family != other.family,
            other.alpha,
            other.bits,
            # A gray picture in a colour format has no chroma to keep.
            -ox - oy if layout.family == "gray" else x + y - ox - oy,
            name != other.carrier,
        )

    # swscale writes no palettes, and yuvj is yuv with a tag.
    known = [name for name in offered if not name.startswith(("yuvj", "pal")) and _known(name)]
    return min(known, key=cost) if known else layout.carrier


def _known(name: str) -> bool:
    """Whether it is made of samples; surfaces of graphics cards have none that we could write."""
    try:
        return bool(av.VideoFormat(name).components)
    except ValueError:
        return False


def _light_params(encoder: str, light: Light) -> tuple[dict[str, str], list[str]]:
    """HDR10 metadata in the words of the encoder (SMPTE ST 2086, CTA-861.3), and what cannot be kept."""
    quiet = {"-x265-params": "log-level=error"} if encoder == "libx265" else {}
    if light == Light():
        return quiet, []
    if encoder == "libx265":
        chroma, luminance, names = 50000, 10000, ("log-level=error:master-display", "max-cll", "-x265-params")
    elif encoder == "libx264":
        chroma, luminance, names = 50000, 10000, ("mastering-display", "cll", "-x264-params")
    elif encoder == "libsvtav1":
        chroma, luminance, names = 0, 0, ("mastering-display", "content-light", "-svtav1-params")
    else:
        return quiet, [f"{encoder} cannot write HDR10 mastering metadata: libx265, libx264 and libsvtav1 can"]
    said = []
    if light.mastering:
        *points, darkest, brightest = light.mastering

        def show(value: Fraction, unit: int) -> str:
            return str(round(value * unit)) if unit else f"{float(value):.6g}"

        r, g, b, white = (
            f"({show(points[i], chroma)},{show(points[i + 1], chroma)})" for i in range(0, len(points), 2)
        )
        level = f"L({show(brightest, luminance)},{show(darkest, luminance)})"
        said.append(f"{names[0]}=G{g}B{b}R{r}WP{white}{level}")
    if light.content:
        said.append(f"{names[1]}={light.content[0]},{light.content[1]}")
    return {names[2]: ":".join(said)}, []
