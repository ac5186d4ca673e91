"""Options of the final ffmpeg that ffmpeg-python cannot say, for some come more than once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from av.video.stream import VideoStream

from sr_plugins.errors import PipeError
from sr_plugins.video.containers import container_named
from sr_plugins.video.ffmpeg_process import local_url, version_number
from sr_plugins.video.join_plan import COVER_KIND, DISPLAY_OPTIONS, FINE_RATE, Join, seconds
from sr_plugins.video.languages import UNKNOWN, language_in
from sr_plugins.video.programs import program_settings
from sr_plugins.video.source import StreamInfo, opened
from sr_plugins.video.streams import EXPERIMENTAL, Kept
from sr_plugins.video.timeline import fraction

_NEEDED = ("filename", "mimetype")  # what Matroska asks of an attachment
_KEPT_APART = {"h264", "hevc", "mpeg4"}
_KEPT_WITHIN = {("mpegts", "mpeg4"), ("mxf", "h264")}
# What tags say about a stream's old bytes: statistics, and that transparency lies beside the picture.
STALE = (
    *("bps", "number_of_frames", "number_of_bytes", "duration", "_statistics_", "encoder", "rotate", "alpha_mode"),
    "variant_bitrate",
)


def stream_settings(join: Join) -> list[str]:
    """Options of the output that ffmpeg-python cannot say, for some come more than once; the person's come last."""
    source, plan = join.source, join.plan
    rational = source.time_base
    said = ["-c", "copy", "-map_chapters", "0", *(EXPERIMENTAL if plan.experimental else ())]
    if not join.options.maps_metadata("g"):
        said += ["-map_metadata", "0"]
    said += ["-fps_mode", "passthrough", "-max_interleave_delta", "0"]
    if join.start is not None or join.drops_early:
        said += ["-copypriorss", "0"]
    if container_named(plan.muxer).counts:  # a delay of encoded sound must not move the frames to the next place
        said += ["-avoid_negative_ts", "disabled"]
    if container_named(plan.muxer).quicktime and rational.denominator < 2**31:
        # The clock of the track as in the source, and that of the edit list no coarser.
        said += ["-video_track_timescale", str(rational.denominator), "-movie_timescale", str(rational.denominator)]
    if join.end is not None:
        said += ["-t", seconds(join.end - join.origin)]
    said += program_settings(plan.programs, [entry.stream.index for entry in join.kept], source.main, plan.muxer)
    for number, entry in enumerate(join.kept):
        if entry.codec != "copy":
            said += [f"-c:{number}", entry.codec]
        said += [f"-disposition:{number}", "+".join(entry.stream.disposition) or "0"]
        said += _tags(join, number, entry)
        if entry.stream.index == source.main:
            said += _video_settings(join, number)
            if container_named(plan.muxer).counts:  # else ffmpeg guesses a clock: several times the rate, or too coarse
                rate = source.rate if join.steady else FINE_RATE
                said += [f"-r:{number}", f"{rate.numerator}/{rate.denominator}"]
            if finish := container_named(plan.muxer).finish:
                asked = [f"-c:{number}", join.options.encoder] if join.options.encoder else []
                said += [f"-c:{number}", *finish, *asked, *join.options.unfiltered]
    return said


def shown_shape(join: Join, video: VideoStream) -> Fraction:
    """The shape of a pixel for the container, for AV1 and others leave it to it; 0: unknown."""
    # Behind a filter of the person's the picture has another shape: its own is then the right one.
    return fraction(video.sample_aspect_ratio or 0) if join.options.own_aspect else join.aspect or Fraction(0)


def _video_settings(join: Join, number: int) -> list[str]:
    source, said = join.source, list[str]()
    for name, code in (join.colors or source.colors).options(with_range=True).items():
        said += [f"-{name}:{number}", str(code)]
    if source.turned and version_number(join.executable) < DISPLAY_OPTIONS:
        said += [f"-metadata:s:{number}", f"rotate={source.rotation % 360}"]
    return said


def _tags(join: Join, number: int, kept: Kept) -> list[str]:
    """Tags of a stream, where ffmpeg does not copy them from the source, or not as they have to be."""
    stream, container = kept.stream, container_named(join.plan.muxer)
    if join.options.maps_metadata("s"):  # ffmpeg copies none, and attachments are nothing without
        told = {key: stream.tags[key] for key in _NEEDED if stream.kind == "attachment" and key in stream.tags}
        return _said(number, told)
    apart = stream.index == join.source.main or kept in join.cut_subtitles  # from another input
    said: list[str] = []
    if apart:
        said += _said(number, {k: v for k, v in stream.metadata.items() if _lasts(k.lower(), stream)})
    language = stream.tags.get("language")
    # ASF's muxer makes the language of another stream of one that is unknown.
    written = None if language == UNKNOWN else language_in(container, language)
    if written != language or apart:
        said += _said(number, {"language": written or ""})
    if title := stream.title:
        said += _said(number, {"title": title} | ({"name": ""} if "title" not in stream.tags else {}))
        if container.quicktime:  # its own place for a track's name
            said += _said(number, {"handler_name": title})
    return said


