"""Chunks into the final file: no re-encoding, the source's own frame times, and all of its other streams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import ffmpeg
from av.stream import Stream

from sr_plugins.errors import PipeError
from sr_plugins.video.captions import captions_of
from sr_plugins.video.containers import container_named
from sr_plugins.video.dynamic_hdr import CODECS, dynamic_hdr_of
from sr_plugins.video.encode import carrier_of
from sr_plugins.video.ffmpeg_process import Child, compiled, file_url, full_disk, version_number
from sr_plugins.video.join_plan import DISPLAY_OPTIONS, Join, seconds, subtitle_file
from sr_plugins.video.join_settings import (
    cover_settings,
    packet_settings,
    packet_times,
    shown_shape,
    stream_settings,
)
from sr_plugins.video.nut_aspect import AspectWriter
from sr_plugins.video.quicktime_keys import key_settings, settle_creation_time
from sr_plugins.video.sequence import picture
from sr_plugins.video.sink import Sink
from sr_plugins.video.sound_delay import sound_settings
from sr_plugins.video.source import opened
from sr_plugins.video.t35 import inserter
from sr_plugins.video.timeline import fraction
from sr_plugins.whole_file import whole_file

_LEAD = 30  # seconds before the first frame at most: half of what the way through NUT has room for


def join_chunks(
    join: Join, chunks: Sequence[tuple[Path, tuple[int, ...]]], target: Path, *, extra: tuple[str, ...] = ()
) -> None:
    """Write ``target`` from chunk files, each with the times of its frames.

    Raises:
        PipeError: ffmpeg failed.
    """
    with opened(chunks[0][0]) as first:
        video = first.streams.video[0]
        settings = [*stream_settings(join), *packet_settings(join, video, chunks)]
        if video.codec_context.name == "hevc" and container_named(join.plan.muxer).quicktime:
            settings += [f"-tag:{join.place}", "hvc1"]  # Apple's players take no other
        shape = shown_shape(join, video)
    covers = cover_settings(join, target.parent)  # they stand behind what the person attaches
    _cut_subtitles(join, target.parent)
    keys = key_settings(join.source, join.plan.muxer, join.options)
    extra = (*settings, *join.options.join, *sound_settings(join), *covers, *keys, *extra)
    codec = video.codec_context.codec.canonical_name
    carrier = carrier_of(codec)
    early = _before_first(join, chunks)
    begins = chunks[0][1][0] + min(early, default=0)  # in QuickTime at zero: of what lies before it would say nothing
    lift = join.lift if carrier == "nut" else join.origin - begins * join.source.time_base
    child = Child(_command(join, target, carrier, lift), f"writing {join.target}", extra=extra, stdin=True)
    try:
        fragments = _fragments(join) if carrier == "mov" else {}
        sink = Sink(AspectWriter(child.stdin, shape) if shape and carrier == "nut" else child.stdin)
        with (
            opened(chunks[0][0]) as first,
            av.open(sink.file, "w", format=carrier, options=fragments, buffer_size=1 << 20) as out,
        ):
            template = first.streams.video[0]
            stream = out.add_stream_from_template(template, opaque=True)
            # A codec may have several, which say how its pixels lie; PyAV leaves it out.
            stream.codec_context.codec_tag = template.codec_context.codec_tag
            if shape:
                stream.codec_context.sample_aspect_ratio = shape
            stream.time_base = join.clock
            for packet in _packets(join, chunks, lift, codec, early):
                packet.stream = stream
                out.mux_one(packet)
                sink.pass_on()
        sink.pass_on()
        child.finish()
        if keys:
            settle_creation_time(target)
    except (BrokenPipeError, av.FFmpegError):
        raise child.error() from None
    except PipeError as error:  # a chunk that cannot be read, or, while one was read, the end of ffmpeg
        failed = child.error()
        raise (failed if failed.exit_code else full_disk(target) or error) from None
    except BaseException:
        child.stop()
        raise


def write_pictures(pattern: Path, chunks: Sequence[Path], first: int) -> None:
    """Write the pictures of all chunks as files, numbered from ``first`` on."""
    number = first
    for chunk in chunks:
        with opened(chunk) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    with whole_file(picture(pattern, number)) as temporary:
                        temporary.write_bytes(bytes(packet))
                    number += 1


def _packets(
    join: Join,
    chunks: Sequence[tuple[Path, tuple[int, ...]]],
    lift: Fraction | int,
    codec: str,
    early: Sequence[int],
) -> Iterator[av.Packet[Stream]]:
    """The packets of all chunks, of ``codec``, with the source's times, raised by ``lift`` seconds.

    Decoding times are those of the frames in order, held back by as many frames as the encoder reorders: each packet
    is decoded no later than it is shown, and no two at once. The first are ``early``.
    """
    base, clock = join.source.time_base, join.clock
    times = [time for _, chunk in chunks for time in chunk]
    offset, ticks = round((lift - join.origin) / clock), int(base / clock)
    delay = len(early)
    captions = captions_of(join.source) if join.source.captions else {}
    insert, dynamic = inserter(codec), dynamic_hdr_of(join.source) if codec in CODECS else {}
    number = 0
    for path, shown in chunks:
        order = {pts: rank for rank, pts in enumerate(sorted(packet_times(path)))}
        with opened(path) as container:
            stream = container.streams.video[0]
            for packet in container.demux(stream):
                if packet.pts is None:
                    continue
                whole = bytes(packet)
                when = shown[order[packet.pts]]
                if insert is not None and (told := [*dynamic.get(when, ()), *captions.get(when, ())]):
                    whole = insert(whole, told)
                fresh = av.Packet(whole)
                fresh.is_keyframe = packet.is_keyframe
                fresh.time_base = clock
                fresh.pts = when * ticks + offset
                before = number - delay
                fresh.dts = (times[before] if before >= 0 else times[0] + early[number]) * ticks + offset
                later = times[number + 1] if number + 1 < len(times) else times[number] + 1
                fresh.duration = (later - times[number]) * ticks
                number += 1
                yield fresh


def _before_first(join: Join, chunks: Sequence[tuple[Path, tuple[int, ...]]]) -> list[int]:
    """Decoding times before the first frame, counted from it in ticks of the source, one for each frame by which the
    encoder reorders. QuickTime's family, whose edit lists hide that time, has them at the film's own steps; elsewhere
    it would be seen."""
    times = [time for _, chunk in chunks for time in chunk]
    delay = max(_delay(path) for path, _ in chunks)
    if container_named(join.plan.muxer).quicktime and 0 < delay < len(times):
        mirrored = [times[0] - times[number] for number in range(delay, 0, -1)]
        if -mirrored[0] * join.source.time_base < _LEAD:
            return mirrored
    return list(range(-delay, 0))


def _delay(path: Path) -> int:
    times = packet_times(path)
    rank = {pts: i for i, pts in enumerate(sorted(times))}
    return max((i - rank[pts] for i, pts in enumerate(times)), default=0)


def _fragments(join: Join) -> dict[str, str]:
    """QuickTime through a pipe, in the clock of the source, for codecs that NUT has no name for. It begins at zero."""
    return {
        "movflags": "frag_every_frame+empty_moov+default_base_moof",
        "video_track_timescale": str(join.clock.denominator),
    }


def _cut_subtitles(join: Join, folder: Path) -> None:
    """Subtitles of the film between its cuts, at their times in the result."""
    for kept in join.cut_subtitles:
        path, lines = folder / subtitle_file(kept), 0
        with opened(join.source.path) as container, av.open(str(path), "w") as out:
            stream = container.streams[kept.stream.index]
            written = out.add_stream_from_template(stream, opaque=True)
            out.start_encoding()  # there may be no line left
            base = fraction(stream.time_base)
            for packet in container.demux(stream):
                if packet.pts is None or not packet.size:
                    continue
                when = packet.pts * base
                if when < join.origin or (join.end is not None and when >= join.end):
                    continue
                packet.pts = packet.dts = round((when - join.origin) / base)
                packet.stream = written
                out.mux_one(packet)
                lines += 1
        if not lines and path.suffix == ".mkv":  # without packets it has no cluster, and ffmpeg 9 cannot open it
            path.write_text("WEBVTT\n\n")


def _command(join: Join, target: Path, carrier: str, lift: Fraction | int) -> list[str]:
    source, plan = join.source, join.plan
    original = ffmpeg.input(file_url(source.path), **join.given)
    turned: dict[str, object] = {}
    if source.turned and version_number(join.executable) >= DISPLAY_OPTIONS:
        # ffmpeg turns first and mirrors then, which is read back as the rest of a half turn.
        angle = 180 - source.rotation if source.mirrored else source.rotation
        turned = {"display_rotation": angle} | ({"display_hflip": None} if source.mirrored else {})
    video = ffmpeg.input("pipe:0", format=carrier, itsoffset=seconds(-Fraction(lift)), thread_queue_size=64, **turned)
    # A map that matches nothing: it makes the source input 0 whatever follows, as people expect of -map_metadata.
    streams = [original["v:999?"]]
    for kept in join.kept:
        if kept.stream.index == source.main:
            streams.append(video["v:0"])
        elif kept in join.cut_subtitles:
            streams.append(ffmpeg.input(file_url(target.parent / subtitle_file(kept)))["0"])
        else:
            streams.append(original[str(kept.stream.index)])
    command = compiled(ffmpeg.output(*streams, file_url(target), format=plan.muxer), join.executable)
    return [*command[:-1], "-y", command[-1]]
