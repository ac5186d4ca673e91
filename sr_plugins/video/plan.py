"""What is decided about a film before its first frame is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from sr_plugins.errors import PipeError
from sr_plugins.video.chunks import Chunk, Film, plan_chunks
from sr_plugins.video.containers import Container, container_named
from sr_plugins.video.decode import DecodeOptions
from sr_plugins.video.decoder_choice import as_decoded
from sr_plugins.video.dynamic_hdr import CODECS
from sr_plugins.video.encode import Encoding, check_encoder, plan_encoding
from sr_plugins.video.ffmpeg_process import version
from sr_plugins.video.join_plan import FINE_RATE, Join, holds_display_matrix, joining_ffmpeg, shown_until
from sr_plugins.video.maps import film_of, mapped_streams
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.pixel_formats import PixelLayout, aspect_after, frame_format, refuse_odd
from sr_plugins.video.probe import probe
from sr_plugins.video.sequence import existing, is_sequence
from sr_plugins.video.source import Source
from sr_plugins.video.streams import StreamPlan, muxer_of, plan_streams, target_container
from sr_plugins.video.t35 import inserter
from sr_plugins.video.timeline import times_between
from sr_plugins.video.ways import Way
from sr_plugins.weights.digest import weights_digest

_SKIPPED = 60_000  # frames at most that ffmpeg's muxer of AVI counts where there are none
_ROUNDED = Fraction(3, 2)  # pixels by which a side that follows from the other one may be rounded


@dataclass(frozen=True)
class FilmPlan:
    """One film: the plan that every chunk shares, and what its pixels depend on. ``written`` is the source's length and
    when it was last written, before anything was read."""

    film: Film
    target: Path
    size: tuple[int, int]
    join: Join
    chunks: tuple[Chunk, ...]
    identity: dict[str, object]
    written: tuple[int, int] | None = None

    def refuse_changed(self) -> None:
        """Raises ``PipeError`` where the source is another than at first, as one that is still being recorded is."""
        source = self.film.source
        if self.written is not None and _written(source) != self.written and source.digest() != self.film.digest:
            raise PipeError(
                f"{source.path} changed while it was read: is it still being recorded or copied? When it is whole, the "
                "same command with --restart makes the film"
            )

    @property
    def side_files(self) -> list[str]:
        """Files in the folder of chunks that are none: the joined film, the rehearsal, and what the join reads."""
        own = f"joined{self.target.suffix}", f"rehearsal.{self.film.encoding.container}"
        return [*own, *self.join.side_files]


@dataclass(frozen=True)
class Outline:
    """What is known before there is a model: the film, how it is read, and which part of it goes where. ``start`` and
    ``end`` are seconds on the source's clock, if it is cut."""

    source: Source
    target: Path
    options: OutputOptions
    decode: DecodeOptions
    streams: StreamPlan
    executable: str
    joiner: str
    start: Fraction | None
    end: Fraction | None
    chunks: tuple[Chunk, ...]
    chunk_frames: int


def outline_film(
    path: Path,
    target: Path,
    options: OutputOptions,
    cut: tuple[float | None, float | None],
    decode: DecodeOptions,
    chunk_frames: int,
    executable: str,
    overwrite: bool,
    rate: Fraction | None = None,
) -> Outline:
    """Everything that needs no model; ``cut`` are the seconds between which frames are taken.

    Raises:
        PipeError: the source cannot be read, or this target cannot be made of it.
    """
    if chunk_frames < 1:
        raise PipeError(f"a chunk of {chunk_frames} frames is not possible: it has at least 1")
    check_cut(*cut)
    check_encoder(executable, options)
    found = probe(path, cut[1], rate)
    mapped = mapped_streams(executable, found, options)
    if (film := film_of(found, mapped)) != found.main:
        found = probe(path, cut[1], rate, film)
    source = as_decoded(executable, found, decode.hwaccel)
    start, end = on_clock(source, cut)
    between(source, start, end)
    chunks = plan_chunks(source.timeline, source.time_base, chunk_frames, start, end)
    if target.exists() and path.exists() and target.samefile(path):
        raise PipeError(f"{target} is the source itself: choose another name")
    check_target(target, overwrite)
    if not target.absolute().parent.is_dir():
        raise PipeError(f"{target.absolute().parent}: there is no such folder")
    if told := decode.combs(source):
        raise PipeError(told)
    muxer = muxer_of(target, options)
    joiner = joining_ffmpeg(executable, muxer, source, source.origin if start is None else start, options)
    streams = plan_streams(source, target, options, joiner, mapped)
    if source.turned and not holds_display_matrix(joiner, muxer, source):
        if any(source.crop):
            raise PipeError(f"{path}: ffmpeg {version(executable)} cannot crop and turn it: a newer one (--ffmpeg) can")
        source, decode = source.upright(), replace(decode, turn=True)
    parts = start, end, tuple(chunks), chunk_frames
    return Outline(source, target, options, decode, streams, executable, joiner, *parts)


