"""Which of the source's streams a target can hold, decided and said before work begins."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import av
from av.codec.codec import UnknownCodecError

from sr_plugins.errors import PipeError
from sr_plugins.video.ffmpeg_process import version_number
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.probe import Source, StreamInfo, opened

_TEXT = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
_PICTURE_CODECS = {"dvdsub", "dvd_subtitle", "dvbsub", "dvb_subtitle", "xsub"}
_MATROSKA_CANNOT = {"mov_text", "eia_608", "tmcd", "dvb_teletext_", "pcm_bluray", "pcm_dvd"}
# MPEG's own containers: their muxers in ffmpeg name no codecs, and a transport stream takes anything, but what is not
# listed here nothing can play.
_TRANSPORT = {"aac", "aac_latm", "ac3", "dts", "eac3", "mp1", "mp2", "mp3", "opus", "s302m", "truehd", "dvb_subtitle"}
_PROGRAM = {"ac3", "dts", "mp1", "mp2", "mp3", "pcm_dvd", "dvd_subtitle", "h264", "mpeg1video", "mpeg2video"}
_PROGRAM_MUXERS = {"mpeg", "vob", "dvd", "svcd"}
# Containers that keep the times of these encoders' pictures only: others go in, but come out at other times.
_OWN_ENCODERS = {"asf": ("wmv2", "wmv1")} | dict.fromkeys(_PROGRAM_MUXERS, ("mpeg2video", "mpeg1video"))
# The ffmpeg from which on MP4 holds PCM.
_PCM_IN_MP4 = (6, 0)
# How text subtitles are written where they cannot be copied.
_TEXT_CODEC = {"mp4": "mov_text", "mov": "mov_text", "ipod": "mov_text", "matroska": "subrip", "webm": "webvtt"}
# What sound that a container cannot hold may be written as, where that is not AAC.
_SOUND_CODEC = {"webm": "libopus"} | dict.fromkeys(_PROGRAM_MUXERS, "mp2")
_MUXERS = {"mkv": "matroska", "m4v": "mp4", "mpg": "mpeg", "wmv": "asf"}
_MUXERS |= dict.fromkeys(("ts", "m2ts", "mts"), "mpegts")
_CHAPTERS = {"matroska", "mp4", "mov", "ipod", "webm", "nut"}
_TIMECODE = {"mp4", "mov"}


@dataclass(frozen=True)
class Kept:
    """A stream of the source in the result; ``codec`` is ``copy``, or what it is rewritten as."""

    stream: StreamInfo
    codec: str = "copy"


@dataclass(frozen=True)
class StreamPlan:
    """The streams of the result in the source's order (the upscaled one among them), and what a person should know."""

    muxer: str
    kept: tuple[Kept, ...]
    notices: tuple[str, ...]


def muxer_of(target: Path, options: OutputOptions) -> str:
    """ffmpeg's name of the target's container, by ``-f`` or by the file name.

    Raises:
        PipeError: ffmpeg knows no such container.
    """
    asked = [b for a, b in zip(options.join, options.join[1:], strict=False) if a == "-f"]
    suffix = target.suffix.lower().removeprefix(".")
    name = asked[-1] if asked else _MUXERS.get(suffix, suffix)
    try:
        av.ContainerFormat(name, "w")
    except ValueError:
        raise PipeError(f"{target}: no video container is called {name!r}; .mkv holds everything") from None
    return name


def plan_streams(source: Source, target: Path, options: OutputOptions, executable: str) -> StreamPlan:
    """Decide for each stream whether this ffmpeg copies it, rewrites it or leaves it out.

    Raises:
        PipeError: the target's container does not keep the times of this encoder's pictures.
    """
    muxer = muxer_of(target, options)
    if muxer in _OWN_ENCODERS and options.encoder not in _OWN_ENCODERS[muxer]:
        encoder = _OWN_ENCODERS[muxer][0]
        raise PipeError(f"{target}: this container keeps the time of every frame only with -- -c:v {encoder} -q:v 2")
    container = _Container(muxer, target.suffix.lower() or muxer, version_number(executable))
    kept: list[Kept] = []
    notices: list[str] = [f"{what} is dropped: it belongs to the old pixels" for what in source.lost]
    for stream in source.streams:
        if stream.index == source.main:
            kept.append(Kept(stream))
            continue
        if _taken_away(stream, source, options) or _made_anew(muxer, stream, source):
            continue
        asked = options.codec(stream.kind, sum(k.stream.kind == stream.kind for k in kept))
        codec = asked if _can_rewrite(stream, asked) else container.codec(stream, source)
        if codec is None:
            notices.append(f"{stream.label} is left out: {container.refusal(stream, source)}")
            continue
        kept.append(Kept(stream, codec))
        if codec != asked and stream.kind == "subtitle" and codec != "copy":
            cure = "" if muxer == "matroska" else "; .mkv keeps it as it is"
            notices.append(f"{stream.label} is rewritten as {codec}, which may lose its styling{cure}")
        if stream.kind == "video" and not stream.is_cover:
            notices.append(f"{stream.label} is copied as it is: one video stream of a file is upscaled")
    if source.chapters and muxer not in _CHAPTERS:
        notices.append(f"{source.chapters} chapters are left out: {container.name} cannot hold them; .mkv can")
    return StreamPlan(muxer, tuple(kept), tuple(notices))


