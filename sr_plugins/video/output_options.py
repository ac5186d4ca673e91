"""The options that a person writes after ``--``: which of them go to the encoder and which to the final join."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from sr_plugins.errors import PipeError

# Filters that look at time or at more than one frame: chunks are filtered one by one, and time begins anew in each.
_ACROSS_FRAMES = re.compile(
    r"(?:^|[,;\]\s])(reverse|loop|tmix|tblend|tmedian|minterpolate|mestimate|setpts|fps|framerate|framestep|decimate|"
    r"mpdecimate|trim|segment|select|tpad|tinterlace|interlace|telecine|detelecine|pullup|fieldmatch|shuffleframes|random|"
    r"fade|xfade|freezeframes|freezedetect|thumbnail|zoompan|scroll|concat|interleave|cue|sendcmd|subtitles|ass|"
    r"hqdn3d|atadenoise|fftdnoiz|dedot|deflicker|deshake|vidstabdetect|vidstabtransform|lagfun|amplify|normalize|"
    r"photosensitivity|dejudder|repeatfields|separatefields|weave|doubleweave|phase|yadif|bwdif|w3fdif|kerndeint|mcdeint|"
    r"nnedi|estdif)(?:[=,;\[@\s]|$)"
)
# Expressions of others with the time or the number of a frame, up to the next filter; and those that work but at times.
_TIMED = re.compile(
    r"(?:^|[,;\]\s])(rotate|hue|geq|crop|overlay|eq|pad|scale|vignette|perspective)="
    r"(?:(?!,[a-z_0-9]+[=,])[^;\[])*?(?<![\w%./])(?:t|n|T|N|pts)(?![\w=.])|"
    r"(?:^|[,;\]\s])(drawtext)=[^;\[]*?(?:%\{|timecode=)|\b(enable)="
)
# Options of the container and of the other streams; everything else concerns the encoding of the video.
_JOIN = {
    *("map_metadata", "map_chapters", "metadata", "disposition", "movflags", "brand", "f", "attach"),
    *("acodec", "scodec", "dcodec", "ab", "ar", "ac", "af", "aq", "an", "sn", "dn", "bitexact", "fflags"),
    *("max_interleave_delta", "muxdelay", "muxpreload", "avoid_negative_ts", "cues_to_front", "reserve_index_space"),
    *("copy_unknown", "default_mode", "strict", "timecode", "ignore_unknown", "tag", "vtag", "atag", "stag"),
}
_BOTH = {"aspect"}  # the encoder writes it into its stream, the join into the container
_FLAGS = {
    "stats",
    "nostats",
    "report",
    "hide_banner",
    "stillimage",
    "benchmark",
    "nostdin",
    "psnr",
    "vstats",
    "xerror",
    "an",
    "sn",
    "dn",
    "bitexact",
    "copy_unknown",
    "ignore_unknown",
}
FILTERS = ("-vf", "-filter:v", "-filter:v:0", "-filter")
_WITHOUT = {"an": "-0:a", "sn": "-0:s", "dn": "-0:d"}
_BESIDE = ("a", "s", "d", "t")  # how the specifiers of streams beside the picture begin
_SOURCES = {"map_metadata", "map_chapters"}  # options that name an input
_CODEC = {"c", "codec", "vcodec"}
_REFUSED = {
    **dict.fromkeys(("ss", "t", "to", "sseof", "frames", "vframes", "fs", "shortest"), "use --start and --end"),
    **dict.fromkeys(("r", "fps_mode", "vsync", "fpsmax", "copyts", "enc_time_base"), "every frame keeps its time"),
    **dict.fromkeys(("hwaccel", "hwaccel_device", "hwaccel_output_format"), "--hwaccel NAME stands before the --"),
    **dict.fromkeys(("pass", "passlogfile"), "chunks are encoded one by one, in a single pass: use -crf"),
    "filter_script": "the filters stand behind -vf",
    "target": "name an encoder with -c:v, and a container by the name of the file",
    **dict.fromkeys(("y", "n"), "a target that exists is kept, --overwrite replaces it"),
    **dict.fromkeys(("vn", "i", "filter_complex", "lavfi"), "the picture comes from the upscaler"),
}


@dataclass(frozen=True)
class OutputOptions:
    """``encoder`` as asked for (or ``None``), tokens for encoding a chunk, tokens for the join, and ``maps`` with which
    the person chooses streams of the source, the first of them a positive one."""

    encoder: str | None = None
    encode: tuple[str, ...] = ()
    join: tuple[str, ...] = ()
    maps: tuple[str, ...] = ()

    @classmethod
    def parse(cls, tokens: Sequence[str]) -> OutputOptions:
        """Sort ffmpeg output options.

        Raises:
            PipeError: not an option, or one that would break a promise; the message says what to do instead.
        """
        encoder: str | None = None
        encode: list[str] = []
        join: list[str] = []
        maps: list[str] = []
        without: list[str] = []  # whatever is mapped
        rest = list(tokens)
        while rest:
            token = rest.pop(0)
            if not re.match(r"-[A-Za-z]", token):
                raise PipeError(f"after -- come ffmpeg output options such as -crf 18; {token!r} is none")
            name, _, specifier = token[1:].partition(":")
            if name in _REFUSED:
                raise PipeError(f"{token} cannot be given here: {_REFUSED[name]}")
            values = [rest.pop(0)] if name not in _FLAGS and rest else []
            if name not in _FLAGS and not values:
                raise PipeError(f"the ffmpeg option {token} lacks its value")
            if name in _SOURCES and re.match(r"[1-9]", values[0]):
                raise PipeError(f"{token} {values[0]}: there is one input, the film, and its number is 0")
            if name in ("vf", "filter") and specifier[:1] not in _BESIDE:
                _refuse_across(values[0])
            if name in _CODEC and specifier[:1] in ("", "v", "V"):
                if values == ["copy"]:
                    raise PipeError(f"{token} copy cannot be: upscaled video has to be encoded")
                encoder = values[0]
            elif name in _WITHOUT:
                without.append(_WITHOUT[name])
            elif name == "map":
                maps.append(values[0])
            elif name in _BOTH:
                encode += [token, *values]
                join += [token, *values]
            elif name in _JOIN or specifier[:1] in _BESIDE:
                join += [token, *values]
            elif specifier[:1] in ("", "v", "V"):
                encode += [token, *values]
            else:
                raise PipeError(
                    f"{token}: name streams by their kind: -{name}:v the picture, -{name}:a:0 the first sound"
                )
        maps += without
        if maps and all(value.startswith("-") for value in maps):  # they take some of all away
            maps = ["0", *maps]
        return cls(encoder, tuple(encode), tuple(join), tuple(maps))

    def value(self, name: str) -> str | None:
        """The last value given for an encoder option, with or without a ``:v`` behind it."""
        return _last(self.encode, lambda token: token.partition(":")[0] == f"-{name}")

    def codec(self, kind: str, number: int) -> str | None:
        """The last codec given for the ``number``-th stream of a kind (``audio``, ``subtitle``) of the result."""
        wanted = {f"-{name}:{kind[0]}{place}" for name in ("c", "codec") for place in ("", f":{number}")}
        wanted.add(f"-{kind[0]}codec")
        return _last(self.join, wanted.__contains__)

    @property
    def unfiltered(self) -> list[str]:
        """The options for encoding without the filters."""
        pairs = zip(self.encode[::2], self.encode[1::2], strict=True)
        return [word for pair in pairs if pair[0] not in FILTERS for word in pair]

    @property
    def own_filters(self) -> bool:
        """The person filters the picture, which may change its size and shape again."""
        return any(self.value(name) is not None for name in ("vf", "filter"))

    @property
    def own_aspect(self) -> bool:
        """The person says the picture's shape, or filters it: ours then steps back."""
        return self.own_filters or self.value("aspect") is not None

    def sound_filter(self, place: int) -> str | None:
        """The last filter given for the ``place``-th stream of sound of the result."""
        return _last(self.join, {"-af", "-filter:a", f"-filter:a:{place}"}.__contains__)

    @property
    def metadata_of_streams(self) -> list[str]:
        """What the person says of streams: ``key=value``."""
        return [words[1] for words in self._words() if words[0].startswith("-metadata:s")]

    @property
    def metadata_of_film(self) -> list[str]:
        """What the person says of the film: ``key=value``."""
        return [words[1] for words in self._words() if words[0] in ("-metadata", "-metadata:g")]

    def maps_metadata(self, kind: Literal["g", "s"]) -> bool:
        """The person says where tags of the film (``g``) or of streams (``s``) come from: ffmpeg copies no others."""
        for words in self._words():
            if words[0].partition(":")[0] != "-map_metadata":
                continue
            to, (file, _, place) = words[0].partition(":")[2], words[1].partition(":")
            if to[:1] in ("", kind) if file.startswith("-") else kind in ((to or "g")[0], (place or "g")[0]):
                return True
        return False

    @property
    def of_sound(self) -> list[str]:
        """The options for encoding sound."""
        return [word for words in self._words() if _concerns_sound(words[0]) for word in words]

    @property
    def encoders_of_sound(self) -> list[str]:
        """The encoders of sound that the person names."""
        named = [words for words in self._words() if re.match(r"-(c|codec):a|-acodec$", words[0])]
        return [encoder for _, encoder in named if encoder != "copy"]

    def _words(self) -> Iterator[tuple[str, ...]]:
        """The options of the join, each with its value."""
        rest = list(self.join)
        while rest:
            token = rest.pop(0)
            yield (token, *([rest.pop(0)] if token[1:].partition(":")[0] not in _FLAGS else []))


def _concerns_sound(token: str) -> bool:
    name, _, specifier = token[1:].partition(":")
    return specifier[:1] == "a" or name in {"acodec", "ab", "ar", "ac", "aq", "af", "strict"}


def _refuse_across(filters: str) -> None:
    if found := _ACROSS_FRAMES.search(filters) or _TIMED.search(filters):
        name = next(filter(None, found.groups()))
        what = "works at some times only" if name == "enable" else "looks across frames or at their time"
        raise PipeError(
            f"the filter {name} {what}, and chunks are filtered one by one: "
            "use it first: ffmpeg -i IN -vf FILTERS -c:v ffv1 -c:a copy OUT.mkv"
        )


def _last(tokens: Sequence[str], wanted: Callable[[str], bool]) -> str | None:
    """What stands behind the last token that is wanted."""
    return next((value for token, value in reversed(list(pairwise(tokens))) if wanted(token)), None)
