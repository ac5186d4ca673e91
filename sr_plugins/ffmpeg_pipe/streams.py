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
from sr_plugins.ffmpeg_pipe.output_options import OutputOptions
from sr_plugins.ffmpeg_pipe.probe import Source, StreamInfo

_TEXT = {"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"}
_MATROSKA_CANNOT = {"mov_text", "eia_608", "tmcd", "dvb_teletext_"}
# How text subtitles are written where they cannot be copied.
_TEXT_CODEC = {"mp4": "mov_text", "mov": "mov_text", "ipod": "mov_text", "matroska": "subrip", "webm": "webvtt"}
_PICTURE_CODECS = {"dvdsub", "dvd_subtitle", "dvbsub", "dvb_subtitle", "xsub"}
# What sound that a container cannot hold may be written as, where that is not AAC.
_SOUND = {"webm": "libopus"}
_MUXERS = {"mkv": "matroska", "m4v": "mp4", "ts": "mpegts", "m2ts": "mpegts"}
_CHAPTERS = {"matroska", "mp4", "mov", "ipod", "webm", "nut"}
_TIMECODE_HOLDERS = {"mov"}


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


def plan_streams(source: Source, target: Path, options: OutputOptions) -> StreamPlan:
    """Decide for each stream whether it is copied, rewritten or left out."""
    muxer = muxer_of(target, options)
    kept: list[Kept] = []
    notices: list[str] = [f"{what} is dropped: it belongs to the old pixels" for what in source.lost]
    for stream in source.streams:
        if stream.index != source.main and _taken_away(stream, source, options):
            continue
        asked = options.codec(stream.kind, sum(k.stream.kind == stream.kind for k in kept))
        if stream.index == source.main:
            kept.append(Kept(stream))
        elif asked not in (None, "copy") and _can_rewrite(stream, asked):
            kept.append(Kept(stream, asked))
        elif _can_copy(muxer, stream):
            kept.append(Kept(stream))
        elif stream.kind == "subtitle" and stream.codec in _TEXT and muxer in _TEXT_CODEC:
            kept.append(Kept(stream, _TEXT_CODEC[muxer]))
            cure = "" if muxer == "matroska" else "; .mkv keeps it as it is"
            notices.append(f"{stream.label} is rewritten as {_TEXT_CODEC[muxer]}, which may lose its styling{cure}")
        elif muxer == "matroska":
            notices.append(f"{stream.label} is left out: Matroska cannot hold it")
        else:
            cures = [".mkv can"] if _can_copy("matroska", stream) else []
            cures += [f"-- -c:a {_SOUND.get(muxer, 'aac')} rewrites it"] if stream.kind == "audio" else []
            reason = f"{target.suffix or muxer} cannot hold it"
            notices.append(
                f"{stream.label} is left out: {'; '.join([reason, ', '.join(cures)] if cures else [reason])}"
            )
        if stream.kind == "video" and stream.index != source.main and not stream.is_cover:
            notices.append(f"{stream.label} is copied as it is: one video stream of a file is upscaled")
    if source.chapters and muxer not in _CHAPTERS:
        notices.append(f"{source.chapters} chapters are left out: {target.suffix or muxer} cannot hold them; .mkv can")
    return StreamPlan(muxer, tuple(kept), tuple(notices))


def _taken_away(stream: StreamInfo, source: Source, options: OutputOptions) -> bool:
    alike = [s.index for s in source.streams if s.kind == stream.kind]
    letter = "t" if stream.kind == "attachment" else stream.kind[0]
    names = {letter, f"{letter}:{alike.index(stream.index)}", str(stream.index)}
    return bool(names & set(options.removed))


def _can_rewrite(stream: StreamInfo, encoder: str) -> bool:
    """ffmpeg makes no pictures of text, nor text of pictures."""
    return stream.kind == "audio" or (
        stream.kind == "subtitle" and (stream.codec in _TEXT) == (encoder not in _PICTURE_CODECS)
    )


def _can_copy(muxer: str, stream: StreamInfo) -> bool:
    if stream.kind == "attachment":
        return muxer == "matroska"
    if stream.kind == "data":
        # A broadcast stream copies any data; QuickTime its time code. Nothing else takes data streams.
        return muxer == "mpegts" or (muxer in _TIMECODE_HOLDERS and stream.codec == "tmcd")
    if not stream.codec:
        return False
    if muxer == "matroska":
        return stream.codec not in _MATROSKA_CANNOT
    if muxer == "mpegts":
        return stream.kind in ("audio", "video") or stream.codec == "dvb_subtitle"
    return stream.codec in _held_by(muxer)


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
