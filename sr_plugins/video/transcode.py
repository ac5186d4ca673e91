"""A film, larger: ``upscale_video``. Interrupt it at any moment; the same call goes on where it was."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from sr_plugins.errors import PipeError
from sr_plugins.upscaler import Upscaler
from sr_plugins.video.chunks import out_of_order, undecoded
from sr_plugins.video.decode import DecodeOptions
from sr_plugins.video.ffmpeg_process import find_ffmpeg
from sr_plugins.video.join import join_chunks, write_pictures
from sr_plugins.video.journal import Journal, being_written, clear_finished
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.plan import FilmPlan, check_target, outline_film, plan_film
from sr_plugins.video.rehearsal import rehearse
from sr_plugins.video.sequence import FIRST, is_sequence
from sr_plugins.video.so_far import write_so_far
from sr_plugins.video.verify import verify_target
from sr_plugins.video.ways import Way, way_of

logger = logging.getLogger(__name__)

CHUNK_FRAMES = 500


@dataclass(frozen=True)
class FilmProgress:
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
    upscaler: Upscaler | Way | Callable[[], Upscaler | Way],
    *,
    options: Sequence[str] = (),
    start: float | None = None,
    end: float | None = None,
    deinterlace: bool = False,
    progressive: bool = False,
    hwaccel: str | None = None,
    chunk_frames: int = CHUNK_FRAMES,
    restart: bool = False,
    overwrite: bool = False,
    ffmpeg: str | Path | None = None,
    rate: float | Fraction | None = None,
    keep_playable: bool = False,
    progress: Callable[[FilmProgress], None] = lambda _: None,
    notice: Callable[[str], None] = logger.warning,
) -> VideoResult:
    """Upscale the main video stream of ``source`` into ``target``; everything else stays as it was.

    Finished chunks lie in the folder ``<target>.parts`` until the film is whole; if a call ends early, for whatever
    reason, the same call continues with them.

    Args:
        source: any file that ffmpeg reads, or the pattern of numbered pictures, such as ``frame_%05d.png``.
        target: its name chooses the container; ``.mkv`` holds everything. A pattern makes numbered pictures.
        upscaler: computes the frames, here or on the machines of a cluster; or makes who does, once the film is known
            to be one of which this target can be made.
        options: ffmpeg output options, as words: ``["-c:v", "libx265", "-crf", "18", "-c:a", "libopus"]``.
        start, end: seconds from the beginning of the file; frames with ``start`` <= time < ``end`` are taken.
        deinterlace: run ffmpeg's bwdif first, one frame for each frame. Without it interlaced sources are refused.
        progressive: take an interlaced source as progressive, where it is only marked so.
        hwaccel: decode by this hardware interface, as ffmpeg names it (``auto``, ``cuda``, ``vaapi``).
        chunk_frames: frames of a chunk: what is lost at most when the process is killed.
        restart: begin anew, even if there are finished chunks.
        overwrite: replace ``target`` if it exists.
        ffmpeg: the executable to use; by default the system's, else the bundled one.
        rate: of numbered pictures (25 if not given) or of a bare stream (its own), in frames a second.
        keep_playable: if ``KeyboardInterrupt`` or ``SystemExit`` ends the work, leave what is finished as a film of its
            own beside ``target``.
        progress: called after every frame; about once a second while a cluster works.
        notice: called with a line for everything that cannot be kept, before work begins, and for frames that could
            not be decoded, at the end.

    Raises:
        PipeError: the source cannot be read, the target not written, or ffmpeg failed.
        SRError: what the upscaler raises.
    """
    source, target = Path(source), Path(target)
    if keep_playable and is_sequence(target):
        raise PipeError(f"{target}: numbered pictures are written at the end: no film can be kept on the way")
    try:
        finished = clear_finished(target)
        begun = is_sequence(target) and being_written(target)
        outline = outline_film(
            source,
            target,
            OutputOptions.parse(options),
            (start, end),
            DecodeOptions(deinterlace, progressive, hwaccel),
            chunk_frames,
            find_ffmpeg(ffmpeg),
            overwrite or finished is not None or begun,
            None if rate is None else Fraction(rate).limit_denominator(1001),
        )
        way = way_of(upscaler() if callable(upscaler) else upscaler)
        plan = plan_film(outline, way)
        if finished is not None and finished.is_of(plan.identity) and not restart:
            return VideoResult(target, finished.frames, finished.frames, finished.reused, 0.0)
        check_target(target, overwrite or begun)
        encoding = plan.film.encoding
        for line in (*plan.film.source.notices, *plan.join.plan.notices, *encoding.notices):
            notice(f"{source.name}: {line}")
        with Journal(
            target,
            plan.identity,
            restart=restart,
            chunks=len(plan.chunks),
            suffix=plan.film.encoding.container,
            names=plan.side_files,
        ) as journal:
            if journal.notice:
                notice(journal.notice)
            try:
                return _run(plan, journal, way, progress, notice, keep_playable)
            except BaseException:
                if not journal.records:  # nothing is finished, so nothing is left behind
                    with contextlib.suppress(OSError):
                        journal.remove()
                raise
    except OSError as error:
        raise PipeError(f"{error.filename or target}: {error.strerror or error}") from error


def _run(
    plan: FilmPlan,
    journal: Journal,
    way: Way,
    progress: Callable[[FilmProgress], None],
    notice: Callable[[str], None],
    keep_playable: bool,
) -> VideoResult:
    begun = time.monotonic()
    total = sum(chunk.frames for chunk in plan.chunks)
    resumed = sum(len(record.times) for record in journal.records)
    joined, trial, *_ = map(journal.own, plan.side_files)
    if len(journal.records) < len(plan.chunks):
        for line in rehearse(plan, trial, joined):
            notice(f"{plan.film.source.path.name}: {line}")
    done, reused = resumed, sum(record.reused for record in journal.records)

    def advance(chunk: int, written: int, same: int) -> None:
        spent = time.monotonic() - begun
        progress(FilmProgress(done + written, total, chunk, len(plan.chunks), resumed, reused + same, spent))

    try:
        left = plan.chunks[len(journal.records) :]
        with closing(way.make(plan.film, left, journal.records[-1:], journal.partial, advance)) as made:
            for record in made:
                if journal.records and record.header != journal.records[-1].header:
                    encoder = plan.film.encoding.encoder
                    raise PipeError(f"{encoder} gave chunk {record.index} other parameters than those before")
                journal.add(record, journal.partial(record.index))
                done, reused = done + len(record.times), reused + record.reused
    except (KeyboardInterrupt, SystemExit):
        if keep_playable:
            try:
                notice(write_so_far(plan, journal, joined))
            except PipeError as error:
                notice(f"what is finished cannot be made a film: {error}")
        raise
    for line in filter(None, (undecoded(plan.chunks, journal.records), out_of_order(journal.records))):
        notice(f"{plan.film.source.path.name}: {line}")
    plan.refuse_changed()
    times = [time for record in journal.records for time in record.times]
    if is_sequence(plan.target):
        pictures = plan.film.source.pictures
        journal.write_out(len(times))
        write_pictures(plan.target, list(map(journal.path, journal.records)), pictures.first if pictures else FIRST)
        journal.remove()
        return VideoResult(plan.target, len(times), resumed, reused, time.monotonic() - begun)
    join_chunks(plan.join, [(journal.path(record), record.times) for record in journal.records], joined)
    verify_target(plan.join, joined, times)
    journal.finish(joined, plan.target)
    return VideoResult(plan.target, len(times), resumed, reused, time.monotonic() - begun)
