"""What a video file holds: read with PyAV before any work begins."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.sidedata.sidedata import Type as SideData

from sr_plugins.errors import PipeError
from sr_plugins.video.ffmpeg_process import PROTOCOLS
from sr_plugins.video.pixel_formats import Colors
from sr_plugins.video.timeline import DISCONTINUOUS, fraction, nominal_rate, refuse_jumps, scan

_SAMPLES = 3  # places in the film at which frames are looked at
_MATRIX_KEY = "display_matrix"
NO_CROP = (0, 0, 0, 0)


@dataclass(frozen=True)
class Light:
    """HDR10 static metadata.

    ``mastering``: red, green, blue and white point as (x, y), then darkest and brightest luminance in cd/m2, as ten
    fractions; ``content``: the maximum and the frame-average light level (MaxCLL, MaxFALL) in cd/m2.
    """

    mastering: tuple[Fraction, ...] | None = None
    content: tuple[int, int] | None = None

    @classmethod
    def of(cls, mastering: bytes | None, content: bytes | None) -> Light:
        """From libavutil's AVMasteringDisplayMetadata and AVContentLightMetadata."""
        points: tuple[Fraction, ...] | None = None
        if mastering and len(mastering) >= 88:
            *numbers, has_primaries, has_luminance = struct.unpack("<22i", mastering[:88])
            if has_primaries and has_luminance and all(numbers[1::2]):
                points = tuple(Fraction(n, d) for n, d in zip(numbers[::2], numbers[1::2], strict=True))
        level = struct.unpack("<2I", content[:8]) if content and len(content) >= 8 else None
        return cls(points, (level[0], level[1]) if level and any(level) else None)


@dataclass(frozen=True)
class StreamInfo:
    """One stream of the source. ``disposition`` holds ffmpeg's names, ``metadata`` the tags (language, title, ...).

    ``frames`` is how many its file says it has, 0 where that is unknown.
    """

    index: int
    kind: str
    codec: str
    disposition: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    frames: int = 0

    @property
    def tags(self) -> dict[str, str]:
        """The metadata by keys in lower case: Matroska writes capitals."""
        return {key.lower(): value for key, value in self.metadata.items()}

    @property
    def is_cover(self) -> bool:
        return "attached_pic" in self.disposition

    @property
    def label(self) -> str:
        """For messages: ``stream 3 (subtitle, hdmv_pgs_subtitle, eng)``."""
        parts = (self.kind, self.codec, self.tags.get("filename") or self.tags.get("language"))
        return f"stream {self.index} ({', '.join(p for p in parts if p)})"


@dataclass(frozen=True)
class Source:
    """A video file and its main video stream.

    Times are integers in ``time_base``. ``timeline`` lists the presentation time of every frame in order, ``keyframes``
    those from which decoding can begin. ``start`` is where the container says that it begins and ``earliest`` the time
    of the first packet of any stream, in seconds. ``origin`` is the time that counts as zero in the result: 0, or where
    a broadcast recording begins. ``crop`` is what is still to be cut off (left, right, top, bottom); the size is
    that of the rest. ``decoder`` is one that ffmpeg would not take by itself. ``metadata`` holds the file's own tags.
    """

    path: Path
    container: str
    streams: tuple[StreamInfo, ...]
    main: int
    width: int
    height: int
    pix_fmt: str
    colors: Colors
    aspect: Fraction | None
    time_base: Fraction
    rate: Fraction
    timeline: tuple[int, ...]
    keyframes: tuple[int, ...]
    start: Fraction
    earliest: Fraction
    interlaced: bool = False
    rotation: int = 0
    mirrored: bool = False
    light: Light = Light()
    chapters: int = 0
    lost: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    crop: tuple[int, int, int, int] = NO_CROP
    decoder: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def origin(self) -> Fraction:
        """Seconds that are taken off every time stamp."""
        return self.start if self.container.split(",")[0] in DISCONTINUOUS else Fraction(0)

    @property
    def turned(self) -> bool:
        """A display matrix asks players to turn or mirror the picture."""
        return bool(self.rotation or self.mirrored)

    def upright(self) -> Source:
        """The same with the picture turned as the display matrix says, and no matrix."""
        if self.rotation % 180 != 90:
            return replace(self, rotation=0, mirrored=False)
        aspect = self.aspect and 1 / self.aspect
        return replace(self, width=self.height, height=self.width, aspect=aspect, rotation=0, mirrored=False)

    def digest(self) -> str:
        """Changes when the file does: its size and a hash of its two ends; quick for a file of any size."""
        size = self.path.stat().st_size
        state = hashlib.sha256(str(size).encode())
        with self.path.open("rb") as file:
            state.update(file.read(1 << 20))
            file.seek(max(0, size - (1 << 20)))
            state.update(file.read())
        return state.hexdigest()


