"""A chunk: a run of frames that is decoded, upscaled, encoded and verified by itself, here or on another machine."""

from __future__ import annotations

import bisect
import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np

from sr_plugins.engine.windows import Seen, Windows, timed_windows
from sr_plugins.errors import PipeError
from sr_plugins.interface.words import Cuts
from sr_plugins.pixels.frame import Frame
from sr_plugins.upscaler import Upscaler
from sr_plugins.video.chunk_encoder import ChunkEncoder
from sr_plugins.video.decode import DecodeOptions, Decoder
from sr_plugins.video.encode import Encoding
from sr_plugins.video.ffmpeg_process import full_disk
from sr_plugins.video.journal import content
from sr_plugins.video.journal_lines import ChunkRecord
from sr_plugins.video.pixel_formats import frame_format, to_frame
from sr_plugins.video.source import Source, opened
from sr_plugins.video.timeline import apart, times_between

# Before any frame: a decoder may give one earlier than the container announces.
_BEGINNING = -(1 << 62)

NO_NEIGHBOURS = (0, 0)


@dataclass(frozen=True)
class Chunk:
    """Frames ``first`` <= time < ``end``, in the source's time base; ``end`` is ``None`` for what is left."""

    index: int
    first: int
    end: int | None
    frames: int


@dataclass(frozen=True)
class Film:
    """What all chunks of a film share. ``digest`` is that of the source, ``size`` (width, height) that of the result's
    pictures, and ``executable`` the ffmpeg to use on the machine that makes the chunk."""

    source: Source
    digest: str
    decode: DecodeOptions
    encoding: Encoding
    size: tuple[int, int]
    executable: str

    def decoder(self, since: int | None) -> Decoder:
        """Decodes the film; see :class:`Decoder` for ``since``."""
        return Decoder(self.executable, self.source, self.decode, since=since)


def plan_chunks(
    timeline: Sequence[int], time_base: Fraction, length: int, start: Fraction | None, end: Fraction | None
) -> list[Chunk]:
    """Split the frames shown in ``start`` <= seconds < ``end`` (on the timeline's clock) into runs of ``length``; none
    where there is no frame between these times."""
    times = times_between(timeline, time_base, start, end)
    if not times:
        return []
    after = next((t for t in timeline if t > times[-1]), None)
    # A chunk begins where a frame keeps its time: frames that share one are shown apart, see `apart`.
    keep = [now == was for was, now in zip(times, apart(times), strict=True)]
    places = [0]
    for place in range(1, len(times)):
        if place >= places[-1] + length and keep[place]:
            places.append(place)
    firsts = [times[place] for place in places]
    ends = [*firsts[1:], after]
    if start is None:
        firsts[0] = _BEGINNING
    counts = [b - a for a, b in pairwise([*places, len(times)])]
    return [Chunk(i, *parts) for i, parts in enumerate(zip(firsts, ends, counts, strict=True))]


def digest(seen: Seen) -> str:
    """A hash of a decoded frame, and of those before it that a model sees beside it."""
    state = hashlib.blake2b(digest_size=16)
    for frame in (seen.frame, *seen.before):
        for plane in frame.samples():
            state.update(np.ascontiguousarray(plane))
    return state.hexdigest()


def frame_before(timeline: Sequence[int], chunk: Chunk) -> int | None:
    """The time of the frame before a chunk, as the container announces it."""
    place = bisect.bisect_left(timeline, chunk.first)
    return timeline[place - 1] if place and chunk.index else None


def _announced(timeline: Sequence[int], chunk: Chunk) -> Sequence[int]:
    """The times of a chunk's frames, as the container announces them."""
    end = len(timeline) if chunk.end is None else bisect.bisect_left(timeline, chunk.end)
    return timeline[bisect.bisect_left(timeline, chunk.first) : end]


class FrameReader:
    """A film's frames in order, from one decoder that is kept as long as it stands in the right place.

    With each come its neighbours as :class:`.engine.windows.Windows` finds them by ``window`` and ``cuts``, whatever
    part of the film is asked for: those before ``--start``, behind ``--end`` and in the chunks beside are read, too.
    """

    def __init__(self, film: Film, window: tuple[int, int] = NO_NEIGHBOURS, cuts: Cuts = "auto") -> None:
        self._open, self._timeline = film.decoder, film.source.timeline
        self._window, self._cuts = window, cuts
        self._decoder: Decoder | None = None
        self._frames: Iterator[tuple[int, Seen]] = iter(())
        self._next: tuple[int, Seen] | None = None
        self._format = frame_format(film.source.pix_fmt, film.source.colors)

    def seek(self, first: int, previous: ChunkRecord | None) -> None:
        """Stand before the frame at ``first``. A decoder that began in the middle is trusted only if the frame before
        ``first`` is the one that was decoded last time; otherwise decoding starts at the beginning."""
        if self.stands_before(first):
            return
        if previous is None or self.enter(previous.times[-1]) != previous.last_frame:
            self.begin(first)

    def stands_before(self, first: int) -> bool:
        """Whether the frame at ``first`` is the next."""
        return self._next is not None and self._next[0] == first

    def enter(self, before: int) -> str | None:
        """Stand behind the frame at ``before``, by a decoder that began shortly before it. Returns a hash of that
        frame, which tells whether such a decoder gives what one from the beginning does; ``None``: there is none."""
        place = bisect.bisect_right(self._timeline, before) - 1 - self._window[0]
        self._start(self._timeline[max(0, place)] if self._window[0] else before)
        self._skip(before)
        if self._next is None or self._next[0] != before:
            return None
        seen = digest(self._next[1])
        self._advance()
        return seen

    def begin(self, first: int) -> None:
        """Stand before the frame at ``first``, by a decoder from the beginning."""
        self._start(None)
        self._skip(first)

    def take(self, end: int | None) -> Iterator[tuple[int, Seen]]:
        """Frames with their times, up to the time ``end``."""
        while self._next is not None and (end is None or self._next[0] < end):
            item = self._next
            assert self._decoder is not None
            self._decoder.refuse_unlike(item[0])
            yield item
            self._advance()

    @property
    def last_line(self) -> str:
        """What the decoder said last."""
        return "" if self._decoder is None else self._decoder.last_line

    def _start(self, since: int | None) -> None:
        self.close()
        self._decoder = self._open(since)
        frames = ((when, to_frame(picture, self._format)) for when, picture in self._decoder)
        self._frames = timed_windows(frames, Windows(self._window, self._cuts))
        self._advance()

    def _skip(self, first: int) -> None:
        while self._next is not None and self._next[0] < first:
            self._advance()

    def _advance(self) -> None:
        self._next = next(self._frames, None)

    def close(self) -> None:
        """End the decoder."""
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None