def _lasts(key: str, stream: StreamInfo) -> bool:
    """Whether a tag still holds of the new stream; language and title are told apart."""
    return not key.startswith(STALE) and key not in {"language", "" if "title" in stream.tags else "name"}


def _said(number: int, tags: Mapping[str, str]) -> list[str]:
    return [word for key, value in tags.items() for word in (f"-metadata:s:{number}", f"{key}={value}")]


def cover_settings(join: Join, folder: Path) -> list[str]:
    said: list[str] = []
    if not join.covers:
        return said
    with opened(join.source.path) as container:
        wanted = [cover.index for cover in join.covers]
        pictures = {p.stream_index: bytes(p) for p in container.demux(*wanted) if p.size}
    covers = zip(join.covers, join.cover_files, strict=True)
    for number, (stream, name) in enumerate(covers, len(join.kept) + join.options.join.count("-attach")):
        if stream.index not in pictures:
            raise PipeError(
                f"{join.source.path}: {stream.label} cannot be read; leave it out: -- -map -0:{stream.index}"
            )
        kind = COVER_KIND.get(stream.codec, stream.codec)
        tags = stream.tags
        file = folder / name
        file.write_bytes(pictures[stream.index])
        said += ["-attach", local_url(file)]
        said += [f"-metadata:s:{number}", f"filename={tags.get('filename', f'cover.{kind}')}"]
        said += [
            f"-metadata:s:{number}",
            f"mimetype={tags.get('mimetype', 'image/' + kind.replace('jpg', 'jpeg'))}",
        ]
    return said


def packet_settings(join: Join, video: VideoStream, chunks: Sequence[tuple[Path, tuple[int, ...]]]) -> list[str]:
    """What is done to the packets of the film, by bitstream filters."""
    muxer, codec = container_named(join.plan.muxer), video.codec_context.codec.canonical_name
    # NUT keeps what decoders must know first apart from the packets; these have no other place for it.
    within = codec in _KEPT_APART if muxer.bare else (muxer.muxer, codec) in _KEPT_WITHIN
    filters = [*(["dump_extra"] if within else ()), *_lasting(join, chunks)]
    return [f"-bsf:{join.place}", ",".join(filters)] if filters else []


def _lasting(join: Join, chunks: Sequence[tuple[Path, tuple[int, ...]]]) -> list[str]:
    """How long the last frame is shown, which NUT does not tell: muxers would repeat the gap before, or hide it."""
    path, times = chunks[-1]
    if join.finish is None or not times:
        return []
    coded = packet_times(path)
    last = coded.index(max(coded))
    # QuickTime's muxer ends the film where the later of two packets does, that decoded and that shown last; others
    # where the last frame does.
    places = sorted({last, len(coded) - 1}) if container_named(join.plan.muxer).quicktime else [last]
    before, duration = sum(len(shown) for _, shown in chunks[:-1]), "DURATION"
    if (lasting := join.finish - times[-1] * join.source.time_base) <= 0:
        return []
    for place in places:
        when = times[sorted(coded).index(coded[place])]
        ticks = _ticks(join, lasting, (when - chunks[0][1][0]) * join.source.time_base)
        duration = f"if(eq(N\\,{before + place})\\,{ticks}\\,{duration})"
    return [f"setts=pts=PTS:dts=DTS:duration={duration}"]


def _ticks(join: Join, lasting: Fraction, shown: Fraction) -> str:
    """Seconds in the ticks of setts, of a packet that is shown so many seconds after the first."""
    # What setts calls TB is in ffmpeg 5 not the base that its times have: measure by the times themselves.
    if shown:
        ratio = lasting / shown
        return f"(PTS-STARTPTS)*{ratio.numerator}/{ratio.denominator}"
    if version_number(join.executable) < DISPLAY_OPTIONS:
        milliseconds = join.plan.muxer in ("matroska", "webm")
        return str(round(lasting / (Fraction(1, 1000) if milliseconds else join.clock)))
    return f"{lasting.numerator}/{lasting.denominator}/TB"


def packet_times(path: Path) -> list[int]:
    """Presentation times of a chunk's packets, as they come."""
    with opened(path) as container:
        return [p.pts for p in container.demux(container.streams.video[0]) if p.pts is not None]
