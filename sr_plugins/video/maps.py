"""Which streams of the source a person chooses by ffmpeg's ``-map``."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence

from sr_plugins.errors import PipeError
from sr_plugins.video.ffmpeg_process import PROTOCOLS, as_words, local_url
from sr_plugins.video.output_options import OutputOptions
from sr_plugins.video.source import Source, StreamInfo

_CHOSEN = re.compile(r"^  Stream #0:(\d+) -> #0:\d+", re.MULTILINE)
_REASON = re.compile(r"matches no streams|Invalid input file index|.*does not exist.*")


def mapped_streams(executable: str, source: Source, options: OutputOptions) -> list[int] | None:
    """The streams that the maps name, in their order, as this ffmpeg understands them; ``None``: there are no maps.

    Raises:
        PipeError: ffmpeg does not understand one, or a stream that is named does not exist.
    """
    return _mapped(executable, source, options) if options.maps else None


def film_of(source: Source, mapped: Sequence[int] | None) -> int:
    """The stream to upscale: the source's own, unless other films are mapped and it is not."""
    films = [index for index in mapped or () if source.streams[index].is_film]
    return films[0] if films and source.main not in films else source.main


def chosen_streams(source: Source, mapped: Sequence[int] | None) -> list[StreamInfo]:
    """The streams of the result in their order, the upscaled one among them: first unless it is mapped. Without maps
    all."""
    if mapped is None:
        return list(source.streams)
    chosen = list(mapped)
    if source.main not in chosen:
        chosen = [source.main, *chosen]
    main = chosen.index(source.main)  # there is one picture
    order = [index for place, index in enumerate(chosen) if index != source.main or place == main]
    return [source.streams[index] for index in order]


def _mapped(executable: str, source: Source, options: OutputOptions) -> list[int]:
    command = [executable, "-hide_banner", "-nostdin", *as_words(source.given), "-protocol_whitelist", PROTOCOLS]
    # One more behind them, which none takes away: without any ffmpeg would choose by itself.
    maps = [word for map in (*options.maps, f"0:{source.main}") for word in ("-map", map)]
    copied = ["-c", "copy", "-copy_unknown", "-t", "0", "-f", "null", "-"]
    run = subprocess.run([*command, "-i", local_url(source.path), *maps, *copied], capture_output=True)
    said = run.stderr.decode(errors="surrogateescape")
    *chosen, _ = [index for index in map(int, _CHOSEN.findall(said)) if index < len(source.streams)] or [-1]
    if run.returncode and not _CHOSEN.search(said):
        reason = found[0] if (found := _REASON.search(said)) else "not understood"
        there = ", ".join(stream.label.removeprefix("stream ") for stream in source.streams)
        raise PipeError(f"-map {' -map '.join(options.maps)}: {reason}; {source.path} has the streams {there}")
    return chosen