def plan_film(outline: Outline, way: Way) -> FilmPlan:
    """How this film is made in this way.

    Raises:
        PipeError: this target cannot be made of it.
    """
    source, target, options = outline.source, outline.target, outline.options
    written = _written(source)
    muxer, start, end = outline.streams.muxer, outline.start, outline.end
    before = source.width, source.height
    size = _size(source, way)
    aspect = source.aspect and aspect_after(source.aspect, before, size)
    if source.aspect == 1 and aspect and abs(size[0] - Fraction(before[0] * size[1], before[1])) < _ROUNDED:
        aspect = Fraction(1)  # a side that was rounded leaves square pixels square
    container = target_container(target, muxer)
    encoding = plan_encoding(outline.executable, source, size, aspect, options, container)
    if container.bare and encoding.codec != (held := replace(encoding, encoder=container.encoder[0]).codec):
        raise PipeError(f"{target}: such a stream is {held}, {encoding.encoder} makes {encoding.codec}: choose another")
    if (is_sequence(target) or container.bare or container.gapless) and (line := _uneven(source, target, container)):
        encoding = replace(encoding, notices=(*encoding.notices, line))
    encoding = replace(encoding, notices=(*encoding.notices, *_without_messages(source, encoding)))
    if not options.own_filters:
        layout = PixelLayout.of(encoding.pix_fmt).subsampling
        refuse_odd(*(_shown(source, *pair) for pair in (before, size, layout)))
    finish = shown_until(source, end)
    join = Join(outline.joiner, source, outline.streams, options, target, aspect, start, end, finish, encoding.tags)
    _refuse_pauses(target, join)
    if container.counts and (line := _counted(target, join)):
        encoding = replace(encoding, notices=(*encoding.notices, line))
    film = Film(source, source.digest(), outline.decode, encoding, size, outline.executable)
    identity = {
        "input": film.digest,
        "model": way.description,
        "weights": weights_digest(way.upscaler.loaded),
        "size": list(size),
        "encoder": [encoding.encoder, encoding.pix_fmt, *encoding.options],
        "deinterlace": outline.decode.deinterlace,
        "progressive": outline.decode.progressive,
        "cut": [None if t is None else str(t) for t in (start, end)],
        "chunk frames": outline.chunk_frames,
        "ffmpeg": version(outline.executable),
    }
    return FilmPlan(film, target, size, join, outline.chunks, identity, written)


def _without_messages(source: Source, encoding: Encoding) -> Iterator[str]:
    """Lines about what the source has inside its video, and this encoder has no place for."""
    if source.captions and inserter(encoding.codec) is None:
        yield f"closed captions inside the video are dropped: {encoding.encoder} has no place for them; libx264 has"
    if encoding.codec not in CODECS:
        yield from (
            f"{name} is dropped: {encoding.encoder} has no place for it; libx265 has" for name in source.dynamic_hdr
        )


def _written(source: Source) -> tuple[int, int] | None:
    if source.pictures:
        return None
    found = source.path.stat()
    return found.st_size, found.st_mtime_ns


def _shown(source: Source, across: int, down: int) -> tuple[int, int]:
    """Numbers of a picture's two directions as people see it: a display matrix may lay it on its side."""
    return (down, across) if source.rotation % 180 == 90 else (across, down)


def _size(source: Source, way: Way) -> tuple[int, int]:
    """(width, height) of the pictures to be made; what a person asks for is the size at which they are shown."""
    from sr_plugins.upscaler import check_memory

    format = frame_format(source.pix_fmt, source.colors)
    across, down = _shown(source, *format.subsampling)
    before = _shown(source, source.width, source.height)
    size = _shown(source, *way.upscaler.output_size(*before, replace(format, subsampling=(across, down))))
    check_memory(size, format)
    return size


