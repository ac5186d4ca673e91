"""A video file and what is known of it; how files are opened."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from sr_plugins.errors import PipeError
from sr_plugins.video.containers import DISCONTINUOUS, LISTS
from sr_plugins.video.ffmpeg_process import PROTOCOLS, local_url
from sr_plugins.video.pixel_formats import Colors
from sr_plugins.video.sequence import Numbered
from sr_plugins.video.timeline import Span
from sr_plugins.video.wholeness import lacks_index

NO_CROP = (0, 0, 0, 0)
# What people have that is no file of a film, and what makes one of it.
_NO_FILM = {
    ".mpd": "a list of DASH, make one file of it first: ffmpeg -i IN -c copy OUT.mkv",
    ".avs": "a script of AviSynth, make a film of it first: ffmpeg -i IN -c:v ffv1 OUT.mkv",
    ".vpy": "a script of VapourSynth, pipe it: vspipe -c y4m IN - | srp pipe | ffmpeg -i - OUT.mkv",
    ".iso": "an image of a disc, copy a film from it first, with a tool such as MakeMKV or ffmpeg -f dvdvideo -i IN",
}
_NAMELESS = "RGB\x0f"  # the tag of rgb555le, and of what ffmpeg has no tag for
_MISNAMED = ("rgb555le", "rgb555be", "rgb565le", "bgr555le")


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

    ``frames`` is how many its file says it has, 0 where that is unknown. ``enhances``: a layer of Dolby Vision over
    another stream, no picture of its own.
    """

    index: int
    kind: str
    codec: str
    disposition: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    frames: int = 0
    enhances: bool = False

    @property
    def tags(self) -> dict[str, str]:
        """The metadata by keys in lower case: Matroska writes capitals."""
        return {key.lower(): value for key, value in self.metadata.items()}

    @property
    def title(self) -> str | None:
        """Its title, which libavformat calls ``name`` in QuickTime's family, where its muxers write ``title``."""
        return self.tags.get("title", self.tags.get("name"))

    @property
    def is_cover(self) -> bool:
        return "attached_pic" in self.disposition

    @property
    def is_film(self) -> bool:
        return self.kind == "video" and not self.is_cover

    @property
    def label(self) -> str:
        """For messages: ``stream 3 (subtitle, hdmv_pgs_subtitle, eng)``."""
        codec = self.codec or ("timecode" if "timecode" in self.tags else "")
        parts = (self.kind, codec, self.tags.get("filename") or self.tags.get("language"))
        return f"stream {self.index} ({', '.join(p for p in parts if p)})"


@dataclass(frozen=True)
class Source:
    """A video file and its main video stream.

    Times are integers in ``time_base``. ``timeline`` lists the presentation time of every frame in order, ``keyframes``
    those from which decoding can begin. ``start`` is where the container says that it begins and ``earliest`` the time
    of the first packet of any stream, in seconds; ``finish`` is when the last frame stops being shown, ``spans`` when
    each stream's packets are presented. ``origin`` is the time that counts as zero in the result: 0, or where
    a broadcast recording begins. ``crop`` is what is still to be cut off (left, right, top, bottom); the size is
    that of the rest. ``decoder`` is one that ffmpeg would not take by itself. ``metadata`` holds the file's own tags.
    ``repeats``: times at which the frame before is shown once more, for which a decoder gives nothing.
    ``captions``: there are closed ones inside the video; ``dynamic_hdr`` names such metadata of its frames that those
    of the result get. ``bare``: a codec's own stream, whose frames are counted.
    ``fields``: ``tff`` or ``bff`` where only the container tells that a frame holds two, and which comes first.
    ``pictures`` says which they are where the film is numbered pictures and ``path`` their pattern.
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
    finish: Fraction
    spans: dict[int, Span] = field(default_factory=dict)
    interlaced: bool = False
    fields: str = ""
    rotation: int = 0
    mirrored: bool = False
    light: Light = Light()
    chapters: int = 0
    lost: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    crop: tuple[int, int, int, int] = NO_CROP
    decoder: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    pictures: Numbered | None = None
    captions: bool = False
    dynamic_hdr: tuple[str, ...] = ()
    bare: bool = False
    repeats: tuple[int, ...] = ()

    @property
    def given(self) -> dict[str, str]:
        """Options with which ffmpeg reads it."""
        if self.bare:  # one of its own, or the times of its packets, whatever this ffmpeg makes of them
            return {"r": f"{self.rate.numerator}/{self.rate.denominator}"}
        return self.pictures.given if self.pictures else {}

    @property
    def origin(self) -> Fraction:
        """Seconds that are taken off every time stamp."""
        return self.start if self.discontinuous else Fraction(0)

    @property
    def rests(self) -> bool:
        """The last frame is shown for longer or shorter than the one before it, or there is none before."""
        *before, last = self.timeline[-2:]
        if not before:
            return True
        gap = (last - before[0]) * self.time_base
        return abs(self.finish - last * self.time_base - gap) > max(self.time_base, Fraction(1, 1000))

    @property
    def discontinuous(self) -> bool:
        """Its clock starts anywhere, as a broadcast's does."""
        return self.container.split(",")[0] in DISCONTINUOUS

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
        """A hash of the whole file: a film that was still being copied has its length and both ends at once."""
        if self.pictures:
            return self.pictures.digest()
        if self.container.split(",")[0] in LISTS:
            return self._packets_digest()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "blake2b").hexdigest()[:32]

    def _packets_digest(self) -> str:
        """Of a list of files what they hold: the list alone stays as it is when they change."""
        state = hashlib.blake2b()
        with opened(self.path, self.given) as container:
            for packet in container.demux():
                state.update(f"{packet.stream_index} {packet.pts} {packet.dts} {packet.size} ".encode())
                state.update(memoryview(packet))
        return state.hexdigest()[:32]


