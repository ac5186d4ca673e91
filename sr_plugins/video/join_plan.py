"""What the last step of a film needs to know, and which ffmpeg carries it out."""

from __future__ import annotations

import math
import subprocess
import tempfile
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

from sr_plugins.video.containers import DELAY_IN_MATROSKA, container_named
from sr_plugins.video.ffmpeg_process import PROTOCOLS, bundled_ffmpeg, has_encoder, version, version_number
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.pixel_formats import Colors
from sr_plugins.video.source import Source, StreamInfo, opened
from sr_plugins.video.streams import Kept, StreamPlan
from sr_plugins.video.timeline import times_between

# Seconds at least that are added to every time on the way through NUT, which holds none below zero; ffmpeg takes them
# off again. Enough for the decoding times that lie before the first frame.
_LIFT = 60
_FINE = Fraction(1, 90_000)  # of the ticks there, in seconds, if the source's are coarser and do not fit
_LARGEST = 2**31 - 1  # denominator of a time base in ffmpeg
# The ffmpeg from which on a display matrix can be given; before, QuickTime alone took a rotation, as a tag.
DISPLAY_OPTIONS = (6, 0)
_TELLS_REST = (7, 0)  # before, Matroska says of no frame how long it is shown
_WHOLE_OGG = (6, 0)  # 5.1 copies the first frame of Theora alone
_KEEPS_DISTANCES = (8, 0)  # before, sound of a broadcast that begins after the picture may be moved to it
UNHEARD = Fraction(1, 500)  # seconds; edit lists may count in milliseconds
FINE_RATE = Fraction(600)  # a multiple of the usual ones, for films at uneven times where frames are counted
COVER_KIND = {"mjpeg": "jpg"}  # endings of a cover's file, where that is not the codec


def seconds(value: Fraction) -> str:
    """As ffmpeg reads it."""
    return f"{float(value):.6f}"


def subtitle_file(kept: Kept) -> str:
    """The name of the file with cut subtitles: only MP4 holds its own kind of text."""
    return f"subtitles{kept.stream.index}.{'mp4' if kept.stream.codec == 'mov_text' else 'mkv'}"


def holds_display_matrix(executable: str, muxer: str, source: Source) -> bool:
    """Whether this ffmpeg can write the source's display matrix into this container."""
    if version_number(executable) < DISPLAY_OPTIONS:
        return container_named(muxer).quicktime and not source.mirrored
    return _writes_matrix(executable, muxer)


@cache
def _writes_matrix(executable: str, muxer: str) -> bool:
    """Tried and read back: the Matroska muxer of 6.0 takes the matrix and writes none."""
    quiet = [executable, "-v", "error", "-nostdin", "-y"]
    with tempfile.TemporaryDirectory(prefix="sr-plugins-") as folder:
        plain, turned = Path(folder, "plain.nut"), Path(folder, "turned")
        picture: list[str | Path] = ["-f", "lavfi", "-i", "color=s=32x32:d=0.04:r=25", "-c:v", "mpeg4", plain]
        again: list[str | Path] = ["-display_rotation", "90", "-i", plain, "-c", "copy", "-f", muxer, turned]
        if any(subprocess.run([*quiet, *words], capture_output=True).returncode for words in (picture, again)):
            return False
        with opened(turned) as container:
            return next(container.decode(video=0)).rotation == 90


def joining_ffmpeg(
    executable: str, muxer: str, source: Source, origin: Fraction, options: OutputOptions | None = None
) -> str:
    """The ffmpeg to join with: another than for decoding only where that one would shift times, and a newer one is
    there, with all the encoders of sound that the person names. The first packet of most sound lies below zero.
    """
    mine = version_number(executable)
    encoders = options.encoders_of_sound if options is not None else []
    delayed = source.earliest < origin or bool(encoders) or any(s.codec == "opus" for s in source.streams)
    shifts = muxer in ("matroska", "webm") and delayed and mine < DELAY_IN_MATROSKA
    hastens = muxer in ("matroska", "webm") and source.rests and mine < _TELLS_REST
    loses = muxer in ("ogg", "ogv") and mine < _WHOLE_OGG
    moves = source.discontinuous and mine < _KEEPS_DISTANCES
    bundled = bundled_ffmpeg() if shifts or moves or loses or hastens else None
    newer = bundled is not None and version_number(bundled) > mine and all(has_encoder(bundled, e) for e in encoders)
    return bundled if bundled is not None and newer else executable


def shown_until(source: Source, end: Fraction | None) -> Fraction:
    """When the last frame that is taken stops being shown: where the next begins, where the cut is, or at the end."""
    if end is None:
        return source.finish
    after = next((t for t in source.timeline if t * source.time_base >= end), None)
    return min(end, source.finish if after is None else after * source.time_base)