def process_chunk(
    chunk: Chunk,
    film: Film,
    reader: FrameReader,
    upscaler: Upscaler,
    path: Path,
    *,
    advance: Callable[[int, int], None] = lambda done, reused: None,
) -> ChunkRecord:
    """Make one chunk, before which ``reader`` stands: decode, upscale, encode to ``path``, verify.
    ``advance(frames written, frames reused)`` is called as it goes.

    Raises:
        PipeError: ffmpeg failed, or the file does not hold what went in.
    """
    encoder = ChunkEncoder(film.executable, film.encoding, path, film.source.path)
    times: list[int] = []
    waiting: deque[Future[Frame]] = deque()
    last: Seen | None = None
    latest: Future[Frame] | None = None
    reused = written = 0
    base = film.source.time_base
    planned = frozenset(apart(_announced(film.source.timeline, chunk)))
    backward = 0

    def write_next() -> None:
        nonlocal written
        encoder.write(waiting.popleft().result())
        written += 1
        advance(written, reused)

    try:
        for when, seen in reader.take(chunk.end):
            if times and when <= times[-1]:
                when = times[-1] + 1
                backward += when not in planned
                if chunk.end is not None and when >= chunk.end:
                    raise PipeError(f"{film.source.path}: too many frames at the time {float(when * base):.3f} s")
            if latest is not None and last is not None and seen.same_samples(last):
                reused += 1  # the same planes give the same picture: a still costs nothing
            else:
                latest = upscaler.submit(seen.frame, seen.before, seen.after, size=film.size)
            waiting.append(latest)
            times.append(when)
            last = seen
            if len(waiting) > upscaler.lookahead:
                write_next()
        while waiting:
            write_next()
        if last is None:
            since = float(max(chunk.first, film.source.timeline[0]) * base)
            raise PipeError(
                f"{film.source.path}: none of {chunk.frames} frames from {since:.3f} s on can be decoded: it is "
                f"damaged there, or was cut; a longer chunk reaches what follows: --restart --chunk {4 * chunk.frames}"
            )
        encoder.finish()
    except BaseException:
        for future in waiting:
            future.cancel()
        encoder.close()
        raise
    header = verify_chunk(path, len(times), film.source.path)
    file, size = path.name.replace(".partial", ""), path.stat().st_size
    said = reader.last_line if len(times) < chunk.frames else ""
    return ChunkRecord(
        chunk.index, file, size, tuple(times), header, digest(last), reused, content(path), said, backward
    )


def undecoded(chunks: Sequence[Chunk], records: Sequence[ChunkRecord]) -> str | None:
    """A line about frames that the file has and no decoder gives; ``None``: all came out, if in another chunk than
    they were announced for: AVI and broken files give them a little later."""
    announced = sum(chunk.frames for chunk in chunks)
    missing = announced - sum(len(record.times) for record in records)
    if missing <= 0:
        return None
    said = next((f" ({r.complaint})" for r in records if r.complaint), "")
    return f"{missing} of {announced} frames could not be decoded{said}"


def out_of_order(records: Sequence[ChunkRecord]) -> str | None:
    """A line about frames whose times the file does not tell; ``None``: there are none."""
    count = sum(record.backward for record in records)
    if not count:
        return None
    frames = sum(len(record.times) for record in records)
    return (
        f"{count} of {frames} frames came with a time before that of the frame before, and are shown a tick after it: "
        "the time stamps of this film are wrong there"
    )


def verify_chunk(path: Path, frames: int, source: Path) -> str:
    """A hash of the parameter sets of a chunk of ``source`` that holds exactly ``frames`` frames, each at a time of its
    own."""
    try:
        with opened(path) as container:
            stream = container.streams.video[0]
            header = hashlib.sha256(stream.codec_context.extradata or b"").hexdigest()[:32]
            times = [packet.pts for packet in container.demux(stream) if packet.pts is not None]
    except PipeError as error:
        told = f"encoding {source}: what comes out cannot be read again: choose another encoder"
        raise full_disk(path) or PipeError(told) from error
    if len(times) != frames or len(set(times)) != frames:
        told = f"{frames} frames went in, {len(times)} came out: an option after -- changes their number"
        raise full_disk(path) or PipeError(f"encoding {source}: {told}")
    return header
