"""Chunks into the final file: no re-encoding, the source's own frame times, and all of its other streams."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import ffmpeg
from av.stream import Stream
from av.video.stream import VideoStream

from sr_plugins.video.ffmpeg_process import PROTOCOLS, Child, bundled_ffmpeg, version_number
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.probe import Source, StreamInfo, opened
from sr_plugins.video.quicktime_keys import QUICKTIME, key_settings, settle_creation_time
from sr_plugins.video.streams import Kept, StreamPlan
from sr_plugins.video.timeline import fraction

# Seconds at least that are added to every time on the way through NUT, which holds none below zero; ffmpeg takes them
# off again. Enough for the decoding times that lie before the first frame.
_LIFT = 60
_FINE = Fraction(1, 90_000)  # of the ticks there, in seconds, if the source's are coarser and do not fit
_LARGEST = 2**31 - 1  # denominator of a time base in ffmpeg
# What tags say about a stream's old bytes: Matroska's statistics, and that transparency lies beside the picture.
_STALE = ("bps", "number_of_frames", "number_of_bytes", "duration", "_statistics_", "encoder", "rotate", "alpha_mode")
# The ffmpeg from which on a display matrix can be given; before, QuickTime alone took a rotation, as a tag.
_DISPLAY_OPTIONS = (6, 0)


def holds_display_matrix(executable: str, muxer: str, source: Source) -> bool:
    """Whether this ffmpeg can write the source's display matrix into this container."""
    if version_number(executable) < _DISPLAY_OPTIONS:
        return muxer in QUICKTIME and not source.mirrored
    return muxer in QUICKTIME | {"matroska"}


def joining_ffmpeg(executable: str, muxer: str, source: Source, origin: Fraction) -> str:
    """The ffmpeg to join with: another than for decoding only where that one would shift all times.

    The Matroska muxer of ffmpeg 5 holds no time below zero, and the first packet of most sound lies there.
    """
    if muxer in ("matroska", "webm") and source.earliest < origin and version_number(executable) < _DISPLAY_OPTIONS:
        return bundled_ffmpeg() or executable
    return executable