@contextmanager
def opened(path: Path, **options: Any) -> Iterator[InputContainer]:
    """The file opened by PyAV, which then opens local files only; its errors become ``PipeError``."""
    try:
        with av.open(f"file:{path.absolute()}", options={"protocol_whitelist": PROTOCOLS}, **options) as container:
            yield container
    except (av.FFmpegError, IsADirectoryError) as error:
        if not path.exists():
            raise PipeError(f"{path}: there is no such file") from error
        if path.is_dir():
            raise PipeError(f"{path} is a folder") from error
        if path.stat().st_size == 0:
            raise PipeError(f"{path} is empty") from error
        reason = getattr(error, "strerror", None) or error
        raise PipeError(f"{path}: cannot be read as video, it is damaged or of another kind ({reason})") from error


def probe(path: Path) -> Source:
    """Read everything a transcode needs to know. The whole file is read once (not decoded) for its time stamps.

    Raises:
        PipeError: no such file, not a video, truncated, no time stamps or such of several clocks.
    """
    with opened(path) as container:
        streams = tuple(_describe(stream) for stream in container.streams)
        videos = [s for s in streams if s.kind == "video" and not s.is_cover]
        if not videos:
            raise PipeError(f"{path} holds no video, only {', '.join(sorted({s.kind for s in streams})) or 'nothing'}")
        main = next((s for s in videos if "default" in s.disposition), videos[0]).index
        stream: Any = container.streams[main]
        time_base, declared = fraction(stream.time_base), stream.frames
        rates = [fraction(r) for r in (stream.average_rate, stream.base_rate, stream.guessed_rate) if r]
        aspect = stream.sample_aspect_ratio
        start = Fraction(container.start_time or 0, av.time_base)
        length = Fraction(container.duration or 0, av.time_base)
        found = scan(container, main)
        chapters = len(container.chapters())
        name, coded = container.format.name, dict(stream.codec_context.coded_side_data)
        metadata = dict(container.metadata)
    if not found.times:
        raise PipeError(f"{path}: its video has no time stamps; wrap it first: ffmpeg -i IN -c copy OUT.mkv")
    if name.split(",")[0] in DISCONTINUOUS:
        refuse_jumps(path, found.decoding, time_base)
    missing = declared - found.packets if name.startswith("mov") else 0
    if missing > max(2, declared // 100) or (length and length + start - found.end > max(Fraction(1, 2), length / 50)):
        raise PipeError(
            f"{path} is truncated: it ends after {float(found.end):.2f} s of {float(length + start):.2f} s; "
            "to upscale what is there, repair it first: ffmpeg -i IN -c copy OUT.mkv"
        )
    pictures = _look(path, main, found.times, time_base)
    first = pictures[0]
    side = {key: bytes(first.side_data[key]) for key in first.side_data.keys()}  # noqa: SIM118
    mastering = side.get(SideData.MASTERING_DISPLAY_METADATA, coded.get("mastering_display_metadata"))
    level = side.get(SideData.CONTENT_LIGHT_LEVEL, coded.get("content_light_level"))
    crop = _crop(coded.get("frame_cropping"), (first.width, first.height))
    matrix = side.get(SideData.DISPLAYMATRIX, coded.get(_MATRIX_KEY))
    return Source(
        path=path,
        container=name,
        streams=streams,
        main=main,
        width=first.width - crop[0] - crop[1],
        height=first.height - crop[2] - crop[3],
        pix_fmt=first.format.name,
        colors=Colors.of(first),
        aspect=fraction(aspect) if aspect else None,
        time_base=time_base,
        rate=nominal_rate(found.times, time_base, rates),
        timeline=found.times,
        keyframes=found.keyframes,
        start=start,
        earliest=found.begin,
        interlaced=any(p.interlaced_frame for p in pictures),
        rotation=first.rotation,
        mirrored=matrix is not None and _determinant(matrix) < 0,
        light=Light.of(mastering, level),
        chapters=chapters,
        lost=_lost(side, coded),
        notices=_untold(side, coded, streams[main].metadata),
        crop=crop,
        metadata=metadata,
    )


def _describe(stream: Any) -> StreamInfo:
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else ""
    disposition = tuple(flag.name.lower() for flag in stream.disposition)
    return StreamInfo(stream.index, stream.type, codec, disposition, dict(stream.metadata), stream.frames or 0)


def _look(path: Path, main: int, timeline: tuple[int, ...], time_base: Fraction) -> list[av.VideoFrame]:
    """Some frames from the start and from further on: broadcasts often begin progressive and go on interlaced."""
    found: list[av.VideoFrame] = []
    with opened(path) as container:
        stream: Any = container.streams[main]
        if stream.codec_context is None:
            raise PipeError(f"{path}: no decoder for the codec of its video")
        for sample in range(_SAMPLES if len(timeline) > 100 else 1):
            if sample:
                container.seek(timeline[len(timeline) * sample // _SAMPLES], stream=stream)
            for count, picture in enumerate(container.decode(stream)):
                found.append(picture)
                if count >= 2:
                    break
    if not found:
        raise PipeError(f"{path}: not one frame of its video can be decoded")
    return found


def _determinant(matrix: bytes) -> int:
    a, b, _, c, d = struct.unpack("<5i", matrix[:20])
    return int(a * d - b * c)


def _crop(told: bytes | None, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """What Matroska's PixelCrop and QuickTime's clean aperture take away; nothing if it is more than there is."""
    if told is None or len(told) < 16:
        return NO_CROP
    top, bottom, left, right = struct.unpack("<4I", told[:16])
    return (left, right, top, bottom) if left + right < size[0] and top + bottom < size[1] else NO_CROP


def _lost(side: dict[SideData, bytes], coded: dict[str, bytes]) -> tuple[str, ...]:
    """Metadata tied to the old pixels that no encoder here can write again."""
    lost = []
    if {SideData.DOVI_METADATA, SideData.DOVI_RPU_BUFFER} & side.keys() or any("dovi" in key for key in coded):
        lost.append("Dolby Vision")
    if SideData.DYNAMIC_HDR_PLUS in side:
        lost.append("HDR10+ dynamic metadata")
    if SideData.A53_CC in side:
        lost.append("closed captions inside the video")
    return tuple(lost)


def _untold(side: dict[SideData, bytes], coded: dict[str, bytes], tags: dict[str, str]) -> tuple[str, ...]:
    """What a container tells about the picture that is not written again."""
    told = []
    if SideData.SPHERICAL in side or "spherical" in coded:
        told.append("the mark of a spherical film is left out: set it again with a tool for such films")
    if (SideData.STEREO3D in side or "stereo_3d" in coded) and "stereo_mode" not in tags:  # a tag goes along
        told.append("the mark of a stereo film is left out: set it again with a tool for such films")
    return tuple(told)
