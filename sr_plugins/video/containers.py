"""Every container we know something about, a line each: what ffmpeg's muxer holds, and how films are treated in it.

A container that is not listed works too: then libavformat's word on codecs counts, and none of the comforts.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Literal

_QUICKTIME_SURE = frozenset({"aac", "ac3", "alac", "mp3", "mov_text"})
# A palette for each frame; ordered dither does not flicker.
_PALETTE = (
    "split[picture][colours];[colours]palettegen=stats_mode=single[palette];"
    "[picture][palette]paletteuse=new=1:dither=bayer:bayer_scale=5"
)
_MARKS = frozenset({"comment", "visual_impaired", "descriptions", "forced", "hearing_impaired", "captions"})
GOOD = ("-preset", "medium", "-crf", "16")
_VP9 = ("libvpx-vp9", "-crf", "20", "-b:v", "0", "-row-mt", "1")
_MPEG_SOUND = frozenset({"ac3", "dts", "mp1", "mp2", "mp3"})


@dataclass(frozen=True, kw_only=True)
class Container:
    """What one of ffmpeg's muxers can do.

    Attributes:
        muxer: ffmpeg's name.
        suffixes: endings of a target that mean it, where they are not the muxer's name.
        holds_all: any codec but ``never``; otherwise ``codecs``, or, where that is ``None``, what libavformat lists.
        codecs: those of all streams beside the picture that a player finds in it; ``video`` says whether any video may
            stand beside ours.
        never: codecs that do not go in although libavformat lists them.
        sure: codecs of sound and subtitles that need no trial: any ffmpeg writes them.
        text: how text subtitles are written where they cannot be copied.
        sound: what sound may be rewritten as, where it cannot be copied.
        encoder: the one to take where the person names none, and its options.
        plain: players of it know no FFV1.
        encoders: the only ones whose pictures keep their times in it; empty: all.
        chapters, attachments, covers, data: whether it holds them.
        timecode: its muxer makes the track of a time code itself, from the tag, or the tag is all there is.
        quicktime: written by the QuickTime family's muxer: a clock of the person's choice, keys, a display matrix.
        keeps: films of a folder stay in this kind of container.
        tags: it holds the film's title and tags. titles: those of streams; as ``handler`` in QuickTime's family.
        marks: which of ffmpeg's dispositions it holds, beside ``default``.
        finish: the encoder with which the last step writes the film anew from ``encoder``'s lossless pictures, and its
            options, where the codec cannot be put together from chunks.
        languages: which codes of languages it holds: ``all``, those of ``three letters``, those of ``quicktime``, or
            ``none``.
        counts: it counts frames, at one rate for all.
        gapless: a frame begins where the one before ends.
        bare: no container at all, but a codec's stream: the order of frames is all it tells.
    """

    muxer: str
    suffixes: tuple[str, ...] = ()
    holds_all: bool = False
    codecs: frozenset[str] | None = None
    video: bool = False
    never: frozenset[str] = frozenset()
    sure: frozenset[str] = frozenset()
    text: str | None = None
    sound: str = "aac"
    encoder: tuple[str, ...] = ()
    plain: bool = False
    encoders: tuple[str, ...] = ()
    chapters: bool = False
    attachments: bool = False
    covers: bool = False
    data: bool = False
    timecode: bool = False
    quicktime: bool = False
    keeps: bool = False
    tags: bool = True
    titles: bool = False
    marks: frozenset[str] = frozenset()
    finish: tuple[str, ...] = ()
    languages: Literal["all", "three letters", "quicktime", "none"] = "all"
    counts: bool = False
    gapless: bool = False
    bare: bool = False


def _program(muxer: str, *suffixes: str) -> Container:
    """MPEG's program streams, whose muxers name no codecs."""
    return Container(
        muxer=muxer,
        suffixes=suffixes,
        codecs=_MPEG_SOUND | {"pcm_dvd", "dvd_subtitle", "h264", "mpeg1video", "mpeg2video"},
        sure=_MPEG_SOUND,
        sound="mp2",
        encoder=("mpeg2video", "-q:v", "2"),
        encoders=("mpeg2video", "mpeg1video"),
        tags=False,
        languages="none",
    )


def _bare(muxer: str, *encoder: str, suffixes: tuple[str, ...] = ()) -> Container:
    """A codec's own stream."""
    return Container(muxer=muxer, suffixes=suffixes, codecs=frozenset(), encoder=encoder, tags=False, bare=True)