def check_cut(start: float | None, end: float | None) -> None:
    """Raises ``PipeError`` where no film has frames between these seconds."""
    for name, value in (("start", start), ("end", end)):
        if value is not None and not 0 <= value < math.inf:
            raise PipeError(f"{name} of {value} is not possible: seconds from the beginning of the film")
    if end is not None and end <= (start or 0):
        raise PipeError(f"the end, {end:g} s, is not after the start, {start or 0:g} s: no frame lies between them")


def on_clock(source: Source, cut: tuple[float | None, float | None]) -> tuple[Fraction | None, Fraction | None]:
    """Seconds from the beginning of a film as seconds on its clock."""
    start, end = (None if t is None else Fraction(t).limit_denominator(10**6) + source.start for t in cut)
    return start, end


def between(source: Source, start: Fraction | None, end: Fraction | None) -> list[int]:
    """The times of the frames shown in ``start`` <= seconds < ``end``, on the source's clock.

    Raises:
        PipeError: there are none.
    """
    shown = times_between(source.timeline, source.time_base, start, end)
    if not shown:
        first = float(source.timeline[0] * source.time_base - source.start)
        since = f"from {first:.3f} s on " if first > 0 else ""
        lasting = f"its frames are shown {since}until {float(source.finish - source.start):.3f} s"
        raise PipeError(f"{source.path}: no frame lies between --start and --end: {lasting}")
    return shown


def _uneven(source: Source, target: Path, container: Container) -> str | None:
    """A line about frames at uneven times where only their order is told; raises ``PipeError`` where that is no choice
    of the person's: in a container that tells times."""
    gaps = [(b - a) * source.time_base for a, b in pairwise(source.timeline)]
    if all(abs(gap - 1 / source.rate) <= source.time_base for gap in gaps):
        return None
    if container.gapless:
        raise PipeError(f"{target}: its frames come at uneven times, which this container cannot tell; .mkv can")
    kind = "streams without a container" if container.bare else "numbered pictures"
    return f"its frames come at uneven times, which {kind} do not tell; .mkv does"


def _refuse_pauses(target: Path, join: Join) -> None:
    """Raises ``PipeError`` where sound pauses, and the container puts all of it together: it counts samples."""
    container = container_named(join.plan.muxer)
    for kept in join.kept:
        span = join.source.spans.get(kept.stream.index)
        counted = container.counts or (container.quicktime and kept.stream.codec.startswith("pcm"))
        if kept.stream.kind == "audio" and kept.codec == "copy" and counted and span is not None and span.pauses:
            raise PipeError(
                f"{target}: {kept.stream.label} pauses, for {float(span.pauses):.2f} s in all, and {target.suffix} "
                "cannot say so: -- -c:a pcm_s16le encodes it anew, with silence there; .mkv holds it as it is"
            )


def _counted(target: Path, join: Join) -> str | None:
    """A line about the first frame, with which a container that counts frames begins.

    Raises:
        PipeError: it would have to count too many before the second, or sound begins before zero.
    """
    source = join.source
    if join.start is None and not join.drops_early and (early := join.early_sound):
        raise PipeError(
            f"{target}: {early[0].label} begins before zero, where {target.suffix} counts from: -- -c:a libmp3lame "
            "encodes it anew; .mkv holds it as it is"
        )
    first = times_between(source.timeline, source.time_base, join.start, join.end)[0] * source.time_base - join.origin
    if first * (source.rate if join.steady else FINE_RATE) > _SKIPPED:
        raise PipeError(
            f"{target}: the film begins at {float(first):.0f} s, and {target.suffix} counts frames from zero: "
            "--start 0 lets it begin at zero; .mkv holds it as it is"
        )
    if first <= 0:
        return None
    return (
        f"the first frame is shown {float(first):.3f} s early, from the beginning on: {target.suffix} begins with one"
    )


def check_target(target: Path, overwrite: bool) -> None:
    """Raises ``PipeError`` where a film is that must not be replaced."""
    if is_sequence(target) and (there := existing(target)) is not None and not overwrite:
        raise PipeError(f"{there} exists already: --overwrite replaces such pictures")
    if target.exists() and not overwrite:
        raise PipeError(f"{target} exists already: --overwrite replaces it")
