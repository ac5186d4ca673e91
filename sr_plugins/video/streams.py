"""Which of the source's streams a target can hold, decided and said before work begins."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.format import Flags

from sr_plugins.errors import PipeError
from sr_plugins.video.containers import (
    DELAY_IN_MATROSKA,
    PCM_IN_MP4,
    Container,
    container_named,
    container_of_suffix,
    held_by,
)
from sr_plugins.video.ffmpeg_process import version_number
from sr_plugins.video.languages import UNKNOWN, language_in
from sr_plugins.video.maps import chosen_streams
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.programs import Program, lost, other_variants, programs_of
from sr_plugins.video.sequence import is_picture, is_sequence, picture_container
from sr_plugins.video.source import Source, StreamInfo, opened
from sr_plugins.video.stream_trial import copies

# What a player may hear of an encoder's delay before the sound begins, in seconds: every AAC track has some.
_PRIMING = Fraction(1, 10)
# Encoders that make the codec they read; PCM's have its name.
_SAME_SOUND = {
    **{name: name for name in ("aac", "ac3", "alac", "eac3", "flac", "mp2")},
    "mp3": "libmp3lame",
    "opus": "libopus",
    "vorbis": "libvorbis",
}
EXPERIMENTAL = ("-strict", "-2")
# Marks that players act upon, and tags that say nothing of the film itself.
_TOLD = {
    *("forced", "hearing_impaired", "visual_impaired", "comment"),
    *("dub", "original", "lyrics", "karaoke", "clean_effects"),
}
TECHNICAL = {"major_brand", "minor_version", "compatible_brands", "encoder", "creation_time", "ENCODER", "DURATION"}
_TEXT = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
# Data that a transport stream tells of by itself, and what its Blu-ray kind alone holds.
_BROADCAST = {"klv", "scte_35", "timed_id3"}
_BLURAY = {"pcm_bluray", "hdmv_pgs_subtitle"}
_PICTURE_CODECS = {"dvdsub", "dvd_subtitle", "dvbsub", "dvb_subtitle", "xsub"}


@dataclass(frozen=True)
class Kept:
    """A stream of the source in the result; ``codec`` is ``copy``, or what it is rewritten as."""

    stream: StreamInfo
    codec: str = "copy"


@dataclass(frozen=True)
class StreamPlan:
    """The streams of the result in the source's order (the upscaled one among them), and what a person should know.

    ``experimental``: this ffmpeg writes one of them only if told so. ``programs`` are those of a broadcast.
    """

    muxer: str
    kept: tuple[Kept, ...]
    notices: tuple[str, ...]
    experimental: bool = False
    programs: tuple[Program, ...] = ()


def muxer_of(target: Path, options: OutputOptions) -> str:
    """ffmpeg's name of the target's container, by ``-f`` or by the file name.

    Raises:
        PipeError: ffmpeg knows no such container, or one that holds no film.
    """
    if is_sequence(target):
        return picture_container(target).muxer
    asked = [b for a, b in zip(options.join, options.join[1:], strict=False) if a == "-f"]
    name = asked[-1] if asked else container_of_suffix(target.suffix).muxer
    if not name:
        raise PipeError(f"{target}: a name without ending names no video container: {target}.mkv does")
    try:
        with av.open(io.BytesIO(), "w", format=name) as muxer:  # nothing is written before its first packet
            holds_film = muxer.default_video_codec != "none"
            in_one_file = Flags.no_file not in Flags(muxer.format.flags)
    except ValueError:
        cure = ".mkv holds everything"
        if is_picture(target):
            cure = f"numbered pictures are named {target.stem}_%05d{target.suffix}; {cure}"
        raise PipeError(f"{target}: no video container is called {name!r}; {cure}") from None
    if not holds_film:
        raise PipeError(f"{target}: no film fits into {name!r}; .mkv holds everything")
    if not in_one_file:
        raise PipeError(
            f"{target}: {name!r} is no single file: make one first, then ffmpeg -i ONE -c copy -f {name} OUT"
        )
    return name


def target_container(target: Path, muxer: str) -> Container:
    """What is known of it; ``muxer`` is what :func:`muxer_of` says."""
    return picture_container(target) if is_sequence(target) else container_named(muxer)


def plan_streams(
    source: Source, target: Path, options: OutputOptions, executable: str, mapped: Sequence[int] | None = None
) -> StreamPlan:
    """Decide for each stream whether this ffmpeg, the one that joins, copies it, rewrites it or leaves it out. Those
    that are ``mapped``, or all.

    Raises:
        PipeError: the target's container does not keep the times of this encoder's pictures.
    """
    muxer = muxer_of(target, options)
    known = target_container(target, muxer)
    if known.encoders and options.encoder not in (None, *known.encoders):
        names = " or ".join(known.encoders)
        raise PipeError(f"{target}: this container keeps the time of every frame only with -c:v {names}")
    container = _Target(known, target.suffix.lower() or muxer, version_number(executable))
    kept: list[Kept] = []
    strict = False
    notices: list[str] = [f"{what} is dropped: it belongs to the old pixels" for what in source.lost]
    programs = programs_of(executable, source)
    if others := other_variants(programs, source):
        notices.append(
            f"the film is offered in {len(programs)} variants: the largest is taken, the others are left out"
        )
    programs = programs if source.container == "mpegts" else ()
    for stream in chosen_streams(source, mapped):
        if stream.index == source.main:
            kept.append(Kept(stream))
            continue
        if (stream.index in others and mapped is None) or _made_anew(known, stream, source):
            continue
        if stream.enhances and mapped is None:
            notices.append(f"{stream.label} is dropped: it is a layer of Dolby Vision over the old pixels")
            continue
        nth = sum(k.stream.kind == stream.kind for k in kept)
        asked = options.codec(stream.kind, nth)
        codec = asked if _can_rewrite(stream, asked) else container.codec(stream, source)
        if codec == "copy":
            codec, experimental = container.tried(executable, stream, source)
            strict |= experimental
        if codec is None:
            notices.append(f"{stream.label} is left out: {container.refusal(stream, source)}")
            continue
        filtered = stream.kind == "audio" and asked is None and options.sound_filter(nth) is not None
        if codec == "copy" and (filtered or _uncovers(container, stream, source)):
            codec = _SAME_SOUND.get(stream.codec, stream.codec if stream.codec.startswith("pcm_") else known.sound)
            why = "a filter changes it" if filtered else "an edit list hides parts of it, which would be heard again"
            notices.append(f"{stream.label} is encoded anew as {codec}: {why}")
        kept.append(Kept(stream, codec))
        if codec != asked and stream.kind == "subtitle" and codec != "copy":
            cure = "" if muxer == "matroska" else "; .mkv keeps it as it is"
            notices.append(f"{stream.label} is rewritten as {codec}, which may lose its styling{cure}")
        if stream.kind == "video" and not stream.is_cover:
            notices.append(f"{stream.label} is copied as it is: one video stream of a file is upscaled")
    there = {entry.stream.index for entry in kept}
    programs = tuple(program for program in programs if there.intersection(program.streams))
    notices += [*_unmarked(known, container.name, [k.stream for k in kept]), *lost(programs, muxer)]
    if not known.tags and source.metadata.keys() - TECHNICAL:
        notices.append(f"the film's title and tags are left out: {container.name} cannot hold them; .mkv can")
    if source.chapters and not known.chapters:
        notices.append(f"{source.chapters} chapters are left out: {container.name} cannot hold them; .mkv can")
    return StreamPlan(muxer, tuple(kept), tuple(notices), strict, programs)


@dataclass(frozen=True)
class _Target:
    """The target: ``name`` for messages, and the version of the ffmpeg that writes it."""

    container: Container
    name: str
    ffmpeg: tuple[int, int]

    def holds(self, kind: str, codec: str) -> bool:
        known = self.container
        if kind == "attachment":
            return known.attachments
        if not codec or codec in known.never:
            return False
        if known.holds_all or (known.video and kind == "video"):
            return True
        if codec in _BLURAY and self.name == ".m2ts":
            return True
        if known.muxer == "mp4" and codec.startswith("pcm_") and self.ffmpeg < PCM_IN_MP4:
            return False
        return codec in (held_by(known.muxer) if known.codecs is None else known.codecs)

    def codec(self, stream: StreamInfo, source: Source) -> str | None:
        """How a stream is written: ``copy``, an encoder that loses as little as can be, or not at all."""
        if stream.kind == "data":
            return "copy" if self._holds_data(stream, source) else None
        if stream.is_cover:
            return "copy" if self.container.covers and self.holds(stream.kind, stream.codec) else None
        if self.holds(stream.kind, stream.codec):
            return "copy"
        if stream.kind == "subtitle" and stream.codec in _TEXT:
            return self.container.text
        if stream.codec in ("pcm_bluray", "pcm_dvd"):
            plain = _plain_pcm(source.path, stream.index)
            return plain if self.holds(stream.kind, plain) else None
        return None

    def _holds_data(self, stream: StreamInfo, source: Source) -> bool:
        """Whether anything could read it there; QuickTime's own kinds (of a camera's sensors) are tried."""
        if "timecode" in stream.metadata:
            return False  # its muxer makes one, or nothing reads it
        if self.container.quicktime:
            return source.container.startswith("mov") and stream.codec != ""
        return self.container.data and (source.container == "mpegts" or stream.codec in _BROADCAST)

    def tried(self, executable: str, stream: StreamInfo, source: Source) -> tuple[str | None, bool]:
        """``copy`` where this very ffmpeg writes the stream, and whether it has to be told that it may."""
        if stream.is_cover or stream.kind == "attachment" or stream.codec in self.container.sure:
            return "copy", False
        name = f"trial{self.name}" if self.name.startswith(".") else "trial"  # .m2ts is another .ts
        if copies(executable, self.container.muxer, source.path, stream, name):
            return "copy", False
        allowed = copies(executable, self.container.muxer, source.path, stream, name, EXPERIMENTAL)
        return ("copy" if allowed else None), allowed

    def refusal(self, stream: StreamInfo, source: Source) -> str:
        """Why a stream is left out, and what keeps it."""
        if stream.kind == "data" and not stream.codec and "timecode" not in stream.metadata:
            return "ffmpeg does not know what it is"
        if self.container.muxer == "matroska":
            return "Matroska cannot hold it" + ("; -- -c:a flac rewrites it" if stream.kind == "audio" else "")
        cures = [".mkv can"] if _Target(container_named("matroska"), ".mkv", self.ffmpeg).codec(stream, source) else []
        if stream.kind == "audio" and self.holds("audio", _made_by(self.container.sound)):
            cures.append(f"-- -c:a {self.container.sound} rewrites it")
        return f"{self.name} cannot hold it" + (f"; {' and '.join(cures)}" if cures else "")


def _made_by(encoder: str) -> str:
    """What an encoder of sound makes, by libavcodec's name."""
    return next((codec for codec, name in _SAME_SOUND.items() if name == encoder), encoder)