CONTAINERS = (
    Container(
        muxer="matroska",
        suffixes=("mkv",),
        holds_all=True,
        never=frozenset({"mov_text", "eia_608", "tmcd", "dvb_teletext_", "pcm_bluray", "pcm_dvd", "s302m"}),
        sure=_MPEG_SOUND
        | {"aac", "eac3", "flac", "opus", "truehd", "vorbis", "pcm_s16le", "pcm_s24le", "pcm_f32le"}
        | {"ass", "subrip", "webvtt", "dvd_subtitle", "dvb_subtitle", "hdmv_pgs_subtitle"},
        text="subrip",
        chapters=True,
        attachments=True,
        covers=True,
        timecode=True,
        keeps=True,
        titles=True,
        marks=_MARKS | {"dub", "original"},
    ),
    Container(
        muxer="webm",
        sure=frozenset({"opus", "vorbis"}),
        text="webvtt",
        sound="libopus",
        encoder=_VP9,
        plain=True,
        chapters=True,
        titles=True,
        marks=frozenset({"forced"}),
    ),
    Container(
        muxer="ogg",
        suffixes=("ogv",),
        codecs=frozenset({"vorbis", "flac", "opus", "speex"}),
        sure=frozenset({"vorbis", "flac", "opus"}),
        sound="libvorbis",
        encoder=("libtheora", "-q:v", "9"),
        gapless=True,
        plain=True,
        chapters=True,
        tags=False,
        titles=True,
    ),
    Container(
        muxer="mp4",
        suffixes=("m4v",),
        titles=True,
        marks=_MARKS | {"dub"},
        sure=_QUICKTIME_SURE,
        plain=True,
        text="mov_text",
        chapters=True,
        covers=True,
        timecode=True,
        quicktime=True,
        keeps=True,
        languages="three letters",
    ),
    Container(
        muxer="mov",
        titles=True,
        sure=_QUICKTIME_SURE,
        plain=True,
        text="mov_text",
        chapters=True,
        timecode=True,
        quicktime=True,
        keeps=True,
        languages="quicktime",
    ),
    Container(
        muxer="ipod",
        titles=True,
        sure=_QUICKTIME_SURE,
        plain=True,
        text="mov_text",
        chapters=True,
        covers=True,
        quicktime=True,
        languages="three letters",
    ),
    # A transport stream takes anything, but what is not listed here nothing can play.
    Container(
        muxer="mpegts",
        suffixes=("ts", "m2ts", "mts"),
        codecs=_MPEG_SOUND | {"aac", "aac_latm", "eac3", "opus", "s302m", "truehd", "dvb_subtitle"},
        sure=_MPEG_SOUND | {"aac", "eac3"},
        video=True,
        data=True,
        tags=False,
        marks=frozenset({"visual_impaired", "descriptions", "hearing_impaired", "clean_effects"}),
        languages="three letters",
    ),
    _program("mpeg", "mpg"),
    _program("vob"),
    _program("dvd"),
    _program("svcd"),
    # Codecs' own streams, without a container: nothing but the frames.
    _bare("h264", "libx264", *GOOD, suffixes=("264", "avc")),
    _bare("hevc", "libx265", *GOOD, suffixes=("h265", "265")),
    _bare("mpeg2video", "mpeg2video", "-q:v", "2", suffixes=("m2v",)),
    _bare("mpeg1video", "mpeg1video", "-q:v", "2", suffixes=("m1v",)),
    _bare("mjpeg", "mjpeg", "-q:v", "2", suffixes=("mjpg",)),
    _bare("obu", "libsvtav1", "-crf", "20"),
    Container(muxer="asf", suffixes=("wmv",), encoder=("wmv2", "-q:v", "2"), encoders=("wmv2", "wmv1"), chapters=True),
    Container(muxer="avi", titles=True, languages="none", counts=True),
    Container(muxer="ivf", codecs=frozenset(), encoder=_VP9, plain=True, tags=False),
    Container(muxer="mxf", sound="pcm_s16le", timecode=True, languages="none"),
    Container(muxer="flv", languages="none"),
    Container(
        muxer="nut", chapters=True, titles=True, marks=frozenset({"comment", "dub", "original", "lyrics", "karaoke"})
    ),
    # A list and many files, which are told as that.
    Container(muxer="hls", suffixes=("m3u8",)),
    Container(muxer="dash", suffixes=("mpd",)),
    Container(muxer="gif", encoder=("png",), finish=("gif", "-filter:v", _PALETTE), tags=False),
    Container(muxer="apng", encoder=("png",), finish=("apng", "-plays", "0"), tags=False),
    Container(muxer="webp", encoder=("png",), finish=("libwebp", "-quality", "90", "-loop", "0"), tags=False),
)

# The ffmpeg from which on Matroska tells a codec's delay; before, its muxer holds no time below zero, and moves the
# whole film instead.
DELAY_IN_MATROSKA = (9, 0)
# The ffmpeg from which on MP4 holds PCM.
PCM_IN_MP4 = (6, 0)
# Sources whose clock starts anywhere and may be set anew at any time (broadcast, DVD), by the names of demuxers.
DISCONTINUOUS = {"mpegts", "mpeg", "mpegtsraw", "dvd", "vob", "hls"}
# Sources that name other files, which hold the film, by the names of demuxers.
LISTS = {"hls", "concat", "dash", "imf"}
# What is taken for a film in a folder.
FILM_SUFFIXES = {
    *(".3gp", ".avi", ".flv", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf"),
    *(".nut", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
}


def container_named(muxer: str) -> Container:
    """What is known of a muxer of ffmpeg's."""
    return next((c for c in CONTAINERS if c.muxer == muxer), Container(muxer=muxer))


def container_of_suffix(suffix: str) -> Container:
    """The container that a file's ending means, with or without its dot, in any case."""
    name = suffix.lower().removeprefix(".")
    return next((c for c in CONTAINERS if name in c.suffixes), container_named(name))


def batch_suffix(suffix: str) -> str:
    """The ending of a film's target in a folder: its own where that container keeps all that matters, else ``.mkv``."""
    return suffix if container_of_suffix(suffix).keeps else ".mkv"


@cache
def held_by(muxer: str) -> frozenset[str]:
    """Codecs, by their canonical names, that libavformat can put into a container."""
    import av  # here, for --help reads the table above and no film

    with av.open(io.BytesIO(), "w", format=muxer) as container:
        names = container.supported_codecs
    return frozenset(av.Codec(name, mode).canonical_name for name in names for mode in _modes(name))


def _modes(name: str) -> Iterator[Literal["r", "w"]]:
    import av
    from av.codec.codec import UnknownCodecError

    for mode in ("r", "w"):
        with contextlib.suppress(UnknownCodecError):
            av.Codec(name, mode)
            yield mode
