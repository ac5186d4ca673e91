"""Programs: what a broadcast puts several of into one stream, and a playlist offers one film as."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from sr_plugins.video.ffmpeg_process import PROTOCOLS, local_url
from sr_plugins.video.source import Source

# What ffmpeg writes where nobody gave a name.
_NAMELESS = {"service_name": "Service01", "service_provider": "FFmpeg"}
_PROGRAM = re.compile(r"  (?:Program (\d+)|No Program)")
_STREAM = re.compile(r"  Stream #0:(\d+)")
_TAG = re.compile(r"      (\w+) *: (.*)")


@dataclass(frozen=True)
class Program:
    """``streams`` are their indices in the file, ``tags`` the names of the service and of its provider."""

    number: int
    streams: tuple[int, ...]
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """For messages."""
        return self.tags.get("service_name", str(self.number))


def programs_of(executable: str, source: Source) -> tuple[Program, ...]:
    """The programs of a transport stream or a playlist, as this ffmpeg tells them; libavformat's are not in PyAV."""
    if source.container not in ("mpegts", "hls"):
        return ()
    command = [executable, "-hide_banner", "-nostdin", "-protocol_whitelist", PROTOCOLS, "-i", local_url(source.path)]
    said = subprocess.run(command, capture_output=True).stderr.decode(errors="surrogateescape")
    found: list[tuple[int, list[int], dict[str, str]]] = []
    within = False
    for line in said.splitlines():
        if head := _PROGRAM.match(line):
            if within := head[1] is not None:
                found.append((int(head[1]), [], {}))
        elif not within:
            continue
        elif stream := _STREAM.match(line):
            found[-1][1].append(int(stream[1]))
        elif (tag := _TAG.match(line)) and not found[-1][1] and tag[2] != _NAMELESS.get(tag[1], tag[2]):
            found[-1][2][tag[1]] = tag[2]
    return tuple(Program(number, tuple(streams), tags) for number, streams, tags in found if streams)


def other_variants(programs: Sequence[Program], source: Source) -> set[int]:
    """Streams of a playlist that belong to other variants of the film than the one that is upscaled."""
    if source.container != "hls":
        return set()
    mine = {stream for program in programs if source.main in program.streams for stream in program.streams}
    return {stream for program in programs for stream in program.streams} - mine


def lost(programs: Sequence[Program], muxer: str) -> list[str]:
    """Lines about what of them a container does not hold."""
    if muxer == "mpegts" or not programs:
        return []
    if len(programs) > 1:
        names = ", ".join(program.label for program in programs)
        return [f"its {len(programs)} programs ({names}) become one: only .ts has programs"]
    name = programs[0].tags.get("service_name")
    if name is None or muxer == "matroska":
        return []
    return [f"the name of its program ({name}) is left out: only .ts and .mkv hold it"]


def program_settings(programs: Sequence[Program], streams: Sequence[int], main: int, muxer: str) -> list[str]:
    """Options that write them again; ``streams`` are those of the target, each by its number in the source, ``main``
    among them."""
    mine = next((program for program in programs if main in program.streams), None)
    if muxer == "matroska" and mine is not None:  # as tags, which the muxer of .ts takes for names again
        return [word for key, value in mine.tags.items() for word in ("-metadata", f"{key}={value}")]
    if muxer != "mpegts" or mine is None:
        return []
    loose = set(streams) - {stream for program in programs for stream in program.streams}
    said: list[str] = []
    number = 0
    for program in programs:
        own = {*program.streams, *(loose if program is mine else ())}
        if held := [place for place, stream in enumerate(streams) if stream in own]:
            said += ["-program", ":".join([f"program_num={program.number}", *(f"st={place}" for place in held)])]
            said += [word for pair in program.tags.items() for word in (f"-metadata:p:{number}", "=".join(pair))]
            number += 1
    return said
