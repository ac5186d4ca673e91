"""A film, larger: ``upscale_video``. Interrupt it at any moment; the same call goes on where it was."""

from __future__ import annotations

import functools
import logging
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from sr_plugins.errors import PipeError
from sr_plugins.pixels.frame import empty_frame
from sr_plugins.upscaler import Upscaler
from sr_plugins.video.chunks import Chunk, Film, FrameReader, plan_chunks, process_chunk, undecoded, verify_chunk
from sr_plugins.video.cluster import Cluster
from sr_plugins.video.decode import DecodeOptions
from sr_plugins.video.decoder_choice import alpha_beside, as_decoded
from sr_plugins.video.encode import ChunkEncoder, plan_encoding
from sr_plugins.video.ffmpeg_process import find_ffmpeg, version
from sr_plugins.video.join import Join, holds_display_matrix, join_chunks, joining_ffmpeg
from sr_plugins.video.journal import ChunkRecord, Journal, clear_finished
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.pixel_formats import PixelLayout, aspect_after, frame_format, pipe_format, refuse_odd
from sr_plugins.video.probe import probe
from sr_plugins.video.streams import plan_streams
from sr_plugins.video.verify import verify_target
from sr_plugins.weights.digest import weights_digest

logger = logging.getLogger(__name__)

CHUNK_FRAMES = 500