@dataclass(frozen=True)
class _Container:
    """The target: ``name`` for messages, and the version of the ffmpeg that writes it."""

    muxer: str
    name: str
    ffmpeg: tuple[int, int]

    def holds(self, kind: str, codec: str) -> bool:
        if kind == "attachment":
            return self.muxer == "matroska"
        if kind == "data":
            return self.muxer == "mpegts"  # a broadcast stream copies any data, nothing else does
        if not codec:
            return False
        if self.muxer == "matroska":
            return codec not in _MATROSKA_CANNOT
        if self.muxer == "mpegts":
            return kind == "video" or codec in _TRANSPORT or (codec == "pcm_bluray" and self.name == ".m2ts")
        if self.muxer in _PROGRAM_MUXERS:
            return codec in _PROGRAM
        if self.muxer == "mp4" and codec.startswith("pcm_") and self.ffmpeg < _PCM_IN_MP4:
            return False
        return codec in _held_by(self.muxer)

    def codec(self, stream: StreamInfo, source: Source) -> str | None:
        """How a stream is written: ``copy``, an encoder that loses as little as can be, or not at all."""
        if self.holds(stream.kind, stream.codec):
            return "copy"
        if stream.kind == "subtitle" and stream.codec in _TEXT:
            return _TEXT_CODEC.get(self.muxer)
        if stream.codec in ("pcm_bluray", "pcm_dvd"):
            plain = _plain_pcm(source.path, stream.index)
            return plain if self.holds(stream.kind, plain) else None
        return None

    def refusal(self, stream: StreamInfo, source: Source) -> str:
        """Why a stream is left out, and what keeps it."""
        if self.muxer == "matroska":
            return "Matroska cannot hold it"
        cures = [".mkv can"] if _Container("matroska", ".mkv", self.ffmpeg).codec(stream, source) else []
        if stream.kind == "audio":
            cures.append(f"-- -c:a {_SOUND_CODEC.get(self.muxer, 'aac')} rewrites it")
        return f"{self.name} cannot hold it" + (f"; {' and '.join(cures)}" if cures else "")


def _taken_away(stream: StreamInfo, source: Source, options: OutputOptions) -> bool:
    alike = [s.index for s in source.streams if s.kind == stream.kind]
    letter = "t" if stream.kind == "attachment" else stream.kind[0]
    names = {letter, f"{letter}:{alike.index(stream.index)}", str(stream.index)}
    return bool(names & set(options.removed))


def _can_rewrite(stream: StreamInfo, encoder: str | None) -> bool:
    """A person named an encoder for it, and a possible one: ffmpeg makes no pictures of text, nor text of pictures."""
    if encoder in (None, "copy"):
        return False
    return stream.kind == "audio" or (
        stream.kind == "subtitle" and (stream.codec in _TEXT) == (encoder not in _PICTURE_CODECS)
    )


def _made_anew(muxer: str, stream: StreamInfo, source: Source) -> bool:
    """Tracks of a QuickTime file that ffmpeg makes itself, of the time code in the tags and of the chapters."""
    if stream.kind != "data" or not source.container.startswith("mov"):
        return False
    if "timecode" in stream.metadata:
        return muxer in _TIMECODE and "timecode" in source.streams[source.main].metadata
    return bool(source.chapters) and stream.frames == source.chapters


def _plain_pcm(path: Path, index: int) -> str:
    with opened(path) as container:
        context = container.streams[index].codec_context
        deep = isinstance(context, av.AudioCodecContext) and context.format.bytes > 2
    return "pcm_s24le" if deep else "pcm_s16le"


@cache
def _held_by(muxer: str) -> frozenset[str]:
    """Codecs, by their canonical names, that libavformat can put into a container."""
    with av.open(io.BytesIO(), "w", format=muxer) as container:
        names = container.supported_codecs
    return frozenset(av.Codec(name, mode).canonical_name for name in names for mode in _modes(name))


def _modes(name: str) -> Iterator[Literal["r", "w"]]:
    for mode in ("r", "w"):
        with contextlib.suppress(UnknownCodecError):
            av.Codec(name, mode)
            yield mode
