"""The encoding ffmpeg: upscaled frames of one chunk to one file, in the source's colours and depth."""

from __future__ import annotations

import contextlib
import queue
import threading
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import ffmpeg

from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import Frame
from sr_plugins.video.ffmpeg_process import Child, encoder_formats
from sr_plugins.video.frame_writer import FrameWriter
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.pixel_formats import Colors, PixelLayout, pipe_format
from sr_plugins.video.probe import Light, Source

_AHEAD = 4  # finished frames that may wait for the encoder
# Encoders that write the range into their stream. Any other takes limited range only, and ffmpeg would squeeze full
# range pixels into it: those get no range from us, only the container does.
_TELL_RANGE = ("264", "265", "hevc", "av1", "vp9", "vvc", "mjpeg")


@dataclass(frozen=True)
class Encoding:
    """How every chunk is encoded: all chunks alike, or they could not be joined."""

    encoder: str
    pix_fmt: str
    rate: Fraction
    colors: Colors
    options: tuple[str, ...]
    notices: tuple[str, ...] = ()


def plan_encoding(executable: str, source: Source, aspect: Fraction | None, asked: OutputOptions) -> Encoding:
    """Choose encoder, pixel format and tags for this source; what the person asked for wins.

    Raises:
        PipeError: this ffmpeg has no such encoder.
    """
    layout = PixelLayout.of(pipe_format(source.pix_fmt))
    encoder = asked.encoder or _default_encoder(layout)
    defaults = () if asked.encoder or encoder == "ffv1" else ("-preset", "medium", "-crf", "16")
    offered = encoder_formats(executable, encoder)
    pix_fmt = asked.value("pix_fmt") or (nearest_format(layout, offered) if offered else layout.carrier)
    notices = []
    if loss := _loss(layout, PixelLayout.of(pix_fmt)):
        notices.append(f"{encoder} holds no {layout.carrier}: encoding as {pix_fmt}, which loses {loss}")
    params, without = _light_params(encoder, source.light)
    notices += without
    options = ["-vf" if token in ("-filter:v", "-filter:v:0") else token for token in asked.encode]
    if aspect is not None and asked.value("aspect") is None:
        params["-vf"] = f"setsar={aspect.numerator}/{aspect.denominator}"
    for name, value in params.items():
        separator = "," if name == "-vf" else ":"
        if name in options:  # ours first, so that the person's wins
            options[options.index(name) + 1] = value + separator + options[options.index(name) + 1]
        else:
            options += [name, value]
    return Encoding(encoder, pix_fmt, source.rate, source.colors, (*defaults, *options), tuple(notices))


def _default_encoder(layout: PixelLayout) -> str:
    if layout.alpha or layout.bits > 12:
        return "ffv1"  # no lossy encoder here holds it
    if layout.bits > 8:
        return "libx265"
    return "libx264rgb" if layout.family == "rgb" else "libx264"


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
            max(0, layout.bits - other.bits),
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
    try:
        av.VideoFormat(name)
    except ValueError:
        return False
    return True


def _loss(layout: PixelLayout, other: PixelLayout) -> str:
    lost = []
    if layout.family == "rgb" and other.family != "rgb":
        lost.append("exact RGB")
    if layout.family == "yuv" and other.family == "gray":
        lost.append("all colour")
    if layout.alpha and not other.alpha:
        lost.append("transparency")
    if other.bits < layout.bits:
        lost.append(f"{layout.bits - other.bits} bits")
    if layout.family == other.family == "yuv" and any(
        o > s for o, s in zip(other.subsampling, layout.subsampling, strict=True)
    ):
        lost.append("chroma resolution")
    return " and ".join(lost)


def _light_params(encoder: str, light: Light) -> tuple[dict[str, str], list[str]]:
    """HDR10 metadata in the words of the encoder (SMPTE ST 2086, CTA-861.3), and what cannot be kept."""
    quiet = {"-x265-params": "log-level=error"} if encoder == "libx265" else {}
    if light == Light():
        return quiet, []
    if encoder == "libx265":
        chroma, luminance, names = 50000, 10000, ("log-level=error:master-display", "max-cll", "-x265-params")
    elif encoder == "libsvtav1":
        chroma, luminance, names = 0, 0, ("mastering-display", "content-light", "-svtav1-params")
    else:
        return quiet, [f"{encoder} cannot write HDR10 mastering metadata: libx265 and libsvtav1 can"]
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


class ChunkEncoder:
    """Encodes frames to ``path`` (a NUT file). Frames are handed over on a thread, a few ahead of the encoder.

    Within a chunk time runs at the nominal rate; the exact times of the source are put on when chunks are joined.
    """

    def __init__(self, executable: str, encoding: Encoding, path: Path) -> None:
        self._encoding = encoding
        rgb = PixelLayout.of(encoding.pix_fmt).family == "rgb"
        tells = any(part in encoding.encoder for part in _TELL_RANGE)
        source = ffmpeg.input(
            "pipe:0",
            format="nut",
            r=f"{encoding.rate.numerator}/{encoding.rate.denominator}",
            **encoding.colors.options(with_range=tells, rgb=rgb),
        )
        output: dict[str, object] = {
            "format": "nut",
            "c:v": encoding.encoder,
            "pix_fmt": encoding.pix_fmt,
            "fps_mode": "passthrough",
            "sws_flags": "accurate_rnd+full_chroma_int",
        }
        command = ffmpeg.compile(
            ffmpeg.output(source["v:0"], f"file:{path.absolute()}", **output), cmd=executable, overwrite_output=True
        )
        # ffmpeg-python puts -y last; the name of the file has to be.
        self._child = Child([*command[:-2], "-y", command[-2]], "encoding", extra=encoding.options, stdin=True)
        self._queue: queue.Queue[Frame | None] = queue.Queue(maxsize=_AHEAD)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    def write(self, frame: Frame | None) -> None:
        """Queue a frame; raises what went wrong with an earlier one."""
        while True:
            if self._failure is not None:
                raise self._failure
            if not self._thread.is_alive():
                raise PipeError(f"{self._child.what}: the encoder is gone")
            with contextlib.suppress(queue.Full):
                self._queue.put(frame, timeout=0.2)
                return

    def finish(self) -> None:
        """Wait until everything is in the file; ``PipeError`` if the encoder failed."""
        self.write(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Give up: end the process and the thread, wherever they are."""
        self._child.stop()
        with contextlib.suppress(queue.Full):
            self._queue.put_nowait(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            self._feed()
            self._child.finish()
        except (BrokenPipeError, av.FFmpegError):
            self._failure = self._child.error()
        except BaseException as error:
            self._child.stop()
            self._failure = error

    def _feed(self) -> None:
        first = self._queue.get()
        if first is None:
            return
        rate = self._encoding.rate
        with FrameWriter(self._child.stdin, first, 1 / rate, rate) as writer:
            frame: Frame | None = first
            count = 0
            while frame is not None:
                writer.write(frame, count)
                count += 1
                frame = self._queue.get()