@dataclass(frozen=True)
class Progress:
    """How far a film is. ``resumed`` frames were finished by an earlier run, ``reused`` equal the frame before."""

    done: int
    total: int
    chunk: int
    chunks: int
    resumed: int
    reused: int
    seconds: float

    @property
    def fps(self) -> float:
        """Frames a second of this run."""
        return (self.done - self.resumed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def eta(self) -> float:
        """Seconds still to go at this rate; infinite before the first frame."""
        return (self.total - self.done) / self.fps if self.fps else math.inf


@dataclass(frozen=True)
class VideoResult:
    """A finished film. ``resumed`` frames came from an earlier run, ``reused`` were equal to the one before them."""

    target: Path
    frames: int
    resumed: int
    reused: int
    seconds: float


def upscale_video(
    source: str | Path,
    target: str | Path,
    upscaler: Upscaler | Cluster,
    *,
    options: Sequence[str] = (),
    start: float | None = None,
    end: float | None = None,
    deinterlace: bool = False,
    hwaccel: str | None = None,
    chunk_frames: int = CHUNK_FRAMES,
    restart: bool = False,
    overwrite: bool = False,
    ffmpeg: str | Path | None = None,
    progress: Callable[[Progress], None] = lambda _: None,
    notice: Callable[[str], None] = logger.warning,
) -> VideoResult:
    """Upscale the main video stream of ``source`` into ``target``; everything else stays as it was.

    Finished chunks lie in the folder ``<target>.parts`` until the film is whole; if a call ends early, for whatever
    reason, the same call continues with them.

    Args:
        source: any file that ffmpeg reads.
        target: its name chooses the container; ``.mkv`` holds everything.
        upscaler: computes the frames, here or on the machines of a cluster.
        options: ffmpeg output options, as words: ``["-c:v", "libx265", "-crf", "18", "-c:a", "libopus"]``.
        start, end: seconds from the beginning of the file; frames with ``start`` <= time < ``end`` are taken.
        deinterlace: run ffmpeg's bwdif first, one frame for each frame. Without it interlaced sources are refused.
        hwaccel: decode by this hardware interface, as ffmpeg names it (``auto``, ``cuda``, ``vaapi``).
        chunk_frames: frames of a chunk: what is lost at most when the process is killed.
        restart: begin anew, even if there are finished chunks.
        overwrite: replace ``target`` if it exists.
        ffmpeg: the executable to use; by default the system's, else the bundled one.
        progress: called after every frame; about once a second while a cluster works.
        notice: called with a line for everything that cannot be kept, before work begins, and for frames that could
            not be decoded, at the end.

    Raises:
        PipeError: the source cannot be read, the target not written, or ffmpeg failed.
        SRError: what the upscaler raises.
    """
    source, target = Path(source), Path(target)
    try:
        finished = clear_finished(target)
        job = _plan(
            source,
            target,
            upscaler,
            OutputOptions.parse(options),
            (start, end),
            DecodeOptions(deinterlace, hwaccel),
            chunk_frames,
            find_ffmpeg(ffmpeg),
            overwrite or finished is not None,
        )
        if finished is not None and finished.is_of(job.identity) and not restart:
            return VideoResult(target, finished.frames, finished.frames, finished.reused, 0.0)
        _check_target(target, overwrite)
        encoding = job.film.encoding
        for line in (*job.film.source.notices, *job.join.plan.notices, *encoding.notices, *alpha_beside(encoding)):
            notice(f"{source.name}: {line}")
        with Journal(target, job.identity, restart=restart) as journal:
            return _run(job, journal, upscaler, progress, notice)
    except OSError as error:
        raise PipeError(f"{error.filename or target}: {error.strerror or error}") from error


@dataclass(frozen=True)
class _Job:
    """One film: the plan that every chunk shares, and what its pixels depend on."""

    film: Film
    target: Path
    size: tuple[int, int]
    join: Join
    chunks: tuple[Chunk, ...]
    identity: dict[str, object]


def _plan(
    path: Path,
    target: Path,
    upscaler: Upscaler | Cluster,
    options: OutputOptions,
    cut: tuple[float | None, float | None],
    decode: DecodeOptions,
    chunk_frames: int,
    executable: str,
    overwrite: bool,
) -> _Job:
    if chunk_frames < 1:
        raise PipeError(f"a chunk of {chunk_frames} frames is not possible: it has at least 1")
    source = as_decoded(executable, probe(path))
    if target.exists() and target.samefile(path):
        raise PipeError(f"{target} is the source itself: choose another name")
    _check_target(target, overwrite)
    if not target.absolute().parent.is_dir():
        raise PipeError(f"{target.absolute().parent}: there is no such folder")
    if source.interlaced and not decode.deinterlace:
        raise PipeError(f"{path} is interlaced, which upscaling would bake in: add --deinterlace")
    plan = plan_streams(source, target, options, executable)
    origin = source.origin if cut[0] is None else Fraction(cut[0]) + source.start
    joiner = joining_ffmpeg(executable, plan.muxer, source, origin)
    if source.turned and not holds_display_matrix(joiner, plan.muxer, source):
        if any(source.crop):
            raise PipeError(f"{path}: ffmpeg {version(executable)} cannot crop and turn it: a newer one (--ffmpeg) can")
        source, decode = source.upright(), replace(decode, turn=True)
    start, end = (None if t is None else Fraction(t).limit_denominator(10**6) + source.start for t in cut)
    chunks = plan_chunks(source.timeline, source.time_base, chunk_frames, start, end)
    before = source.width, source.height
    size = upscaler.output_size(*before, frame_format(source.pix_fmt, source.colors))
    aspect = source.aspect and aspect_after(source.aspect, before, size)
    encoding = plan_encoding(executable, source, aspect, options)
    if not options.own_filters:
        refuse_odd(before, size, PixelLayout.of(encoding.pix_fmt).subsampling)
    join = Join(joiner, source, plan, options, aspect, start, end)
    film = Film(source, source.digest(), decode, encoding, executable)
    identity = {
        "input": film.digest,
        "model": upscaler.description,
        "weights": weights_digest(upscaler.loaded),
        "size": list(size),
        "encoder": [encoding.encoder, encoding.pix_fmt, *encoding.options],
        "deinterlace": decode.deinterlace,
        "cut": [None if t is None else str(t) for t in (start, end)],
        "chunk frames": chunk_frames,
        "ffmpeg": version(executable),
    }
    return _Job(film, target, size, join, tuple(chunks), identity)


def _check_target(target: Path, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise PipeError(f"{target} exists already: --overwrite replaces it")


def _run(
    job: _Job,
    journal: Journal,
    upscaler: Upscaler | Cluster,
    progress: Callable[[Progress], None],
    notice: Callable[[str], None],
) -> VideoResult:
    begun = time.monotonic()
    total = sum(chunk.frames for chunk in job.chunks)
    resumed = sum(len(record.times) for record in journal.records)
    joined = journal.folder / f"joined{job.target.suffix}"
    if len(journal.records) < len(job.chunks):
        _rehearse(job, journal, joined)
    done, reused = resumed, sum(record.reused for record in journal.records)

    def advance(chunk: int, written: int, same: int) -> None:
        spent = time.monotonic() - begun
        progress(Progress(done + written, total, chunk, len(job.chunks), resumed, reused + same, spent))

    make = upscaler.make if isinstance(upscaler, Cluster) else functools.partial(_make_here, upscaler)
    left = job.chunks[len(journal.records) :]
    with closing(make(job.film, left, journal.records[-1:], journal.partial, advance)) as made:
        for record in made:
            if journal.records and record.header != journal.records[-1].header:
                encoder = job.film.encoding.encoder
                raise PipeError(f"{encoder} gave chunk {record.index} other parameters than those before")
            journal.add(record, journal.partial(record.index))
            done, reused = done + len(record.times), reused + record.reused
    if lacking := undecoded(job.chunks, journal.records):
        notice(f"{job.film.source.path.name}: {lacking}")
    times = [time for record in journal.records for time in record.times]
    join_chunks(job.join, [(journal.path(record), record.times) for record in journal.records], joined)
    verify_target(job.join, joined, times)
    journal.finish(joined, job.target)
    return VideoResult(job.target, len(times), resumed, reused, time.monotonic() - begun)


def _make_here(
    upscaler: Upscaler,
    film: Film,
    chunks: Sequence[Chunk],
    before: Sequence[ChunkRecord],
    partial: Callable[[int], Path],
    advance: Callable[[int, int, int], None],
) -> Generator[ChunkRecord]:
    """Make the chunks one after another on this machine; see :meth:`Cluster.make`."""
    reader = FrameReader(film)
    previous = before[-1] if before else None
    try:
        for chunk in chunks:
            reader.seek(chunk.first, previous)
            tell = functools.partial(advance, chunk.index)
            previous = process_chunk(chunk, film, reader, upscaler, partial(chunk.index), advance=tell)
            yield previous
    finally:
        reader.close()


def _rehearse(job: _Job, journal: Journal, joined: Path) -> None:
    """Encode two gray frames and join them with the real streams: what cannot work fails now, not after a night."""
    format = frame_format(job.film.source.pix_fmt, job.film.source.colors)
    frame = empty_frame(format, *job.size, alpha=PixelLayout.of(pipe_format(job.film.source.pix_fmt)).alpha)
    for plane in (*frame.planes, *([] if frame.alpha is None else [frame.alpha])):
        plane[:] = np.asarray(1 << (format.bits - 1), format.dtype)
    times = tuple(t for t in job.film.source.timeline if t >= job.chunks[0].first)[:2]
    trial = journal.folder / "rehearsal.nut"
    encoder = ChunkEncoder(job.film.executable, job.film.encoding, trial)
    try:
        for _ in times:
            encoder.write(frame)
        encoder.finish()
    except BaseException:
        encoder.close()
        raise
    verify_chunk(trial, len(times))
    limit = str(float(times[-1] * job.film.source.time_base - job.join.origin) + 0.1)
    join_chunks(job.join, [(trial, times)], joined, extra=("-t", limit))
    trial.unlink()
    joined.unlink()