def films_of(container: InputContainer) -> list[VideoStream]:
    """Its video streams, covers left out."""
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def main_film(container: InputContainer) -> VideoStream | None:
    """The one that is upscaled: the default one, else the largest, the first of several."""
    films = films_of(container)
    largest = max(films, key=lambda s: s.width * s.height if s.codec_context else 0, default=None)
    return next((stream for stream in films if stream.disposition & Disposition.default), largest)


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[av.VideoFrame]:
    """The frames of a stream, as ``container.decode`` gives them, but for Theora's empty packets: they say the frame
    before again, and libavcodec takes them for the end."""
    for packet in container.demux(stream):
        if packet.size or packet.pts is None:
            refuse_misnamed(stream, packet, f"{container.name.removeprefix('file:')}: ")
            yield from packet.decode()


def refuse_misnamed(stream: VideoStream, packet: av.Packet[VideoStream], where: str = "") -> None:
    """Raises ``PipeError`` where a raw frame is no picture of the kind that NUT calls it; ``where`` begins its line."""
    context, pixels = stream.codec_context, stream.width * stream.height
    if context.name == "rawvideo" and context.codec_tag == _NAMELESS and packet.size == 2 * pixels:
        if bytes(packet)[1::2].isascii():  # the highest of 16 bits is never set in RGB of 15; NV16 is of this size, too
            return
        raise PipeError(f"{where}NUT has no name for these frames (nv16): use -pix_fmt yuv422p")
    if context.name == "rawvideo" and packet.size and context.pix_fmt in _MISNAMED and packet.size != 2 * pixels:
        deep = "yuv420p" if packet.size == 3 * pixels else "yuv444p"
        raise PipeError(
            f"{where}NUT has no name for these frames (p010, 4:4:0 and others): use -pix_fmt {deep}10le, or {deep}12le "
            f"or {deep}16le where they have so many bits"
        )


@contextmanager
def opened(path: Path, given: Mapping[str, str] = MappingProxyType({})) -> Iterator[InputContainer]:
    """The file opened by PyAV, which then opens local files only; its errors become ``PipeError``. ``given`` are
    options of ffmpeg's."""
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise PipeError(f"{path} is a pipe or a device, and a film is read more than once: write it to a file first")
    try:
        options = {**given, "protocol_whitelist": PROTOCOLS}
        with av.open(local_url(path), format=options.pop("format", None), options=options) as container:
            yield container
    except (av.FFmpegError, IsADirectoryError) as error:
        if not path.exists():
            raise PipeError(f"{path}: there is no such file") from error
        if path.is_dir():
            raise PipeError(f"{path} is a folder") from error
        if path.stat().st_size == 0:
            raise PipeError(f"{path} is empty") from error
        if lacks_index(path):
            raise PipeError(
                f"{path} is truncated: its index (moov), which is written last, is missing; take a whole copy, or "
                "rebuild it with a tool such as untrunc and another film of the same camera"
            ) from error
        if told := _NO_FILM.get(path.suffix.lower()):
            raise PipeError(f"{path} is {told}") from error
        reason = getattr(error, "strerror", None) or error
        raise PipeError(f"{path}: cannot be read as video, it is damaged or of another kind ({reason})") from error