def _unmarked(target: Container, name: str, kept: Sequence[StreamInfo]) -> list[str]:
    """Lines about titles, languages and marks of streams that are lost."""
    lines = []
    if not target.titles and any(stream.title for stream in kept):
        lines.append(f"the titles of streams are left out: {name} cannot hold them; .mkv can")
    for stream in kept:
        told = stream.tags.get("language")
        if told not in (None, UNKNOWN) and not stream.is_cover and language_in(target, told) is None:
            lines.append(f"the language of {stream.label} is left out: {name} cannot hold it; .mkv can")
        lost = [mark for mark in stream.disposition if mark in _TOLD - target.marks]
        if lost and not stream.is_cover:
            lines.append(f"{stream.label} is no longer marked {' and '.join(lost)}: {name} cannot hold it; .mkv can")
    return lines


def _uncovers(target: _Target, stream: StreamInfo, source: Source) -> bool:
    """Whether sound that an edit list hides would be heard in this container: hidden in the middle it always would;
    hidden at its start not by the codec delay that a new ffmpeg writes into Matroska, nor what lies before zero where
    there are edit lists."""
    span = source.spans.get(stream.index)
    if stream.kind != "audio" or span is None or not source.container.startswith("mov"):
        return False
    known = target.container
    if span.cuts > 0 or (known.muxer == "matroska" and target.ffmpeg >= DELAY_IN_MATROSKA):
        return span.cuts > 0
    return span.shown - (max(span.first, source.origin) if known.quicktime else span.first) > _PRIMING


def _can_rewrite(stream: StreamInfo, encoder: str | None) -> bool:
    """A person named an encoder for it, and a possible one: ffmpeg makes no pictures of text, nor text of pictures."""
    if encoder in (None, "copy"):
        return False
    return stream.kind == "audio" or (
        stream.kind == "subtitle" and (stream.codec in _TEXT) == (encoder not in _PICTURE_CODECS)
    )


def _made_anew(target: Container, stream: StreamInfo, source: Source) -> bool:
    """Tracks of a QuickTime file that ffmpeg makes itself, of the time code in the tags and of the chapters."""
    if stream.kind != "data" or not source.container.startswith("mov"):
        return False
    if "timecode" in stream.metadata:
        return target.timecode and "timecode" in source.streams[source.main].metadata
    # The demuxer reads a track of chapters itself, and gives no packet of it.
    return bool(source.chapters) and (stream.frames == source.chapters or stream.index not in source.spans)


def _plain_pcm(path: Path, index: int) -> str:
    with opened(path) as container:
        context = container.streams[index].codec_context
        deep = isinstance(context, av.AudioCodecContext) and context.format.bytes > 2
    return "pcm_s24le" if deep else "pcm_s16le"
