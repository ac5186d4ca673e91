"""From stdin to stdout: the upscaler between two programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice
from typing import IO, Literal

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import ChromaLocation, Frame, FrameFormat
from sr_plugins.pixels.matrix import NAMES
from sr_plugins.upscaler import Upscaler
from sr_plugins.video.ahead import Ahead
from sr_plugins.video.frame_writer import FrameWriter
from sr_plugins.video.pixel_formats import (
    Colors,
    PixelLayout,
    aspect_after,
    frame_format,
    pipe_format,
    refuse_odd,
    to_frame,
)
from sr_plugins.video.source import refuse_misnamed
from sr_plugins.video.timeline import fraction
from sr_plugins.video.y4m import Y4mReader, Y4mWriter

Chooser = Callable[[list[Frame]], Upscaler]
PipeFormat = Literal["y4m", "nut"]
LOOKED_AT = 5  # frames, the first: what comes later is not known yet
_BUFFER = 1 << 20


def upscale_pipe(
    source: IO[bytes],
    target: IO[bytes],
    upscaler: Upscaler | Chooser,
    format: PipeFormat = "y4m",
    *,
    full_range: bool | None = None,
    matrix: int | None = None,
    chroma_location: ChromaLocation | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> int:
    """Upscale a stream of raw frames; the format that comes in goes out. Returns the number of frames.

    Args:
        source, target: binary files, such as ``sys.stdin.buffer`` and ``sys.stdout.buffer``.
        upscaler: computes the frames; or a function of the first frames that gives it, for who looks at them first.
        format: ``y4m`` (YUV4MPEG2) or ``nut`` (raw video in NUT, which keeps the time of every frame).
        full_range: range of the samples, where the stream does not say.
        matrix: YUV matrix by its H.273 code; only models that work in RGB ask for it.
        chroma_location: where chroma lies, if the stream does not say or says it wrong.
        notice: called with a line about what the stream cannot carry, before the first frame.

    Raises:
        PipeError: the stream is damaged, cut short or of another format.
        BrokenPipeError: whoever reads ``target`` is gone.
    """
    run = _y4m if format == "y4m" else _nut
    count = run(source, target, upscaler, _Tags(full_range, matrix, chroma_location), notice)
    target.flush()
    return count


@dataclass(frozen=True)
class _Tags:
    """What a person says of the frames; it wins over what the stream says."""

    full_range: bool | None
    matrix: int | None
    chroma_location: ChromaLocation | None

    def of(self, format: FrameFormat) -> FrameFormat:
        if self.full_range is not None:
            format = replace(format, full_range=self.full_range)
        if format.family != "yuv":
            return format
        if self.matrix is not None:
            format = replace(format, matrix=self.matrix)
        if self.chroma_location is not None:
            format = replace(format, chroma_location=self.chroma_location)
        return format

    def on(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        for frame in frames:
            yield replace(frame, format=self.of(frame.format))

    @property
    def matrix_name(self) -> str:
        """For a command; in capitals where only the person knows it."""
        return next((name for name, code in NAMES.items() if code == self.matrix), "MATRIX")


def _begun(frames: Iterable[Frame], upscaler: Upscaler | Chooser) -> tuple[Iterable[Frame], Upscaler]:
    """The frames, and what computes them."""
    if isinstance(upscaler, Upscaler):
        return frames, upscaler
    frames = iter(frames)
    first: list[Frame] = []
    failed: list[Iterator[Frame]] = []
    try:
        for frame in islice(frames, LOOKED_AT):
            first.append(frame)  # what is whole stays, also when the next one fails
    except (PipeError, av.FFmpegError) as error:  # told in its turn, behind the frames that are whole
        failed = [_raising(error)]
    return chain(first, *failed, frames), upscaler(first)


def _raising(error: Exception) -> Iterator[Frame]:
    raise error
    yield


def _y4m(
    source: IO[bytes],
    target: IO[bytes],
    upscaler: Upscaler | Chooser,
    tags: _Tags,
    notice: Callable[[str], None],
) -> int:
    reader = Y4mReader(source)
    reader.header = head = reader.header.tagged(tags.of(reader.header.format))
    if head.format.family == "yuv":
        name = tags.matrix_name
        notice(
            f"YUV4MPEG2 does not say the matrix: tell the next program (ffmpeg -colorspace {name} before its -i, "
            f"x265 --colormatrix {name})"
        )
    if head.format.full_range and head.centred and tags.chroma_location is None:
        notice(
            "chroma is taken as centred, as the stream says; ffmpeg says so of every full-range film: "
            "--chroma-location left where it is not"
        )
    frames, upscaler = _begun(tags.on(reader), upscaler)
    size = upscaler.output_size(head.width, head.height, head.format)
    refuse_odd((head.width, head.height), size, head.format.subsampling)
    writer = Y4mWriter(target, head, *size)
    for frame in upscaler.stream(frames):
        writer.write(frame)
    return reader.count


def _nut(
    source: IO[bytes],
    target: IO[bytes],
    upscaler: Upscaler | Chooser,
    tags: _Tags,
    notice: Callable[[str], None],
) -> int:
    writer: FrameWriter | None = None
    times: list[int] = []
    count = 0
    read: _Read | None = None

    def frames(items: Iterable[_Read]) -> Iterator[Frame]:
        nonlocal read
        for read in items:
            times.append(read.time)
            yield read.frame

    def fitting(frames: Iterable[Frame], upscaler: Upscaler) -> Iterator[Frame]:
        for frame in frames:
            size = frame.width, frame.height
            refuse_odd(size, upscaler.output_size(*size, frame.format), frame.format.subsampling)
            yield frame

    with Ahead(_read_nut(source)) as items:
        try:
            begun, upscaler = _begun(tags.on(frames(items)), upscaler)
            for frame in upscaler.stream(fitting(begun, upscaler)):
                if writer is None:
                    assert read is not None
                    _tell_nut(frame.format, tags, notice)
                    rate = _steady(read.rate, times, read.base)
                    aspect = aspect_after(read.aspect, read.size, (frame.width, frame.height))
                    writer = FrameWriter(target, frame, read.base, rate, aspect=aspect or None)
                writer.write(frame, times.pop(0))
                count += 1
        except av.FFmpegError as error:
            raise PipeError(f"the NUT stream is damaged or cut short after frame {count}") from error
    if writer is None:
        raise PipeError("the NUT stream holds no frame")
    with writer:
        return count


@dataclass(frozen=True)
class _Read:
    """A frame and what its stream declares."""

    frame: Frame
    time: int
    base: Fraction
    rate: Fraction
    aspect: Fraction
    size: tuple[int, int]


def _read_nut(source: IO[bytes]) -> Iterator[_Read]:
    try:
        container = av.open(source, "r", format="nut", buffer_size=_BUFFER)
    except av.FFmpegError as error:
        raise PipeError("stdin is no NUT stream of raw video: write one with ffmpeg -c:v rawvideo -f nut -") from error
    with container:
        if not container.streams.video:
            raise PipeError("the NUT stream holds no video: write it with ffmpeg -map 0:v:0 -c:v rawvideo -f nut -")
        stream = container.streams.video[0]
        rate, aspect = fraction(stream.average_rate or 0), fraction(stream.sample_aspect_ratio or 0)
        told = fraction(stream.time_base), rate, aspect, (stream.width, stream.height)
        for picture in _pictures(container, stream):
            name = picture.format.name
            if PixelLayout.of(name).carrier != pipe_format(name) or pipe_format(name) != name:
                raise PipeError(f"NUT frames of {name} are not read: use -pix_fmt {pipe_format(name)}")
            yield _Read(to_frame(picture, frame_format(name, Colors.of(picture))), picture.pts or 0, *told)


def _tell_nut(format: FrameFormat, tags: _Tags, notice: Callable[[str], None]) -> None:
    if format.family != "yuv":
        return
    told = {None: "RANGE", True: "pc", False: "tv"}[tags.full_range]
    words = f"-color_range {told} -colorspace {tags.matrix_name}"
    if tags.chroma_location is not None:
        words += f" -chroma_sample_location {tags.chroma_location.name.lower().replace('_', '')}"
    notice(f"NUT says neither range nor matrix: tell the next program (ffmpeg {words} before its -f nut -i)")


def _pictures(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    for packet in container.demux(stream):
        # What NUT has no name for, such as p010, comes under that of a format with 2 bytes a pixel.
        refuse_misnamed(stream, packet)
        yield from packet.decode()


def _steady(rate: Fraction, times: list[int], base: Fraction) -> Fraction | None:
    """The declared rate, if the frames seen so far keep to it: an ffmpeg that wrote a variable rate may declare any."""
    steps = ((time - times[0]) * base * rate for time in times)
    return rate if rate and all(abs(step - round(step)) <= base * rate for step in steps) else None