@dataclass(frozen=True)
class Join:
    """Everything the last step needs to know. ``start`` and ``end`` are seconds on the source's clock, if it is cut."""

    executable: str
    source: Source
    plan: StreamPlan
    options: OutputOptions
    aspect: Fraction | None = None
    start: Fraction | None = None
    end: Fraction | None = None

    @property
    def kept(self) -> list[Kept]:
        """The streams we map ourselves: all, or the video alone if the person chose the others."""
        if self.options.own_maps:
            return [k for k in self.plan.kept if k.stream.index == self.source.main]
        return [k for k in self.plan.kept if k.stream not in self.covers]

    @property
    def covers(self) -> list[StreamInfo]:
        """Pictures that go in as attachments: Matroska has no other way, ffmpeg would make them films of one frame."""
        if self.plan.muxer != "matroska" or self.options.own_maps:
            return []
        return [k.stream for k in self.plan.kept if k.stream.is_cover]

    @property
    def origin(self) -> Fraction:
        """The time on the source's clock that becomes zero."""
        return self.source.origin if self.start is None else self.start

    @property
    def clock(self) -> Fraction:
        """The time base on the way through NUT: the source's, or a fraction of it where a cut lies between ticks."""
        base = self.source.time_base
        if (self.origin / base).denominator == 1:
            return base
        return base / max(1, min(math.ceil(base / _FINE), _LARGEST // base.denominator))

    @property
    def lift(self) -> int:
        """Seconds that are exact in this clock: a time base of 1001/24000 divides 1001 seconds, but not 60."""
        numerator = self.source.time_base.numerator
        return math.ceil(_LIFT / numerator) * numerator


def join_chunks(
    join: Join, chunks: Sequence[tuple[Path, tuple[int, ...]]], target: Path, *, extra: tuple[str, ...] = ()
) -> None:
    """Write ``target`` from chunk files, each with the times of its frames.

    Raises:
        PipeError: ffmpeg failed.
    """
    with opened(chunks[0][0]) as first:
        video = first.streams.video[0]
        settings = [*_settings(join), *_shape(join, video)]
    settings += _attach_covers(join, target.parent)
    keys = key_settings(join.source, join.plan.muxer, join.options)
    extra = (*settings, *join.options.join, *keys, *extra)
    child = Child(_command(join, target), f"writing {target.name}", extra=extra, stdin=True)
    try:
        with opened(chunks[0][0]) as first, av.open(child.stdin, "w", format="nut", buffer_size=1 << 20) as out:
            stream = out.add_stream_from_template(first.streams.video[0], opaque=True)
            stream.time_base = join.clock
            for packet in _packets(join, chunks):
                packet.stream = stream
                out.mux_one(packet)
        child.finish()
        if keys:
            settle_creation_time(target)
    except (BrokenPipeError, av.FFmpegError):
        raise child.error() from None
    except BaseException:
        child.stop()
        raise


def _packets(join: Join, chunks: Sequence[tuple[Path, tuple[int, ...]]]) -> Iterator[av.Packet[Stream]]:
    """The packets of all chunks with the source's times.

    Decoding times are those of the frames in order, held back by as many frames as the encoder reorders: each packet
    is decoded no later than it is shown, and no two at once.
    """
    base, clock = join.source.time_base, join.clock
    times = [time for _, chunk in chunks for time in chunk]
    offset, ticks = round((join.lift - join.origin) / clock), int(base / clock)
    delay = max(_delay(path) for path, _ in chunks)
    number = 0
    for path, shown in chunks:
        order = {pts: rank for rank, pts in enumerate(sorted(_times(path)))}
        with opened(path) as container:
            for packet in container.demux(container.streams.video[0]):
                if not packet.size:
                    continue
                assert packet.pts is not None
                fresh = av.Packet(bytes(packet))
                fresh.is_keyframe = packet.is_keyframe
                fresh.time_base = clock
                fresh.pts = shown[order[packet.pts]] * ticks + offset
                before = number - delay
                fresh.dts = (times[before] if before >= 0 else times[0] + before) * ticks + offset
                number += 1
                yield fresh


def _times(path: Path) -> list[int]:
    with opened(path) as container:
        return [p.pts for p in container.demux(container.streams.video[0]) if p.size and p.pts is not None]


def _delay(path: Path) -> int:
    times = _times(path)
    rank = {pts: i for i, pts in enumerate(sorted(times))}
    return max((i - rank[pts] for i, pts in enumerate(times)), default=0)


def _command(join: Join, target: Path) -> list[str]:
    source, plan = join.source, join.plan
    given: dict[str, object] = {"protocol_whitelist": PROTOCOLS, "copyts": None, "itsoffset": _seconds(-join.origin)}
    if join.start is not None:
        given["ss"] = _seconds(join.start - source.start)
    original = ffmpeg.input(f"file:{source.path.absolute()}", **given)
    turned: dict[str, object] = {}
    if source.turned and version_number(join.executable) >= _DISPLAY_OPTIONS:
        # ffmpeg turns first and mirrors then, which is read back as the rest of a half turn.
        angle = 180 - source.rotation if source.mirrored else source.rotation
        turned = {"display_rotation": angle} | ({"display_hflip": None} if source.mirrored else {})
    video = ffmpeg.input("pipe:0", format="nut", itsoffset=-join.lift, thread_queue_size=64, **turned)
    # A map that matches nothing: it makes the source input 0 whatever follows, as people expect of their own -map.
    streams = [original["v:999?"]]
    streams += [video["v:0"] if k.stream.index == source.main else original[str(k.stream.index)] for k in join.kept]
    output = ffmpeg.output(*streams, f"file:{target.absolute()}", format=plan.muxer)
    command = ffmpeg.compile(output, cmd=join.executable)
    return [*command[:-1], "-y", command[-1]]


def _settings(join: Join) -> list[str]:
    """Options of the output that ffmpeg-python cannot say, for some come more than once; the person's come last."""
    source, plan = join.source, join.plan
    rational = source.time_base
    said = ["-c", "copy", "-map_metadata", "0", "-map_chapters", "0"]
    said += ["-fps_mode", "passthrough", "-max_interleave_delta", "0"]
    if join.start is not None:
        said += ["-copypriorss", "0"]
    if plan.muxer in QUICKTIME and rational.denominator < 2**31:
        # The clock of the track as in the source, and that of the edit list no coarser.
        said += ["-video_track_timescale", str(rational.denominator), "-movie_timescale", str(rational.denominator)]
    if join.end is not None:
        said += ["-t", _seconds(join.end - join.origin)]
    for number, entry in enumerate(join.kept):
        if entry.codec != "copy":
            said += [f"-c:{number}", entry.codec]
        said += [f"-disposition:{number}", "+".join(entry.stream.disposition) or "0"]
        if entry.stream.index == source.main:
            said += _video_settings(join, number, entry.stream)
    return said


def _shape(join: Join, video: VideoStream) -> list[str]:
    """The aspect ratio also for the container: AV1 and others leave it to it."""
    if join.options.value("aspect"):
        return []
    # Behind a filter of the person's the picture has another shape: its own is then the right one.
    pixel = video.sample_aspect_ratio if join.options.own_aspect else join.aspect
    if not pixel:
        return []
    ratio = fraction(pixel) * Fraction(video.width, video.height)
    return ["-aspect", f"{ratio.numerator}:{ratio.denominator}"]


def _video_settings(join: Join, number: int, stream: StreamInfo) -> list[str]:
    source = join.source
    said: list[str] = []
    for key, value in stream.metadata.items():
        if not key.lower().startswith(_STALE):
            said += [f"-metadata:s:{number}", f"{key}={value}"]
    rgb = source.pix_fmt.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "pal8", "0"))
    for name, code in source.colors.options(with_range=True, rgb=rgb).items():
        said += [f"-{name}:{number}", str(code)]
    if source.turned and version_number(join.executable) < _DISPLAY_OPTIONS:
        said += [f"-metadata:s:{number}", f"rotate={source.rotation % 360}"]
    return said


def _attach_covers(join: Join, folder: Path) -> list[str]:
    said: list[str] = []
    with opened(join.source.path) as container:
        pictures = {p.stream_index: bytes(p) for s in join.covers for p in container.demux(s.index) if p.size}
    for number, stream in enumerate(join.covers, len(join.kept)):
        if stream.index not in pictures:
            continue
        kind = {"mjpeg": "jpg"}.get(stream.codec, stream.codec)
        tags = stream.tags
        file = folder / f"cover{number}.{kind}"
        file.write_bytes(pictures[stream.index])
        said += ["-attach", f"file:{file.absolute()}"]
        said += [f"-metadata:s:{number}", f"filename={tags.get('filename', f'cover.{kind}')}"]
        said += [
            f"-metadata:s:{number}",
            f"mimetype={tags.get('mimetype', 'image/' + kind.replace('jpg', 'jpeg'))}",
        ]
    return said


def _seconds(value: Fraction) -> str:
    return f"{float(value):.6f}"