@dataclass(frozen=True)
class Join:
    """Everything the last step needs to know. ``target`` is the film as the person calls it, wherever it is written
    first; ``start`` and ``end`` are seconds on the source's clock, if it is cut;
    ``finish`` is when the last frame stops being shown, on that clock too; ``colors`` are those of the encoded film."""

    executable: str
    source: Source
    plan: StreamPlan
    options: OutputOptions
    target: Path
    aspect: Fraction | None = None
    start: Fraction | None = None
    end: Fraction | None = None
    finish: Fraction | None = None
    colors: Colors | None = None

    @property
    def kept(self) -> list[Kept]:
        """The streams that are mapped: all but the pictures that go in as attachments."""
        return [k for k in self.plan.kept if k.stream not in self.covers]

    @property
    def cure(self) -> str:
        """What to do where a container does not keep the times of the other streams."""
        if self.plan.muxer not in ("matroska", "webm"):
            return ".mkv as target keeps every time"
        return f"this ffmpeg ({version(self.executable)}) moves it; 9.0 or newer (--ffmpeg) does not"

    @property
    def place(self) -> int:
        """The number of the upscaled stream in the target."""
        return next(n for n, kept in enumerate(self.kept) if kept.stream.index == self.source.main)

    @property
    def place_of_film(self) -> int:
        """The number of the upscaled stream among the films of the target."""
        return sum(kept.stream.is_film for kept in self.kept[: self.place])

    @property
    def covers(self) -> list[StreamInfo]:
        """Pictures that go in as attachments: Matroska has no other way, ffmpeg would make them films of one frame."""
        if self.plan.muxer != "matroska":
            return []
        return [k.stream for k in self.plan.kept if k.stream.is_cover]

    @property
    def cover_files(self) -> list[str]:
        """Names of the files into which covers are put for ffmpeg, beside the target."""
        return [f"cover{number}.{COVER_KIND.get(cover.codec, cover.codec)}" for number, cover in enumerate(self.covers)]

    @property
    def cut_subtitles(self) -> list[Kept]:
        """Subtitles that are written anew in a film that is cut: they are cut first, for ffmpeg would keep those of
        before the cut, at times below zero."""
        if self.start is None:
            return []
        return [k for k in self.kept if k.stream.kind == "subtitle" and k.codec != "copy"]

    @property
    def side_files(self) -> list[str]:
        """Names of files that are made beside the target for ffmpeg to read."""
        return [*self.cover_files, *(subtitle_file(kept) for kept in self.cut_subtitles)]

    @property
    def origin(self) -> Fraction:
        """The time on the source's clock that becomes zero."""
        return self.source.origin if self.start is None else self.start

    @property
    def given(self) -> dict[str, str | None]:
        """Options with which ffmpeg reads the source, its zero at ``origin``; ``None``: one without a value."""
        options = {"protocol_whitelist": PROTOCOLS, "copyts": None, "itsoffset": seconds(-self.origin)}
        options |= self.source.given
        # Of decoders of sound: ffmpeg 9.0's of ALAC loses packets behind those that an edit list hides.
        options["threads"] = "1"
        if self.start is not None:
            options["ss"] = seconds(self.start - self.source.start)
        return options

    @property
    def clock(self) -> Fraction:
        """The time base on the way through NUT: the source's, or a fraction of it where a cut lies between ticks."""
        base = self.source.time_base
        if (self.origin / base).denominator == 1:
            return base
        return base / max(1, min(math.ceil(base / _FINE), _LARGEST // base.denominator))

    @property
    def steady(self) -> bool:
        """All frames lie where the nominal rate puts them, counted from zero, to a tick of the source, each at a place
        of its own, and no sound lies before zero, with which a container that has no such times would move them."""
        source, fine = self.source, max(self.source.time_base, Fraction(1, 1000))
        if self.start is None and source.earliest < self.origin and not self.drops_early:
            return False
        shown = times_between(source.timeline, source.time_base, self.start, self.end)
        times = [time * source.time_base - self.origin for time in shown]
        places = [round(time * source.rate) for time in times]
        near = all(abs(time - place / source.rate) <= fine for time, place in zip(times, places, strict=True))
        return near and len(set(places)) == len(places)

    @property
    def drops_early(self) -> bool:
        """Packets of sound that lie before zero, as the first of most encoders do, are left out: a container that
        counts frames from zero on would move the whole film. Then the next has to lie at zero."""
        if self.start is not None or not container_named(self.plan.muxer).counts:
            return False
        return self.origin == 0 and not self.early_sound

    @property
    def early_sound(self) -> list[StreamInfo]:
        """Copied streams of sound that begin before zero and have no packet at zero."""
        copied = [kept.stream for kept in self.kept if kept.stream.kind == "audio" and kept.codec == "copy"]
        spans = [(stream, self.source.spans[stream.index]) for stream in copied if stream.index in self.source.spans]
        early = [(stream, span.positive) for stream, span in spans if span.first - self.origin < -UNHEARD]
        return [stream for stream, at in early if at is None or at > UNHEARD]

    @property
    def lift(self) -> int:
        """Seconds that are exact in this clock: a time base of 1001/24000 divides 1001 seconds, but not 60."""
        numerator = self.source.time_base.numerator
        return math.ceil(_LIFT / numerator) * numerator
